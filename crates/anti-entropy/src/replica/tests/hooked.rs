//! A store with a function in the place of one method.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::replica::{Commit, MetaSlot, Store, StoreError};
use crate::{KeyHash, KeyRange};

/// A store that is `store` in all but its commits, which `commit` makes in its place.
///
/// The conformance kit has the same for other tests. Unit tests cannot use it: the kit depends on this crate as it is
/// without its tests, whose `Store` is another one.
pub(crate) fn with_commit<S: Store>(
    store: S,
    commit: impl FnMut(&mut S, Commit) -> Result<(), StoreError> + Send,
) -> impl Store {
    Hooked { store, commit }
}

struct Hooked<S, C> {
    store: S,
    commit: C,
}

impl<S: Store, C: FnMut(&mut S, Commit) -> Result<(), StoreError> + Send> Store for Hooked<S, C> {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        (self.commit)(&mut self.store, commit)
    }
}
