//! The one type for a key at which two sets differ.

use core::fmt;

use crate::{Fingerprint, KeyHash, KeyRange};

/// A key at which two sets differ, and what each side holds there as far as it is known.
///
/// How much is known depends on how the difference was found. [`Snapshot::diff`](crate::Snapshot::diff) knows both
/// sides in full. A [`Comparison`](crate::compare::Comparison) knows as much of the peer's fingerprint as the peer
/// sent. A [`Decoder`](crate::sketch::Decoder) knows the first 64 bits of it, and only the first 64 bits of a key that
/// the peer alone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Difference {
    /// The key's hash, or the lowest hash with the known prefix.
    pub key: KeyHash,
    /// How much of the key's hash is known.
    pub known: KeyBits,
    /// The fingerprint on this side; `None` if this side does not hold the key.
    pub ours: Option<Fingerprint>,
    /// The fingerprint at the peer, as far as it is known; `None` if the peer does not hold the key.
    pub theirs: Option<TruncatedFingerprint>,
}

/// How much of a key's hash is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyBits {
    /// All 128 bits.
    All,
    /// The first 64 bits, of a key that only the peer holds.
    First64,
}

impl Difference {
    /// A difference at a key whose hash is known in full.
    #[inline]
    pub const fn at(key: KeyHash, ours: Option<Fingerprint>, theirs: Option<TruncatedFingerprint>) -> Self {
        Self { key, known: KeyBits::All, ours, theirs }
    }

    /// A difference at a key that only the peer holds, of whose hash only the first 64 bits are known.
    #[inline]
    pub const fn under(prefix: u64, theirs: TruncatedFingerprint) -> Self {
        Self { key: KeyHash::from_prefix(prefix), known: KeyBits::First64, ours: None, theirs: Some(theirs) }
    }

    /// The highest hash that the key may have.
    #[inline]
    pub const fn last(&self) -> KeyHash {
        match self.known {
            KeyBits::All => self.key,
            KeyBits::First64 => KeyHash::from_u128(self.key.to_u128() | u64::MAX as u128),
        }
    }

    /// The range of hashes that the key may have.
    pub fn range(&self) -> KeyRange {
        let end = self.last().to_u128().checked_add(1).map(KeyHash::from_u128);
        KeyRange::new(self.key, end).unwrap_or(KeyRange::ALL)
    }

    /// Whether the peer may hold `fingerprint` at this key; `None` stands for no entry.
    #[inline]
    pub fn matches_theirs(&self, fingerprint: Option<Fingerprint>) -> bool {
        match (self.theirs, fingerprint) {
            (None, None) => true,
            (Some(theirs), Some(fingerprint)) => theirs.matches(&fingerprint),
            _ => false,
        }
    }
}

/// The bytes of a fingerprint that are known: all, or the first eight.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TruncatedFingerprint {
    /// Bytes beyond the width are zero.
    bytes: [u8; Fingerprint::LEN],
    width: Width,
}

/// How much of each digest and fingerprint is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Width {
    /// The first eight bytes. Enough against accidents, not against an attacker who searches for collisions.
    Short,
    /// All 32 bytes.
    Full,
}

impl Width {
    /// The number of bytes that are sent of a digest or fingerprint.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Short => 8,
            Self::Full => 32,
        }
    }
}

impl TruncatedFingerprint {
    /// A fingerprint cut to a width.
    pub fn new(fingerprint: &Fingerprint, width: Width) -> Self {
        Self::from_prefix(&fingerprint.as_bytes()[..width.bytes()], width)
    }

    /// A fingerprint of which only the first 64 bits are known, most significant byte first.
    pub fn short(prefix: u64) -> Self {
        Self::from_prefix(&prefix.to_be_bytes(), Width::Short)
    }

    /// From as many bytes as the width says, or fewer.
    pub(crate) fn from_prefix(prefix: &[u8], width: Width) -> Self {
        let mut bytes = [0; Fingerprint::LEN];
        bytes.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
        Self { bytes, width }
    }

    /// The known bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.width.bytes()]
    }

    /// The fingerprint, if all of it is known.
    pub fn full(&self) -> Option<Fingerprint> {
        (self.width == Width::Full).then(|| Fingerprint::from_bytes(self.bytes))
    }

    /// The first eight bytes as a number.
    pub(crate) fn prefix_u64(&self) -> u64 {
        self.bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// Whether a fingerprint starts with the known bytes.
    #[inline]
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.as_bytes().starts_with(self.as_bytes())
    }
}

/// A fingerprint that is known in full.
impl From<Fingerprint> for TruncatedFingerprint {
    #[inline]
    fn from(fingerprint: Fingerprint) -> Self {
        Self { bytes: fingerprint.to_bytes(), width: Width::Full }
    }
}

impl fmt::Debug for TruncatedFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TruncatedFingerprint(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
