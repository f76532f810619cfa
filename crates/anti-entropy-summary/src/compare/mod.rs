//! Finding the differences between two sets by descending their trees, a few levels in each round trip.
//!
//! One side asks, the other answers from a snapshot and keeps no state. An [`Ask`] names aligned ranges of key hashes
//! by their [`Prefix`]. For each, the [`Answer`] lists its entries if they are few, or the digests of its parts one to
//! three levels down. Where digests are equal, the descent ends. A [`Comparison`] is the asking side. It works in
//! ascending order of the key hashes, so that the first differences can be handled before the last are known.
//!
//! Digests and fingerprints are cut to eight bytes ([`Width::Short`](crate::Width::Short)). An attacker with enough
//! patience can make two sets whose short digests are equal, and the comparison then misses a difference. So a
//! comparison only *finds* differences: the full roots decide whether two sets are equal. If the roots contradict what
//! was found, compare again with [`Width::Full`](crate::Width::Full).
//!
//! ```
//! use anti_entropy_summary::compare::{Comparison, answer, first_answer};
//! use anti_entropy_summary::{Fingerprint, KeyHash, MerkleTree, Snapshot, Width};
//!
//! let entry = |number: u64| (KeyHash::from_u128(u128::from(number) << 70), Fingerprint::from_bytes([1; 32]));
//! let ours: Snapshot = MerkleTree::from_entries((0..10_000).map(entry)).snapshot();
//! let theirs: Snapshot = MerkleTree::from_entries((1..10_000).map(entry)).snapshot();
//!
//! let mut comparison = Comparison::new(ours, Width::Short);
//! // The first question needs no asking.
//! comparison.handle_answer(&first_answer(&theirs, Width::Short, 4096))?;
//! while let Some(ask) = comparison.next_ask(100) {
//!     comparison.handle_answer(&answer(&theirs, &ask, 4096))?;
//! }
//! let found = comparison.take_found(None, 1000);
//! assert_eq!(found.len(), 1);
//! assert_eq!((found[0].key, found[0].theirs), (entry(0).0, None));
//! # Ok::<(), anti_entropy_summary::compare::AnswerError>(())
//! ```

mod answer;
mod comparison;
mod packed;
mod prefix;
mod wire;

pub use answer::{answer, first_answer};
pub use comparison::{AnswerError, Comparison};
pub use prefix::{Prefix, PrefixError};
pub use wire::{Answer, Ask};
