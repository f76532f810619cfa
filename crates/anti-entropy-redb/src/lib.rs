#![doc = include_str!("../README.md")]
//!
//! # File format
//!
//! A [redb database of file format 3](https://github.com/cberner/redb/blob/master/docs/design.md) with these tables.
//! redb compares keys of the type `&str` and `&[u8; 16]` byte by byte. Numbers are big-endian.
//!
//! | table | key | value |
//! |---|---|---|
//! | `anti-entropy` | `&str`: `format` | `&[u8]`: [`FORMAT`], 4 bytes |
//! | | `schema name` | [`Schema::name`], UTF-8 |
//! | | `schema version` | [`Schema::version`], 4 bytes |
//! | `records/` and the space's name | `&[u8; 16]`: the key hash | `&[u8]`: the record as the replica wrote it |
//! | `meta/` and the space's name | `u8`: 0 for the slot Identity, 1 for Context | `&[u8]`: the slot's content, likewise |
//!
//! The section "Disk" of anti-entropy's docs/protocol.md defines records and slots. The first transaction of a file writes the
//! table `anti-entropy`; the first commit to a space writes the tables of that space. A database without any table is a file
//! whose creation was interrupted, and is opened as a new one.
//!
//! # Which damage is detected
//!
//! Opening verifies the checksum of every page in use. The checksums are not cryptographic: they detect accidents, not
//! forgeries. One bit of redb's header has no checksum: it says which of two commits is the last one. If it flips in a file
//! that was not closed, the last commit is undone, as if a backup from just before it had been restored. A replica that is
//! opened with [`Continuity::Unproven`](anti_entropy::Continuity::Unproven) is safe from that too.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod deferred;
mod directory;
mod error;
mod file;
mod guard;
mod maintenance;
mod marker;
mod private_file;
mod read_ahead;
mod readers;
mod shared;
#[cfg(feature = "simulated-disk")]
pub mod simulated_disk;
mod store;
mod tables;

pub use config::{RedbConfig, Schema};
pub use error::FileError;
pub use file::RedbFile;
pub use maintenance::Compaction;
pub use marker::MarkerFile;
// `RedbFile::with_backend` takes a `StorageBackend`, whose methods name the other type.
pub use redb::{BackendError, StorageBackend};
pub use store::RedbStore;
pub use tables::FORMAT;
