//! The errors of local operations.

use alloc::string::{String, ToString};

use super::encoding::{DecodeError, EncodeError};
use super::format::FormatError;
use super::store::StoreError;
use crate::clock::{CounterExhausted, Dot};
use crate::{ConfigError, KeyHash};

/// Why a local operation failed. Peers cannot cause these errors: what a peer does wrong is a
/// [`Refusal`](crate::Refusal).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range or contradicts another one. Nothing was opened.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store failed. [`StoreError::may_have_changed`] says whether something may have been changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The replica has stopped, since it does not know what its store holds: an earlier commit may have been kept or not,
    /// or the store is not in the state in which the replica left it. Nothing was changed now. Open the replica again: it
    /// reads what the store holds.
    #[error("the replica has stopped: {cause}; nothing was changed; open it again")]
    Stopped {
        /// Why it stopped: what is wrong with the store, with all causes.
        cause: String,
    },
    /// The [`Seen`](super::Seen) token names a write that this replica has not seen: it comes from a replica that is
    /// ahead. Nothing was changed. Synchronise first, or read from this replica.
    #[error("the write {0} was seen elsewhere and not here; nothing was changed; synchronise first, or read again")]
    NotYetSeen(Dot),
    /// The [`Seen`](super::Seen) token was read at another key. Nothing was changed.
    #[error("what was seen belongs to another key; nothing was changed; pass what a read of this key returned")]
    SeenElsewhere,
    /// A transaction changes the same key twice. Nothing was changed.
    #[error("the transaction changes the key at {0} twice; nothing was changed; keep the last change only")]
    ChangedTwice(KeyHash),
    /// The encoded value is longer than allowed. Nothing was changed.
    #[error(
        "the value takes {bytes} bytes and the limit is {limit}; nothing was changed; raise max_value_bytes on all replicas"
    )]
    ValueTooLong {
        /// Length of the encoding, parts included.
        bytes: usize,
        /// [`ReplicaConfig::max_value_bytes`](super::ReplicaConfig::max_value_bytes).
        limit: usize,
    },
    /// The encoded key is longer than allowed. Nothing was changed.
    #[error("the key takes {bytes} bytes and the limit is {limit}; nothing was changed; use shorter keys")]
    KeyTooLong {
        /// Length of the encoding.
        bytes: usize,
        /// [`ReplicaConfig::max_key_bytes`](super::ReplicaConfig::max_key_bytes).
        limit: usize,
    },
    /// The first write under this replica's id would add the id to all clocks, and these name as many as they may:
    /// peers would refuse the write. Nothing was changed.
    #[error(
        "clocks would name {replicas} replicas and the limit is {limit}; nothing was changed; raise max_clock_replicas on all replicas"
    )]
    TooManyReplicas {
        /// The number of replicas that clocks would name.
        replicas: usize,
        /// [`ReplicaConfig::max_clock_replicas`](super::ReplicaConfig::max_clock_replicas), without the places that
        /// are [kept](super::ReplicaConfig::reserved_clock_percent).
        limit: usize,
    },
    /// With this write, the versions at its key would be longer together than a message may be, so that no peer could
    /// be sent them. Nothing was changed.
    #[error(
        "the versions at {key} would take {bytes} bytes and a message has room for {limit}; nothing was changed; replace some of them, or raise max_message_bytes on all replicas"
    )]
    EntryTooLong {
        /// The hash of the key.
        key: KeyHash,
        /// Length of the encodings of all versions, and of the key.
        bytes: usize,
        /// The least [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes) here and of peers, as far
        /// as these take [enough](super::ReplicaConfig::min_peer_message_bytes), without the room for clocks.
        limit: usize,
    },
    /// With this write, there would be more versions at its key than allowed, since it replaces none of them. Nothing was
    /// changed. Read the key, resolve the versions, and write the result with what was read.
    #[error(
        "{siblings} concurrent versions would be at {key} and the limit is {limit}; nothing was changed; read the key, resolve its versions and write the result with what was read"
    )]
    TooManySiblings {
        /// The hash of the key.
        key: KeyHash,
        /// The number of versions that there would be.
        siblings: usize,
        /// [`ReplicaConfig::max_siblings`](super::ReplicaConfig::max_siblings).
        limit: usize,
    },
    /// The value or its key has no encoding: it nests too deep, or contains a map without an order. Nothing was changed.
    #[error(transparent)]
    NotEncodable(#[from] EncodeError),
    /// The value's encoding does not decode to the same value. The value contains an unordered map, for example, or its
    /// `decode` does not match its `encode`. Nothing was changed.
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
    /// The replica has used up its 2^64 counters. Nothing was changed.
    #[error(transparent)]
    Counter(#[from] CounterExhausted),
    /// A record in the store is as it was written, and its type does not read it. Nothing was changed.
    ///
    /// Restoring the store does not help, since the bytes are in order. Change the type as the reason says, in all
    /// replicas, and open the store again.
    #[error(
        "the record at {key} is not damaged, but the type of its value does not read it: {reason}; nothing was changed; mend the type and open the store again; restoring the store does not help"
    )]
    TypeCannotRead {
        /// The hash of the record's key.
        key: KeyHash,
        /// What the type cannot read.
        reason: String,
    },
    /// A record in the store is not the one that was written. Nothing was changed.
    #[error(
        "the record at {key} is damaged: {reason}; nothing was changed; audit the replica, restore the store or wipe it and synchronise"
    )]
    DamagedRecord {
        /// The hash of the record's key.
        key: KeyHash,
        /// What is wrong with it.
        reason: String,
    },
    /// The store's metadata cannot be used. Nothing was changed.
    #[error(
        "the store's metadata is damaged: {reason}; nothing was changed; restore the store or wipe it and synchronise"
    )]
    DamagedMeta {
        /// What is wrong with it.
        reason: String,
    },
    /// This crate has a bug: something happened that its rules exclude. Nothing was changed. Report it, and audit the
    /// replica.
    #[error("{0}, which is a bug of the crate anti-entropy; nothing was changed; report it, and audit the replica")]
    BrokenInvariant(&'static str),
}

impl Error {
    /// The error for a record of the store that cannot be read.
    pub(super) fn of_record(key: KeyHash, error: FormatError) -> Self {
        match error {
            FormatError::Type(reason) => Self::TypeCannotRead { key, reason: reason.to_string() },
            error => Self::DamagedRecord { key, reason: error.to_string() },
        }
    }

    /// The error of a write whose value does not decode.
    pub(super) fn of_unreadable(error: &DecodeError) -> Self {
        error.excess().map_or(Self::NotCanonical, |excess| EncodeError::from(Some(excess)).into())
    }
}
