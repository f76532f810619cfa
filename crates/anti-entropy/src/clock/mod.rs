//! Layer 1, clock: the causal order of writes.
//!
//! Every write and delete has a [`Dot`] as its name: the [`ReplicaId`] of its writer and a counter. A [`VectorClock`]
//! says which writes have been seen, by the highest counter of each writer. A replica keeps one such clock for each
//! range of key hashes. Together they are its [`Context`], which normally has a single piece. Sessions send parts of a
//! context as [`RangeClocks`]. Physical time only decides between concurrent writes: each write has a [`Timestamp`]
//! from a [`HybridClock`].
//!
//! Nothing here reads a clock or a random generator. The caller passes in time as [`Now`] and randomness as a [`Seed`].
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
mod since;
mod span;
mod sparse;
mod timestamp;
mod vector;

pub(crate) use context::{Base, Fill, Raised, Tally};
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
pub(crate) use since::{ClocksSince, WholeSpace};
pub(crate) use sparse::Further;
pub use timestamp::Timestamp;
pub use vector::{CausalOrder, VectorClock};
