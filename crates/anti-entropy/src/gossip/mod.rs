//! Layer 5, gossip: whom to talk to, when, within which budget.
//!
//! An [`Engine`] owns a replica and its sessions with many peers. In rounds it compares roots with a few of them, and
//! opens a session where they differ; local writes are pushed at once to some, or along a tree to all. It does no IO and
//! reads no clock.

mod announcement;
mod bucket;
mod causal_buffer;
mod config;
mod engine;
mod event;
mod peers;
mod push;
mod push_queue;
mod receive;
mod sessions;
mod trace;
mod tree;

#[cfg(test)]
mod tests;

use crate::PeerId;
pub use announcement::{Announced, StateDigest};
pub use config::GossipConfig;
pub use engine::{Engine, EngineOutput, Status};
pub use event::{EngineStats, Event};
pub use peers::PeerStatus;
pub use tree::PushRoute;
