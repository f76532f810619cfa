use thiserror::Error;

use crate::KeyHash;
use crate::clock::{ReplicaId, Timestamp};

/// A replica has used up its 2<sup>64</sup> - 1 counters.
///
/// No honest replica does so: a counter was corrupted or forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("replica {replica} has no counter left; nothing was minted or changed: go on under a fresh replica id")]
pub struct CounterExhausted {
    /// The replica that cannot make another dot.
    pub replica: ReplicaId,
}

/// A timestamp from another replica is too far ahead of the local wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a remote timestamp is {ahead_ms} ms ahead of the local clock and at most {max_ahead_ms} ms are accepted; \
     the local clock was not moved: synchronise the clocks of the two hosts"
)]
pub struct ClockSkew {
    /// The timestamp that was refused.
    pub remote: Timestamp,
    /// How far the timestamp is ahead of the local wall clock, in milliseconds.
    pub ahead_ms: u64,
    /// The greatest lead that is accepted, in milliseconds.
    pub max_ahead_ms: u64,
}

/// A context was to be renamed to an id that has been in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("replica id {replica} is in use or has been seen before; the context was not changed: take another, random id")]
pub struct ReplicaIdTaken {
    /// The id that is in use.
    pub replica: ReplicaId,
}

/// Why pieces do not make up the clocks of a range.
///
/// Nothing was built. The code that made the pieces has a bug, or a peer sent them and is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRangeClocks {
    /// The first piece does not start where the range starts, or there is no piece.
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
    /// A piece does not start after the previous one.
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
