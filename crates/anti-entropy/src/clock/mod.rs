//! Layer 1, clock: who wrote what after what.
//!
//! Every write and delete is named by a [`Dot`]: the [`ReplicaId`] of its writer and a counter. What has been seen is
//! a [`VectorClock`], the highest counter of each writer, and a replica keeps one clock for each range of the key-hash
//! space: its [`Context`], normally a single piece. Part of a context travels as [`RangeClocks`]. Physical time only
//! breaks ties between concurrent writes: a [`Timestamp`], made by a [`HybridClock`].
//!
//! Nothing here reads a clock or a random generator: time comes in as [`Now`] and randomness as a [`Seed`].
//!
//! ```
//! use anti_entropy::clock::{CausalOrder, Context, Seed};
//! use anti_entropy::{KeyHash, KeyRange};
//!
//! let seed = Seed::from_bytes([7; 32]); // a fixed one, for the example: outside tests use `Seed::from_os`
//! let mut alice = Context::new(seed.replica_id(0));
//! let mut bob = Context::new(seed.replica_id(1));
//!
//! let write = alice.mint()?;
//! let key = KeyHash::from_u128(42);
//! assert!(alice.covers(key, write) && !bob.covers(key, write));
//! assert_eq!(bob.clock_at(key).compare(&alice.clock_at(key)), CausalOrder::Before);
//!
//! // Bob takes in all that Alice holds, and with it her clocks.
//! bob.join(&alice.pieces(&KeyRange::ALL));
//! assert!(bob.covers(key, write));
//! assert_eq!(alice.hash(), bob.hash());
//! # Ok::<(), anti_entropy::clock::CounterExhausted>(())
//! ```

#[cfg(any(test, feature = "proptest", feature = "quickcheck"))]
mod arbitrary;
mod context;
mod dot;
mod error;
mod growing;
mod hybrid;
mod now;
mod policy;
mod range_clocks;
mod replica_id;
mod seed;
mod sparse;
mod timestamp;
mod vector;

pub(crate) use context::Tally;
pub use context::{Context, ContextHash};
pub use dot::Dot;
#[cfg(feature = "std")]
pub use error::RandomnessUnavailable;
pub use error::{ClockSkew, CounterExhausted, InvalidRangeClocks, ReplicaIdTaken};
pub use hybrid::HybridClock;
pub use now::Now;
pub use policy::WriterPolicy;
pub use range_clocks::RangeClocks;
pub use replica_id::ReplicaId;
pub use seed::Seed;
pub use timestamp::Timestamp;
pub use vector::{CausalOrder, VectorClock};
