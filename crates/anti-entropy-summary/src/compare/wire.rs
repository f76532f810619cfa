//! The messages of a comparison.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Width;

use super::packed::Packed;
use super::prefix::Prefix;

/// A question for the entries under some prefixes. [`answer`](super::answer()) answers it.
///
/// The number of prefixes is bounded by the frame that the question came in, and a question takes no more memory than
/// that. The cost of an answer is bounded by its own size.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    prefixes: Packed<Prefix>,
    width: Width,
}

impl Ask {
    /// A question for these prefixes, in the order in which they are to be answered, with digests and fingerprints of this
    /// width.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>, width: Width) -> Self {
        Self { prefixes: prefixes.into_iter().collect(), width }
    }

    /// The prefixes, in the order in which they are to be answered.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.prefixes.iter()
    }

    /// The width of the digests and fingerprints in the answer.
    pub const fn width(&self) -> Width {
        self.width
    }

    /// The number of prefixes.
    pub const fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.prefixes.len() == 0
    }
}

/// The entries or digests under the first prefixes of an [`Ask`].
///
/// It can be read only together with its question, by [`Comparison::handle_answer`](super::Comparison::handle_answer).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// One for each of the first prefixes asked for, as many as there was room for.
    pub(super) parts: Packed<Part>,
}

impl Answer {
    /// The number of prefixes that are answered.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether no prefix is answered. This happens only if none was asked for.
    pub fn is_empty(&self) -> bool {
        self.parts.len() == 0
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
