//! Who waits for room for a transfer.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::PeerId;

/// The peers that were told that this replica is busy, in the order in which they were. When there is room, the first is
/// called: a session with it is opened from here. Where nothing is moved, whoever comes meanwhile may have the room, since the
/// one that was called may itself be busy. Beside a transfer that has stopped moving, and after a turn that was ended for
/// others, the room is kept for the one that was called until that has had the time to answer.
#[derive(Clone, Debug, Default)]
pub(super) struct TransferQueue {
    waiting: VecDeque<PeerId>,
    /// Who was called, and until when nobody else is.
    called: Option<(PeerId, Duration)>,
    /// Whose turn was ended for others, until one of them has the room.
    had_turn: Option<PeerId>,
}

impl TransferQueue {
    /// A peer was told to wait.
    pub(super) fn add(&mut self, peer: &PeerId) {
        let is_called = self.called.as_ref().is_some_and(|(called, _)| called == peer);
        if !is_called && !self.waiting.contains(peer) {
            self.waiting.push_back(peer.clone());
        }
    }

    /// The turn of a peer ends, so that others get the room.
    pub(super) fn end_turn(&mut self, peer: &PeerId) {
        self.had_turn = Some(peer.clone());
    }

    /// A peer has begun a transfer.
    pub(super) fn begin(&mut self, peer: &PeerId) {
        self.had_turn = None;
        self.remove(peer);
    }

    /// A peer needs no transfer, or is gone.
    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.called.take_if(|(called, _)| called == peer);
        self.waiting.retain(|waiting| waiting != peer);
    }

    /// Whether a peer waits that is not this one.
    pub(super) fn has_other_than(&self, peer: &PeerId) -> bool {
        self.waiting.iter().chain(self.called.as_ref().map(|(called, _)| called)).any(|waiting| waiting != peer)
    }

    /// Whether a peer may have the room, given that there is some; `is_idle` says that no transfer is open at all.
    pub(super) fn admits(&self, peer: &PeerId, is_idle: bool, now: Duration) -> bool {
        if is_idle && self.had_turn.is_none() {
            return true;
        }
        match &self.called {
            Some((called, until)) if now < *until => called == peer,
            _ => self.waiting.front().is_none_or(|first| first == peer),
        }
    }

    /// Calls the peer that has waited longest, given that there is room: returns it, unless one was called just now.
    /// `comes` says whether it may come at all.
    pub(super) fn call(&mut self, until: Duration, now: Duration, comes: impl Fn(&PeerId) -> bool) -> Option<PeerId> {
        if self.called.as_ref().is_some_and(|(_, until)| now < *until) {
            return None;
        }
        self.called = None;
        while let Some(peer) = self.waiting.pop_front() {
            if comes(&peer) {
                self.called = Some((peer.clone(), until));
                return Some(peer);
            }
        }
        None
    }

    /// When the next is to be called if nothing happens before; `None` if nobody waits behind the one that was called.
    pub(super) fn calls_at(&self) -> Option<Duration> {
        self.called.as_ref().filter(|_| !self.waiting.is_empty()).map(|(_, until)| *until)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        PeerId::from(name)
    }

    #[test]
    fn after_a_turn_the_room_is_kept_for_who_was_called_and_then_goes_to_the_next() {
        let (a, b, c) = (peer("a"), peer("b"), peer("c"));
        let at = Duration::from_secs;
        let mut queue = TransferQueue::default();
        for peer in [&b, &a, &b] {
            queue.add(peer);
        }
        assert!(queue.admits(&c, true, at(0)) && !queue.admits(&c, false, at(0)), "no turn was ended");
        queue.end_turn(&c);
        assert!(queue.admits(&b, true, at(0)) && !queue.admits(&a, true, at(0)) && !queue.admits(&c, true, at(0)));
        assert_eq!(queue.call(at(2), at(1), |_| true), Some(b.clone()));
        assert_eq!((queue.call(at(3), at(1), |_| true), queue.calls_at()), (None, Some(at(2))));
        assert!(queue.admits(&b, true, at(1)) && !queue.admits(&a, true, at(1)));
        // It does not come.
        assert_eq!(queue.call(at(3), at(2), |_| true), Some(a.clone()));
        assert!(queue.admits(&a, true, at(2)) && !queue.admits(&b, true, at(2)));
        queue.remove(&a);
        assert!(queue.admits(&c, true, at(2)) && queue.is_empty());
    }

    #[test]
    fn who_may_not_come_is_passed_over() {
        let mut queue = TransferQueue::default();
        for name in ["a", "b"] {
            queue.add(&peer(name));
        }
        assert!(queue.has_other_than(&peer("a")));
        assert_eq!(queue.call(Duration::MAX, Duration::ZERO, |called| *called == peer("b")), Some(peer("b")));
        assert!(!queue.has_other_than(&peer("b")));
    }
}
