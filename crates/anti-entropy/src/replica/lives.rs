//! Lives of ids: which openings of stores peers write from, so that a copy is told from the original.

use alloc::collections::BTreeMap;
use alloc::format;

use serde::{Deserialize, Serialize};

use super::{Brings, Replica, Replicated};
use crate::PeerId;
use crate::clock::Now;

/// One opening of a store, as its replica tells it to peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Life {
    /// A random number that was drawn after the opening; 0 until then.
    #[serde(with = "postcard::fixint::be")]
    pub(crate) opening: u64,
    /// How many writes had been made under the present id when the store was opened.
    pub(crate) began_at: u64,
}

/// The peer whose frames a replica is about to handle. A replica that is told of none believes every claim.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    pub(crate) name: PeerId,
    /// How many more ids this replica may take because peers say that its id is in use.
    pub(crate) new_ids_left: u32,
    /// What it adds to the context.
    pub(crate) brings: Brings,
}

/// A life of a peer that this replica has met.
#[derive(Clone, Debug)]
struct Met {
    /// The peer's name, if it is known.
    name: Option<PeerId>,
    opening: u64,
    /// How many writes it is known to have made.
    made: u64,
}

/// The lives of peers that this replica has met, by the first eight bytes of their ids: which one was last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives(BTreeMap<u64, Met>);

impl Lives {
    /// Lives are kept in memory alone: after a restart, copies are not told apart until each was met again.
    const LIMIT: usize = 4096;

    /// Whether another life of this id has made writes that this one does not have: it began before they were made. Under
    /// another name it has to have none: otherwise a member could say that it is a later life of any other one, and that
    /// one would pass for the copy.
    fn contradicts(&self, id: u64, life: Life, name: Option<&PeerId>) -> bool {
        plant!(contradicts());
        let Some(met) = self.0.get(&id) else { return false };
        let has_another_name = met.name.as_ref().zip(name).is_some_and(|(met, name)| met != name);
        if has_another_name { met.made > 0 } else { met.opening != life.opening && met.made > life.began_at }
    }

    /// Notes that a life has made at least so many writes.
    fn note(&mut self, id: u64, life: Life, name: Option<PeerId>, made: u64) {
        if self.0.len() == Self::LIMIT && !self.0.contains_key(&id) {
            self.forget_one();
        }
        let before = self.0.get(&id).filter(|met| met.opening == life.opening && met.name == name);
        let made = before.map_or(made, |met| met.made.max(made));
        self.0.insert(id, Met { name, opening: life.opening, made });
    }

    /// Notes that a peer says that it writes under this id, unless another one has said so or has been met under it.
    fn note_writer(&mut self, id: u64, name: PeerId) {
        if !self.0.contains_key(&id) {
            self.note(id, Life::default(), Some(name), 0);
        }
    }

    /// The name of the peer that writes under this id, if that is known.
    fn writer(&self, id: u64) -> Option<&PeerId> {
        self.0.get(&id)?.name.as_ref()
    }

    /// Forgets an id of the peer that has used most: one that uses many has others forget its own.
    fn forget_one(&mut self) {
        let mut used: BTreeMap<Option<&PeerId>, (usize, u64)> = BTreeMap::new();
        for (id, met) in &self.0 {
            used.entry(met.name.as_ref()).or_insert((0, *id)).0 += 1;
        }
        if let Some(id) = used.into_values().max().map(|(_, id)| id) {
            self.0.remove(&id);
        }
    }
}

impl<V: Replicated> Replica<V> {
    /// From now on, what comes in is this peer's; nobody's in particular if it is `None`. Returns whose it was before.
    pub(crate) fn listen_to(&mut self, speaker: Option<Speaker>) -> Option<Speaker> {
        core::mem::replace(&mut self.speaker, speaker)
    }

    /// What this replica tells peers of its life.
    pub(crate) fn life(&mut self, now: Now) -> Life {
        self.begin_life(now);
        self.life
    }

    /// Draws the number of the life, once. The time is among what it is drawn from: whoever passes the same seed at each
    /// start has another life at least.
    pub(super) fn begin_life(&mut self, now: Now) {
        if self.life.opening == 0 {
            self.life.opening = self.seed.derive_u64(&format!("life {}", now.unix_ms)).max(1);
        }
    }

    /// Mixes a number of a peer's into what new ids are made of. Whoever has the same memory, as a copy of this process or
    /// an earlier state of it, has other sessions, and makes other ids.
    pub(crate) fn stir(&mut self, number: u64) {
        plant!(stir());
        self.seed = self.seed.stirred(number);
    }

    /// Whether a peer is a copy of another one that this replica has met: both make writes under one id.
    pub(crate) fn is_copy(&self, id: u64, life: Life) -> bool {
        self.lives.contradicts(id, life, self.speaker.as_ref().map(|speaker| &speaker.name))
    }

    /// Notes under which id the peer says that it writes.
    pub(crate) fn note_writer(&mut self, id: u64) {
        if let Some(speaker) = &self.speaker {
            self.lives.note_writer(id, speaker.name.clone());
        }
    }

    /// Whether it is another peer than the one that speaks which writes under the id with these first eight bytes.
    pub(crate) fn is_of_another(&self, id: u64) -> bool {
        let writer = self.lives.writer(id);
        writer.zip(self.speaker.as_ref()).is_some_and(|(writer, speaker)| *writer != speaker.name)
    }

    /// Notes what a peer is known to have made, now that this replica has joined what it said.
    pub(crate) fn has_met(&mut self, id: u64, life: Life) {
        self.tags.settle(id);
        let made = self.context.max_counter_of_first_eight(id);
        self.lives.note(id, life, self.speaker.as_ref().map(|speaker| speaker.name.clone()), made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(opening: u64, began_at: u64) -> Life {
        Life { opening, began_at }
    }

    #[test]
    fn a_later_life_is_no_copy_unless_it_has_another_name() {
        let (mut lives, one, other) = (Lives::default(), PeerId::from("one"), PeerId::from("other"));
        lives.note(7, life(1, 0), Some(one.clone()), 0);
        assert!(!lives.contradicts(7, life(2, 0), Some(&other)), "nothing was written under the id");
        lives.note(7, life(1, 0), Some(one.clone()), 5);
        assert!(lives.contradicts(7, life(2, 4), Some(&one)) && !lives.contradicts(7, life(2, 5), Some(&one)));
        assert!(
            lives.contradicts(7, life(2, u64::MAX), Some(&other)) && lives.contradicts(7, life(1, 0), Some(&other))
        );
        assert!(!lives.contradicts(7, life(2, 5), None), "who has no name is told by its life alone");
        assert!(!lives.contradicts(8, life(2, 0), Some(&other)));
    }

    #[test]
    fn the_first_who_says_that_it_writes_under_an_id_is_its_writer_until_writes_show_another() {
        let (mut lives, one, other) = (Lives::default(), PeerId::from("one"), PeerId::from("other"));
        lives.note_writer(7, one.clone());
        lives.note_writer(7, other.clone());
        assert_eq!(lives.writer(7), Some(&one));
        assert!(!lives.contradicts(7, life(2, 0), Some(&other)), "what is only said makes nobody a copy");
        lives.note(7, life(2, 0), Some(other.clone()), 1);
        lives.note_writer(7, one);
        assert_eq!((lives.writer(7), lives.writer(8)), (Some(&other), None));
    }

    #[test]
    fn a_peer_that_uses_many_ids_has_others_forget_its_own() {
        let (mut lives, one, other) = (Lives::default(), PeerId::from("one"), PeerId::from("other"));
        (0..3).for_each(|id| lives.note(id, life(1, 0), Some(one.clone()), 1));
        (10..10_000).for_each(|id| lives.note(id, life(1, 0), Some(other.clone()), 1));
        assert_eq!(lives.0.len(), Lives::LIMIT);
        assert!((0..3).all(|id| lives.contradicts(id, life(1, 0), Some(&other))));
    }
}
