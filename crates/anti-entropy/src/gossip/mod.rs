//! Layer 5, gossip: whom to talk to, when, within which budget.
//!
//! An [`Engine`] owns a replica and its sessions with many peers. In rounds it compares roots with a few of them, and
//! opens a session where they differ; local writes are pushed at once to some, or along a tree to all. It does no IO and
//! reads no clock.

mod announcement;
mod bucket;
mod config;
mod early;
mod engine;
mod event;
mod peer_id;
mod peers;
mod push;
mod push_queue;
mod receive;
mod sessions;
mod trace;
mod tree;

#[cfg(test)]
mod announcement_tests;
#[cfg(test)]
mod early_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod planted_tests;
#[cfg(test)]
mod push_tests;
#[cfg(test)]
mod status_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing_tests;
#[cfg(test)]
mod tree_tests;

pub use announcement::{Announced, StateDigest};
pub use config::GossipConfig;
pub use engine::{Engine, Output, Status};
pub use event::{EngineStats, Event};
pub use peer_id::PeerId;
pub use peers::PeerStatus;
pub use tree::PushRoute;
