//! Anti-entropy: makes the replicas of a distributed store equal again.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "std")]
pub mod driver;
pub mod gossip;
mod hash;
#[doc(hidden)]
pub mod mutant;
pub mod replica;
pub mod session;
pub mod summary;

pub use hash::{KeyHash, KeyRange};

/// What the macros of this crate expand to; no part of its API.
#[doc(hidden)]
pub mod __private {
    pub use digest::Update;

    pub use crate::replica::{serde_decode, serde_encode};
}
