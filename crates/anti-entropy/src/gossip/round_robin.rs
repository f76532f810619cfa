//! Whose frame is sent next.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;

use crate::PeerId;

/// Deficit round robin over peers, in bytes (Shreedhar, Varghese, "Efficient Fair Queueing Using Deficit Round Robin",
/// 1995). Each peer that something is to be sent to may be sent a quantum in its turn. The last frame of a turn may
/// exceed it, which the next turn makes up for.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundRobin {
    /// Whose turn it is.
    current: Option<PeerId>,
    /// How many bytes each peer may still be sent in its turn.
    credits: BTreeMap<PeerId, i64>,
}

impl RoundRobin {
    /// Who is sent the next frame, of those who are `ready`. `quantum` is at least as long as any frame. O(peers that are
    /// ready).
    pub(super) fn next(&mut self, ready: &BTreeSet<&PeerId>, quantum: usize) -> Option<PeerId> {
        // Who has nothing to send saves nothing up.
        self.credits.retain(|peer, _| ready.contains(peer));
        let current = self.current.take();
        plant!(let current = turn_after(current));
        let goes_on = current.as_ref().filter(|peer| self.credits.get(*peer).is_some_and(|credit| *credit > 0));
        if goes_on.is_some() {
            self.current = current;
            return self.current.clone();
        }
        let behind = current.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = ready.range::<&PeerId, _>((behind, Bound::Unbounded)).next().or_else(|| ready.first())?;
        *self.credits.entry((*next).clone()).or_default() += as_credit(quantum);
        self.current = Some((*next).clone());
        self.current.clone()
    }

    /// Counts a frame that is sent.
    pub(super) fn sent(&mut self, to: &PeerId, bytes: usize) {
        if let Some(credit) = self.credits.get_mut(to) {
            *credit -= as_credit(bytes);
        }
    }
}

fn as_credit(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTUM: usize = 1000;

    /// How many bytes each of some peers is sent in so many frames, if each frame to a peer is as long as is said.
    fn shares(frame_bytes: &[(&str, usize)], frames: usize) -> BTreeMap<PeerId, usize> {
        let lengths: BTreeMap<PeerId, usize> = frame_bytes.iter().map(|(peer, len)| ((*peer).into(), *len)).collect();
        let (ready, mut turns) = (lengths.keys().collect(), RoundRobin::default());
        let mut sent = BTreeMap::new();
        for _ in 0..frames {
            let to = turns.next(&ready, QUANTUM).unwrap();
            turns.sent(&to, lengths[&to]);
            *sent.entry(to.clone()).or_default() += lengths[&to];
        }
        sent
    }

    #[test]
    fn all_are_sent_as_many_bytes_whatever_frames_they_come_in() {
        for (peer, bytes) in shares(&[("a", 1000), ("b", 10), ("c", 333), ("d", 999)], 100_000) {
            let share = shares(&[("a", 1000)], 1)[&PeerId::from("a")] * 100_000 / 107;
            assert!(bytes.abs_diff(share) < share / 20, "{peer} got {bytes} of {share}");
        }
    }

    #[test]
    fn who_had_nothing_to_send_has_saved_nothing_up() {
        let (a, b) = (PeerId::from("a"), PeerId::from("b"));
        let mut turns = RoundRobin::default();
        for _ in 0..100 {
            assert_eq!(turns.next(&[&a].into(), QUANTUM), Some(a.clone()));
            turns.sent(&a, 1);
            assert_eq!(turns.next(&BTreeSet::new(), QUANTUM), None);
        }
        let both: BTreeSet<&PeerId> = [&a, &b].into();
        let to_a = (0..4).filter(|_| {
            let to = turns.next(&both, QUANTUM).unwrap();
            turns.sent(&to, QUANTUM);
            to == a
        });
        assert_eq!(to_a.count(), 2);
    }
}
