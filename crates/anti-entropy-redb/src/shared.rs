//! What the handles of a file and the stores in it share.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, TransactionError, WriteTransaction};

use crate::RedbConfig;
use crate::deferred::DeferredBackend;
use crate::readers::Readers;

/// What the handles of a file share.
pub(crate) struct Shared {
    /// Before the database, so that they end before it is closed.
    pub(crate) readers: Readers,
    /// Only compaction locks it for writing. redb orders everything else itself.
    database: RwLock<Database>,
    pub(crate) backend: DeferredBackend,
    pub(crate) config: RedbConfig,
    open_spaces: Mutex<BTreeSet<String>>,
    /// Why the file failed, once it has.
    failure: OnceLock<String>,
}

impl Shared {
    pub(crate) fn new(database: Database, backend: DeferredBackend, config: RedbConfig) -> Self {
        Self {
            readers: Readers::default(),
            database: RwLock::new(database),
            backend,
            config,
            open_spaces: Mutex::default(),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn database(&self) -> RwLockReadGuard<'_, Database> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else uses the database. For compaction only.
    pub(crate) fn with_database_alone<T>(&self, work: impl FnOnce(&mut Database) -> T) -> T {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        self.readers.end();
        work(&mut database)
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        self.database().begin_read()
    }

    /// Begins a transaction that survives a power cut once it is committed, and of which nothing is visible before. With one
    /// phase, a checksum would have to detect a half-written commit; it is not cryptographic, and peers choose the bytes.
    pub(crate) fn begin_write(database: &Database) -> Result<WriteTransaction, TransactionError> {
        let mut writing = database.begin_write()?;
        writing.set_durability(Durability::Immediate).expect("a new transaction has no savepoints");
        writing.set_two_phase_commit(true);
        Ok(writing)
    }

    pub(crate) fn close_space(&self, name: &str) {
        self.open_spaces().remove(name);
    }

    /// Refuses commits from now on, for the first cause that was given.
    pub(crate) fn fail(&self, cause: String) {
        let _ = self.failure.set(cause);
    }

    /// Why the file failed, if it has.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    pub(crate) fn open_spaces(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open_spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("open_spaces", &self.open_spaces())
            .finish_non_exhaustive()
    }
}
