//! A store that outlives the replicas that are opened on it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use std::sync::Mutex;

use crate::replica::{Commit, MemoryStore, MetaSlot, Store, StoreError};
use crate::{KeyHash, KeyRange};

/// A store that outlives its replica, as a crash leaves it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<MemoryStore>>);

impl Disk {
    pub(crate) fn of(store: MemoryStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    pub(crate) fn copy(&self) -> MemoryStore {
        self.0.lock().unwrap().clone()
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.lock().unwrap().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(commit)
    }
}
