//! A file and the spaces in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, StorageBackend};

use crate::deferred::DeferredBackend;
use crate::guard::guarded;
use crate::shared::Shared;
use crate::tables::{self, Found};
use crate::{FileError, RedbConfig, RedbStore, directory, private_file};

/// A file that contains the stores of one or more replicas, each in a space of its own.
///
/// This is a handle. Clones and stores share the file, which is closed when the last of them is dropped. All spaces share
/// one writer, so that their commits wait for each other.
#[derive(Clone, Debug)]
pub struct RedbFile {
    pub(crate) shared: Arc<Shared>,
}

impl RedbFile {
    /// Opens the file at `path`, and creates it if there is none: on Unix with mode 0600, and not through a link.
    ///
    /// Reads the whole file to verify it: O(n).
    ///
    /// # Errors
    /// See [`FileError`]. A file that is refused is unchanged.
    pub fn create(path: impl AsRef<Path>, config: RedbConfig) -> Result<Self, FileError> {
        let path = path.as_ref();
        // Before a file is created that nobody could open.
        config.validate()?;
        match private_file::create_new(path) {
            Ok(file) => {
                let created = Self::with_file(file, config)?;
                // The file's name has to survive a power cut too.
                directory::sync_parent(path).map_err(FileError::io("the directory was not synced"))?;
                Ok(created)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let opened = Self::open(path, config)?;
                // The process that created it may have died before it synced the directory.
                directory::sync_parent(path).map_err(FileError::io("the directory was not synced"))?;
                Ok(opened)
            }
            Err(error) => Err(FileError::io("the file was not created")(error)),
        }
    }

    /// Opens the file at `path`.
    ///
    /// Reads the whole file to verify it: O(n).
    ///
    /// # Errors
    /// See [`FileError`]. A file that is refused is unchanged.
    pub fn open(path: impl AsRef<Path>, config: RedbConfig) -> Result<Self, FileError> {
        let path = path.as_ref();
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::with_file(file, config),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(FileError::Missing(path.display().to_string()))
            }
            Err(error) => Err(FileError::io("the file was not opened")(error)),
        }
    }

    fn with_file(file: File, config: RedbConfig) -> Result<Self, FileError> {
        Self::with_backend(FileBackend::new(file)?, config)
    }

    /// Opens the database in `backend`, and creates one if the backend is empty.
    ///
    /// # Errors
    /// See [`FileError`]. A database that is refused is unchanged.
    pub fn with_backend(backend: impl StorageBackend, config: RedbConfig) -> Result<Self, FileError> {
        config.validate()?;
        let backend = DeferredBackend::new(backend);
        let database = open_checked(&backend, config.cache_bytes)?;
        let found = tables::check_header(&database.begin_read()?, &config)?;
        backend.release().map_err(FileError::io("the file cannot be written"))?;
        if found != Found::Present {
            let writing = Shared::begin_write(&database)?;
            tables::write_header(&writing, &config.schema)?;
            writing.commit()?;
        }
        Ok(Self { shared: Arc::new(Shared::new(database, backend, config)) })
    }

    /// Opens the store of the space `name`. A space that was never written to is empty. The space is in use until the store is
    /// dropped.
    ///
    /// # Errors
    /// [`FileError::SpaceInUse`] if the space is open already, [`FileError::SpaceName`] if the name is empty or too long.
    pub fn space(&self, name: &str) -> Result<RedbStore, FileError> {
        let (bytes, limit) = (name.len(), self.shared.config.max_space_name_bytes);
        if bytes == 0 || bytes > limit {
            return Err(FileError::SpaceName { bytes, limit });
        }
        if !self.shared.open_spaces().insert(name.to_string()) {
            return Err(FileError::SpaceInUse(name.to_string()));
        }
        Ok(RedbStore::new(Arc::clone(&self.shared), name.to_string()))
    }

    /// The names of the spaces that were written to, in ascending order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn spaces(&self) -> Result<Vec<String>, FileError> {
        tables::spaces(&self.shared.begin_read()?)
    }

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn len_bytes(&self) -> Result<u64, FileError> {
        self.shared.backend.len().map_err(FileError::io("the file cannot be read"))
    }

    pub(crate) fn config(&self) -> &RedbConfig {
        &self.shared.config
    }
}

/// Opens a database and verifies the checksum of every page, so that damage shows now and not later.
fn open_checked(backend: &DeferredBackend, cache_bytes: usize) -> Result<Database, FileError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
    // redb should answer damage with an error. If it panics instead, the file is damaged too.
    match guarded(|| builder.create_with_backend(backend.clone())) {
        Some(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            Err(FileError::NotRedb)
        }
        Some(opened) => Ok(opened?),
        None => Err(FileError::Damaged("it makes no sense to redb".to_string())),
    }
}
