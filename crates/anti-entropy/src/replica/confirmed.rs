//! Which of its writes a replica knows peers to have seen, so that they keep their names if it takes another id.
//!
//! What one peer has seen says nothing of another one, where a name was used twice: the other one may have met a copy of
//! this replica first, and have that one's write. So a name is safe only if all peers that were met have confirmed it.

use alloc::collections::BTreeMap;

use crate::PeerId;

/// The greatest counters of the present id that peers are known to have seen.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    /// What the store had when it was opened, whichever store that was: it has these names alone.
    at_opening: u64,
    /// By peer, as far as sessions know who it is.
    by: BTreeMap<Option<PeerId>, u64>,
}

impl Confirmed {
    pub(super) const fn new(at_opening: u64) -> Self {
        Self { at_opening, by: BTreeMap::new() }
    }

    /// Notes that a peer has seen so many writes, and they are this replica's.
    pub(super) fn note(&mut self, peer: Option<&PeerId>, seen: u64) {
        let confirmed = self.by.entry(peer.cloned()).or_insert(self.at_opening);
        *confirmed = (*confirmed).max(seen);
    }

    /// Up to where names are safe if this peer says that somebody else has used the id.
    pub(super) fn by_all_with(&self, peer: Option<&PeerId>) -> u64 {
        let its_own = self.by.get(&peer.cloned()).copied();
        let its_own = its_own.or_else(|| peer.is_some().then_some(self.at_opening));
        self.by.values().copied().chain(its_own).min().unwrap_or(self.at_opening)
    }

    /// Up to where a peer has confirmed names: they were used before this replica was put back, and not since.
    pub(super) fn by_any(&self) -> u64 {
        self.by.values().copied().max().unwrap_or(self.at_opening)
    }

    /// A peer that is gone has no say any more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.by.remove(&Some(peer.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_if_all_who_were_met_have_confirmed_it() {
        let (one, other) = (PeerId::from("one"), PeerId::from("other"));
        let mut confirmed = Confirmed::new(3);
        assert_eq!((confirmed.by_all_with(None), confirmed.by_all_with(Some(&one))), (3, 3));
        confirmed.note(Some(&one), 9);
        confirmed.note(Some(&one), 7);
        assert_eq!((confirmed.by_all_with(None), confirmed.by_all_with(Some(&one))), (9, 9));
        assert_eq!(confirmed.by_all_with(Some(&other)), 3, "who was not met may know anything");
        confirmed.note(Some(&other), 5);
        assert_eq!((confirmed.by_all_with(None), confirmed.by_all_with(Some(&one))), (5, 5));
        assert_eq!((confirmed.by_any(), Confirmed::new(3).by_any()), (9, 3));
        confirmed.forget(&other);
        assert_eq!(confirmed.by_all_with(Some(&one)), 9);
    }
}
