//! Membership by SWIM.

mod announce;
mod bucket;
mod codec;
mod config;
mod datagram;
mod error;
mod event;
mod follow;
mod hellos;
mod identity;
mod key;
mod mailbox;
mod members;
mod membership;
mod node;
mod receive;
mod seal;
mod sessions;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod window;

pub use announce::Announcement;
pub use config::{SwimConfig, SwimLimits, SwimTimings};
pub use error::{AnnounceError, JoinError};
pub use event::{Event, Member};
pub use follow::{Routes, Space, follow};
pub use key::{ClusterKey, KeyError};
pub use membership::Membership;
pub use stats::{Refusal, RefusalReason, RefusedDatagrams, SwimStats};
