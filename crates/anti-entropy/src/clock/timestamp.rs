use core::fmt;

use serde::{Deserialize, Serialize};

/// A hybrid logical timestamp: the time of the wall clock, and a counter that orders events within one millisecond.
///
/// Ordered by wall clock, then counter. If a write was made with knowledge of another, its timestamp is greater,
/// whatever the hosts' clocks say, as long as no host is ahead by more than is accepted. A
/// [`HybridClock`](crate::clock::HybridClock) makes timestamps.
///
/// ```
/// use anti_entropy::clock::Timestamp;
///
/// let earlier = Timestamp { wall_ms: 1_700_000_000_000, logical: 9 };
/// let later = Timestamp { wall_ms: 1_700_000_000_001, logical: 0 };
/// assert!(earlier < later && earlier.to_bytes() < later.to_bytes());
/// assert_eq!(Timestamp::from_bytes(later.to_bytes()), later);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub wall_ms: u64,
    /// Orders timestamps with the same `wall_ms`.
    pub logical: u32,
}

impl Timestamp {
    /// The length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = 12;
    /// The earliest timestamp.
    pub const MIN: Self = Self { wall_ms: 0, logical: 0 };
    /// The latest timestamp.
    pub const MAX: Self = Self { wall_ms: u64::MAX, logical: u32::MAX };

    /// The fixed-width encoding that is hashed: `wall_ms` in 8 bytes, `logical` in 4, each most significant byte first.
    ///
    /// Encodings are ordered as the timestamps are.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.wall_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&self.logical.to_be_bytes());
        bytes
    }

    /// The timestamp with this encoding by [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let wall_ms = bytes[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let logical = bytes[8..].iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
        Self { wall_ms, logical }
    }

    /// The least timestamp greater than this one; `None` for the latest one.
    pub const fn next(self) -> Option<Self> {
        match (self.logical.checked_add(1), self.wall_ms.checked_add(1)) {
            (Some(logical), _) => Some(Self { wall_ms: self.wall_ms, logical }),
            (None, Some(wall_ms)) => Some(Self { wall_ms, logical: 0 }),
            (None, None) => None,
        }
    }
}

/// Shows the milliseconds, a dot, and the logical counter.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms, self.logical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_big_endian() {
        let timestamp = Timestamp { wall_ms: 0x0102_0304_0506_0708, logical: 0x090a_0b0c };
        assert_eq!(timestamp.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn a_full_count_carries_into_the_wall_clock() {
        let full = Timestamp { wall_ms: 7, logical: u32::MAX };
        assert_eq!(full.next(), Some(Timestamp { wall_ms: 8, logical: 0 }));
        assert_eq!(Timestamp::MIN.next(), Some(Timestamp { wall_ms: 0, logical: 1 }));
        assert_eq!(Timestamp::MAX.next(), None);
    }

    proptest::proptest! {
        #[test]
        fn bytes_are_ordered_as_timestamps(a: Timestamp, b: Timestamp) {
            proptest::prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            proptest::prop_assert_eq!(Timestamp::from_bytes(a.to_bytes()), a);
            proptest::prop_assert!(a.next().is_none_or(|next| next > a));
        }
    }
}
