//! Lives of ids: which openings of stores peers write from, so that a copy is told from the original.

use alloc::collections::BTreeMap;
use alloc::format;

use serde::{Deserialize, Serialize};

use super::{Replica, Replicated};
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

/// The lives of peers that this replica has met, by the first eight bytes of their ids: which one was last, and how many
/// writes it is known to have made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives(BTreeMap<u64, (u64, u64)>);

impl Lives {
    /// Lives are kept in memory alone: after a restart, copies are not told apart until each was met again.
    const LIMIT: usize = 4096;

    /// Whether another life of this id has made writes that this one does not have: it began before they were made.
    fn contradicts(&self, id: u64, life: Life) -> bool {
        plant!(contradicts());
        self.0.get(&id).is_some_and(|&(opening, made)| opening != life.opening && made > life.began_at)
    }

    /// Notes that a life has made at least so many writes.
    fn note(&mut self, id: u64, life: Life, made: u64) {
        if self.0.len() == Self::LIMIT && !self.0.contains_key(&id) {
            self.0.pop_first();
        }
        let known = self.0.entry(id).or_insert((life.opening, made));
        *known = if known.0 == life.opening { (known.0, known.1.max(made)) } else { (life.opening, made) };
    }
}

impl<V: Replicated> Replica<V> {
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
        self.lives.contradicts(id, life)
    }

    /// Notes what a peer is known to have made, now that this replica has joined what it said.
    pub(crate) fn has_met(&mut self, id: u64, life: Life) {
        let made = self.context.max_counter_of_first_eight(id);
        self.lives.note(id, life, made);
    }
}
