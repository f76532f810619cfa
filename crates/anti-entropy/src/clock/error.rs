use thiserror::Error;

use crate::KeyHash;
use crate::clock::{ReplicaId, Timestamp};

/// A replica has used up its 2<sup>64</sup> - 1 counters.
///
/// No honest replica gets there: it means that a counter was corrupted or forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("replica {replica} has no counter left; nothing was minted or changed: go on under a fresh replica id")]
pub struct CounterExhausted {
    /// The replica that can mint no more.
    pub replica: ReplicaId,
}

/// A timestamp from elsewhere runs too far ahead of the local wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a remote timestamp is {ahead_ms} ms ahead of the local clock and at most {max_ahead_ms} ms are accepted; \
     the local clock was not moved: synchronise the clocks of the two hosts"
)]
pub struct ClockSkew {
    /// The timestamp that was refused.
    pub remote: Timestamp,
    /// How far it is ahead of the local wall clock, in milliseconds.
    pub ahead_ms: u64,
    /// The greatest lead that is accepted, in milliseconds.
    pub max_ahead_ms: u64,
}

/// A context was to go on under an id that has been in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("replica id {replica} is in use or has been seen before; the context was not changed: take another, random id")]
pub struct ReplicaIdTaken {
    /// The id that cannot be taken.
    pub replica: ReplicaId,
}

/// Pieces that do not make up the clocks of a range.
///
/// Nothing was built; whoever made the pieces has a bug, or is a peer whose frame is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRangeClocks {
    /// The first piece does not start where the range does, or there is none.
    #[error("no piece starts at {lo}, where the range does; nothing was built: give one that covers the range's start")]
    StartNotCovered {
        /// Where the range starts.
        lo: KeyHash,
    },
    /// A piece starts outside the range.
    #[error("a piece starts at {start}, outside the range; nothing was built: clip the pieces to the range")]
    OutsideRange {
        /// Where the piece starts.
        start: KeyHash,
    },
    /// A piece does not start after the one before it.
    #[error("a piece starts at {start}, not after its predecessor; nothing was built: give them in ascending order")]
    NotAscending {
        /// Where the piece starts.
        start: KeyHash,
    },
}

/// The operating system gave no random bytes.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the operating system gave no random bytes; no seed was made: retry, or take 32 random bytes from elsewhere")]
pub struct RandomnessUnavailable;
