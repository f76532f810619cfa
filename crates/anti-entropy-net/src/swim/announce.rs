use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use anti_entropy::engine::StateDigest;
use anti_entropy::summary::Root;

use super::error::AnnounceError;

/// The length of one announcement in a datagram.
pub(super) const ANNOUNCEMENT_BYTES: usize = 40;

/// The number that no space has: what is announced under it is the digest over all spaces that the sender shares with
/// the receiver.
pub(super) const ALL_SHARED: u64 = u64::MAX;

/// The state of a replica, in so few bytes that every datagram can carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The space of the replica.
    pub(super) space: u64,
    /// The digest of the replica's state. Replicas with equal digests are equal.
    pub(super) state: StateDigest,
}

/// What one peer announces, by space, and when it was received or reported. A peer does not say when it stops
/// announcing a space, so the space that was announced least recently makes room for another.
#[derive(Debug)]
pub(super) struct Announced {
    states: BTreeMap<u64, (StateDigest, Duration)>,
    max_spaces: usize,
}

impl Announced {
    pub(super) fn new(max_spaces: usize) -> Self {
        Self { states: BTreeMap::new(), max_spaces }
    }

    pub(super) fn get(&self, space: u64) -> Option<(StateDigest, Duration)> {
        self.states.get(&space).copied()
    }

    pub(super) fn clear(&mut self) {
        self.states.clear();
    }

    pub(super) fn all(&self) -> Vec<Announcement> {
        self.states.iter().map(|(&space, &(state, _))| Announcement { space, state }).collect()
    }

    /// Remembers a state. If there are too many spaces, the oldest makes room, unless it was announced less than `keep`
    /// ago. Returns `false` if there is no room. O(n) in the number of spaces if there are too many.
    pub(super) fn set(&mut self, now: Duration, announcement: Announcement, keep: Duration) -> bool {
        let Announcement { space, state } = announcement;
        if self.states.len() >= self.max_spaces && !self.states.contains_key(&space) {
            let oldest = self.states.iter().map(|(&space, &(_, at))| (at, space)).min();
            let Some((_, oldest)) = oldest.filter(|&(at, _)| now >= at + keep) else { return false };
            self.states.remove(&oldest);
        }
        self.states.insert(space, (state, now));
        true
    }
}

/// What this node announces with its datagrams.
#[derive(Debug)]
pub(super) struct Announcements {
    spaces: Mutex<Spaces>,
    max_spaces: usize,
}

#[derive(Debug, Default)]
struct Spaces {
    states: BTreeMap<u64, StateDigest>,
    /// The digest over all spaces that are shared with a node.
    shared: BTreeMap<PeerId, Root>,
    /// The space that comes first in the next datagram, if that has no room for all.
    next: u64,
}

impl Announcements {
    pub(super) fn new(max_spaces: usize) -> Self {
        Self { spaces: Mutex::default(), max_spaces }
    }

    pub(super) fn set(&self, space: u64, state: StateDigest) -> Result<(), AnnounceError> {
        if space == ALL_SHARED {
            return Err(AnnounceError::Reserved { space });
        }
        let states = &mut self.lock().states;
        if states.len() >= self.max_spaces && !states.contains_key(&space) {
            return Err(AnnounceError::TooManySpaces { max: self.max_spaces });
        }
        states.insert(space, state);
        Ok(())
    }

    pub(super) fn remove(&self, space: u64) -> bool {
        self.lock().states.remove(&space).is_some()
    }

    /// Sets what is announced to each node of all spaces that are shared with it.
    pub(super) fn set_shared(&self, digests: BTreeMap<PeerId, Root>) {
        self.lock().shared = digests;
    }

    /// As many announcements as fit into the room that is left in a datagram to this node: first that of all spaces that
    /// are shared with it, and then those of single spaces. If not all of these fit, they take turns.
    pub(super) fn take(&self, to: &PeerId, room_bytes: usize) -> Vec<Announcement> {
        let mut spaces = self.lock();
        let room = room_bytes.saturating_sub(1) / ANNOUNCEMENT_BYTES;
        let shared = spaces.shared.get(to).map(|root| StateDigest::from_bytes(root.to_bytes()));
        let shared = shared.map(|state| Announcement { space: ALL_SHARED, state }).filter(|_| room > 0);
        let room = (room - usize::from(shared.is_some())).min(spaces.states.len());
        let from_next = spaces.states.range(spaces.next..).chain(spaces.states.range(..spaces.next));
        let taken: Vec<_> = from_next.take(room).map(|(&space, &state)| Announcement { space, state }).collect();
        if let Some(last) = taken.last() {
            spaces.next = last.space.wrapping_add(1);
        }
        shared.into_iter().chain(taken).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spaces> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_with_the_next_datagram() {
        let announcements = Announcements::new(5);
        let to = PeerId::from("b");
        assert!(announcements.take(&to, 1_000).is_empty());
        for space in [1, 2, 3, 4, u64::MAX - 1] {
            announcements.set(space, StateDigest::from_bytes([7; 32])).unwrap();
        }
        assert_eq!(
            announcements.set(5, StateDigest::from_bytes([7; 32])),
            Err(AnnounceError::TooManySpaces { max: 5 })
        );
        let spaces = |room: usize| announcements.take(&to, room).iter().map(|a| a.space).collect::<Vec<_>>();
        assert_eq!((spaces(0), spaces(40)), (vec![], vec![]));
        assert_eq!([spaces(81), spaces(81), spaces(81)], [vec![1, 2], vec![3, 4], vec![u64::MAX - 1, 1]]);
        assert_eq!(spaces(1_000), [2, 3, 4, u64::MAX - 1, 1]);
        assert!(announcements.remove(4) && !announcements.remove(4));
        announcements.set(5, StateDigest::from_bytes([7; 32])).unwrap();
    }

    #[test]
    fn what_is_shared_with_a_node_is_announced_to_it_alone_and_in_every_datagram() {
        let announcements = Announcements::new(5);
        for space in 1..=3 {
            announcements.set(space, StateDigest::from_bytes([7; 32])).unwrap();
        }
        assert!(announcements.set(ALL_SHARED, StateDigest::from_bytes([7; 32])).is_err());
        let (b, c) = (PeerId::from("b"), PeerId::from("c"));
        announcements.set_shared(BTreeMap::from([(b.clone(), Root::from_bytes([9; 32]))]));
        let spaces =
            |to: &PeerId, room: usize| announcements.take(to, room).iter().map(|a| a.space).collect::<Vec<_>>();
        assert_eq!([spaces(&b, 40), spaces(&b, 41), spaces(&c, 41)], [vec![], vec![ALL_SHARED], vec![1]]);
        assert_eq!([spaces(&b, 81), spaces(&b, 81)], [vec![ALL_SHARED, 2], vec![ALL_SHARED, 3]]);
        announcements.set_shared(BTreeMap::new());
        assert_eq!(spaces(&b, 81), [1, 2]);
    }
}
