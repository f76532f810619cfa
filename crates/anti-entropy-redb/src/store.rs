//! The store of one replica.

use std::ops::ControlFlow;
use std::sync::Arc;

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Store};
use redb::{CommitError, StorageError, TableError, WriteTransaction};

use crate::guard::guarded;
use crate::read_ahead;
use crate::readers::Records;
use crate::shared::Shared;
use crate::tables::{self, SpaceTables};

/// A durable [`Store`]: one space of a [`RedbFile`](crate::RedbFile).
///
/// Each commit is one transaction of redb, committed in two phases and synced twice. Once it has returned `Ok`, all of it
/// survives a power cut. It takes O(changes · log n).
///
/// # When the disk fails or is full
///
/// Committed data stays. The commit that met the failure returns an error that says that the store
/// [may have changed](StoreError::may_have_changed). Later commits to the same file, in other spaces too, are refused and
/// change nothing, until all handles of the file are dropped and it is opened again.
#[derive(Debug)]
pub struct RedbStore {
    file: Arc<Shared>,
    space: String,
    tables: SpaceTables,
}

impl RedbStore {
    pub(crate) fn new(file: Arc<Shared>, space: String) -> Self {
        let tables = SpaceTables::of(&space);
        Self { file, space, tables }
    }

    /// The name of the space.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// The records as the last commit left them; `None` if nothing was ever written to the space.
    fn records(&self) -> Result<Option<Arc<Records>>, StoreError> {
        if let Some(records) = self.file.readers.get(&self.space) {
            return Ok(Some(records));
        }
        let reading = self.file.begin_read().map_err(unreadable)?;
        let opened = table(reading.open_table(self.tables.records()))?.map(Arc::new);
        if let Some(records) = &opened {
            self.file.readers.keep(&self.space, Arc::clone(records));
        }
        Ok(opened)
    }

    fn write(&self, writing: &WriteTransaction, commit: &Commit) -> Result<(), TableError> {
        if !commit.records.is_empty() {
            let mut records = writing.open_table(self.tables.records())?;
            for (key, record) in &commit.records {
                match record {
                    Some(record) => records.insert(key.as_bytes(), record.as_slice())?,
                    None => records.remove(key.as_bytes())?,
                };
            }
        }
        if !commit.meta.is_empty() {
            let mut meta = writing.open_table(self.tables.meta())?;
            for (slot, bytes) in &commit.meta {
                meta.insert(tables::slot_key(*slot), bytes.as_slice())?;
            }
        }
        Ok(())
    }

    /// The error of a commit after which the content of the file is unknown until it is opened again.
    fn unknown(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        let error = error.into();
        self.file.fail(error.to_string());
        StoreError::unknown("the file failed while it was written; drop all its handles").with_source(error)
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.file.close_space(&self.space);
    }
}

impl Store for RedbStore {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            let Some(records) = self.records()? else { return Ok(None) };
            let record = records.get(key.as_bytes()).map_err(unreadable)?;
            Ok(record.map(|record| record.value().to_vec()))
        })
        .unwrap_or_else(|| Err(damaged()))
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // The lock is released before the visitor runs, since it may use the store.
        let (low, high) = range.bounds();
        let bounds = (low.as_ref().map(KeyHash::as_bytes), high.as_ref().map(KeyHash::as_bytes));
        let records = guarded(|| {
            let reading = self.file.begin_read().map_err(unreadable)?;
            let Some(records) = table(reading.open_table(self.tables.records()))? else { return Ok(None) };
            records.range::<&[u8; KeyHash::LEN]>(bounds).map(Some).map_err(unreadable)
        });
        match records.unwrap_or_else(|| Err(damaged()))? {
            Some(records) => read_ahead::visit_all(records, visit).map_err(unreadable),
            None => Ok(()),
        }
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            let reading = self.file.begin_read().map_err(unreadable)?;
            match table(reading.open_table(self.tables.meta()))? {
                Some(meta) => {
                    let held = meta.get(tables::slot_key(slot)).map_err(unreadable)?;
                    Ok(held.map(|bytes| bytes.value().to_vec()))
                }
                None => Ok(None),
            }
        })
        .unwrap_or_else(|| Err(damaged()))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        if let Some(cause) = self.file.failure() {
            return Err(refused().with_source(cause));
        }
        if commit.records.is_empty() && commit.meta.is_empty() {
            return Ok(());
        }
        self.file.readers.end();
        let committed = guarded(|| self.commit_all(&commit));
        self.file.readers.end();
        committed.unwrap_or_else(|| Err(self.unknown("the file makes no sense to redb")))
    }
}

impl RedbStore {
    /// Commits all changes in one transaction.
    fn commit_all(&self, commit: &Commit) -> Result<(), StoreError> {
        let database = self.file.database();
        let writing = Shared::begin_write(&database).map_err(|error| refused().with_source(error))?;
        match self.write(&writing, commit) {
            Ok(()) => {}
            // Nothing was written, and redb can go on.
            Err(TableError::Storage(error @ StorageError::ValueTooLarge(_))) => {
                return Err(StoreError::unchanged("a record is too long; write shorter values").with_source(error));
            }
            Err(error) => return Err(self.unknown(error)),
        }
        match writing.commit() {
            Ok(()) => Ok(()),
            Err(error @ CommitError::TransactionPoisoned) => {
                Err(StoreError::unchanged("the transaction was rolled back").with_source(error))
            }
            Err(error) => Err(self.unknown(error)),
        }
    }
}

fn refused() -> StoreError {
    StoreError::unchanged("the file failed before; drop all its handles and open it again")
}

fn damaged() -> StoreError {
    StoreError::unchanged("the file is damaged; restore a backup, or start empty and let the peers fill it")
}

/// A table, if it was ever written to.
fn table<T>(opened: Result<T, TableError>) -> Result<Option<T>, StoreError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::unchanged("the file cannot be read; see to the disk and open it again").with_source(error)
}
