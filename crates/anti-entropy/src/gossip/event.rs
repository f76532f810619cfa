//! What an operator would want to know, and what is counted.

use alloc::collections::VecDeque;
use alloc::string::String;

use super::trace::report;
use crate::PeerId;
use crate::refusal::Refusal;
use crate::replica::{Notice, ValueBytes};
use crate::summary::Root;
use crate::sync::{Finished, Outcome};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<K> {
    /// This replica and a peer hold the same and have seen the same, as both certified by their roots.
    Converged {
        /// The peer.
        peer: PeerId,
        /// The root that both have.
        root: Root,
    },
    /// A peer was found to differ; entries are being exchanged.
    Diverged {
        /// The peer.
        peer: PeerId,
    },
    /// A session is over, however it ended.
    SessionEnded {
        /// The peer.
        peer: PeerId,
        /// How it ended and what it took.
        finished: Finished,
    },
    /// This replica and a peer refuse each other; that lasts until the reason is mended.
    Refused {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: Refusal,
    },
    /// A pushed write was refused.
    PushRejected {
        /// The peer that pushed it.
        peer: PeerId,
        /// Why.
        rejection: Refusal,
    },
    /// A peer sent something that is no frame.
    FrameRefused {
        /// The peer.
        peer: PeerId,
        /// Why.
        error: Refusal,
    },
    /// Something happened to the replica itself.
    Notice(Notice<K>),
    /// This replica's own store failed; what was under way was given up.
    StoreFailed {
        /// What it said, and what to do.
        message: String,
    },
    /// This many events were dropped since nobody polled them; the counters have them.
    Missed(u64),
}

/// Events nobody has polled yet, up to a limit.
#[derive(Debug)]
pub(super) struct EventQueue<K> {
    pending: VecDeque<Event<K>>,
    limit: usize,
    missed: u64,
}

impl<K> EventQueue<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { pending: VecDeque::new(), limit, missed: 0 }
    }

    pub(super) fn push(&mut self, event: Event<K>) {
        report(&event);
        if self.pending.len() == self.limit {
            self.pending.pop_front();
            self.missed += 1;
        }
        self.pending.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event<K>> {
        if self.missed > 0 {
            return Some(Event::Missed(core::mem::take(&mut self.missed)));
        }
        self.pending.pop_front()
    }
}

/// What the engine has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Rounds of gossip.
    pub rounds: u64,
    /// Sessions that were opened from here.
    pub sessions_opened: u64,
    /// Sessions that peers opened.
    pub sessions_accepted: u64,
    /// Sessions, of both kinds, that ended converged.
    pub converged: u64,
    /// Sessions that exchanged everything while writes went on.
    pub progressed: u64,
    /// Sessions that ended early.
    pub partial: u64,
    /// Sessions that were refused.
    pub refused: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Bytes of frames sent.
    pub bytes_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Bytes of frames received.
    pub bytes_received: u64,
    /// Bytes of values among those sent, in batches and pushes, repeated ones too.
    pub value_bytes_sent: u64,
    /// Bytes of parts among those of values; parts that are named by their hashes take none.
    pub part_bytes_sent: u64,
    /// Bytes of frames of pushes among those sent.
    pub push_bytes_sent: u64,
    /// Bytes of values that arrived in batches and pushes, whether they were needed or not.
    pub value_bytes_received: u64,
    /// Frames of sessions received that changed nothing and came before entries moved: openings, and what looks for
    /// differences.
    pub frames_compared: u64,
    /// Frames received by which something changed here.
    pub frames_joined: u64,
    /// Keys at which sessions changed something here.
    pub keys_changed: u64,
    /// Times that this replica's own store failed while it worked for peers, or pushed a write.
    pub store_failures: u64,
    /// Frames that were none, or from nobody known.
    pub frames_refused: u64,
    /// Pushes sent, one for each write and peer, relayed ones too.
    pub pushes_sent: u64,
    /// Pushes sent of what came by a push itself.
    pub pushes_relayed: u64,
    /// Pushes not sent, one for each write and peer, since too many waited.
    pub pushes_dropped: u64,
    /// Pushes received and taken in.
    pub pushes_taken: u64,
    /// Pushes received of what was known already.
    pub pushes_seen: u64,
    /// Pushes received that were not ready in time, and were left to anti-entropy.
    pub pushes_not_ready: u64,
    /// Pushes received and refused; all those in a frame from a peer with another schema id count as one.
    pub pushes_rejected: u64,
}

impl EngineStats {
    /// Counts a session that has ended.
    pub(super) fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Converged => self.converged += 1,
            Outcome::Progress => self.progressed += 1,
            Outcome::Partial(_) => self.partial += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
    }

    pub(super) fn count_sent(&mut self, values: ValueBytes) {
        self.value_bytes_sent += values.all;
        self.part_bytes_sent += values.parts;
    }
}
