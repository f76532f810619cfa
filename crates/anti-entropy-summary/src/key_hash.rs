//! Key hashes, and ranges of them.

#[cfg(any(test, feature = "proptest", feature = "quickcheck"))]
mod arbitrary;

use core::ops::Bound;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

crate::__opaque_bytes! {
    /// The hash of a key: 128 bits, ordered as a big-endian number.
    ///
    /// A replica uses the first 16 bytes of SHA-256 over the encoded key (docs/protocol.md, "Key hash"). The hash is
    /// not keyed, so that all replicas compute the same one.
    pub struct KeyHash(16)
}

impl KeyHash {
    /// Length in bits.
    pub const BITS: u32 = 128;
    /// The lowest hash.
    pub const MIN: Self = Self([0; Self::LEN]);
    /// The highest hash.
    pub const MAX: Self = Self([0xff; Self::LEN]);

    /// The hash of a key: the first 16 bytes of SHA-256 over a tag and the key's encoding by postcard.
    ///
    /// O(length of the encoding).
    ///
    /// # Panics
    /// If the key's `Serialize` implementation returns an error, or writes a sequence without its length.
    pub fn of<K: Serialize + ?Sized>(key: &K) -> Self {
        Self::of_encoded(&postcard::to_allocvec(key).expect("a key serialises without failing, with lengths known"))
    }

    /// The hash of the key with this encoding. O(length).
    pub fn of_encoded(key: &[u8]) -> Self {
        const TAG: u8 = 0x10;
        let hash: [u8; 32] = Sha256::new().chain_update([TAG]).chain_update(key).finalize().into();
        Self::from_bytes(*hash.first_chunk().expect("32 bytes start with 16"))
    }

    /// The hash as a number, most significant byte first.
    #[inline]
    pub const fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The hash with this value as a number.
    #[inline]
    pub const fn from_u128(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// The lowest hash whose first 64 bits are `prefix`.
    #[inline]
    pub const fn from_prefix(prefix: u64) -> Self {
        Self::from_u128((prefix as u128) << 64)
    }

    /// The first eight bytes as a number, most significant byte first.
    #[inline]
    pub const fn prefix_u64(self) -> u64 {
        (self.to_u128() >> 64) as u64
    }

    /// The hash with the fewest significant bits that separates `self` from the greater hash `next`: `self < boundary
    /// <= next`.
    ///
    /// Ranges are cut at such boundaries: short ones coincide more often, and equal cuts can be merged.
    ///
    /// # Panics
    /// Never. If `next` is not greater than `self`, returns `next`.
    #[inline]
    pub fn boundary_before(self, next: Self) -> Self {
        if next <= self {
            return next;
        }
        let (low, high) = (self.to_u128(), next.to_u128());
        // The first differing bit is 1 in `high`: keeping `high` down to that bit is above `low` and not above `high`.
        let shared = (low ^ high).leading_zeros();
        let kept = u128::MAX << (Self::BITS - 1 - shared);
        Self::from_u128(high & kept)
    }
}

/// A half-open range `[lo, hi)` of key hashes. Without `hi` it has no upper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(KeyHash, Option<KeyHash>)")]
pub struct KeyRange {
    lo: KeyHash,
    hi: Option<KeyHash>,
}

impl KeyRange {
    /// All key hashes.
    pub const ALL: Self = Self { lo: KeyHash::MIN, hi: None };

    /// The range from `lo` up to and excluding `hi`; `None` for no upper end. Returns `None` if the range would be
    /// empty.
    #[inline]
    pub fn new(lo: KeyHash, hi: Option<KeyHash>) -> Option<Self> {
        match hi {
            Some(hi) if hi <= lo => None,
            _ => Some(Self { lo, hi }),
        }
    }

    /// The first hash of the range.
    #[inline]
    pub const fn lo(&self) -> KeyHash {
        self.lo
    }

    /// The first hash above the range; `None` if the range has no upper end.
    #[inline]
    pub const fn hi(&self) -> Option<KeyHash> {
        self.hi
    }

    /// Whether `hash` lies in the range.
    #[inline]
    pub fn contains(&self, hash: KeyHash) -> bool {
        self.lo <= hash && self.hi.is_none_or(|hi| hash < hi)
    }

    /// Whether all of `other` lies in this range.
    #[inline]
    pub fn includes(&self, other: &Self) -> bool {
        self.lo <= other.lo && end_at_most(other.hi, self.hi)
    }

    /// The intersection of two ranges; `None` if it is empty.
    #[inline]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let hi = if end_at_most(self.hi, other.hi) { self.hi } else { other.hi };
        Self::new(self.lo.max(other.lo), hi)
    }

    /// The range as bounds of the standard library's ordered maps.
    pub const fn bounds(&self) -> (Bound<KeyHash>, Bound<KeyHash>) {
        let end = match self.hi {
            Some(hi) => Bound::Excluded(hi),
            None => Bound::Unbounded,
        };
        (Bound::Included(self.lo), end)
    }
}

impl TryFrom<(KeyHash, Option<KeyHash>)> for KeyRange {
    type Error = &'static str;

    fn try_from((lo, hi): (KeyHash, Option<KeyHash>)) -> Result<Self, Self::Error> {
        Self::new(lo, hi).ok_or("a range ends where it starts, or before")
    }
}

/// Whether a range that ends at `a` ends no later than one that ends at `b`.
fn end_at_most(a: Option<KeyHash>, b: Option<KeyHash>) -> bool {
    match (a, b) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(a), Some(b)) => a <= b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u128) -> KeyHash {
        KeyHash::from_u128(number)
    }

    #[test]
    fn the_boundary_is_between_and_short() {
        for (low, high, boundary) in
            [(0, 1, 1), (5, 6, 6), (5, 7, 6), (0b0111, 0b1001, 0b1000), (0, u128::MAX, 1 << 127)]
        {
            assert_eq!(hash(low).boundary_before(hash(high)), hash(boundary), "{low} {high}");
        }
    }

    #[test]
    fn ranges_intersect_and_include() {
        let all = KeyRange::ALL;
        let middle = KeyRange::new(hash(10), Some(hash(20))).unwrap();
        let top = KeyRange::new(hash(15), None).unwrap();
        assert!(all.includes(&middle) && !middle.includes(&all) && all.includes(&top) && !middle.includes(&top));
        assert_eq!(middle.intersect(&top), KeyRange::new(hash(15), Some(hash(20))));
        assert_eq!(KeyRange::new(hash(0), Some(hash(10))).unwrap().intersect(&middle), None);
        assert!(middle.contains(hash(10)) && !middle.contains(hash(20)));
        assert!(KeyRange::new(hash(3), Some(hash(3))).is_none());
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_not_decoded() {
        let bytes = |lo, hi| postcard::to_allocvec(&(hash(lo), Some(hash(hi)))).unwrap();
        assert_eq!(postcard::from_bytes(&bytes(3, 4)), Ok(KeyRange::new(hash(3), Some(hash(4))).unwrap()));
        assert!(postcard::from_bytes::<KeyRange>(&bytes(4, 3)).is_err());
        assert!(postcard::from_bytes::<KeyRange>(&bytes(3, 3)).is_err());
    }
}
