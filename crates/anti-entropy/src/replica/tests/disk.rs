//! A store that outlives the replicas that are opened on it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use std::sync::Mutex;

use crate::replica::{Commit, MemoryStore, MetaSlot, Store, StoreError};
use crate::{KeyHash, KeyRange};

/// A store that outlives its replica, as a crash leaves it.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    store: Arc<Mutex<MemoryStore>>,
    commit: Option<Arc<Mutex<CommitHook>>>,
}

type CommitHook = dyn FnMut(&mut MemoryStore, Commit) -> Result<(), StoreError> + Send;

impl Disk {
    pub(crate) fn of(store: MemoryStore) -> Self {
        Self { store: Arc::new(Mutex::new(store)), commit: None }
    }

    /// The same disk, on which `commit` makes the commits. Unit tests cannot use the conformance kit for this: it depends
    /// on this crate as it is without its tests, whose `Store` is another one.
    pub(crate) fn with_commit(
        &self,
        commit: impl FnMut(&mut MemoryStore, Commit) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        Self { store: Arc::clone(&self.store), commit: Some(Arc::new(Mutex::new(commit))) }
    }

    pub(crate) fn copy(&self) -> MemoryStore {
        self.store.lock().unwrap().clone()
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.lock().unwrap().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let mut store = self.store.lock().unwrap();
        match &self.commit {
            Some(hook) => (*hook.lock().unwrap())(&mut store, commit),
            None => store.commit(commit),
        }
    }
}
