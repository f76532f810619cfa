//! The outcomes of a session, and its counters.

use core::num::NonZeroU64;
use core::time::Duration;

use super::SessionConfig;
use crate::refusal::Refusal;
use crate::replica::ValueBytes;
use crate::summary::Root;

/// The outcome of a session, and its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// The outcome.
    pub outcome: Outcome,
    /// The root that both sides had at the end, if they converged; with
    /// [`ConvergedExcept`](Outcome::ConvergedExcept), the root that they would have if nothing were missing.
    pub root: Option<Root>,
    /// The counters of this side.
    pub stats: SessionStats,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Both replicas hold the same entries and have seen the same writes: they told each other the same Merkle root, in
    /// full, and the same first eight bytes of their context hashes.
    Converged,
    /// Both replicas hold the same entries and have seen the same writes, except at keys at which one of them has a
    /// hole: what its peer holds there could not be decoded, is too long, or has the hash of another key. They told each
    /// other the same Merkle root as they would have if the holes held what the peer says.
    /// [`Replica::holes`](crate::Replica::holes) has the keys of this side.
    ConvergedExcept {
        /// At most so many keys: the holes of both sides together.
        keys: NonZeroU64,
    },
    /// Everything that differed at the start was exchanged. Writes during the session have left new differences.
    Progress,
    /// The session ended early. Everything that was joined until then is kept, and the next session continues from
    /// there.
    Partial(PartialReason),
    /// One side refused to continue. Trying again does not help until the cause is removed.
    Refused(Refusal),
}

impl Outcome {
    /// Its name in metrics and spans.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::ConvergedExcept { .. } => "converged_except",
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
    /// One side exchanges data with another peer. So no value is requested from two peers at once.
    #[error("one side is in another transfer")]
    Busy,
    /// The peer ended the session early.
    #[error("the peer gave up")]
    AbortedByPeer,
    /// [`SessionConfig::max_session_bytes`](super::SessionConfig::max_session_bytes) were sent and received, or the
    /// transfer's [turn](crate::GossipConfig::transfer_turn) was over and another peer waited.
    #[error("the session's budget is used up")]
    Budget,
    /// The peer answered, and so slowly or with so little that the transfer did not move.
    #[error("the transfer did not move")]
    Stalled,
    /// The entries of a side did not match its digest, twice, although the second comparison was made in another way.
    #[error("what was exchanged could not be certified")]
    Uncertified,
    /// The context would have had too many pieces to apply the transfer.
    #[error("the context is in too many pieces")]
    TooManyPieces,
    /// This replica's store failed.
    #[error("the store failed")]
    StoreFailed,
    /// This side is shutting down.
    #[error("this side shuts down")]
    Shutdown,
}

/// The counters of one side of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Bytes of all frames that were sent, including repeated ones.
    pub bytes_sent: u64,
    /// Bytes of all frames that were received.
    pub bytes_received: u64,
    /// Bytes of values among `bytes_sent`, including repeated ones.
    pub value_bytes_sent: u64,
    /// Bytes of parts among `value_bytes_sent`. A part that is only named by its hash counts as none.
    pub part_bytes_sent: u64,
    /// Bytes of values in the batches that were received, whether they were needed or not.
    pub value_bytes_received: u64,
    /// Messages that were received: replies on the side that opened the session, requests on the other.
    pub round_trips: u32,
    /// Keys that were found to differ.
    pub differences: u64,
    /// Keys at which the session changed this replica.
    pub changed: u64,
    /// Batches that were refused because they did not match their digest.
    pub uncertified: u32,
    /// Sketches that could not be decoded, so that trees were compared instead.
    pub sketches_failed: u32,
    /// Batches that listed all entries of this replica in a range, because it holds so few that no differences were
    /// looked for.
    pub whole_batches: u32,
    /// The work of comparing and decoding that the answering side has done, in entries: one for each entry that a pass over
    /// all visited, each difference that was looked up, each cell that was filled, and each digest or entry in an answer; 16
    /// for each message, and each entry that was loaded for an inventory; one for 64 bytes that were loaded for that, or 256
    /// that were decoded. Each is some 150 nanoseconds of a core. The opener counts its messages only.
    pub work: u64,
    /// The time from opening the session, or from its first frame, to its end.
    pub duration: Duration,
}

impl SessionStats {
    pub(crate) fn values_sent(&self) -> ValueBytes {
        ValueBytes { all: self.value_bytes_sent, parts: self.part_bytes_sent }
    }

    /// Whether a session has sent and received what it may.
    pub(super) fn is_over(&self, config: &SessionConfig) -> bool {
        self.bytes_sent.saturating_add(self.bytes_received) > config.max_session_bytes
    }

    pub(super) fn count_sent(&mut self, values: ValueBytes) {
        self.value_bytes_sent += values.all;
        self.part_bytes_sent += values.parts;
    }

    pub(super) fn count_work(&mut self, work: usize) {
        self.work = self.work.saturating_add(work as u64);
    }
}
