//! The files that docs/engram.md adds to engram-core, as `engram-core/src/cluster/consolidated`.

mod convert;
pub(crate) mod durable;
pub(crate) mod endpoint;
pub(crate) mod recall;
pub(crate) mod replica;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod spaces;
pub(crate) mod swim;
