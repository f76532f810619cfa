#![doc = include_str!("../README.md")]
//!
//! # The digest, byte by byte
//!
//! The tree over a set `S` of entries depends on `S` alone, not on the order of changes:
//!
//! - If `S` has at most [`BUCKET`] (16) entries it is a *leaf*. Its digest is `H(header || entry || entry || ...)`.
//!   The header is 16 bytes: `00`, eleven zeros, and the number of entries as 32 bits, big-endian. Then each entry, in
//!   ascending order of the key hash, as its 16 bytes of key hash and 32 bytes of fingerprint.
//! - Otherwise it is an *inner node*. Let `d` be the number of leading bits that all key hashes of `S` share, rounded
//!   down to an even number. The two bits behind them split `S` into four parts, at least two of them not empty. Its
//!   digest is `H(header || digest || digest || ...)`. The header is 16 bytes: `01`; `d` as one byte; one byte in which
//!   bit `i` (of value `2^i`) says that part `i` is not empty; five zeros; and the number of entries in `S` as 64 bits,
//!   big-endian. Then the digests of the trees over the parts that are not empty, in ascending order.
//!
//! Headers have 16 bytes so that the rest is aligned as hash functions read it fastest. Packed headers of 5 and 11
//! bytes save no block of an inner node, and make an update and its root 5 per cent slower.
//!
//! `H` is SHA-256 unless another [`HashFunction`] is chosen. The empty set is a leaf of no
//! entries: `H` of sixteen zeros.
//!
//! **The digest of a range is the digest of the set of entries in it**: the root of a tree that holds just those
//! entries. If the bounds of a range are aligned with nodes, its digest is looked up. Otherwise only the nodes along
//! its two edges are computed.
//!
//! Leaves and inner nodes start with different bytes, every length is fixed or stated, and the full key hashes are in
//! the leaves. So two different sets have the same digest only if `H` has a collision. An inner node never has a single
//! child (path compression), so that an attacker who crafts keys with long common prefixes gains nothing: no tree is
//! deeper than 64 nodes, and none has more nodes than entries.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod build;
pub mod compare;
mod config_error;
mod diff;
mod difference;
mod fingerprint;
mod hashing;
mod item;
mod key_hash;
mod node;
mod opaque_bytes;
mod restrict;
pub mod sketch;
mod snapshot;
mod span;
mod tree;
mod update;
mod view;

pub use config_error::ConfigError;
pub use diff::Diff;
pub use difference::{Difference, KeyBits, TruncatedFingerprint, Width};
pub use digest;
pub use fingerprint::{Fingerprint, HashFunction, Root};
pub use key_hash::{KeyHash, KeyRange};
pub use node::BUCKET;
pub use snapshot::{Entries, Snapshot};
pub use tree::MerkleTree;
