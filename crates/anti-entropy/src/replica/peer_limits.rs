//! The longest messages that peers take: an entry that is longer than one of them takes would be missing there.

use alloc::collections::BTreeMap;

use super::{Replica, Replicated};

/// The limits that peers told, by the first eight bytes of their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerLimits(BTreeMap<u64, usize>);

impl PeerLimits {
    /// So many are remembered: the least ones.
    const MOST: usize = 1024;

    fn note(&mut self, peer: u64, max_message_bytes: usize) {
        self.0.insert(peer, max_message_bytes);
        if self.0.len() > Self::MOST
            && let Some(greatest) = self.0.iter().max_by_key(|(_, limit)| **limit).map(|(peer, _)| *peer)
        {
            self.0.remove(&greatest);
        }
    }

    /// The least of them that is at least `floor`.
    fn least_from(&self, floor: usize) -> Option<usize> {
        self.0.values().copied().filter(|limit| *limit >= floor).min()
    }
}

impl<V: Replicated> Replica<V> {
    /// Notes the most bytes of a message that a peer takes. O(log n), and O(n) to write, in the number of peers.
    pub(crate) fn note_peer_limit(&mut self, peer: u64, max_message_bytes: u64) {
        self.peer_limits.note(peer, usize::try_from(max_message_bytes).unwrap_or(usize::MAX));
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
            limits.note(peer, 100 + usize::try_from(peer).unwrap());
        }
        assert_eq!((limits.0.len(), limits.least_from(0), limits.least_from(150)), (1024, Some(100), Some(150)));
        limits.note(0, 5000);
        assert_eq!(limits.least_from(0), Some(101), "a limit was raised");
    }
}
