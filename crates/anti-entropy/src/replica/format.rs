//! What a replica keeps in its store, byte for byte: postcard of these types behind a format byte (docs/protocol.md,
//! "Disk").

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::bounded::Excess;
use super::encoding::{DecodeError, canonical_from_bytes};
use super::item::{Encoded, Part, Replicated, bytes};
use super::version::{Record, Sibling, max_len_bytes};
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

/// A record whose values are still bytes. Reading it costs little, however long they are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredRecord<'a> {
    #[serde(serialize_with = "bytes::serialize")]
    pub(super) key: &'a [u8],
    /// In canonical order, by dot.
    #[serde(borrow)]
    pub(super) siblings: Vec<StoredSibling<'a>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredSibling<'a> {
    pub(super) dot: Dot,
    pub(super) timestamp: Timestamp,
    #[serde(serialize_with = "bytes::serialize")]
    body: &'a [u8],
    #[serde(borrow)]
    parts: Vec<StoredPart<'a>>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredPart<'a> {
    inherited: bool,
    #[serde(serialize_with = "bytes::serialize")]
    part: &'a [u8],
}

impl<'a> StoredRecord<'a> {
    /// Reads a record from the store as far as possible without its values' type.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let stored: Self = decode(bytes)?;
        let sorted = stored.siblings.windows(2).all(|pair| pair[0].dot < pair[1].dot);
        if stored.siblings.is_empty() || !sorted {
            return Err(FormatError::Damaged);
        }
        Ok(stored)
    }

    pub(super) fn of<V: Replicated>(record: &'a Record<V>) -> Self {
        Self { key: &record.key_bytes, siblings: record.siblings.iter().map(StoredSibling::of).collect() }
    }

    /// The record with its values and their hashes.
    pub(super) fn decode<V: Replicated>(&self) -> Result<Record<V>, FormatError> {
        let key: V::Key = canonical_from_bytes(self.key).map_err(|_| FormatError::Damaged)?;
        let siblings = self.siblings.iter().map(|sibling| sibling.decode(&key)).collect::<Result<_, _>>()?;
        Ok(Record { key, key_bytes: self.key.to_vec(), siblings })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        encode_into(Vec::with_capacity(self.max_len_bytes() + 1), self)
    }

    pub(super) fn max_len_bytes(&self) -> usize {
        max_len_bytes(self.key, self.siblings.iter().map(|held| (held.len_bytes(), held.parts.len())))
    }

    pub(super) fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.siblings.iter().map(|held| held.dot)
    }

    /// Whether a version has this part.
    pub(super) fn has_part(&self, part: &[u8]) -> bool {
        self.siblings.iter().flat_map(|held| &held.parts).any(|held| held.part == part)
    }
}

impl<'a> StoredSibling<'a> {
    pub(super) fn of<V>(sibling: &'a Sibling<V>) -> Self {
        let parts = sibling.encoded.parts.iter().zip(&sibling.inherited);
        Self {
            dot: sibling.version.dot,
            timestamp: sibling.version.timestamp,
            body: &sibling.encoded.body,
            parts: parts.map(|(part, inherited)| StoredPart { inherited: *inherited, part: part.as_bytes() }).collect(),
        }
    }

    /// The version with its value and its hash.
    pub(super) fn decode<V: Replicated>(&self, key: &V::Key) -> Result<Sibling<V>, FormatError> {
        let (inherited, parts) = self.parts.iter().map(|stored| (stored.inherited, Part::from(stored.part))).unzip();
        let encoded = Encoded { body: self.body.to_vec(), parts };
        let value =
            V::decode(key, &encoded).map_err(|error| who_is_at_fault(&error, || V::decode(key, &encoded).is_ok()))?;
        let decoded = Sibling::of(self.dot, self.timestamp, value, encoded);
        Ok(Sibling { inherited, ..decoded })
    }

    fn len_bytes(&self) -> usize {
        self.body.len() + self.parts.iter().map(|stored| stored.part.len()).sum::<usize>()
    }
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

pub(crate) fn decode_record<V: Replicated>(bytes: &[u8]) -> Result<Record<V>, FormatError> {
    StoredRecord::read(bytes)?.decode()
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

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(FormatError::Damaged),
        },
        Some((&other, _)) => Err(FormatError::OtherFormat(other)),
        None => Err(FormatError::Damaged),
    }
}
