//! Events, and what the engine counts.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::num::NonZeroU64;
use core::time::Duration;

use super::config::GossipConfig;
use super::trace::Reporter;
use crate::PeerId;
use crate::refusal::Refusal;
use crate::replica::{Notice, ValueBytes};
use crate::summary::Root;
use crate::sync::{Finished, Outcome};

/// Something that happened to the engine or its replica, for operators and applications.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<K> {
    /// A session has ended with this replica and the peer certifying that they hold the same and have seen the same.
    Converged {
        /// The peer.
        peer: PeerId,
        /// The Merkle root that both have.
        root: Root,
    },
    /// A session has ended with this replica and the peer certifying that they hold the same and have seen the same,
    /// except at keys at which one of them has a hole; see [`Outcome::ConvergedExcept`]. A [`Notice`] named those of
    /// this replica.
    ConvergedExcept {
        /// The peer.
        peer: PeerId,
        /// At most so many keys.
        keys: NonZeroU64,
    },
    /// A peer differs from this replica, and a session has begun to exchange entries.
    Diverged {
        /// The peer.
        peer: PeerId,
    },
    /// A session has ended.
    SessionEnded {
        /// The peer.
        peer: PeerId,
        /// How it ended and what it took.
        finished: Finished,
    },
    /// A session, or a frame of pushes, was refused by this replica or by the peer. It will be again until the reason
    /// is removed, such as different settings.
    Refused {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: Refusal,
    },
    /// This replica refused a write that a peer pushed.
    PushRejected {
        /// The peer that pushed it.
        peer: PeerId,
        /// Why.
        rejection: Refusal,
    },
    /// A frame of a peer did not parse.
    FrameRefused {
        /// The peer.
        peer: PeerId,
        /// Why.
        error: Refusal,
    },
    /// Something happened to the replica itself.
    Notice(Notice<K>),
    /// This replica's own store failed; the session or push that it failed in was given up.
    StoreFailed {
        /// The store's error, and what to do about it.
        message: String,
    },
    /// This many events were dropped because nobody polled them. [`EngineStats`] has counted what they reported.
    Missed(u64),
}

/// Events that nobody has polled yet, up to a limit.
#[derive(Clone, Debug)]
pub(super) struct EventQueue<K> {
    pending: VecDeque<Event<K>>,
    limit: usize,
    missed: u64,
    reporter: Reporter,
    /// The time of the last call from outside.
    now: Duration,
}

impl<K> EventQueue<K> {
    pub(super) fn new(config: &GossipConfig) -> Self {
        Self {
            pending: VecDeque::new(),
            limit: config.max_events.get(),
            missed: 0,
            reporter: Reporter::new(config.lines_logged_per_second),
            now: Duration::ZERO,
        }
    }

    /// Tells the time of what is pushed from now on.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// Keeps and logs at most as many as this from now on.
    pub(super) fn set_limits(&mut self, config: &GossipConfig) {
        self.reporter.set(config.lines_logged_per_second);
        self.limit = config.max_events.get();
        while self.pending.len() > self.limit {
            self.pending.pop_front();
            self.missed += 1;
        }
    }

    pub(super) fn push(&mut self, event: Event<K>) {
        self.reporter.report(&event, self.now);
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
    /// Rounds started.
    pub rounds: u64,
    /// Sessions that were opened from here.
    pub sessions_opened: u64,
    /// Sessions that peers opened.
    pub sessions_accepted: u64,
    /// Sessions, opened by either side, that ended with both sides equal.
    pub converged: u64,
    /// Sessions, opened by either side, that ended with both sides equal except for holes.
    pub converged_except: u64,
    /// Sessions that exchanged all entries that they found to differ while further writes were made.
    pub progressed: u64,
    /// Sessions that ended early, or were given up.
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
    /// Bytes of values among the bytes sent, in batches and pushes; a value that is sent again counts again.
    pub value_bytes_sent: u64,
    /// Bytes of parts among the bytes of values sent; a part that is sent as its hash alone counts as zero.
    pub part_bytes_sent: u64,
    /// Bytes of frames of pushes among the bytes sent.
    pub push_bytes_sent: u64,
    /// Bytes of values received in batches and pushes, whether this replica needed them or not.
    pub value_bytes_received: u64,
    /// Frames of sessions received in the comparing phase, before entries are exchanged, that changed nothing here.
    pub frames_compared: u64,
    /// Frames received that changed something here.
    pub frames_joined: u64,
    /// Keys that sessions changed here.
    pub keys_changed: u64,
    /// Failures of this replica's own store while it handled frames, pushed a write or wrote a resolved value.
    pub store_failures: u64,
    /// Frames that do not parse, or came from an unknown peer.
    pub frames_refused: u64,
    /// Requests and pushes dropped because their peer had more done than
    /// [`GossipConfig::peer_work_per_second`] allows.
    pub frames_put_off: u64,
    /// The work of comparing and decoding that was done for peers, as [`SessionStats::work`](crate::session::SessionStats::work)
    /// counts it: for the sessions that they opened, and for their pushes.
    pub work_for_peers: u64,
    /// Bytes of fragments dropped because [`GossipConfig::max_held_bytes`] were held.
    pub fragment_bytes_dropped: u64,
    /// Pushes sent, counted once for each peer, relayed ones included.
    pub pushes_sent: u64,
    /// Pushes sent to relay a push of a peer.
    pub pushes_relayed: u64,
    /// Pushes not sent because the queue was full, counted once for each peer.
    pub pushes_dropped: u64,
    /// Pushes received and applied.
    pub pushes_taken: u64,
    /// Pushes received of writes that this replica had seen already.
    pub pushes_seen: u64,
    /// Pushes received whose preceding writes did not arrive in time; they are left to the rounds.
    pub pushes_not_ready: u64,
    /// Pushes received and refused. A frame of pushes from a peer with another schema id counts as one.
    pub pushes_rejected: u64,
}

impl EngineStats {
    /// Counts a session that has ended.
    pub(super) fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Converged => self.converged += 1,
            Outcome::ConvergedExcept { .. } => self.converged_except += 1,
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
