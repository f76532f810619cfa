//! Prefixes of key hashes, which name aligned ranges.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::span::{Span, bits_behind};
use crate::{KeyHash, KeyRange};

/// The key hashes that start with the same bits. The number of bits is even, since the tree splits by two bits.
///
/// Encoded as a byte string: the bits, a one, and zeros up to a whole byte. Decoding refuses other strings.
///
/// ```
/// use anti_entropy_summary::KeyHash;
/// use anti_entropy_summary::compare::Prefix;
///
/// let prefix = Prefix::new(4, KeyHash::from_bytes([0xab; 16])).unwrap();
/// assert_eq!(prefix.to_range().lo(), KeyHash::from_u128(0xa << 124));
/// assert_eq!(prefix.to_range().hi(), Some(KeyHash::from_u128(0xb << 124)));
/// assert_eq!(Prefix::new(5, KeyHash::MIN), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Prefix {
    // First, since prefixes are worked off in the order of where they start.
    start: KeyHash,
    bits: u8,
}

impl Prefix {
    /// The prefix without bits: all key hashes.
    pub const ALL: Self = Self { start: KeyHash::MIN, bits: 0 };
    /// The most bits of a prefix, which then names a single key hash.
    pub const MAX_BITS: u8 = 128;

    /// The prefix with the first `bits` bits of `hash`. `None` if `bits` is odd or above 128.
    pub fn new(bits: u8, hash: KeyHash) -> Option<Self> {
        let valid = bits.is_multiple_of(2) && bits <= Self::MAX_BITS;
        valid.then(|| Self { start: KeyHash::from_u128(hash.to_u128() & !bits_behind(bits)), bits })
    }

    /// The number of bits.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// The lowest hash with this prefix.
    pub const fn start(&self) -> KeyHash {
        self.start
    }

    /// The range of hashes with this prefix.
    pub fn to_range(&self) -> KeyRange {
        // A range that would be empty does not arise: the end is above the start, or behind the top.
        KeyRange::new(self.start, self.end()).unwrap_or(KeyRange::ALL)
    }

    /// The first hash behind the prefix; `None` if it reaches the top.
    pub(super) fn end(&self) -> Option<KeyHash> {
        self.span().last.checked_add(1).map(KeyHash::from_u128)
    }

    pub(super) fn span(&self) -> Span {
        Span::aligned(self.start.to_u128(), self.bits)
    }

    /// The prefix `levels` levels down that comes at `index` among those; `None` if it would have too many bits.
    pub(super) fn descendant(&self, levels: u8, index: usize) -> Option<Self> {
        let bits = self.bits + 2 * levels;
        let shift = Self::MAX_BITS.checked_sub(bits)?;
        let start = (index as u128).checked_shl(u32::from(shift)).unwrap_or(0) | self.start.to_u128();
        Some(Self { start: KeyHash::from_u128(start), bits })
    }

    /// How many leading bytes all hashes with this prefix have in common.
    pub(super) const fn whole_bytes(&self) -> usize {
        self.bits as usize / 8
    }
}

/// The error for a byte string that is not the encoding of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the encoding of a key-hash prefix; nothing was decoded")]
pub struct PrefixError;

impl From<Prefix> for Vec<u8> {
    fn from(prefix: Prefix) -> Self {
        let whole = prefix.whole_bytes();
        let mut bytes = prefix.start.as_bytes()[..whole].to_vec();
        let last = prefix.start.as_bytes().get(whole).copied().unwrap_or(0);
        bytes.push(last | 0x80 >> (prefix.bits % 8));
        bytes
    }
}

impl TryFrom<Vec<u8>> for Prefix {
    type Error = PrefixError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, PrefixError> {
        let (&last, whole) = bytes.split_last().ok_or(PrefixError)?;
        if last == 0 || whole.len() > KeyHash::LEN {
            return Err(PrefixError);
        }
        // At most 16 whole bytes and 7 bits; `new` refuses what is above 128.
        let marker = 7 - last.trailing_zeros() as usize;
        let bits = u8::try_from(whole.len() * 8 + marker).map_err(|_| PrefixError)?;
        let mut start = [0; KeyHash::LEN];
        for (to, from) in start.iter_mut().zip(&bytes) {
            *to = *from;
        }
        // Masking takes the marker bit off.
        Self::new(bits, KeyHash::from_bytes(start)).ok_or(PrefixError)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_length_survives_encoding_and_is_short() {
        for bits in (0..=128).step_by(2) {
            for hash in [KeyHash::MIN, KeyHash::MAX, KeyHash::from_bytes([0x5a; 16])] {
                let prefix = Prefix::new(bits, hash).unwrap();
                let bytes = postcard::to_allocvec(&prefix).unwrap();
                assert_eq!(bytes.len(), usize::from(bits) / 8 + 2);
                assert_eq!(postcard::from_bytes::<Prefix>(&bytes).unwrap(), prefix);
            }
        }
    }

    #[test]
    fn no_two_strings_name_one_prefix() {
        for string in 0..=u16::MAX {
            let bytes = string.to_be_bytes().to_vec();
            if let Ok(prefix) = Prefix::try_from(bytes.clone()) {
                assert_eq!(Vec::from(prefix), bytes);
            }
        }
        for bad in [vec![], vec![0], vec![0x40], vec![0; 17], vec![1; 17], vec![0x80; 18]] {
            assert_eq!(Prefix::try_from(bad), Err(PrefixError));
        }
    }

    #[test]
    fn descendants_tile_the_prefix() {
        for bits in [0, 2, 58, 120, 122, 124, 126] {
            let prefix = Prefix::new(bits, KeyHash::MAX).unwrap();
            for levels in 1..=3 {
                let parts: Option<Vec<_>> = (0..1 << (2 * levels)).map(|at| prefix.descendant(levels, at)).collect();
                let Some(parts) = parts else {
                    assert!(bits + 2 * levels > 128);
                    continue;
                };
                assert_eq!(parts[0].start(), prefix.start());
                assert!(parts.windows(2).all(|pair| pair[0].to_range().hi() == Some(pair[1].start())));
                assert_eq!(parts[parts.len() - 1].to_range().hi(), prefix.to_range().hi());
            }
        }
    }
}
