//! A store that can lose what was not synced, and be put back to an earlier state.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::std::sync::{Mutex, MutexGuard};
use crate::replica::{Commit, MemoryStore, MetaSlot, Store, StoreError};
use crate::{KeyHash, KeyRange};

/// Outlives the replicas that are opened on it, one after the other.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Sides>>);

#[derive(Default)]
struct Sides {
    /// What the replica reads and writes.
    volatile: MemoryStore,
    /// What survives a crash; `None` while that is the same.
    durable: Option<MemoryStore>,
    /// Whether commits wait for a sync. A store that keeps its promise has them durable at once.
    lazy: bool,
}

impl Disk {
    pub(super) fn lazy() -> Self {
        let disk = Self::default();
        disk.sides().lazy = true;
        disk
    }

    pub(super) fn sync(&self) {
        self.sides().durable = None;
    }

    /// Loses what was not synced; says whether there was any.
    pub(super) fn crash(&self) -> bool {
        let mut sides = self.sides();
        match sides.durable.take() {
            Some(durable) => {
                sides.volatile = durable;
                true
            }
            None => false,
        }
    }

    /// A copy of what would survive a crash.
    pub(super) fn backup(&self) -> MemoryStore {
        let sides = self.sides();
        sides.durable.as_ref().unwrap_or(&sides.volatile).clone()
    }

    /// A copy of what the replica sees.
    pub(super) fn copy(&self) -> MemoryStore {
        self.sides().volatile.clone()
    }

    pub(super) fn restore(&self, backup: MemoryStore) {
        let mut sides = self.sides();
        (sides.volatile, sides.durable) = (backup, None);
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        self.0.lock().unwrap()
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.sides().volatile.load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.sides().volatile.scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.sides().volatile.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let mut sides = self.sides();
        if sides.lazy && sides.durable.is_none() {
            sides.durable = Some(sides.volatile.clone());
        }
        sides.volatile.commit(commit)
    }
}
