//! A node as the runbook, docs/operations.md, has it: two spaces of different types in one file and over one transport,
//! QUIC with mutual TLS, SWIM, and metrics for Prometheus.

mod node;
mod space;
mod wire;

pub use node::run;
pub(crate) use node::{SPACES, quic, say, swim};
pub use wire::{Answer, PLAYS, Request, SONGS, Settings, View};

/// Whatever ends a node early, or keeps it from doing what it is asked; its text is for the one who asked.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
