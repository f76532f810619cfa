//! The subject of measurements: values of any length, in stores that share equal records.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::sync::Arc;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{Error, KeyHash, KeyRange, Keyed, LastWriterWins, Replica, Store, Transaction};

use crate::random::stream;
use crate::subject::Subject;
use crate::world::disk::Disk;

/// A store in memory. Clones share records that neither has changed, so that a hundred replicas of the same ten thousand
/// entries take little more memory than one.
#[derive(Clone, Debug, Default)]
pub struct SharedStore {
    records: BTreeMap<KeyHash, Arc<[u8]>>,
    meta: BTreeMap<MetaSlot, Vec<u8>>,
}

impl Store for SharedStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.records.get(&key).map(|record| record.to_vec()))
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut records = self.records.range(range.bounds());
        // A break of the visitor is not an error.
        let _ = records.try_for_each(|(key, record)| visit(*key, record));
        Ok(())
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(&slot).cloned())
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        for (key, record) in commit.records {
            match record {
                Some(record) => self.records.insert(key, Arc::from(record)),
                None => self.records.remove(&key),
            };
        }
        self.meta.extend(commit.meta);
        Ok(())
    }
}

/// A subject with values of one length, of which the last writer wins. Every node starts with the same entries.
#[derive(Clone, Debug, Default)]
pub struct Blobs {
    value_bytes: usize,
    store: SharedStore,
}

impl Blobs {
    /// The length of the shortest value: it begins with the number of its write.
    pub const MIN_VALUE_BYTES: usize = 8;

    /// Values of this many bytes, but at least [`MIN_VALUE_BYTES`](Self::MIN_VALUE_BYTES), and no entries to start with.
    pub fn new(value_bytes: usize) -> Self {
        Self { value_bytes, store: SharedStore::default() }
    }

    /// The same with entries at all keys below `entries`, written by a replica that is not one of the nodes.
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn with_entries(mut self, entries: u32) -> Result<Self, Error> {
        const AT_ONCE: usize = 100;
        let disk = Disk::new(self.store.clone(), stream(0, &[]));
        let mut replica = Replica::open(disk.handle(), LastWriterWins, Seed::from_bytes([0x5a; 32]))?;
        let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_600_000_000_000 };
        let keys: Vec<u32> = (0..entries).collect();
        for keys in keys.chunks(AT_ONCE) {
            let write = |writes: Transaction<_>, key: &u32| writes.write(self.value(*key, 0));
            replica.commit(keys.iter().fold(Transaction::new(), write), now)?;
        }
        self.store = disk.copy();
        Ok(self)
    }
}

impl Subject for Blobs {
    type Value = Keyed<u32, Vec<u8>>;
    type Store = SharedStore;
    type Resolver = LastWriterWins;

    fn store(&self) -> SharedStore {
        self.store.clone()
    }

    fn resolver(&self) -> LastWriterWins {
        LastWriterWins
    }

    fn value(&self, key: u32, write: u64) -> Self::Value {
        let mut random = stream(write, &[u64::from(key)]);
        let mut value: Vec<u8> = write.to_be_bytes().to_vec();
        value.resize_with(self.value_bytes.max(Self::MIN_VALUE_BYTES), || random.u8(..));
        Keyed::new(key, value)
    }
}
