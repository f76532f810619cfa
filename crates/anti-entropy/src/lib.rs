// The example needs the driver, so that without `std` there is a sentence in its place.
#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "std"), doc = "Makes the replicas of a keyed store equal again; `no_std` with `alloc`.")]
//!
//! # Modules
//!
//! Each layer knows only those above it in this table, and is usable without those below.
//!
//! | layer | module | what it holds |
//! |---|---|---|
//! | 1 | [`clock`] | who wrote what after what: dots, vector clocks, contexts, timestamps |
//! | 2 | [`summary`] | the Merkle tree over a set of entries, a rateless sketch of it, and how two sets are compared |
//! | 3 | [`replica`] | values, versions, resolvers, stores, and the one path by which a store changes |
//! | 4 | [`session`] | one pairwise synchronisation, as a state machine |
//! | 5 | [`gossip`] | many peers: whom to talk to, when, within which budget |
//! | 6 | `driver` (feature `std`) | the async edge: handles, transports, the engine's thread |
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
mod plant;

pub mod clock;
#[cfg(feature = "std")]
pub mod driver;
pub mod gossip;
#[cfg(any(test, feature = "mutants"))]
mod mutant;
pub mod replica;
pub mod session;

pub use anti_entropy_summary as summary;
pub use anti_entropy_summary::{ConfigError, KeyHash, KeyRange};

/// What the macros of this crate expand to; no part of its API.
#[doc(hidden)]
pub mod __private {
    pub use digest::Update;

    #[cfg(any(test, feature = "mutants"))]
    pub use crate::mutant::{Mutant, plant, with};
    pub use crate::replica::{serde_decode, serde_encode};
}
