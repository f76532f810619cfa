//! Errors of a file as a whole.

use std::error::Error;
use std::io;

use anti_entropy::ConfigError;

use crate::Schema;

/// Why a file was refused, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A setting is out of its range, or contradicts another one. Nothing was opened.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file system failed.
    #[error("{what}: {source}; nothing that was committed is lost; see to the disk and open the file again")]
    Io {
        /// Which operation failed.
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is no such file.
    #[error("there is no file {0}; nothing was changed; create it, or correct the path")]
    Missing(String),
    /// There is a file already, which would be overwritten.
    #[error("{0} exists already; nothing was changed; choose another path, or remove it")]
    Exists(String),
    /// Another process, or another part of this one, has the file open.
    #[error("the file is open elsewhere; nothing was changed; end the other process, or share its handle")]
    InUse,
    /// The file is not a redb database.
    #[error("the file is no redb database; nothing was changed; correct the path")]
    NotRedb,
    /// The file is a redb database of another program.
    #[error("the file is a redb database of another program; nothing was changed; correct the path")]
    NotOurs,
    /// The file has a format of redb that this release does not read.
    #[error("the file is in format {0} of redb, which is not read; nothing was changed; use the release that wrote it")]
    OtherRedb(u8),
    /// The file has another format than this release reads.
    #[error(
        "the file is in format {found} and this release reads format {expected}; nothing was changed; use the release that wrote it, or synchronise into a new file"
    )]
    OtherFormat {
        /// The file's format.
        found: u32,
        /// [`FORMAT`](crate::FORMAT).
        expected: u32,
    },
    /// The values in the file have another schema.
    #[error(
        "the file holds {found}, and {expected} is expected; nothing was changed; use the release that wrote it, or migrate the values as the documentation of anti-entropy-redb says"
    )]
    OtherSchema {
        /// The file's schema.
        found: Schema,
        /// [`RedbConfig::schema`](crate::RedbConfig::schema).
        expected: Schema,
    },
    /// The file is damaged: it is truncated, or bits in it have changed.
    #[error("the file is damaged: {0}; nothing was changed; restore a backup, or remove the file and synchronise")]
    Damaged(String),
    /// A store of this space is open already.
    #[error("the space {0:?} is open already; nothing was changed; use the replica that has it, or drop that first")]
    SpaceInUse(String),
    /// The name of the space is empty or too long.
    #[error(
        "the name of a space has {bytes} bytes, and 1 to {limit} are allowed; nothing was changed; choose another name"
    )]
    SpaceName {
        /// The length of the name.
        bytes: usize,
        /// [`RedbConfig::max_space_name_bytes`](crate::RedbConfig::max_space_name_bytes).
        limit: usize,
    },
    /// A scan or a backup is reading pages that compaction would move.
    #[error("a scan or a backup is under way; nothing was changed; compact when it has ended")]
    Busy,
    /// The database failed in another way.
    #[error("the database failed: {0}; nothing that was committed is lost; open the file again")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

impl FileError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl From<redb::DatabaseError> for FileError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::LockProtocolMismatch => Self::InUse,
            redb::DatabaseError::UpgradeRequired(format) => Self::OtherRedb(format),
            redb::DatabaseError::Storage(storage) => storage.into(),
            other => Self::Database(other.into()),
        }
    }
}

impl From<redb::StorageError> for FileError {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::Corrupted(what) => Self::Damaged(what),
            // What redb answers to a file that ends in the middle of what it refers to.
            redb::StorageError::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged("it is too short".to_string())
            }
            redb::StorageError::Io(source) => Self::Io { what: "the database failed", source },
            other => Self::Database(other.into()),
        }
    }
}

impl From<redb::TransactionError> for FileError {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(storage) => storage.into(),
            other => Self::Database(other.into()),
        }
    }
}

impl From<redb::TableError> for FileError {
    fn from(error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(storage) => storage.into(),
            redb::TableError::TableDoesNotExist(_) => Self::NotOurs,
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<redb::CommitError> for FileError {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(storage) => storage.into(),
            other => Self::Database(other.into()),
        }
    }
}

impl From<redb::CompactionError> for FileError {
    fn from(error: redb::CompactionError) -> Self {
        match error {
            redb::CompactionError::Storage(storage) => storage.into(),
            redb::CompactionError::TransactionInProgress => Self::Busy,
            other => Self::Database(other.into()),
        }
    }
}
