//! Whether the store is the one that this replica last committed to.
//!
//! A machine can be put back to an earlier state of its memory, and keep the disk that it has now. Its replica then
//! believes something of its store that is no longer so: it would answer from an old summary with new records, and write
//! over what it does not know. Every commit is numbered, so a store that is not where the replica left it is noticed.

use alloc::string::{String, ToString};

use super::{Error, MetaSlot, Replica, Replicated};

const OTHER_STORE: &str = "the store is not in the state in which this replica left it, so the memory of this process \
    or its disk was put back, or another process uses the store";

impl<V: Replicated> Replica<V> {
    /// Whether the replica has stopped, so that it changes nothing any more and has to be opened again.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Stops the replica, unless it has stopped.
    pub(super) fn stop_since(&mut self, cause: String) {
        if !core::mem::replace(&mut self.stopped, true) {
            self.stop_cause = Some(cause);
        }
    }

    /// The error of everything that is asked of the replica, if it has stopped and was not closed.
    pub(crate) fn why_stopped(&self) -> Option<Error> {
        self.stop_cause.as_ref().map(|_| self.stopped_error())
    }

    /// Stops the replica if its store is in another state than it left it in. Reads one slot of the store.
    ///
    /// # Errors
    /// If the replica has stopped, now or before, or if the store cannot be read.
    pub(crate) fn check_store(&mut self) -> Result<(), Error> {
        if self.stopped {
            return Err(self.stopped_error());
        }
        plant!(check_store());
        let Some(left) = &self.left_as else { return Ok(()) };
        if self.store.meta(MetaSlot::Identity)?.as_deref() == Some(left.as_slice()) {
            return Ok(());
        }
        self.stop_since(OTHER_STORE.to_string());
        Err(self.stopped_error())
    }
}
