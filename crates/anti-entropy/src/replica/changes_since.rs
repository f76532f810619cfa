//! Reading what changed since an earlier snapshot.

use alloc::collections::BTreeMap;
use alloc::string::ToString;

use super::version::Record;
use super::{Entry, Error, Replica, Replicated};
use crate::KeyHash;
use crate::summary::{Root, Snapshot};

/// The entries that changed between two snapshots, as they are in the later one.
#[derive(Clone, Debug)]
pub struct ChangedEntries<V: Replicated> {
    /// The root of the earlier snapshot. An index must be at this root before it applies the changes.
    pub since: Root,
    /// The entry at each key that changed; `None` if it is gone.
    pub entries: BTreeMap<KeyHash, Option<Entry<V>>>,
    /// The later snapshot, to be passed to the next call.
    pub until: Snapshot,
}

impl<V: Replicated> Replica<V> {
    /// Reads the entries that changed since `earlier`, an earlier [`summary`](Self::summary) of this replica. With the
    /// default snapshot, which is empty, reads all entries.
    ///
    /// No change is missed, however old the snapshot is. Entries that have changed back are left out. An index or a
    /// cache can be kept up to date this way. O(changes · log n), and one read for each change.
    ///
    /// ```
    /// use anti_entropy::clock::{Now, Seed};
    /// use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica};
    /// use anti_entropy::summary::Snapshot;
    ///
    /// let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
    /// replica.write(Keyed::new(1, "one".to_string()), Now::default())?;
    /// let all = replica.changed_since(&Snapshot::default())?;
    /// replica.write(Keyed::new(2, "two".to_string()), Now::default())?;
    /// let news = replica.changed_since(&all.until)?;
    /// let entries: Vec<_> = news.entries.into_values().flatten().collect();
    /// assert_eq!((entries.len(), entries[0].key), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the store fails, or a record is damaged, or missing without having been deleted.
    pub fn changed_since(&mut self, earlier: &Snapshot) -> Result<ChangedEntries<V>, Error> {
        let mut entries = BTreeMap::new();
        let until = self.for_each_changed(earlier, |key, entry| drop(entries.insert(key, entry)))?;
        Ok(ChangedEntries { since: earlier.root(), entries, until })
    }

    /// Like [`changed_since`](Self::changed_since), one entry at a time, in the order of the keys' hashes. Returns the
    /// later snapshot.
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
