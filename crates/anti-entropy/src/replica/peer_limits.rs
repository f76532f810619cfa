//! The longest messages that peers take: an entry that is longer than one of them takes would be missing there.

use alloc::collections::BTreeMap;

use super::{Replica, Replicated};
use crate::PeerId;

/// The limits that peers told.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerLimits(BTreeMap<Teller, usize>);

/// Who told a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Teller {
    /// A peer that has a name, which does not change when its replica takes another id.
    Named(PeerId),
    /// A replica of which nothing is known but the first eight bytes of its id: sessions without an engine.
    Id(u64),
}

impl PeerLimits {
    /// So many are remembered: those that limit anybody, and of these the least ones.
    const MOST: usize = 1024;

    fn note(&mut self, teller: Teller, max_message_bytes: usize, floor: usize) {
        self.0.insert(teller, max_message_bytes);
        let dispensable = |limit: usize| (limit < floor, limit);
        if self.0.len() > Self::MOST
            && let Some((teller, _)) = self.0.iter().max_by_key(|(_, limit)| dispensable(**limit))
        {
            let teller = teller.clone();
            self.0.remove(&teller);
        }
    }

    /// The least of them that is at least `floor`.
    fn least_from(&self, floor: usize) -> Option<usize> {
        self.0.values().copied().filter(|limit| *limit >= floor).min()
    }

    /// Forgets what a peer told that is none any more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.0.retain(|teller, _| !matches!(teller, Teller::Named(name) if name == peer));
    }
}

impl<V: Replicated> Replica<V> {
    /// Notes the most bytes of a message that the peer takes which [speaks](Self::listen_to) now, or else the replica whose
    /// id begins so. O(log n), and O(n) to write, in the number of peers.
    pub(crate) fn note_peer_limit(&mut self, first_eight: u64, max_message_bytes: u64) {
        let teller =
            self.speaker.as_ref().map_or(Teller::Id(first_eight), |speaker| Teller::Named(speaker.name.clone()));
        let limit = usize::try_from(max_message_bytes).unwrap_or(usize::MAX);
        self.peer_limits.note(teller, limit, self.config.min_peer_message_bytes);
    }

    /// The most bytes of a message that everybody takes who limits the writes of this replica; `None` if nobody does.
    pub(crate) fn least_peer_limit(&self) -> Option<usize> {
        let floor = self.config.min_peer_message_bytes;
        plant!(let floor = least_limit_from(floor));
        self.peer_limits.least_from(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_above_the_floor_counts_and_the_least_are_remembered() {
        let mut limits = PeerLimits::default();
        assert_eq!(limits.least_from(0), None);
        for peer in 0..2000 {
            limits.note(Teller::Id(peer), 100 + usize::try_from(peer).unwrap(), 0);
        }
        assert_eq!((limits.0.len(), limits.least_from(0), limits.least_from(150)), (1024, Some(100), Some(150)));
        limits.note(Teller::Id(0), 5000, 0);
        assert_eq!(limits.least_from(0), Some(101), "a limit was raised");
    }

    #[test]
    fn limits_below_the_floor_go_first_and_stay_while_there_is_room() {
        let mut limits = PeerLimits::default();
        limits.note(Teller::Id(0), 60, 50);
        (1..2000).for_each(|peer| limits.note(Teller::Id(peer), 40, 50));
        assert_eq!((limits.0.len(), limits.least_from(50), limits.least_from(30)), (1024, Some(60), Some(40)));
    }

    #[test]
    fn a_peer_has_one_limit_whatever_its_replica_is_called_and_none_once_it_is_forgotten() {
        let mut limits = PeerLimits::default();
        let [alice, bob] = ["alice", "bob"].map(PeerId::from);
        limits.note(Teller::Named(alice.clone()), 60, 0);
        limits.note(Teller::Named(alice.clone()), 70, 0);
        limits.note(Teller::Named(bob), 80, 0);
        assert_eq!(limits.least_from(0), Some(70));
        limits.forget(&alice);
        assert_eq!(limits.least_from(0), Some(80));
    }
}
