//! Who waits for room for a transfer.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::PeerId;

/// The peers that were told that this replica is busy, in the order in which they were. When there is room, the first is
/// called: a session with it is opened from here. Whose turn was ended for others does not get the room before one of them
/// has; everybody else who comes may have it, since the one that was called may itself be busy.
#[derive(Clone, Debug, Default)]
pub(super) struct TransferQueue {
    waiting: VecDeque<PeerId>,
    /// Who was called, and until when nobody else is.
    called: Option<(PeerId, Duration)>,
    /// Whose turn was ended for others.
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

    /// A peer has begun a transfer, needs none, or is gone.
    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.had_turn.take_if(|had| had != peer);
        self.called.take_if(|(called, _)| called == peer);
        self.waiting.retain(|waiting| waiting != peer);
    }

    /// Whether a peer waits that is not this one.
    pub(super) fn has_other_than(&self, peer: &PeerId) -> bool {
        self.waiting.iter().chain(self.called.as_ref().map(|(called, _)| called)).any(|waiting| waiting != peer)
    }

    /// Whether a peer may have the room, given that there is some.
    pub(super) fn admits(&self, peer: &PeerId) -> bool {
        self.had_turn.as_ref() != Some(peer) || !self.has_other_than(peer)
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
    fn who_waits_is_called_in_order_and_comes_before_the_one_whose_turn_was_ended() {
        let (a, b, c) = (peer("a"), peer("b"), peer("c"));
        let at = Duration::from_secs;
        let mut queue = TransferQueue::default();
        queue.end_turn(&c);
        assert!(queue.admits(&c), "nobody waits");
        for peer in [&b, &a, &b, &c] {
            queue.add(peer);
        }
        assert!(queue.admits(&b) && queue.admits(&a) && !queue.admits(&c));
        assert_eq!(queue.call(at(2), at(1), |_| true), Some(b.clone()));
        assert_eq!((queue.call(at(3), at(1), |_| true), queue.calls_at()), (None, Some(at(2))));
        // It does not come.
        assert_eq!(queue.call(at(3), at(2), |_| true), Some(a.clone()));
        assert!(!queue.admits(&c));
        queue.remove(&a);
        assert!(queue.admits(&c));
        queue.remove(&c);
        assert!(queue.is_empty());
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
