//! The traits of replicated values, and their encodings.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use digest::Update;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::encoding::{DecodeError, EncodeError, encode_for_write, serde_decode, serde_encode};

/// Feeds the content of a value into a hash function.
///
/// Not to be confused with RustCrypto's `digest::Digest`, which is a hash function. *Values* implement this trait, and
/// feed their content to such a function. Replicas treat two values that feed the same bytes as the same value. Content
/// that is not fed is not certified, so leave out only what may differ between replicas.
///
/// # Implementer notes
///
/// - Feed everything that [`Replicated::encode`] encodes and that replicas must agree on. The bytes of the encoding are
///   a good choice; [`replicated!`](crate::replicated) uses them.
/// - Different values must feed different bytes: feed the length of a field before the field if the length varies.
/// - Feed nothing that depends on the platform, the process or the order of a map. Feed floats as their bits.
///
/// The conformance kit checks that the digest changes with the content.
pub trait Digest {
    /// Feeds the content of this value into `hash`.
    fn digest<H: Update>(&self, hash: &mut H);
}

/// A value that is replicated: it has a key and a canonical encoding.
///
/// [`replicated!`](crate::replicated) implements both traits for a serde type in one line. For a plain map use
/// [`Keyed`], for a set `Keyed<K, ()>`.
///
/// # Implementer notes
///
/// - [`encode`](Self::encode) is canonical: equal values have equal bytes, on every platform.
/// - [`decode`](Self::decode) returns the value that `encode` encoded, and refuses everything that `encode` would not
///   return.
/// - The encoding does not contain the key, which `decode` is given.
/// - `decode` reads bytes from peers and files: it returns an error and never panics. The value that it returns has the
///   given key.
/// - Two keys are equal if and only if their encodings are.
///
/// The conformance kit checks these laws.
pub trait Replicated: Digest + Clone + Send + Sync + 'static {
    /// The type of the keys. They are stored and sent in postcard's encoding, which is canonical for serde types
    /// without floats and unordered maps.
    type Key: Serialize + DeserializeOwned + Ord + Clone + fmt::Debug + Send + Sync + 'static;

    /// The key of this value.
    fn key(&self) -> Self::Key;

    /// The canonical encoding, without the key.
    fn encode(&self) -> Encoded;

    /// Decodes a value that `encode` has encoded.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not an encoding of a value under this key.
    fn decode(key: &Self::Key, encoded: &Encoded) -> Result<Self, DecodeError>;

    /// The canonical encoding of a value that is about to be written locally. Provided: that of [`encode`](Self::encode).
    ///
    /// Implement it if some values of the type have no encoding, because they nest too deep for `decode` for example. The
    /// write then fails with [`Error::NotEncodable`](crate::Error::NotEncodable), and `encode` is not called.
    ///
    /// # Errors
    /// [`EncodeError`] if the value has no encoding.
    fn try_encode(&self) -> Result<Encoded, EncodeError> {
        Ok(self.encode())
    }
}

/// The canonical encoding of a value: a body, and parts that are sent only if the receiver lacks them.
///
/// A part is large content that often stays the same when the rest changes, such as an embedding or a blob. A peer that
/// holds a part under the same key is sent its hash instead of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The content that is not in parts.
    pub body: Vec<u8>,
    /// The parts, in the order that `decode` expects.
    pub parts: Vec<Part>,
}

impl Encoded {
    /// An encoding without parts.
    pub fn from_body(body: Vec<u8>) -> Self {
        Self { body, parts: Vec::new() }
    }

    /// The length of body and parts, in bytes.
    pub fn len_bytes(&self) -> usize {
        self.body.len() + self.parts.iter().map(|part| part.as_bytes().len()).sum::<usize>()
    }
}

/// A part of a value, which is identified by its hash. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Part(Arc<[u8]>);

impl Part {
    /// The part's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash that identifies the part. O(length).
    pub fn hash(&self) -> PartHash {
        let mut hash = Sha256::new();
        Update::update(&mut hash, &[tag::PART]);
        Update::update(&mut hash, &self.0);
        PartHash(hash.finalize().into())
    }
}

impl From<Vec<u8>> for Part {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Part {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes)", self.0.len())
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(Self::from)
    }
}

anti_entropy_summary::__opaque_bytes! {
    /// The hash that identifies a [`Part`]: SHA-256 over a tag and the bytes (docs/protocol.md, "Hashes").
    pub struct PartHash(32)
}

/// A value of any serde type with a key of any serde type: the item of a plain replicated map.
///
/// For a set, use `Keyed<K, ()>`. A value that nests deeper than [`MAX_NESTING`](crate::value::MAX_NESTING) levels, or
/// contains a map or set without an order, is not written.
///
/// ```
/// use anti_entropy::{Keyed, Replicated};
///
/// let entry = Keyed::new("colour".to_string(), "green".to_string());
/// assert_eq!(entry.key(), "colour");
/// let copy = Keyed::decode(&entry.key(), &entry.encode())?;
/// assert_eq!(copy, entry);
/// # Ok::<(), anti_entropy::value::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyed<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

impl<K, V> Keyed<K, V> {
    /// An item with this key and value.
    pub const fn new(key: K, value: V) -> Self {
        Self { key, value }
    }
}

impl<K, V: Serialize> Digest for Keyed<K, V> {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(&serde_encode(&self.value));
    }
}

impl<K, V> Replicated for Keyed<K, V>
where
    K: Serialize + DeserializeOwned + Ord + Clone + fmt::Debug + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    type Key = K;

    fn key(&self) -> K {
        self.key.clone()
    }

    fn encode(&self) -> Encoded {
        Encoded::from_body(serde_encode(&self.value))
    }

    fn decode(key: &K, encoded: &Encoded) -> Result<Self, DecodeError> {
        Ok(Self::new(key.clone(), serde_decode(encoded)?))
    }

    fn try_encode(&self) -> Result<Encoded, EncodeError> {
        encode_for_write(&self.value).map(Encoded::from_body)
    }
}

/// Implements [`Digest`] and [`Replicated`] for a serde type in one line, from its name, the type of its key, and how
/// to get the key of a value.
///
/// The canonical encoding is postcard's. All of it is fed to the digest. A value that nests deeper than
/// [`MAX_NESTING`](crate::value::MAX_NESTING) levels, or contains a map or set without an order, is not written.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Note {
///     id: String,
///     text: String,
/// }
/// anti_entropy::replicated!(Note, key: String = |note| note.id.clone());
/// ```
#[macro_export]
macro_rules! replicated {
    ($item:ty, key: $key:ty = $key_of:expr) => {
        impl $crate::Digest for $item {
            fn digest<H: $crate::__private::Update>(&self, hash: &mut H) {
                hash.update(&$crate::value::serde_encode(self));
            }
        }

        impl $crate::Replicated for $item {
            type Key = $key;

            fn key(&self) -> $key {
                let key_of: fn(&$item) -> $key = $key_of;
                key_of(self)
            }

            fn encode(&self) -> $crate::value::Encoded {
                $crate::value::Encoded::from_body($crate::value::serde_encode(self))
            }

            fn decode(
                key: &$key,
                encoded: &$crate::value::Encoded,
            ) -> ::core::result::Result<Self, $crate::value::DecodeError> {
                let item: Self = $crate::value::serde_decode(encoded)?;
                if $crate::Replicated::key(&item) == *key {
                    Ok(item)
                } else {
                    Err($crate::value::DecodeError::new("it belongs under another key"))
                }
            }

            fn try_encode(&self) -> ::core::result::Result<$crate::value::Encoded, $crate::value::EncodeError> {
                $crate::__private::encode_for_write(self).map($crate::value::Encoded::from_body)
            }
        }
    };
}

/// The first bytes of everything that is hashed here; the Merkle tree's own are 0x00 and 0x01.
pub(crate) mod tag {
    // 0x10 is that of key hashes, in `KeyHash`.
    pub(crate) const CONTENT: u8 = 0x11;
    pub(crate) const ENTRY: u8 = 0x12;
    pub(crate) const PART: u8 = 0x13;
}

/// Serde of byte vectors as bytes, which is copied at once instead of element by element.
pub(crate) mod bytes {
    use core::fmt;

    use alloc::vec::Vec;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }

    struct BytesVisitor;

    impl Visitor<'_> for BytesVisitor {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;

    #[test]
    fn parts_are_refused_where_there_are_none() {
        let mut encoded = Keyed::new(1u8, "x".to_string()).encode();
        encoded.parts.push(Part::from(&b"surplus"[..]));
        assert!(Keyed::<u8, String>::decode(&1, &encoded).is_err());
    }

    #[test]
    fn the_part_hash_is_sha_256_over_tag_and_bytes() {
        let golden: [u8; 32] = Sha256::digest([&[0x13], &b"embedding"[..]].concat()).into();
        assert_eq!(Part::from(&b"embedding"[..]).hash(), PartHash(golden));
    }
}
