//! The store under a replica.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::{KeyHash, KeyRange};

/// Keeps one record for each key hash, and three small pieces of metadata. Commits changes atomically.
///
/// Records are opaque bytes, which docs/protocol.md describes. A store need not understand them, and must not change
/// them.
///
/// # Implementer notes
///
/// - [`commit`](Self::commit) is atomic and durable. If it returns `Ok`, all changes survive a crash. Otherwise either
///   all of them are kept or none, and the error says whether it is certain that none is.
/// - [`load`](Self::load), [`scan`](Self::scan) and [`meta`](Self::meta) return exactly what was committed. An empty
///   byte string is not the same as no record.
/// - `scan` visits each key of its range once, in ascending order of the hash, and stops when the visitor breaks.
/// - Only one replica uses a store at a time.
///
/// The conformance kit checks these laws.
pub trait Store: Send {
    /// The record at `key`.
    ///
    /// # Errors
    /// If reading fails.
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError>;

    /// Passes every record in `range` to `visit`, in ascending order of the hash, until `visit` breaks.
    ///
    /// # Errors
    /// If reading fails.
    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>)
    -> Result<(), StoreError>;

    /// The metadata in `slot`.
    ///
    /// # Errors
    /// If reading fails.
    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError>;

    /// Makes all changes of `commit` together, durably.
    ///
    /// # Errors
    /// [`StoreError::unchanged`] if it is certain that nothing was changed, [`StoreError::unknown`] otherwise.
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError>;
}

/// The pieces of metadata that a store keeps for its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetaSlot {
    /// The identity of the replica and its counter. Rewritten by every write.
    Identity,
    /// The context: the writes of others that the replica has seen. Rewritten when data of a peer is joined.
    Context,
    /// The writes that were pushed since the context was rewritten last: so a push rewrites what is short, however long
    /// the context is.
    Pushed,
}

/// Changes that a store makes together or not at all. A store that keeps a log can encode one with serde.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The new record of each key that changes; `None` removes it.
    pub records: BTreeMap<KeyHash, Option<Vec<u8>>>,
    /// The new content of each metadata slot that changes.
    pub meta: BTreeMap<MetaSlot, Vec<u8>>,
}

/// The failure of a store. Its text ends with what to do, and has the texts of all its causes in it.
#[derive(Debug)]
pub struct StoreError {
    message: String,
    changed: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what_now = if self.changed {
            "whether the change was kept is not known, so the replica stops: open it again"
        } else {
            "nothing was changed"
        };
        write!(f, "the store failed: {}; {what_now}", self.with_causes())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl StoreError {
    /// A failure that has changed nothing for certain: a read failed, or the disk was full before anything was written.
    /// The replica continues.
    pub fn unchanged(message: impl Into<String>) -> Self {
        Self { message: message.into(), changed: false, source: None }
    }

    /// A failure after which it is unknown whether the changes are kept, such as a failed sync. The replica stops until
    /// it is opened again: a dot that may be on disk must not be used for another write.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { message: message.into(), changed: true, source: None }
    }

    /// The same failure with the underlying error, whose text becomes part of this one's.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure for somebody else whom it concerns, with its causes as text alone.
    #[cfg(feature = "std")]
    pub(crate) fn retold(&self) -> Self {
        Self { message: self.with_causes(), changed: self.changed, source: None }
    }

    /// The message, and the causes that it does not name yet.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.contains(&next) {
                text = alloc::format!("{text}: {next}");
            }
            cause = error.source();
        }
        text
    }

    /// Whether the store may have kept the change.
    pub fn may_have_changed(&self) -> bool {
        self.changed
    }
}

/// A store in memory: for tests, for caches, and for replicas that are filled by others after a restart.
///
/// It can be encoded as a whole with serde, so that a small durable store is a `MemoryStore` and a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemoryStore {
    records: BTreeMap<KeyHash, Vec<u8>>,
    meta: BTreeMap<MetaSlot, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.records.get(&key).cloned())
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for (key, record) in self.records.range(range.bounds()) {
            if visit(*key, record).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(&slot).cloned())
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        for (key, record) in commit.records {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
        self.meta.extend(commit.meta);
        Ok(())
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        (**self).scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        (**self).commit(commit)
    }
}
