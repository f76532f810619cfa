//! The encoding of a batch (docs/protocol.md, "Batches").

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::lazy::Lazy;
use crate::clock::{Dot, RangeClocks, Timestamp};
use crate::replica::{ContentHash, Part, PartHash, Sibling, ValueBytes, bytes};
use crate::summary::{Difference, Fingerprint, KeyBits, Root};
use crate::{KeyHash, KeyRange};

/// The sender's state of a range, as the difference to a base. Clocks, digest and entries are of the same instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch<C = RangeClocks> {
    /// The range, and the sender's clocks in it.
    pub(crate) clocks: C,
    pub(crate) base: BatchBase,
    /// The root of the sender's tree restricted to the range.
    pub(crate) digest: Root,
    /// The keys at which the sender's state differs from the base, in order of their hashes.
    pub(crate) changes: Lazy<KeyState>,
}

/// What the sender holds at keys that its batch does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum BatchBase {
    /// The same as the receiver's snapshot. Which snapshot is meant follows from the session.
    Snapshot,
    /// Nothing: the batch is whole, which means that it lists all entries of its sender in the range.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyState {
    /// The sender holds nothing at this key.
    Absent(KeyHash),
    /// The sender's entry at a key.
    Present(WireEntry),
    /// The sender holds nothing at the only key of the receiver's snapshot whose hash has this prefix.
    AbsentUnder(KeyPrefix),
    /// The sender holds an entry at this key that the receiver cannot take in.
    Withheld(Withheld),
}

/// An entry that is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Withheld {
    pub(crate) key: KeyHash,
    /// What the entry adds to the digest.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) reason: WithheldFor,
}

/// Why an entry is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum WithheldFor {
    /// The receiver said that it cannot read it.
    Unreadable,
    /// It is longer than a message may be.
    TooLong,
}

/// The first 64 bits of a key hash, which is all that a sketch tells of a key that only the peer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct KeyPrefix(#[serde(with = "postcard::fixint::be")] pub(crate) u64);

impl KeyPrefix {
    /// The lowest key hash with this prefix.
    pub(crate) fn lowest(self) -> KeyHash {
        KeyHash::from_prefix(self.0)
    }

    /// The key hashes with this prefix.
    pub(crate) fn range(self) -> KeyRange {
        let end = self.0.checked_add(1).map(|next| Self(next).lowest());
        KeyRange::new(self.lowest(), end).unwrap_or(KeyRange::ALL)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    #[serde(with = "bytes")]
    pub(crate) key: Vec<u8>,
    pub(crate) versions: Lazy<WireVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVersion {
    pub(crate) dot: Dot,
    pub(crate) timestamp: Timestamp,
    pub(crate) content: WireContent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireContent {
    /// The receiver has seen this version, by its clock. It holds the version, or it has replaced or deleted it.
    Seen {
        content: ContentHash,
        /// The version's parts, if the receiver may have replaced the version since. The receiver then does not send back
        /// parts that the sender has.
        parts: Vec<PartHash>,
    },
    /// The encoded value.
    Sent(WireValue),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireValue {
    #[serde(with = "bytes")]
    pub(crate) body: Vec<u8>,
    pub(crate) parts: Lazy<WirePart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WirePart {
    /// The hash of a part that the receiver has: at this key, or in an earlier version of the entry.
    Held(PartHash),
    /// The part itself.
    Sent(Part),
}

/// How many bytes this takes in a message. Writes them to nowhere.
pub(crate) fn len_on_wire<T: Serialize>(value: &T) -> usize {
    postcard::serialize_with_flavor(value, postcard::ser_flavors::Size::default()).unwrap_or(usize::MAX)
}

/// The versions and parts that a peer is known to hold at a key.
pub(crate) type Held = (Vec<Dot>, Vec<PartHash>);

/// The same, by key.
pub(crate) type Inventory = BTreeMap<KeyHash, Held>;

impl Batch {
    pub(crate) fn range(&self) -> KeyRange {
        self.clocks.range()
    }
}

impl<C> Batch<C> {
    /// The same with its clocks in another form.
    pub(super) fn with_clocks<D>(self, change: impl FnOnce(C) -> D) -> Batch<D> {
        let Self { clocks, base, digest, changes } = self;
        Batch { clocks: change(clocks), base, digest, changes }
    }

    /// The bytes of values that are sent, without what is named.
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        self.changes.iter().map(|change| change.value_bytes()).sum()
    }
}

impl WireEntry {
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        self.versions.iter().map(|version| version.content.value_bytes()).sum()
    }
}

impl WirePart {
    fn bytes_sent(&self) -> usize {
        match self {
            Self::Held(_) => 0,
            Self::Sent(part) => part.as_bytes().len(),
        }
    }
}

impl KeyState {
    /// The encoding of a difference at which the sender holds nothing.
    pub(crate) fn absent(difference: &Difference) -> Self {
        match difference.known {
            KeyBits::All => Self::Absent(difference.key),
            KeyBits::First64 => Self::AbsentUnder(KeyPrefix(difference.key.prefix_u64())),
        }
    }

    pub(crate) fn key(&self) -> KeyHash {
        match self {
            Self::Absent(key) => *key,
            Self::Present(entry) => KeyHash::of_encoded(&entry.key),
            Self::AbsentUnder(prefix) => prefix.lowest(),
            Self::Withheld(withheld) => withheld.key,
        }
    }

    fn value_bytes(&self) -> ValueBytes {
        match self {
            Self::Absent(_) | Self::AbsentUnder(_) | Self::Withheld(_) => ValueBytes::default(),
            Self::Present(entry) => entry.value_bytes(),
        }
    }

    /// About how many bytes this takes in a frame.
    pub(crate) fn len_bytes(&self) -> usize {
        const FIXED: usize = 24;
        let entry = match self {
            Self::Present(entry) => entry,
            Self::Withheld(_) => return KeyHash::LEN + Fingerprint::LEN + 2,
            Self::Absent(_) | Self::AbsentUnder(_) => return KeyHash::LEN + 1,
        };
        let named = entry.versions.len() * 2 * FIXED;
        FIXED + entry.key.len() + named + usize::try_from(entry.value_bytes().all).unwrap_or(usize::MAX)
    }
}

impl WireContent {
    fn value_bytes(&self) -> ValueBytes {
        match self {
            Self::Seen { .. } => ValueBytes::default(),
            Self::Sent(value) => value.value_bytes(),
        }
    }
}

impl WireValue {
    /// A value as it is sent, with the parts in `named` by their hashes.
    pub(crate) fn of<V>(sibling: &Sibling<V>, named: impl Fn(usize, PartHash) -> bool) -> Self {
        let part = |(index, (part, hash)): (usize, (&Part, PartHash))| {
            if named(index, hash) { WirePart::Held(hash) } else { WirePart::Sent(part.clone()) }
        };
        let parts: Vec<WirePart> =
            sibling.encoded.parts.iter().zip(sibling.part_hashes()).enumerate().map(part).collect();
        Self { body: sibling.encoded.body.clone(), parts: parts.into() }
    }

    /// The bytes that are sent, without what is named.
    pub(crate) fn value_bytes(&self) -> ValueBytes {
        ValueBytes::of(&self.body, self.parts.iter().map(|part| part.bytes_sent()))
    }
}
