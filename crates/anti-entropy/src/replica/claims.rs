//! What two replicas say of each other's own writes before they join anything.
//!
//! The number of them is not enough where a name is used twice: who was put back may have made as many writes since as
//! others knew of. So a side also says which write it took the last of them for, in eight bytes.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::lives::Life;
use super::version::{ContentHash, Record};
use super::{Replica, Replicated, Written};
use crate::KeyHash;
use crate::clock::{Dot, ReplicaId};

/// What a side has seen of the writes that the other side made under its present id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// How many, at any key.
    pub(crate) knows: u64,
    /// The tag of the last of them; 0 if that is not known.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) last: u64,
}

impl Claim {
    /// What is claimed to one who is a copy of somebody else. Nobody has made so many writes.
    pub(crate) const ID_IN_USE: Self = Self { knows: u64::MAX, last: 0 };

    /// That so many writes are known.
    pub(crate) const fn of(knows: u64) -> Self {
        Self { knows, last: 0 }
    }
}

/// Tells one write from another of the same name: the first eight bytes of the key's hash and of the content's, XOR; of a
/// delete, those of the key's hash, inverted.
pub(super) fn tag(key: KeyHash, content: Option<ContentHash>) -> u64 {
    let first = |bytes: &[u8]| bytes.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    first(key.as_bytes()) ^ content.map_or(u64::MAX, |content| first(content.as_bytes()))
}

/// The tags of writes that this replica made or took in, as far as they are remembered. Kept in memory alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    /// Of the last writes under the present id, by counter.
    own: VecDeque<(u64, u64)>,
    /// Of the last write that was taken in of each id, by the id's first eight bytes.
    others: BTreeMap<u64, Last>,
}

/// The last write that was taken in of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    counter: u64,
    tag: u64,
    /// Whether another write of the same name was pushed since. It is claimed then, whatever came later, until the writer
    /// has heard of it.
    is_contested: bool,
}

impl Tags {
    /// A peer that lags behind by more is not told which write is meant.
    const OWN: usize = 1024;
    const OTHERS: usize = 4096;

    pub(super) fn note_own(&mut self, tags: Vec<(u64, u64)>) {
        self.own.extend(tags);
        self.own.drain(..self.own.len().saturating_sub(Self::OWN));
    }

    fn note(&mut self, id: u64, counter: u64, tag: u64) {
        if self.others.len() == Self::OTHERS && !self.others.contains_key(&id) {
            self.others.pop_first();
        }
        let new = Last { counter, tag, is_contested: false };
        let known = self.others.entry(id).or_insert(new);
        if known.counter < counter && !known.is_contested {
            *known = new;
        }
    }

    /// Notes that another write has the name of the last one of an id.
    fn contest(&mut self, id: u64) {
        if let Some(last) = self.others.get_mut(&id) {
            last.is_contested = true;
        }
    }

    /// Notes that the writer has heard what is claimed of its writes.
    pub(super) fn settle(&mut self, id: u64) {
        if let Some(last) = self.others.get_mut(&id) {
            last.is_contested = false;
        }
    }

    /// Forgets the own writes, since the id is another one now.
    pub(super) fn forget_own(&mut self) {
        self.own.clear();
    }
}

impl<V: Replicated> Replica<V> {
    /// What this replica claims to the peer with this id and life.
    pub(crate) fn claim(&self, id: u64, life: Life) -> Claim {
        if self.is_copy(id, life) { Claim::ID_IN_USE } else { self.claim_of(id) }
    }

    /// What this replica has seen of the writes of the id with these first eight bytes.
    pub(crate) fn claim_of(&self, id: u64) -> Claim {
        let knows = self.context.max_counter_of_first_eight(id);
        match self.tags.others.get(&id) {
            Some(last) if last.is_contested || last.counter == knows => Claim { knows: last.counter, last: last.tag },
            _ => Claim::of(knows),
        }
    }

    /// The tag of a write of somebody else, if it is the last that was taken in of its writer.
    pub(crate) fn known_tag(&self, dot: Dot) -> Option<u64> {
        let last = self.tags.others.get(&dot.replica.first_eight());
        last.filter(|last| last.counter == dot.counter).map(|last| last.tag)
    }

    /// Notes that a write was pushed under the name of the last one of its writer: another one, if the tags differ.
    pub(crate) fn note_pushed_again(&mut self, dot: Dot, key: KeyHash, content: Option<ContentHash>) {
        if self.known_tag(dot).is_some_and(|known| known != tag(key, content)) {
            self.tags.contest(dot.replica.first_eight());
        }
    }

    /// Whether a peer takes a name of this replica's for another write than the one that it made.
    pub(super) fn is_another_write(&self, claim: Claim) -> bool {
        plant!(is_another_write());
        let own = &self.tags.own;
        let at = own.binary_search_by_key(&claim.knows, |(counter, _)| *counter);
        claim.last != 0 && at.is_ok_and(|at| own[at].1 != claim.last)
    }

    /// Notes what a write or delete of somebody else was.
    pub(crate) fn note_tag(&mut self, dot: Dot, key: KeyHash, content: Option<ContentHash>) {
        if dot.replica != self.id() {
            self.tags.note(dot.replica.first_eight(), dot.counter, tag(key, content));
        }
    }

    /// The counter and the tag of a write of this replica with this content, or of a delete.
    pub(super) fn own_tag(written: &Written, content: Option<ContentHash>) -> (u64, u64) {
        (written.dot.counter, tag(written.key, content))
    }

    /// The tags of the versions that are written anew under `own`, by their counters.
    pub(super) fn reissued_tags(own: ReplicaId, records: &BTreeMap<KeyHash, Record<V>>) -> Vec<(u64, u64)> {
        let siblings = records.iter().flat_map(|(key, record)| record.siblings.iter().map(move |held| (*key, held)));
        let new = siblings.filter(|(_, sibling)| sibling.dot().replica == own);
        let mut tags: Vec<_> = new.map(|(key, held)| (held.dot().counter, tag(key, Some(held.content)))).collect();
        tags.sort_unstable();
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out from docs/protocol.md by a separate program.
    #[test]
    fn tags_have_these_values() {
        let key = KeyHash::from_u128(0x0123_4567_89ab_cdef << 64 | 7);
        let content = ContentHash::from_bytes([0x55; 32]);
        assert_eq!(tag(key, Some(content)), 0x5476_1032_dcfe_98ba);
        assert_eq!(tag(key, None), 0xfedc_ba98_7654_3210);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest() {
        let mut tags = Tags::default();
        for counter in 1..=2_000 {
            tags.note_own(alloc::vec![(counter, counter)]);
            tags.note(7, counter % 1_500, counter);
        }
        assert_eq!((tags.own.len(), tags.own.front()), (Tags::OWN, Some(&(977, 977))));
        assert_eq!(tags.others.get(&7), Some(&Last { counter: 1_499, tag: 1_499, is_contested: false }));
        (0..10_000).for_each(|id| tags.note(id, 1, 1));
        assert_eq!(tags.others.len(), Tags::OTHERS);
        tags.forget_own();
        assert!(tags.own.is_empty());
    }

    #[test]
    fn a_contested_write_is_what_is_claimed_until_its_writer_has_heard_of_it() {
        let mut tags = Tags::default();
        tags.note(7, 2, 22);
        tags.contest(7);
        tags.note(7, 3, 33);
        assert_eq!(tags.others[&7], Last { counter: 2, tag: 22, is_contested: true });
        tags.settle(7);
        tags.note(7, 4, 44);
        assert_eq!(tags.others[&7], Last { counter: 4, tag: 44, is_contested: false });
    }
}
