#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod directory;
mod error;
mod file;
mod held;
mod maintenance;
mod marker;
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
