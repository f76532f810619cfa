//! Versions of a value, and the hashes that identify them.

use alloc::vec::Vec;

use digest::Update;

use sha2::{Digest as _, Sha256};

use super::ValueBytes;
use super::encoding::{DecodeError, serde_encode};
use super::item::{Digest, Encoded, Part, PartHash, Replicated, tag};
use crate::KeyHash;
use crate::clock::{Dot, Timestamp};
use crate::summary::Fingerprint;

/// One version of a value: the name of the write, its timestamp, and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version<V> {
    /// The name of the write.
    pub dot: Dot,
    /// The time of the write by the writer's hybrid logical clock.
    pub timestamp: Timestamp,
    /// The value that was written.
    pub value: V,
}

/// The versions at a key: one, or several that were written concurrently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V: Replicated> {
    /// The key.
    pub key: V::Key,
    /// The versions in canonical order, by dot. Never empty.
    pub siblings: Vec<Version<V>>,
}

anti_entropy_summary::__opaque_bytes! {
    /// The hash of a version's timestamp and content.
    pub struct ContentHash(32)
}

impl ContentHash {
    /// SHA-256 over a tag, the timestamp's 12 bytes and the bytes that [`Digest`] feeds.
    pub fn of<V: Digest>(timestamp: Timestamp, value: &V) -> Self {
        Self::with(timestamp, |hash| value.digest(hash))
    }

    fn with(timestamp: Timestamp, feed: impl FnOnce(&mut Sha256)) -> Self {
        let mut hash = Sha256::new();
        Update::update(&mut hash, &[tag::CONTENT]);
        Update::update(&mut hash, &timestamp.to_bytes());
        feed(&mut hash);
        Self(hash.finalize().into())
    }
}

/// The bytes that a value feeds to its digest. Two values that feed the same have the same content hash, and comparing
/// takes less than hashing both.
#[derive(Default)]
pub(super) struct Fed(Vec<u8>);

impl Fed {
    pub(super) fn by(value: &impl Digest) -> Self {
        let mut fed = Self::default();
        value.digest(&mut fed);
        fed
    }

    /// Whether another value feeds the same bytes.
    pub(super) fn is_fed_by(&self, value: &impl Digest) -> bool {
        let mut rest = Rest(Some(&self.0));
        value.digest(&mut rest);
        rest.0.is_some_and(<[u8]>::is_empty)
    }
}

impl Update for Fed {
    fn update(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }
}

/// What is still to come, as long as it was the same so far.
struct Rest<'a>(Option<&'a [u8]>);

impl Update for Rest<'_> {
    fn update(&mut self, data: &[u8]) {
        self.0 = self.0.and_then(|rest| rest.strip_prefix(data));
    }
}

/// A version as a replica handles it: decoded, with its bytes and their hash.
#[derive(Clone, Debug)]
pub(crate) struct Sibling<V> {
    pub(crate) version: Version<V>,
    pub(crate) encoded: Encoded,
    /// For each part, whether a version that this one followed at this replica had it too. Peers that have an entry at the
    /// key then probably hold the part, and it is named to them instead of sent. A hint: it is not hashed or sent.
    pub(crate) inherited: Vec<bool>,
    pub(crate) content: ContentHash,
}

impl<V: Replicated> Sibling<V> {
    /// A version from its bytes, which come from a peer or a file.
    pub(crate) fn from_bytes(
        dot: Dot,
        timestamp: Timestamp,
        key: &V::Key,
        encoded: Encoded,
    ) -> Result<Self, DecodeError> {
        let value = V::decode(key, &encoded)?;
        Ok(Self::of(dot, timestamp, value, encoded))
    }

    /// A version from its value and what that encodes to.
    pub(super) fn of(dot: Dot, timestamp: Timestamp, value: V, encoded: Encoded) -> Self {
        let content = ContentHash::of(timestamp, &value);
        Self::with_content(dot, timestamp, value, encoded, content)
    }

    /// A version whose value feeds these bytes.
    pub(super) fn that_feeds(fed: &Fed, dot: Dot, timestamp: Timestamp, value: V, encoded: Encoded) -> Self {
        let content = ContentHash::with(timestamp, |hash| Update::update(hash, &fed.0));
        Self::with_content(dot, timestamp, value, encoded, content)
    }

    fn with_content(dot: Dot, timestamp: Timestamp, value: V, encoded: Encoded, content: ContentHash) -> Self {
        let inherited = alloc::vec![false; encoded.parts.len()];
        Self { version: Version { dot, timestamp, value }, encoded, inherited, content }
    }
}

impl<V> Sibling<V> {
    pub(crate) fn dot(&self) -> Dot {
        self.version.dot
    }

    /// Marks the parts that one of `earlier`, the siblings held so far, had already.
    pub(crate) fn inherit(&mut self, earlier: &[Sibling<V>]) {
        self.inherit_where(|part| earlier.iter().any(|sibling| sibling.encoded.parts.contains(part)));
    }

    /// Marks the parts that were held already.
    pub(super) fn inherit_where(&mut self, is_held: impl Fn(&Part) -> bool) {
        for (part, inherited) in self.encoded.parts.iter().zip(&mut self.inherited) {
            *inherited |= is_held(part);
        }
    }

    /// Bytes of this version that were not held at its key before, and do not come with the versions `earlier` in its
    /// entry; meaningful after [`inherit`](Self::inherit).
    pub(crate) fn new_bytes(&self, earlier: &[Sibling<V>]) -> ValueBytes {
        let comes = |part: &Part| earlier.iter().any(|sibling| sibling.encoded.parts.contains(part));
        let parts = self.encoded.parts.iter().zip(&self.inherited);
        let new = parts.filter(|(part, inherited)| !**inherited && !comes(part));
        ValueBytes::of(&self.encoded.body, new.map(|(part, _)| part.as_bytes().len()))
    }

    pub(crate) fn part_hashes(&self) -> impl Iterator<Item = PartHash> + '_ {
        self.encoded.parts.iter().map(super::item::Part::hash)
    }
}

/// What a replica holds at a key, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Record<V: Replicated> {
    pub(crate) key: V::Key,
    pub(crate) key_bytes: Vec<u8>,
    /// In canonical order, by dot. Empty only while an operation is under way.
    pub(crate) siblings: Vec<Sibling<V>>,
}

impl<V: Replicated> Record<V> {
    pub(crate) fn empty(key: V::Key) -> Self {
        let key_bytes = serde_encode(&key);
        Self { key, key_bytes, siblings: Vec::new() }
    }

    pub(crate) fn key_hash(&self) -> KeyHash {
        KeyHash::of_encoded(&self.key_bytes)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_with(&self.siblings)
    }

    /// The fingerprint that the record would have with these siblings.
    pub(crate) fn fingerprint_with(&self, siblings: &[Sibling<V>]) -> Fingerprint {
        fingerprint(&self.key_bytes, siblings.iter().map(|sibling| (sibling.dot(), sibling.content)))
    }

    /// At least as many bytes as the record takes in a message with all its content.
    pub(crate) fn max_len_bytes(&self) -> usize {
        let versions = self.siblings.iter().map(|held| (held.encoded.len_bytes(), held.encoded.parts.len()));
        max_len_bytes(&self.key_bytes, versions)
    }

    pub(crate) fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.siblings.iter().map(Sibling::dot)
    }

    pub(crate) fn into_entry(self) -> Entry<V> {
        Entry { key: self.key, siblings: self.siblings.into_iter().map(|sibling| sibling.version).collect() }
    }
}

/// At least as many bytes as an entry takes in a message, from its key and of each version the bytes and how many parts
/// it has.
pub(super) fn max_len_bytes(key_bytes: &[u8], versions: impl Iterator<Item = (usize, usize)>) -> usize {
    // Lengths, and of each version dot, timestamp and kind.
    const ENTRY: usize = 32;
    const VERSION: usize = 64;
    const PART: usize = 16;
    ENTRY + key_bytes.len() + versions.map(|(bytes, parts)| VERSION + bytes + PART * parts).sum::<usize>()
}

/// The fingerprint of an entry in the Merkle tree: SHA-256 over a tag, the key with its length, and for each sibling,
/// in canonical order, dot and content hash.
pub(crate) fn fingerprint(
    key_bytes: &[u8],
    siblings: impl ExactSizeIterator<Item = (Dot, ContentHash)>,
) -> Fingerprint {
    let mut hash = Sha256::new();
    Update::update(&mut hash, &[tag::ENTRY]);
    Update::update(&mut hash, &(key_bytes.len() as u64).to_be_bytes());
    Update::update(&mut hash, key_bytes);
    Update::update(&mut hash, &(siblings.len() as u64).to_be_bytes());
    plant!(let siblings = fingerprint(siblings));
    for (dot, content) in siblings {
        Update::update(&mut hash, &dot.replica.to_bytes());
        Update::update(&mut hash, &dot.counter.to_be_bytes());
        Update::update(&mut hash, content.as_bytes());
    }
    Fingerprint::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that feeds what is between the bars.
    struct Pieces(&'static str);

    impl Digest for Pieces {
        fn digest<H: Update>(&self, hash: &mut H) {
            self.0.split('|').for_each(|piece| hash.update(piece.as_bytes()));
        }
    }

    #[test]
    fn values_that_feed_the_same_bytes_are_told_from_others() {
        let fed = Fed::by(&Pieces("ab||c"));
        for same in ["abc", "a|bc", "|ab|c|"] {
            assert!(fed.is_fed_by(&Pieces(same)), "{same}");
        }
        for other in ["", "ab", "abcd", "abc|d", "xbc", "x|abc", "bc|abc"] {
            assert!(!fed.is_fed_by(&Pieces(other)), "{other}");
        }
        let content = ContentHash::with(Timestamp::MIN, |hash| Update::update(hash, &fed.0));
        assert_eq!(content, ContentHash::of(Timestamp::MIN, &Pieces("abc")));
    }
}
