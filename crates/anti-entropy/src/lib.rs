//! Anti-entropy: makes the replicas of a distributed store equal again.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod clock;
#[cfg(feature = "std")]
pub mod driver;
pub mod gossip;
mod hash;
pub mod summary;

pub use hash::{KeyHash, KeyRange};
