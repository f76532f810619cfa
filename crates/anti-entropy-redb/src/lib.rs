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
//! | `records/` and the space's name | `&[u8; 16]`: the key hash | `&[u8]`: the record, as the replica gave it |
//! | `meta/` and the space's name | `u8`: 0 for the slot Identity, 1 for Context | `&[u8]`: the slot's content, likewise |
//!
//! What is in records and slots is in the section "Disk" of anti-entropy's docs/protocol.md. The table `anti-entropy` is
//! written in the first transaction of a file; those of a space when it is first written to. A database without any table
//! is a file whose creation did not get that far, and is taken for new.
//!
//! # Which damage is noticed
//!
//! Opening verifies the checksum of every page in use. They are not cryptographic: they tell accidents, not forgeries.
//! One bit of redb's header has no checksum: the one that says which of two commits is the last. If it flips in a file
//! that was not closed, the last commit is undone, as by restoring a backup of a moment before; a replica opened with
//! [`Continuity::Unproven`](anti_entropy::Continuity::Unproven) is safe from that too.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod directory;
mod error;
mod file;
mod held;
mod maintenance;
mod marker;
mod read_ahead;
#[cfg(feature = "simulated-disk")]
pub mod simulated_disk;
mod store;
mod tables;

pub use config::{RedbConfig, Schema};
pub use error::FileError;
pub use file::RedbFile;
pub use maintenance::Compaction;
pub use marker::MarkerFile;
// What `RedbFile::with_backend` takes.
pub use redb::StorageBackend;
pub use store::RedbStore;
pub use tables::FORMAT;
