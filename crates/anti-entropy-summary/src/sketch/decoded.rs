//! The results of decoding: symbols that only one side has, or why decoding failed.

use thiserror::Error;

use super::symbol::Symbol;

/// Why decoding failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DecodeFailure {
    /// A chunk starts after the cells that are needed next.
    #[error("cells are missing before those that came")]
    Gap,
    /// More cells than [`DecoderLimits::max_cells`](super::DecoderLimits::max_cells) came, or would be needed: the sets
    /// differ in too much for a sketch.
    #[error("more cells than the limit")]
    TooManyCells,
    /// More symbols than [`DecoderLimits::max_symbols`](super::DecoderLimits::max_symbols) were decoded.
    #[error("more symbols than the limit")]
    TooManySymbols,
    /// More cells than [`DecoderLimits::max_steps_per_cell`](super::DecoderLimits::max_steps_per_cell) allows were
    /// touched. Honest cells do not need so many.
    #[error("more steps than the limit")]
    TooManySteps,
    /// A symbol was decoded twice, or contradicts the entries on this side. The cells are forged, or a checksum matched
    /// by chance.
    #[error("the cells are those of no two sets")]
    Inconsistent,
    /// Two keys of one side have the same first 64 bits of their hashes. A sketch cannot tell them apart.
    #[error("two keys share a prefix")]
    SharedPrefix,
}

/// The side that holds a symbol.
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
    /// The side that has it.
    pub side: Side,
}
