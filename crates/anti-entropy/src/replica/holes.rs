//! What this replica knows of its holes: keys at which a peer holds something that it could not take in.
//!
//! That there is a hole, and the clock from before, stands in the context, and so in the store. What stands here is what
//! peers said of the entry that is missing, and why it is: it saves asking for the entry again and again. It is forgotten
//! when the replica is opened again, since another release may read what this one cannot.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Notice, Replica, Replicated};
use crate::clock::{ContextHash, Fill, RangeClocks};
use crate::summary::{Fingerprint, Root};
use crate::sync::wire::message::Takes;
use crate::sync::wire::{Withheld, WithheldFor};
use crate::{KeyHash, KeyRange};

/// Why an entry was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It does not decode, or its key collides.
    Unreadable,
    /// It is longer than a message may be, here or at the peer: this side's limit, and the peer's.
    TooLong { mine: usize, theirs: usize },
}

/// An entry of a peer's that was not taken in.
#[derive(Clone, Debug)]
struct NotTakenIn {
    /// What the peer says that the entry's fingerprint is. It counts for digests, and for nothing else.
    fingerprint: Fingerprint,
    /// What the peer has seen there.
    fill: Fill,
    cause: Cause,
    /// Whether it is to be sent once more: the last peer that said what it has here did not have it, and may have been
    /// told of it by nobody, or the application wants it.
    is_wanted: bool,
}

/// What is known of the entries behind the holes.
#[derive(Clone, Debug)]
pub(crate) struct Holes<K> {
    entries: BTreeMap<KeyHash, NotTakenIn>,
    /// Keys whose entries were refused as unreadable and not withheld yet, as far as the keys themselves can be read.
    refused: BTreeMap<KeyHash, Option<K>>,
    filled: Option<(usize, Filled)>,
}

/// What a replica would hold, and would have seen, if its holes held what peers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) root: Root,
    pub(crate) context: ContextHash,
    /// The number of keys at which it holds something else.
    pub(crate) keys: usize,
    /// The least limit of a peer that kept an entry from being sent; a peer whose limit is greater can send it.
    pub(crate) peer_limit: Option<usize>,
}

impl<K> Default for Holes<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), refused: BTreeMap::new(), filled: None }
    }
}

impl<K> Holes<K> {
    /// Something changed that digests of filled holes depend on.
    pub(super) fn outdate(&mut self) {
        self.filled = None;
    }
}

impl<V: Replicated> Replica<V> {
    /// The number of keys at which this replica knows that it lacks something which a peer holds: what the peer sent
    /// could not be decoded, is too long, or has the hash of another key, here or at a peer in between.
    ///
    /// At such a key this replica goes on to hold what it held before, and tells nobody that it has seen more. A
    /// [`Notice`] named the key, if this replica itself could not take in what is there.
    pub fn holes_len(&self) -> usize {
        self.context.holes_len()
    }

    /// The hashes of the keys at which this replica knows that it lacks something, in ascending order.
    pub fn holes(&self) -> impl ExactSizeIterator<Item = KeyHash> + '_ {
        self.context.holes()
    }

    /// Tries again, in the next sessions, to take in what is missing at the [holes](Self::holes). Sessions try by
    /// themselves when a peer holds something else there, when limits were raised, and after an opening.
    pub fn retry_holes(&mut self) {
        self.holes.entries.values_mut().for_each(|entry| entry.is_wanted = true);
        self.holes.outdate();
    }

    /// Notes that an entry cannot be read, so that a peer is asked for its fingerprint instead.
    pub(crate) fn note_unreadable(&mut self, hash: KeyHash, key: Option<V::Key>) {
        if self.holes.refused.len() >= self.config.max_holes && !self.holes.refused.contains_key(&hash) {
            self.holes.refused.clear();
        }
        self.holes.refused.insert(hash, key);
    }

    /// Notes what a peer with these clocks withheld, where that left holes, and reports those that are new.
    pub(crate) fn note_withheld(&mut self, withheld: &[Withheld], clocks: &RangeClocks) {
        for Withheld { key: hash, fingerprint, reason } in withheld.iter().copied() {
            let refused = self.holes.refused.remove(&hash).flatten();
            if !self.context.is_hole(hash) {
                continue;
            }
            let cause = match reason {
                WithheldFor::Unreadable => Cause::Unreadable,
                // The session that knows the limits adds them.
                WithheldFor::TooLong => Cause::TooLong { mine: usize::MAX, theirs: usize::MAX },
            };
            self.holes.outdate();
            plant!(note_hole(self, hash, fingerprint));
            let Some(seen) = clocks.clock_at(hash) else { continue };
            let fill = self.context.fill(hash, seen);
            if self.holes.entries.insert(hash, NotTakenIn { fingerprint, fill, cause, is_wanted: false }).is_some() {
                continue;
            }
            let key = refused.or_else(|| self.load(hash).ok().flatten().map(|record| record.key));
            self.notices.push(match reason {
                WithheldFor::Unreadable => Notice::Unreadable { hash, key },
                WithheldFor::TooLong => Notice::TooLong { hash, key },
            });
        }
    }

    /// Notes what a peer that takes in `theirs` said of the holes in a range: what it withheld is missing here by these
    /// limits, and elsewhere it does not have what others said that they have. If it lacks that for the same reason, it
    /// may well be there; otherwise it may be lost, and is asked for again.
    pub(crate) fn note_range(&mut self, range: &KeyRange, withheld: &[Withheld], mine: usize, theirs: &Takes) {
        let their_limit = usize::try_from(theirs.max_message_bytes).unwrap_or(usize::MAX);
        for (hash, entry) in self.holes.entries.range_mut(range.bounds()) {
            match withheld.iter().find(|withheld| withheld.key == *hash) {
                Some(withheld) if withheld.reason == WithheldFor::TooLong => {
                    entry.cause = Cause::TooLong { mine, theirs: their_limit };
                }
                Some(_) => {}
                None => entry.is_wanted |= theirs.unreadable.get(hash) != Some(&entry.fingerprint),
            }
        }
        self.holes.outdate();
    }

    /// Forgets what is known of holes that are filled, and says which these are.
    pub(super) fn forget_filled(&mut self) {
        self.holes.outdate();
        if self.holes.entries.is_empty() {
            return;
        }
        let is_filled = |hash: &&KeyHash| !self.context.is_hole(**hash);
        let filled: Vec<KeyHash> = self.holes.entries.keys().filter(is_filled).copied().collect();
        for hash in filled {
            self.holes.entries.remove(&hash);
            self.notices.push(Notice::HoleFilled { hash });
        }
    }

    /// The fingerprints of entries that this replica could not read, and need not be sent again.
    pub(crate) fn unreadable(&self) -> BTreeMap<KeyHash, Fingerprint> {
        let unreadable =
            self.holes.entries.iter().filter(|(_, entry)| entry.cause == Cause::Unreadable && !entry.is_wanted);
        unreadable.map(|(hash, entry)| (*hash, entry.fingerprint)).collect()
    }

    /// What this replica would hold if its holes held what peers say, except those that are worth another try: those of
    /// which nobody said anything since the opening, and those that were too long for a limit which is `limit` now.
    /// `None` if no hole is left then.
    ///
    /// O(holes · log n) after a change, O(1) otherwise.
    pub(crate) fn filled(&mut self, limit: usize) -> Option<Filled> {
        if self.holes.entries.is_empty() {
            return None;
        }
        if let Some((_, filled)) = self.holes.filled.filter(|(of, _)| *of == limit) {
            return Some(filled);
        }
        let stands = |entry: &NotTakenIn| match entry.cause {
            Cause::Unreadable => true,
            Cause::TooLong { mine, theirs } => mine > theirs || limit <= mine,
        };
        let entries: BTreeMap<&KeyHash, &NotTakenIn> =
            self.holes.entries.iter().filter(|(_, entry)| !entry.is_wanted && stands(entry)).collect();
        if entries.is_empty() {
            return None;
        }
        let mut tree = self.tree.snapshot().to_tree();
        for (hash, entry) in &entries {
            tree.insert(**hash, entry.fingerprint);
        }
        let context = self.context.with_filled(|hash| entries.get(&hash).map(|entry| &entry.fill));
        let peer_limits = entries.values().filter_map(|entry| match entry.cause {
            Cause::TooLong { mine, theirs } if theirs < mine => Some(theirs),
            _ => None,
        });
        let peer_limit = peer_limits.min();
        let keys = self.context.holes_len();
        plant!(let keys = hole_keys(keys));
        let filled = Filled { root: tree.root(), context: context.hash(), keys, peer_limit };
        self.holes.filled = Some((limit, filled));
        Some(filled)
    }
}
