//! Layer 5, gossip: which peers to talk to, when, and within which budget.
//!
//! An [`Engine`] owns a replica and its sessions with many peers. In rounds it opens sessions with a few peers, which
//! compare roots and exchange entries where they differ. Local writes are pushed at once to some peers, or along a tree
//! to all. It does no I/O and reads no clock.

mod announcement;
mod bucket;
mod causal_buffer;
mod choice;
mod config;
mod engine;
mod event;
mod lease;
mod new_ids;
mod peer;
mod push_queue;
mod pushing;
mod round_robin;
mod spaces;
mod span;
mod trace;
mod transfer_queue;
mod tree;
mod work;

pub use announcement::{Announced, StateDigest};
pub use config::GossipConfig;
pub use engine::{Engine, EngineOutput, Status};
pub use event::{EngineStats, Event};
pub use peer::PeerStatus;
pub use spaces::{SharedSpaces, SharedSpacesConfig, SpacesOutput};
pub use tree::PushRoute;
