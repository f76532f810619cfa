//! Reads between two commits share a transaction of redb: to begin one and open its table takes longer than the read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::KeyHash;
use redb::ReadOnlyTable;

pub(crate) type Records = ReadOnlyTable<&'static [u8; KeyHash::LEN], &'static [u8]>;

/// The records of each space as its last load found them.
///
/// While a transaction reads, redb keeps the pages that it sees. So all of these end before a commit begins, whichever
/// space it is for, and once more after it: what they keep is what the file holds anyway.
#[derive(Default)]
pub(crate) struct Readers(Mutex<BTreeMap<String, Arc<Records>>>);

impl Readers {
    pub(crate) fn get(&self, space: &str) -> Option<Arc<Records>> {
        self.lock().get(space).cloned()
    }

    pub(crate) fn keep(&self, space: &str, records: Arc<Records>) {
        self.lock().insert(space.to_string(), records);
    }

    pub(crate) fn end(&self) {
        let ended = std::mem::take(&mut *self.lock());
        // Without the lock: redb has locks of its own.
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Records>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
