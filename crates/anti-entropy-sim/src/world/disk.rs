//! A disk: the subject's store with faults.

use core::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Store};

use super::heap;
use crate::random::permille;

/// A disk, which outlives the replicas that are opened on it one after the other. Clones are handles to the same disk.
pub(crate) struct Disk<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    store: S,
    /// What survives a crash, if not everything does: only for the planted bug of a store that acknowledges too early.
    durable: Option<S>,
    faults: DiskFaults,
    random: fastrand::Rng,
    commits: u64,
    failed: bool,
    looked_at: bool,
}

/// The faults of a disk, in thousandths of all operations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskFaults {
    pub(crate) reads_permille: u16,
    pub(crate) commits_permille: u16,
    pub(crate) syncs_permille: u16,
    pub(crate) full: bool,
    /// Whether commits are acknowledged before they are durable: a planted bug and not a fault.
    pub(crate) promises_too_much: bool,
}

impl<S: Store + Clone> Disk<S> {
    pub(crate) fn new(store: S, random: fastrand::Rng) -> Self {
        let faults = DiskFaults::default();
        let inner = Inner { store, durable: None, faults, random, commits: 0, failed: false, looked_at: false };
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(crate) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Changes the faults from now on.
    pub(crate) fn fail(&self, change: impl FnOnce(&mut DiskFaults)) {
        change(&mut self.inner().faults);
    }

    #[cfg(test)]
    pub(crate) fn faults(&self) -> DiskFaults {
        self.inner().faults
    }

    /// How many commits have been made.
    pub(crate) fn commits(&self) -> u64 {
        self.inner().commits
    }

    /// Whether a commit failed since the last call so that it may have been kept or not.
    pub(crate) fn take_failed(&self) -> bool {
        core::mem::take(&mut self.inner().failed)
    }

    /// Lets `look` read without faults, for reads by the simulator itself.
    pub(crate) fn look<T>(&self, look: impl FnOnce() -> T) -> T {
        self.set_looked_at(true);
        let seen = look();
        self.set_looked_at(false);
        seen
    }

    /// Begins or ends reads without faults, as [`look`](Self::look) does, for several disks at once.
    pub(crate) fn set_looked_at(&self, looked_at: bool) {
        self.inner().looked_at = looked_at;
    }

    /// Loses what was acknowledged before it was durable.
    pub(crate) fn crash(&self) {
        let mut inner = self.inner();
        if let Some(durable) = inner.durable.take() {
            inner.store = durable;
        }
    }

    /// Makes everything durable.
    pub(crate) fn sync(&self) {
        self.inner().durable = None;
    }

    pub(crate) fn copy(&self) -> S {
        let inner = self.inner();
        inner.durable.as_ref().unwrap_or(&inner.store).clone()
    }

    pub(crate) fn replace(&self, store: S) {
        let mut inner = self.inner();
        (inner.store, inner.durable) = (store, None);
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        // One thread runs a simulation: a poisoned lock is that of a test that failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<MutexGuard<'_, Inner<S>>, StoreError> {
        let mut inner = self.inner();
        let odds = inner.faults.reads_permille;
        if !inner.looked_at && permille(&mut inner.random, odds) {
            return Err(StoreError::unchanged("the simulated disk cannot read"));
        }
        Ok(inner)
    }
}

impl<S: Store + Clone> Store for Disk<S> {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        let loaded = self.read()?.store.load(key);
        heap::sample();
        loaded
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read()?.store.scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.read()?.store.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let inner = &mut *self.inner();
        let faults = inner.faults;
        if faults.full {
            return Err(StoreError::unchanged("the simulated disk is full"));
        }
        if permille(&mut inner.random, faults.commits_permille) {
            return Err(StoreError::unchanged("the simulated disk cannot write"));
        }
        let fails = permille(&mut inner.random, faults.syncs_permille);
        if fails && inner.random.bool() {
            inner.failed = true;
            return Err(StoreError::unknown("the simulated disk failed to sync"));
        }
        if faults.promises_too_much && inner.durable.is_none() && inner.random.bool() {
            inner.durable = Some(inner.store.clone());
        }
        heap::sample();
        if heap::is_counted() {
            // What the store keeps is allocated while it is called, and what it was given is freed afterwards.
            heap::in_store(|| inner.store.commit(commit.clone()))?;
            drop(commit);
        } else {
            inner.store.commit(commit)?;
        }
        inner.commits += 1;
        if fails {
            inner.failed = true;
            return Err(StoreError::unknown("the simulated disk failed to sync"));
        }
        Ok(())
    }
}
