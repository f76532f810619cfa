//! Keeps what the nodes of a cluster have consolidated equal. See docs/engram.md of anti-entropy.
#![deny(missing_docs)]

mod convert;
pub mod durable;
pub mod endpoint;
pub mod node;
pub mod recall;
pub mod service;
pub mod settings;
pub mod space;
pub mod spaces;
pub mod swim;

/// In engram: `tracing::warn!("consolidation: {what}")`.
fn warn(what: impl std::fmt::Display) {
    eprintln!("consolidation: {what}");
}
