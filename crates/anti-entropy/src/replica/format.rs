//! What a replica keeps in its store, byte for byte: postcard of these types behind a format byte (docs/protocol.md,
//! "Disk").

use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounded::Excess;
use super::encoding::{DecodeError, canonical_from_bytes};
use super::item::{Encoded, Part, Replicated, bytes};
use super::version::{Record, Sibling};
use crate::clock::{Context, Dot, Raised, ReplicaId, Timestamp};

/// The first byte of everything in the store. A store written in another format is refused.
const FORMAT: u8 = 1;

/// Why bytes from the store are unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it is in format {0}, and this release reads format {FORMAT}")]
    OtherFormat(u8),
    #[error("it does not parse")]
    Damaged,
    #[error("it belongs under another key")]
    OtherKey,
    #[error("its write {0} is unknown to the store's context")]
    UnknownWrite(Dot),
    /// The bytes are those that were written, and the type of the value does not read them.
    #[error("{0}")]
    Type(&'static str),
}

/// How often a value that does not decode is decoded again: a type without an order takes its bytes at times.
const TRIES: u32 = 8;

/// Who the replica is and how far it has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: ReplicaId,
    pub(crate) counter: u64,
    /// Rewritten when the store is opened and when it is closed; the one of a closed store is known outside.
    pub(crate) marker: [u8; 16],
    pub(crate) last_timestamp: Timestamp,
    /// How many commits were made since the store was opened, this one included.
    pub(crate) commits: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredRecord {
    #[serde(with = "bytes")]
    key: Vec<u8>,
    siblings: Vec<StoredSibling>,
}

#[derive(Serialize, Deserialize)]
struct StoredSibling {
    dot: Dot,
    timestamp: Timestamp,
    #[serde(with = "bytes")]
    body: Vec<u8>,
    parts: Vec<StoredPart>,
}

#[derive(Serialize, Deserialize)]
struct StoredPart {
    inherited: bool,
    part: Part,
}

pub(crate) fn encode_identity(identity: &Identity) -> Vec<u8> {
    encode(identity)
}

pub(crate) fn decode_identity(bytes: &[u8]) -> Result<Identity, FormatError> {
    decode(bytes)
}

pub(crate) fn encode_context(context: &Context) -> Vec<u8> {
    encode(context)
}

pub(crate) fn decode_context(bytes: &[u8]) -> Result<Context, FormatError> {
    decode(bytes)
}

pub(crate) fn encode_raised(raised: &Raised) -> Vec<u8> {
    encode(raised)
}

pub(crate) fn decode_raised(bytes: &[u8]) -> Result<Raised, FormatError> {
    decode(bytes)
}

pub(crate) fn encode_record<V: Replicated>(record: &Record<V>) -> Vec<u8> {
    let siblings = record.siblings.iter().map(store_sibling).collect();
    let stored = StoredRecord { key: record.key_bytes.clone(), siblings };
    encode_into(Vec::with_capacity(record.max_len_bytes() + 1), &stored)
}

fn store_sibling<V>(sibling: &Sibling<V>) -> StoredSibling {
    let parts = sibling.encoded.parts.iter().zip(&sibling.inherited);
    StoredSibling {
        dot: sibling.version.dot,
        timestamp: sibling.version.timestamp,
        body: sibling.encoded.body.clone(),
        parts: parts.map(|(part, inherited)| StoredPart { inherited: *inherited, part: part.clone() }).collect(),
    }
}

pub(crate) fn decode_record<V: Replicated>(bytes: &[u8]) -> Result<Record<V>, FormatError> {
    let stored: StoredRecord = decode(bytes)?;
    let key: V::Key = canonical_from_bytes(&stored.key).map_err(|_| FormatError::Damaged)?;
    let mut siblings = Vec::with_capacity(stored.siblings.len());
    for sibling in stored.siblings {
        let (inherited, parts) = sibling.parts.into_iter().map(|stored| (stored.inherited, stored.part)).unzip();
        let encoded = Encoded { body: sibling.body, parts };
        let value =
            V::decode(&key, &encoded).map_err(|error| who_is_at_fault(&error, || V::decode(&key, &encoded).is_ok()))?;
        let decoded = Sibling::of(sibling.dot, sibling.timestamp, value, encoded);
        siblings.push(Sibling { inherited, ..decoded });
    }
    let sorted = siblings.windows(2).all(|pair| pair[0].dot() < pair[1].dot());
    if siblings.is_empty() || !sorted {
        return Err(FormatError::Damaged);
    }
    Ok(Record { key, key_bytes: stored.key, siblings })
}

/// Whether a value does not decode because of its type or because of its bytes.
fn who_is_at_fault(error: &DecodeError, decodes: impl Fn() -> bool) -> FormatError {
    match error.excess() {
        // A length that claims too much is what a flipped bit makes of it.
        Some(Excess::Nesting | Excess::Unordered) => FormatError::Type(error.reason()),
        None if (1..TRIES).any(|_| decodes()) => FormatError::Type(
            "it decodes at times and at times not, so its type has no order; use BTreeMap or BTreeSet",
        ),
        Some(Excess::Elements) | None => FormatError::Damaged,
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_into(Vec::new(), value)
}

fn encode_into<T: Serialize>(mut bytes: Vec<u8>, value: &T) -> Vec<u8> {
    bytes.push(FORMAT);
    postcard::to_extend(value, bytes).expect("our own types serialise, and memory grows")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(FormatError::Damaged),
        },
        Some((&other, _)) => Err(FormatError::OtherFormat(other)),
        None => Err(FormatError::Damaged),
    }
}
