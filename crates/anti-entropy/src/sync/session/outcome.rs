//! How a session ends.

use core::time::Duration;

use crate::refusal::Refusal;
use crate::replica::ValueBytes;
use crate::summary::Root;

/// How a session ended, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// The root that both sides had at the end, if they converged.
    pub root: Option<Root>,
    /// What it took.
    pub stats: SessionStats,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Both sides held the same entries and had seen the same: the full Merkle roots and the first eight bytes of the
    /// context hashes that they told each other are equal.
    Converged,
    /// Everything that differed at the start was exchanged; writes in between left new differences.
    Progress,
    /// The session ended early. What was joined until then stays, and the next session goes on from there.
    Partial(PartialReason),
    /// One side refuses to go on; trying again will not help until the reason is mended.
    Refused(Refusal),
}

impl Outcome {
    /// Its name in metrics and spans.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Progress => "progress",
            Self::Partial(_) => "partial",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why a session ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartialReason {
    /// The peer was silent for longer than [`SessionConfig::idle_timeout`](super::SessionConfig::idle_timeout).
    #[error("the peer was silent for too long")]
    TimedOut,
    /// One side is in a transfer with somebody else; a value in flight from one peer is not asked of another.
    #[error("one side is in another transfer")]
    Busy,
    /// The peer gave up.
    #[error("the peer gave up")]
    AbortedByPeer,
    /// [`SessionConfig::max_session_bytes`](super::SessionConfig::max_session_bytes) were moved.
    #[error("the session's budget of bytes is used up")]
    Budget,
    /// What one side sent did not add up to its digest, twice, by different means.
    #[error("what was exchanged could not be certified")]
    Uncertified,
    /// The context is in so many pieces that the transfer could not be taken in.
    #[error("the context is in too many pieces")]
    TooManyPieces,
    /// This replica's store failed.
    #[error("the store failed")]
    StoreFailed,
    /// This side shuts down.
    #[error("this side shuts down")]
    Shutdown,
}

/// What a session took, as seen from one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Bytes of all frames sent, repeated ones too.
    pub bytes_sent: u64,
    /// Bytes of all frames received.
    pub bytes_received: u64,
    /// Bytes of values among those sent, repeated ones too.
    pub value_bytes_sent: u64,
    /// Bytes of parts among those of values; parts that are named by their hashes take none.
    pub part_bytes_sent: u64,
    /// Bytes of values that arrived in batches, whether they were needed or not.
    pub value_bytes_received: u64,
    /// Requests answered, as seen by the side that opened; requests received, by the other.
    pub round_trips: u32,
    /// Keys found to differ.
    pub differences: u64,
    /// Keys at which something changed here.
    pub changed: u64,
    /// Batches that were refused since they did not add up.
    pub uncertified: u32,
    /// Sketches that led nowhere, so that trees were compared instead.
    pub sketches_failed: u32,
    /// Whole batches made: what was held here was so little that all of it was sent, and nothing was looked for.
    pub whole_batches: u32,
    /// From its opening, or the arrival of the opening, to its end.
    pub duration: Duration,
}

impl SessionStats {
    pub(crate) fn values_sent(&self) -> ValueBytes {
        ValueBytes { all: self.value_bytes_sent, parts: self.part_bytes_sent }
    }

    pub(super) fn count_sent(&mut self, values: ValueBytes) {
        self.value_bytes_sent += values.all;
        self.part_bytes_sent += values.parts;
    }
}
