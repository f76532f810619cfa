//! What decoding yields: symbols that only one side has, or the reason why there are none.

use thiserror::Error;

use super::symbol::Symbol;

/// Why cells led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DecodeFailure {
    /// A chunk started behind the cells that were taken in so far.
    #[error("cells are missing before those that came")]
    Gap,
    /// [`DecoderLimits::max_cells`](super::DecoderLimits::max_cells) were not enough, or more came: more differs than a sketch is good for.
    #[error("more cells than the limit")]
    TooManyCells,
    /// More symbols than [`DecoderLimits::max_symbols`](super::DecoderLimits::max_symbols) were read off.
    #[error("more symbols than the limit")]
    TooManySymbols,
    /// More cells than [`DecoderLimits::max_steps_per_cell`](super::DecoderLimits::max_steps_per_cell) allows were touched: no honest cells need so many.
    #[error("more steps than the limit")]
    TooManySteps,
    /// A symbol was read off twice, or is not what this side holds: the cells are forged, or a checksum fitted by
    /// chance.
    #[error("the cells are those of no two sets")]
    Inconsistent,
    /// Two keys of one side have hashes with the same first 64 bits, which a sketch cannot tell apart.
    #[error("two keys share a prefix")]
    SharedPrefix,
}

/// Who holds a symbol that the other does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// This side.
    Ours,
    /// The peer.
    Theirs,
}

/// A symbol that only one side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodedSymbol {
    /// The symbol.
    pub symbol: Symbol,
    /// Who has it.
    pub side: Side,
}
