use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A monitor: state behind a lock, which tasks change, and which tasks wait for.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T> {
    state: Mutex<T>,
    changed: Notify,
}

impl<T> Monitor<T> {
    /// Locks the state. After a change that tasks wait for, call [`wake`](Self::wake).
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all tasks that wait look at the state again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `take` finds what it looks for. Dropping this before it is ready loses nothing.
    pub(crate) async fn wait<R>(&self, mut take: impl FnMut(&mut T) -> Option<R>) -> R {
        loop {
            // Registered before the look, so that no change after it is missed.
            let changed = self.changed.notified();
            let found = take(&mut self.lock());
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }
}
