//! A session and what the engine keeps beside it.

use alloc::vec::Vec;
use core::time::Duration;

use crate::PeerId;
use crate::clock::Now;
use crate::gossip::config::GossipConfig;
use crate::gossip::lease::{Lease, Moved};
use crate::gossip::trace::SessionSpan;
use crate::replica::ValueBytes;
use crate::sync::{Finished, PartialReason, Session};

/// Who opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenedBy {
    /// This replica.
    Us,
    /// The peer.
    Peer,
}

/// A session with one peer. After its end it may stay for a while, to repeat its last reply.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) peer: PeerId,
    pub(super) session: Session,
    pub(super) span: SessionSpan,
    pub(super) opened_by: OpenedBy,
    /// The number that whoever opened the session gave to it.
    pub(super) nonce: u64,
    pub(super) began_at: Duration,
    /// Set when the session has ended: until when it is kept.
    pub(super) kept_until: Option<Duration>,
    /// The lease of its transfer, from when it began to move entries.
    pub(super) lease: Option<Lease>,
    /// Whether the peer waits for room for a transfer: there was none for this session, or no longer.
    pub(super) has_to_wait: bool,
    /// The bytes of values that it has sent, as far as the engine has counted them.
    value_bytes_counted: ValueBytes,
}

/// A session that has ended just now.
pub(super) struct Ended {
    pub(super) peer: PeerId,
    pub(super) span: SessionSpan,
    /// When it was opened from here; `None` if the peer opened it.
    pub(super) opened_at: Option<Duration>,
    pub(super) finished: Finished,
    pub(super) has_to_wait: bool,
}

impl Conversation {
    pub(super) fn new(peer: PeerId, session: Session, opened_by: OpenedBy, nonce: u64, space: &str, now: Now) -> Self {
        let direction = match opened_by {
            OpenedBy::Us => "opened",
            OpenedBy::Peer => "accepted",
        };
        Self {
            span: SessionSpan::new(space, &peer, direction, nonce),
            peer,
            session,
            opened_by,
            nonce,
            began_at: now.elapsed,
            value_bytes_counted: ValueBytes::default(),
            kept_until: None,
            lease: None,
            has_to_wait: false,
        }
    }

    pub(super) fn deadline(&self, config: &GossipConfig) -> Duration {
        match (self.kept_until, self.session.poll_deadline()) {
            (Some(kept_until), _) => kept_until,
            (None, deadline) => self.transfer().map_or(deadline, |lease| deadline.min(lease.lapses_at(config))),
        }
    }

    /// The lease of the transfer that it is in, if it is in one.
    pub(super) fn transfer(&self) -> Option<&Lease> {
        self.lease.as_ref().filter(|_| self.session.is_transferring())
    }

    pub(super) fn moved(&self) -> Moved {
        Moved { bytes: self.session.moved_bytes(), messages: self.session.stats().round_trips }
    }

    /// Does what is due, and ends a transfer that does not move.
    pub(super) fn handle_timeout(&mut self, config: &GossipConfig, now: Now) {
        if self.transfer().is_some_and(|lease| lease.lapses_at(config) <= now.elapsed) {
            self.session.abort(PartialReason::Stalled, now);
        }
        self.session.handle_timeout(now);
    }

    /// Until when a session waits that has nothing to do but repeat itself, or hear a last word. `None` if it has more
    /// to do.
    pub(super) fn idle_until(&self) -> Option<Duration> {
        self.kept_until.or_else(|| self.session.is_through().then(|| self.session.poll_deadline()))
    }

    pub(super) fn is_open(&self) -> bool {
        self.kept_until.is_none()
    }

    pub(super) fn is_opened_here(&self) -> bool {
        self.opened_by == OpenedBy::Us
    }

    /// The next frame, and the bytes of values that have been sent since the last call.
    pub(super) fn poll_frame(&mut self) -> Option<(Vec<u8>, ValueBytes)> {
        let frame = self.session.poll_frame()?;
        let sent = self.session.stats().values_sent();
        let more = sent - self.value_bytes_counted;
        self.value_bytes_counted = sent;
        Some((frame, more))
    }

    /// Marks an open session whose work is done, and whose frames have left, as ended, and keeps it for `keep`.
    pub(super) fn take_end(&mut self, keep: Duration, now: Duration) -> Option<Ended> {
        if !self.is_open() || self.session.has_frames() {
            return None;
        }
        let finished = self.session.finished()?;
        self.kept_until = Some(now.saturating_add(keep));
        Some(Ended {
            peer: self.peer.clone(),
            // Its span ends with it, however long it is kept.
            span: core::mem::take(&mut self.span),
            opened_at: self.is_opened_here().then_some(self.began_at),
            finished,
            has_to_wait: self.has_to_wait,
        })
    }
}
