//! What changed since an earlier moment.

use alloc::collections::BTreeMap;
use alloc::string::ToString;

use super::version::Record;
use super::{Entry, Error, Replica, Replicated};
use crate::KeyHash;
use crate::summary::{Root, Snapshot};

/// The entries that changed between two moments, as they are at the later one.
#[derive(Clone, Debug)]
pub struct ChangedEntries<V: Replicated> {
    /// The root at the earlier moment: an index that is not at it has changes to take in first.
    pub since: Root,
    /// What is held now at each key that differs; nothing if it is gone.
    pub entries: BTreeMap<KeyHash, Option<Entry<V>>>,
    /// The later moment, from which to go on.
    pub until: Snapshot,
}

impl<V: Replicated> Replica<V> {
    /// Reads what changed since `earlier`, a [`summary`](Self::summary) that this replica gave before; with the default
    /// snapshot, which is empty, all there is.
    ///
    /// However long ago that was, nothing is missed, and what has changed back is left out: whoever keeps an index or a cache
    /// of a replica keeps it up to date with this. O(changes · log n), and a read of each.
    ///
    /// ```
    /// use anti_entropy::clock::{Now, Seed};
    /// use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica};
    /// use anti_entropy::summary::Snapshot;
    ///
    /// let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([7; 32]))?;
    /// replica.write(Keyed::new(1, "one".to_string()), Now::default())?;
    /// let all = replica.changed_since(&Snapshot::default())?;
    /// replica.write(Keyed::new(2, "two".to_string()), Now::default())?;
    /// let news = replica.changed_since(&all.until)?;
    /// let entries: Vec<_> = news.entries.into_values().flatten().collect();
    /// assert_eq!((entries.len(), entries[0].key), (1, 2));
    /// # Ok::<(), anti_entropy::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the store fails, or a record is damaged or gone without having been deleted.
    pub fn changed_since(&mut self, earlier: &Snapshot) -> Result<ChangedEntries<V>, Error> {
        let mut entries = BTreeMap::new();
        let until = self.for_each_changed(earlier, |key, entry| drop(entries.insert(key, entry)))?;
        Ok(ChangedEntries { since: earlier.root(), entries, until })
    }

    /// The same one entry at a time, in the order of the keys' hashes. Returns the later moment.
    ///
    /// # Errors
    /// As for [`changed_since`](Self::changed_since).
    pub fn for_each_changed(
        &mut self,
        earlier: &Snapshot,
        mut visit: impl FnMut(KeyHash, Option<Entry<V>>),
    ) -> Result<Snapshot, Error> {
        let until = self.summary();
        for difference in earlier.diff(&until) {
            let key = difference.key;
            let entry = self.load(key)?.map(Record::into_entry);
            if entry.is_none() && difference.theirs.is_some() {
                return Err(Error::DamagedRecord { key, reason: "the store has lost it".to_string() });
            }
            visit(key, entry);
        }
        Ok(until)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::clock::{Now, Seed};
    use crate::replica::{Commit, Keyed, LastWriterWins, MemoryStore};

    #[test]
    fn what_changed_is_read_once_and_what_changed_back_not_at_all() {
        let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
        let write = |replica: &mut Replica<_>, key: u32, value: u32| {
            replica.write(Keyed::new(key, value), Now::default()).unwrap();
        };
        for key in 0..100 {
            write(&mut replica, key, 0);
        }
        let all = replica.changed_since(&Snapshot::default()).unwrap();
        assert_eq!(all.entries.len(), 100);
        assert!(all.entries.values().all(Option::is_some));

        write(&mut replica, 7, 1);
        write(&mut replica, 7, 2);
        replica.delete(&8, Now::default()).unwrap();
        write(&mut replica, 200, 0);
        replica.delete(&200, Now::default()).unwrap();
        let news = replica.changed_since(&all.until).unwrap();
        let mut seen: Vec<_> = news.entries.into_iter().collect();
        seen.sort_by_key(|(_, entry)| entry.is_some());
        assert_eq!(seen.len(), 2);
        assert!(seen[0].0 == KeyHash::of(&8u32) && seen[0].1.is_none());
        let entry = seen[1].1.as_ref().unwrap();
        assert_eq!((entry.key, entry.siblings[0].value.value), (7, 2));
        assert!(replica.changed_since(&news.until).unwrap().entries.is_empty());
    }

    #[test]
    fn what_the_store_has_lost_is_not_taken_for_deleted() {
        let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
        replica.write(Keyed::new(1u32, 1u32), Now::default()).unwrap();
        let mut commit = Commit::default();
        commit.records.insert(KeyHash::of(&1u32), None);
        replica.store.commit(commit).unwrap();
        let changed = replica.changed_since(&Snapshot::default());
        assert!(matches!(changed, Err(Error::DamagedRecord { .. })), "{changed:?}");
    }
}
