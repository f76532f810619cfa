//! Two replicas that are equal at first, and then differ at known keys.

use std::collections::BTreeSet;
use std::mem::take;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::clock::Seed;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{
    Error, KeyHash, KeyRange, LastWriterWins, MemoryStore, Opening, Replica, Replicated, Store, Transaction,
};

use super::data::{Item, item, key, now};
use super::synchronising::synchronise;

/// How many keys are written in one transaction when a store is filled, which no benchmark counts.
const TRANSACTION: u64 = 1000;

/// Two replicas, and the keys at which they differ.
#[derive(Debug)]
pub struct Pair {
    /// The replica that opens sessions.
    pub ours: Replica<Item>,
    /// The replica that answers.
    pub theirs: Replica<Item>,
    /// The hashes of all keys that differ.
    pub differing: BTreeSet<KeyHash>,
    entries: u64,
    /// The numbers of the keys that were deleted from one of the replicas.
    deleted: Vec<u64>,
}

impl Pair {
    /// Two equal replicas with this number of entries. Calls `progress` now and then with the number written so far.
    ///
    /// # Errors
    /// If a replica refuses a write.
    pub fn new(entries: u64, progress: impl FnMut(u64)) -> Result<Self, Error> {
        let [ours, theirs] = equal(entries, |number| item(number, 0), progress)?;
        Ok(Self { ours, theirs, differing: BTreeSet::new(), entries, deleted: Vec::new() })
    }

    /// Makes the replicas equal again, and then different at this number of random keys, as
    /// [`differ_at`](Self::differ_at) does.
    ///
    /// # Errors
    /// If a replica refuses a write.
    pub fn differ_elsewhere(&mut self, differences: u64, random: &mut fastrand::Rng) -> Result<(), Error> {
        for number in take(&mut self.deleted) {
            self.ours.write(item(number, random.u64(..)), now())?;
        }
        synchronise(&mut self.ours, &mut self.theirs, |_| {})?;
        self.differing.clear();
        let mut numbers = BTreeSet::new();
        while (numbers.len() as u64) < differences {
            let number = random.u64(..self.entries);
            if numbers.insert(number) {
                self.differ_there(number, numbers.len() as u64 - 1, random.u64(1..))?;
            }
        }
        Ok(())
    }

    /// Makes the replicas differ at this number of keys. The keys that differ already are counted among them.
    ///
    /// Of every four keys, two get another value, one is deleted here, and one is deleted there; the first gets another
    /// value.
    ///
    /// # Errors
    /// If a replica refuses a write.
    ///
    /// # Panics
    /// If there are fewer entries.
    pub fn differ_at(&mut self, differences: u64) -> Result<(), Error> {
        assert!(differences <= self.entries, "no more keys can differ than there are");
        for index in self.differing.len() as u64..differences {
            // The hashes of the first keys are spread over the whole space, as any keys' are.
            self.differ_there(index, index, 1)?;
        }
        Ok(())
    }

    fn differ_there(&mut self, number: u64, index: u64, version: u64) -> Result<(), Error> {
        let written = match index % 4 {
            0 | 2 => Some(self.ours.write(item(number, version), now())?),
            1 => self.ours.delete(&key(number), now())?,
            _ => self.theirs.delete(&key(number), now())?,
        };
        self.deleted.extend((index % 2 == 1).then_some(number));
        self.differing.extend(written.map(|written| written.key));
        Ok(())
    }
}

/// Two equal replicas with this number of values. Calls `progress` now and then with the number written so far.
///
/// # Errors
/// If a replica refuses a write.
pub fn equal<V: Replicated>(
    entries: u64,
    value: impl Fn(u64) -> V,
    progress: impl FnMut(u64),
) -> Result<[Replica<V>; 2], Error> {
    let store = filled(entries, value, progress)?;
    // Each opens a copy of the store under an id of its own. The writer is not used: a replica makes the cells of its
    // sketch step by step while it grows, and has all of them at once only when it is opened.
    let open = |seed| Replica::open(store.clone(), LastWriterWins, Seed::from_bytes([seed; 32]));
    Ok([open(1)?, open(2)?])
}

/// A store to which a replica has written this number of values. Calls `progress` now and then with the number so far.
///
/// # Errors
/// If the replica refuses a write.
pub fn filled<V: Replicated>(
    entries: u64,
    value: impl Fn(u64) -> V,
    mut progress: impl FnMut(u64),
) -> Result<MemoryStore, Error> {
    let store = SharedStore::default();
    let mut writer: Replica<V> = Replica::open(store.clone(), LastWriterWins, Seed::from_bytes([3; 32]))?;
    for start in (0..entries).step_by(usize::try_from(TRANSACTION).unwrap_or(usize::MAX)) {
        progress(start);
        let numbers = start..entries.min(start + TRANSACTION);
        writer.commit(numbers.map(&value).fold(Transaction::new(), Transaction::write), now())?;
    }
    let filled = store.contents().clone();
    Ok(filled)
}

/// A store in whose clock there are this number of ids, since it was opened so often without a proof. `max_ids` is how many
/// a clock may have, of which a tenth are kept for others.
///
/// # Errors
/// If a replica refuses a write.
pub fn known_to_many(ids: u64, max_ids: usize) -> Result<MemoryStore, Error> {
    let store = SharedStore::default();
    for number in 0..ids {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let opening = Opening::from(Seed::from_bytes(seed));
        let opening = opening.with(|opening| opening.config.max_clock_replicas = max_ids);
        Replica::open(store.clone(), LastWriterWins, opening)?.write(item(u64::MAX, number), now())?;
    }
    let known = store.contents().clone();
    Ok(known)
}

/// A store that can be copied while a replica owns it.
#[derive(Clone, Debug, Default)]
struct SharedStore(Arc<Mutex<MemoryStore>>);

impl SharedStore {
    fn contents(&self) -> MutexGuard<'_, MemoryStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SharedStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.contents().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.contents().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.contents().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.contents().commit(commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_known_to_as_many_ids_as_is_said() -> Result<(), Error> {
        let store = known_to_many(1000, 2048)?;
        let replica = Replica::<Item>::open(store, LastWriterWins, Seed::from_bytes([9; 32]))?;
        assert_eq!((replica.context().replicas_len(), replica.len()), (1000, 1));
        Ok(())
    }

    #[test]
    fn a_session_makes_a_pair_equal_and_all_its_frames_are_counted() {
        let mut pair = Pair::new(3000, |_| {}).unwrap();
        pair.differ_at(100).unwrap();
        let mut bytes = 0;
        let synchronised = synchronise(&mut pair.ours, &mut pair.theirs, |frame| bytes += frame.len() as u64).unwrap();
        assert_eq!(synchronised.bytes, bytes);
        assert_eq!(pair.ours.root(), pair.theirs.root());
        assert!(synchronised.value_bytes > 0);
        let again = synchronise(&mut pair.ours, &mut pair.theirs, |_| {}).unwrap();
        assert_eq!((again.bytes, again.round_trips), (117, 1));
    }
}
