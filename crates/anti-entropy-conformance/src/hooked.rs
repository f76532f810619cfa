use core::ops::ControlFlow;

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Store};

/// A store that is `store` in all but its commits, which `commit` makes in its place.
///
/// For tests of what runs on a store: `commit` counts, waits, fails, or breaks what it is given, and may hand it on to
/// the store.
///
/// ```
/// use anti_entropy::clock::{Now, Seed};
/// use anti_entropy::store::StoreError;
/// use anti_entropy::{Error, Keyed, LastWriterWins, MemoryStore, Replica, Store};
/// use anti_entropy_conformance::with_commit;
///
/// let mut room = 1;
/// let disk = with_commit(MemoryStore::new(), move |store, commit| {
///     if commit.records.len() > room {
///         return Err(StoreError::unchanged("the disk is full"));
///     }
///     room -= commit.records.len();
///     store.commit(commit)
/// });
/// let mut replica = Replica::open(disk, LastWriterWins, Seed::from_bytes([1; 32]))?;
/// replica.write(Keyed::new(1, "fits".to_string()), Now::default())?;
/// let refused = replica.write(Keyed::new(2, "does not".to_string()), Now::default());
/// assert!(matches!(refused, Err(Error::Store(_))));
/// # Ok::<(), Error>(())
/// ```
pub fn with_commit<S: Store>(
    store: S,
    commit: impl FnMut(&mut S, Commit) -> Result<(), StoreError> + Send,
) -> impl Store {
    Hooked { store, load: S::load, commit }
}

/// A store that is `store` in all but its loads, which `load` makes in its place.
///
/// A scan does not go through it. A store with another `load` and another `commit` takes both functions:
/// `with_load(with_commit(store, ..), ..)`.
pub fn with_load<S: Store>(
    store: S,
    load: impl Fn(&S, KeyHash) -> Result<Option<Vec<u8>>, StoreError> + Send,
) -> impl Store {
    Hooked { store, load, commit: S::commit }
}

struct Hooked<S, L, C> {
    store: S,
    load: L,
    commit: C,
}

impl<S, L, C> Store for Hooked<S, L, C>
where
    S: Store,
    L: Fn(&S, KeyHash) -> Result<Option<Vec<u8>>, StoreError> + Send,
    C: FnMut(&mut S, Commit) -> Result<(), StoreError> + Send,
{
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        (self.load)(&self.store, key)
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
