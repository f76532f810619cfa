use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gossip::{Engine, StateDigest};
use crate::replica::Replicated;
use crate::summary::Root;

/// What a driven engine holds, as its thread published it last; see [`Handle::announced`](crate::Handle::announced).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// What to announce to peers.
    pub state: StateDigest,
    /// The Merkle root over all entries, for those who announce something else than the state.
    pub root: Root,
    /// How often the state has changed from one publication to the next since the engine was started.
    pub generation: u64,
}

/// The reader's side of what an engine's thread publishes.
#[derive(Clone, Debug)]
pub(super) struct Announced(Arc<Mutex<Option<Announcement>>>);

/// The side of the engine's thread. When it is dropped, nothing is announced any more.
#[derive(Debug)]
pub(super) struct Announcing(Announced);

impl Announced {
    /// What was published last; `None` once the engine has stopped. Waits for nobody: the lock is held only to copy.
    pub(super) fn get(&self) -> Option<Announcement> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Announcement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcing {
    /// O(n) in the entries if the root was never computed.
    pub(super) fn of<V: Replicated>(engine: &mut Engine<V>) -> Self {
        let (state, root) = (engine.announcement(), engine.replica_mut().root());
        Self(Announced(Arc::new(Mutex::new(Some(Announcement { state, root, generation: 0 })))))
    }

    pub(super) fn reader(&self) -> Announced {
        self.0.clone()
    }

    /// Hashes what has changed since the last publication, outside of the lock.
    pub(super) fn publish<V: Replicated>(&self, engine: &mut Engine<V>) {
        let (state, root) = (engine.announcement(), engine.replica_mut().root());
        let mut cell = self.0.lock();
        let before = cell.map(|published| (published.state, published.generation));
        let generation = before.map_or(0, |(held, generation)| generation + u64::from(held != state));
        *cell = Some(Announcement { state, root, generation });
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
