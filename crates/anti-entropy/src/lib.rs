// The example needs the driver, so that without `std` there is a sentence in its place.
#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "std"), doc = "Makes the replicas of a keyed store equal again; `no_std` with `alloc`.")]
//!
//! # Where things are
//!
//! What an application meets is here at the root. The modules are for those who extend it or drive it by hand:
//!
//! | module | for those who |
//! |---|---|
//! | [`value`] | write a type that chooses its own bytes |
//! | [`store`] | implement [`Store`] |
//! | `transport` (feature `std`) | implement `Transport`, or carry several replicas over one |
//! | [`engine`] | drive a replica and its peers from an event loop of their own |
//! | [`session`] | synchronise two replicas over some link |
//! | [`clock`] | work with dots, vector clocks and contexts |
//! | [`summary`] | compare sets of hashes: the crate `anti-entropy-summary` |
//!
//! The module `guide` has guides: an own type, an own store, an own transport, operating, and why replicas converge.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
mod plant;

pub mod clock;
#[cfg(feature = "std")]
mod driver;
mod gossip;
#[cfg(test)]
mod model;
#[cfg(any(test, feature = "mutants"))]
mod mutant;
mod peer_id;
mod refusal;
mod replica;
mod sync;

pub use anti_entropy_summary as summary;
pub use anti_entropy_summary::{ConfigError, KeyHash, KeyRange};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use driver::describe_metrics;
#[cfg(feature = "std")]
pub use driver::{Clock, DriverConfig, Handle, HandleError, MemoryNetwork, Node, NodeError, SystemClock, Transport};
pub use gossip::{Event, GossipConfig, PeerStatus, PushRoute, Status};
pub use peer_id::PeerId;
pub use refusal::Refusal;
pub use replica::{
    Adopted, Audit, Change, ChangedEntries, Continuity, Digest, Discrepancy, Entry, Error, KeepAll, Keyed,
    LastWriterWins, Marker, MemoryStore, Missing, Notice, Opening, Read, Replica, ReplicaConfig, ReplicaStats,
    Replicated, Resolver, Seen, Semilattice, SemilatticeJoin, Store, Transaction, Version, Written,
};
pub use sync::SessionConfig;

/// For those who write a type that chooses its own bytes: what [`Replicated`] encodes to and decodes from.
pub mod value {
    pub use digest;

    pub use crate::replica::{
        ContentHash, DecodeError, EncodeError, Encoded, MAX_EMPTY_ELEMENTS, MAX_NESTING, Part, PartHash, serde_decode,
        serde_encode, try_serde_encode,
    };
}

/// For those who implement [`Store`]: what it is handed, and how it fails.
pub mod store {
    pub use crate::replica::{Commit, MetaSlot, StoreError};
}

/// For those who implement `Transport`, or carry several replicas over one.
#[cfg(feature = "std")]
pub mod transport {
    pub use crate::driver::{
        Channel, ChannelTaken, Channels, ChannelsConfig, ChannelsStats, LinkFaults, MemoryTransport, SendError,
    };
}

/// For those who drive a replica and its peers from an event loop of their own, without threads or on virtual time.
pub mod engine {
    #[cfg(feature = "std")]
    pub use crate::driver::{Announcement, Pool, PoolConfig, drive};
    pub use crate::gossip::{
        Announced, Engine, EngineOutput, EngineStats, SharedSpaces, SharedSpacesConfig, SpacesOutput, StateDigest,
    };
}

/// For those who synchronise two replicas over some link, without gossip.
pub mod session {
    pub use crate::sync::{
        Finished, Frame, FrameKind, Outcome, PROTOCOL_VERSIONS, PartialReason, Session, SessionOutput, SessionStats,
    };
}

/// Guides: how to plug in your own type, store and transport, how to operate a node, and why replicas converge.
///
/// The code in them is compiled and run with this version's tests.
#[cfg(all(any(doc, doctest), feature = "std"))]
pub mod guide {
    #[doc = include_str!("../guides/own-type.md")]
    pub mod own_type {}
    #[doc = include_str!("../guides/own-store.md")]
    pub mod own_store {}
    #[doc = include_str!("../guides/own-transport.md")]
    pub mod own_transport {}
    #[doc = include_str!("../guides/operating.md")]
    pub mod operating {}
    #[doc = include_str!("../guides/why-it-converges.md")]
    pub mod why_it_converges {}
}

/// What the macros of this crate expand to; no part of its API.
#[doc(hidden)]
pub mod __private {
    pub use digest::Update;

    pub use crate::replica::encode_for_write;

    #[cfg(any(test, feature = "mutants"))]
    pub use crate::mutant::{Mutant, plant, with};
}
