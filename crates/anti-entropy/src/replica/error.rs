//! What a local caller can do wrong, and what can go wrong under a replica.

use alloc::string::String;

use super::store::StoreError;
use crate::clock::{CounterExhausted, Dot};
use crate::{ConfigError, KeyHash};

/// A local operation that failed. Peers cannot cause one: what they do wrong is a [`Refusal`](crate::Refusal).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range or contradicts another one. Nothing was opened.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store failed; see [`StoreError::may_have_changed`] for whether something was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An earlier commit ended without it being known whether it was kept; nothing was changed now. Open the replica
    /// again: it reads back what the store kept.
    #[error("the replica stopped after a failed commit; nothing was changed; open it again")]
    Stopped,
    /// What was handed in as seen names a write that this replica has not seen: the read came from elsewhere and runs
    /// ahead. Nothing was changed; synchronise first, or read here.
    #[error("the write {0} was seen elsewhere and not here; nothing was changed; synchronise first, or read again")]
    NotYetSeen(Dot),
    /// What was handed in as seen was read at another key. Nothing was changed.
    #[error("what was seen belongs to another key; nothing was changed; pass what a read of this key returned")]
    SeenElsewhere,
    /// One transaction changes the same key twice. Nothing was changed.
    #[error("the transaction changes the key at {0} twice; nothing was changed; keep the last change only")]
    ChangedTwice(KeyHash),
    /// The encoded value is longer than the limit. Nothing was changed.
    #[error(
        "the value takes {bytes} bytes and the limit is {limit}; nothing was changed; raise max_value_bytes on all replicas"
    )]
    ValueTooLong {
        /// Length of the encoding, parts included.
        bytes: usize,
        /// [`ReplicaConfig::max_value_bytes`](super::ReplicaConfig::max_value_bytes).
        limit: usize,
    },
    /// The encoded key is longer than the limit. Nothing was changed.
    #[error("the key takes {bytes} bytes and the limit is {limit}; nothing was changed; use shorter keys")]
    KeyTooLong {
        /// Length of the encoding.
        bytes: usize,
        /// [`ReplicaConfig::max_key_bytes`](super::ReplicaConfig::max_key_bytes).
        limit: usize,
    },
    /// The value's encoding does not decode to the same value: it has an unordered map, for example, or its `decode` does
    /// not fit its `encode`. Nothing was changed.
    #[error("the value does not decode to what it was; nothing was changed; check its type with the conformance kit")]
    NotCanonical,
    /// Two keys have the same 128-bit hash, which does not happen by chance. Nothing was changed.
    #[error("another key has the same hash {0}; nothing was changed; choose another key")]
    KeyCollision(KeyHash),
    /// The writer policy does not admit this replica's own id. Nothing was changed.
    #[error(
        "the writer policy does not admit this replica's id; nothing was changed; add it to the allow-list everywhere"
    )]
    NotAdmitted,
    /// The replica has no counter left, which takes 2^64 writes. Nothing was changed.
    #[error(transparent)]
    Counter(#[from] CounterExhausted),
    /// What the store holds is not what was written to it. Nothing was changed.
    #[error(
        "the record at {key} is damaged: {reason}; nothing was changed; audit the replica, restore the store or wipe it and synchronise"
    )]
    DamagedRecord {
        /// Where the record lies.
        key: KeyHash,
        /// What is wrong with it.
        reason: String,
    },
    /// The store's metadata is unusable. Nothing was changed.
    #[error(
        "the store's metadata is damaged: {reason}; nothing was changed; restore the store or wipe it and synchronise"
    )]
    DamagedMeta {
        /// What is wrong with it.
        reason: String,
    },
    /// This crate has a bug: what its own rules exclude has happened. Nothing was changed; report it, and audit the
    /// replica.
    #[error("{0}, which is a bug of the crate anti-entropy; nothing was changed; report it, and audit the replica")]
    BrokenInvariant(&'static str),
}
