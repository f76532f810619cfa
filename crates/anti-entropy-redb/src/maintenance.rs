//! Making a file smaller, and copying it while it is used.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};

use crate::file::Shared;
use crate::tables::{self, SpaceTables};
use crate::{FileError, RedbFile, directory};

/// What compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// How long the file was.
    pub bytes_before: u64,
    /// How long it is now; the same if there was too little to gain.
    pub bytes_after: u64,
}

impl Compaction {
    /// How many bytes were saved.
    pub const fn saved_bytes(&self) -> u64 {
        self.bytes_before.saturating_sub(self.bytes_after)
    }
}

impl RedbFile {
    /// Makes the file smaller, if [enough](crate::RedbConfig::compact_from_unused_percent) of it is unused.
    ///
    /// Everything else waits meanwhile: it may write all of the file again, O(n). The stores stay open.
    ///
    /// # Errors
    /// [`FileError::Busy`] while a scan or a backup is under way. If the disk fails, nothing that was committed is lost.
    pub fn compact(&self) -> Result<Compaction, FileError> {
        let bytes_before = self.len_bytes()?;
        self.shared.with_database_alone(|database| {
            let writing = Shared::begin_write(database)?;
            let stats = writing.stats()?;
            writing.abort()?;
            let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
            let unused_percent = bytes_before.saturating_sub(used).saturating_mul(100) / bytes_before.max(1);
            if unused_percent >= u64::from(self.config().compact_from_unused_percent) {
                database.compact()?;
            }
            Ok(Compaction { bytes_before, bytes_after: self.len_bytes()? })
        })
    }

    /// Copies all spaces, as they are at one moment, into a new file at `path`; everything goes on meanwhile. O(n).
    ///
    /// A replica that is opened from a backup takes a new id, as it must: with
    /// [`Continuity::Unproven`](anti_entropy::Continuity::Unproven), and with any marker too, since the backup
    /// of an open replica matches none.
    ///
    /// It is written beside `path`, with `.part` behind the name, and gets its name when all of it is on disk. What a crash
    /// leaves under the longer name can be removed.
    ///
    /// # Errors
    /// [`FileError::Exists`] if there is a file at `path`, or one that a crash left; others if reading or writing fails. Then there is no backup,
    /// and the file itself is as it was.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        let path = path.as_ref();
        let failed = |error| FileError::io("the backup was not created")(error);
        if path.try_exists().map_err(failed)? {
            return Err(FileError::Exists(path.display().to_string()));
        }
        // Under another name until all of it is there: what a crash leaves must not pass for a backup.
        let part = part_of(path);
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&part);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(part.display().to_string()),
            _ => failed(error),
        })?;
        let copied = FileBackend::new(file).map_err(FileError::from).and_then(|backend| {
            let backup = Self::with_backend(backend, self.config().clone())?;
            copy(&self.shared.begin_read()?, &backup)?;
            drop(backup);
            std::fs::rename(&part, path).map_err(FileError::io("the backup was not given its name"))?;
            directory::sync_parent(path).map_err(FileError::io("the directory was not synced"))
        });
        if copied.is_err() {
            // If it cannot be removed either, the error says enough.
            let _ = std::fs::remove_file(&part);
        }
        copied
    }
}

/// What a backup is called while it is made.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Copies every space in one transaction.
fn copy(from: &ReadTransaction, to: &RedbFile) -> Result<(), FileError> {
    let database = to.shared.database();
    let writing = Shared::begin_write(&database)?;
    for space in tables::spaces(from)? {
        let space = SpaceTables::of(&space);
        copy_table(from, &writing, space.records())?;
        copy_table(from, &writing, space.meta())?;
    }
    Ok(writing.commit()?)
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &ReadTransaction,
    to: &redb::WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), FileError> {
    let source = match from.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        opened => opened?,
    };
    let mut target = to.open_table(definition)?;
    for entry in source.iter()? {
        let (key, value) = entry?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}
