//! Compaction and backups of a file that is in use.

use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};

use crate::shared::Shared;
use crate::tables::{self, SpaceTables};
use crate::{FileError, RedbFile, directory, private_file};

/// The result of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// The length of the file before.
    pub bytes_before: u64,
    /// The length of the file after; the same if too little of it was unused.
    pub bytes_after: u64,
}

impl Compaction {
    /// How many bytes the compaction saved.
    pub const fn saved_bytes(&self) -> u64 {
        self.bytes_before.saturating_sub(self.bytes_after)
    }
}

impl RedbFile {
    /// Compacts the file if [enough](crate::RedbConfig::compact_from_unused_percent) of it is unused.
    ///
    /// The stores stay open, but all their operations wait meanwhile. It may write the whole file again, O(n).
    ///
    /// # Errors
    /// [`FileError::Busy`] while a scan or a backup runs. If the disk fails, no committed data is lost.
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

    /// Copies a consistent snapshot of all spaces into a new file at `path`, on Unix with mode 0600. The stores can be used
    /// meanwhile. O(n).
    ///
    /// A replica that is opened from a backup has to take a new id. It does with
    /// [`Continuity::Unproven`](anti_entropy::Continuity::Unproven), and with any marker too, since the backup of an
    /// open replica matches no marker.
    ///
    /// The backup is written to `path` with `.part` appended, and renamed when all of it is on disk. A crash may leave the
    /// `.part` file behind; it can be removed.
    ///
    /// # Errors
    /// [`FileError::Exists`] if there is a file at `path` or at its `.part`; other errors if reading or writing fails. Then
    /// there is no backup, and the file itself is unchanged.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        let path = path.as_ref();
        let failed = |error| FileError::io("the backup was not created")(error);
        match path.symlink_metadata() {
            Ok(_) => return Err(FileError::Exists(path.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Under another name until it is complete, so that a crash leaves nothing that looks like a backup.
        let part = part_of(path);
        let file = private_file::create_new(&part).map_err(|error| match error.kind() {
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
            // If it cannot be removed either, the first error says enough.
            let _ = std::fs::remove_file(&part);
        }
        copied
    }
}

/// The path of a backup while it is written.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Copies all spaces in one transaction.
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
