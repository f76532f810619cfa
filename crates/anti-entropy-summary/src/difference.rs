//! What is known of a key at which two sets differ.

use core::fmt;

use crate::{Fingerprint, KeyHash, KeyRange};

/// A key at which two sets differ, and what each side holds there as far as it is known.
///
/// Every way to find differences gives these: [`Snapshot::diff`](crate::Snapshot::diff) knows both sides in full, a
/// [`Comparison`](crate::compare::Comparison) knows as much of the peer's fingerprint as was sent, and a
/// [`Decoder`](crate::sketch::Decoder) knows 64 bits of it, and only 64 bits of a key that the peer alone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Difference {
    /// The key's hash; if only a prefix of it is known, the lowest hash with that prefix.
    pub key: KeyHash,
    /// How much of the key's hash is known.
    pub known: KeyBits,
    /// The fingerprint on this side; `None` if nothing is held there.
    pub ours: Option<Fingerprint>,
    /// The fingerprint at the peer, as far as it is known; `None` if nothing is held there.
    pub theirs: Option<TruncatedFingerprint>,
}

/// How much of a key's hash is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyBits {
    /// All of it.
    All,
    /// The first 64 bits, of a key that only the peer holds.
    First64,
}

impl Difference {
    /// The difference at a key whose hash is known.
    #[inline]
    pub const fn at(key: KeyHash, ours: Option<Fingerprint>, theirs: Option<TruncatedFingerprint>) -> Self {
        Self { key, known: KeyBits::All, ours, theirs }
    }

    /// The difference at a key that only the peer holds, of whose hash the first 64 bits are known.
    #[inline]
    pub const fn under(prefix: u64, theirs: TruncatedFingerprint) -> Self {
        Self { key: KeyHash::from_prefix(prefix), known: KeyBits::First64, ours: None, theirs: Some(theirs) }
    }

    /// The last hash that the key may have.
    #[inline]
    pub const fn last(&self) -> KeyHash {
        match self.known {
            KeyBits::All => self.key,
            KeyBits::First64 => KeyHash::from_u128(self.key.to_u128() | u64::MAX as u128),
        }
    }

    /// The hashes that the key may have.
    pub fn range(&self) -> KeyRange {
        let end = self.last().to_u128().checked_add(1).map(KeyHash::from_u128);
        KeyRange::new(self.key, end).unwrap_or(KeyRange::ALL)
    }

    /// Whether what the peer holds may be `fingerprint`; `None` stands for nothing.
    #[inline]
    pub fn matches_theirs(&self, fingerprint: Option<Fingerprint>) -> bool {
        match (self.theirs, fingerprint) {
            (None, None) => true,
            (Some(theirs), Some(fingerprint)) => theirs.matches(&fingerprint),
            _ => false,
        }
    }
}

/// The first bytes of a fingerprint, as many as are known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TruncatedFingerprint {
    /// Zeros behind the width.
    bytes: [u8; Fingerprint::LEN],
    width: Width,
}

/// How much of each digest and fingerprint is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Width {
    /// The first eight bytes: safe against accidents, not against someone who searches for collisions.
    Short,
    /// All 32 bytes.
    Full,
}

impl Width {
    /// Bytes of a digest or fingerprint.
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

    /// A fingerprint of which these 64 bits are known, most significant byte first.
    pub fn short(prefix: u64) -> Self {
        Self::from_prefix(&prefix.to_be_bytes(), Width::Short)
    }

    /// From as many bytes as the width says, or fewer.
    pub(crate) fn from_prefix(prefix: &[u8], width: Width) -> Self {
        let mut bytes = [0; Fingerprint::LEN];
        bytes.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
        Self { bytes, width }
    }

    /// The bytes that are known.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.width.bytes()]
    }

    /// The whole fingerprint, if all of it is known.
    pub fn full(&self) -> Option<Fingerprint> {
        (self.width == Width::Full).then(|| Fingerprint::from_bytes(self.bytes))
    }

    /// The first eight bytes as a number.
    pub(crate) fn prefix_u64(&self) -> u64 {
        self.bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// Whether a fingerprint starts with these bytes.
    #[inline]
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.as_bytes().starts_with(self.as_bytes())
    }
}

/// A fingerprint of which everything is known.
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
