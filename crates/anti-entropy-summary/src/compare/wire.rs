//! What goes between the two sides of a comparison.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Width;

use super::prefix::Prefix;

/// A question for what is under some prefixes; answered by [`answer`](super::answer()).
///
/// Limits on how many there are go with the frame that it came in: an answer's cost is bounded by its own size.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked for, in the order in which it is to be answered.
    pub prefixes: Vec<Prefix>,
    /// How digests and fingerprints are to be cut.
    pub width: Width,
}

/// What is under the first of the prefixes of an [`Ask`].
///
/// It can be read only together with the question, by [`Comparison::handle_answer`](super::Comparison::handle_answer).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// One for each of the first prefixes asked for, as many as there was room for.
    pub(super) parts: Vec<Part>,
}

impl Answer {
    /// How many of the prefixes asked for are answered.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether nothing is answered, as happens only if nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// What is under one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Part {
    /// All entries, in ascending order: the bytes of the key hash that the prefix does not imply, and the fingerprint,
    /// cut to the width asked for.
    Entries(Vec<u8>),
    /// The digests of the `4^levels` parts, in ascending order, without those of the empty ones.
    Digests {
        /// Levels down, two bits each.
        levels: u8,
        /// Bit `i`: part `i` is empty. Mostly 0, which is encoded as one byte.
        empty: u64,
        /// The digests, cut to the width asked for.
        digests: Vec<u8>,
    },
}

/// The most levels that an answer goes down.
pub(super) const MAX_LEVELS: u8 = 3;

/// The most entries that are listed for one prefix.
pub(super) const MAX_LISTED: usize = 32;
