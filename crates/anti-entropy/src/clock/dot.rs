use core::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::ReplicaId;

/// Names one write or delete at one key, for ever: the replica that made it, and its number among that replica's writes.
///
/// A writer's counters are contiguous from 1, so that the highest one says which of its writes have been seen. Dots are
/// ordered by writer, then by counter. The order is canonical but says nothing about time. Decoding refuses a counter
/// of zero, which names no write.
///
/// From dotted version vectors (Preguiça, Baquero, Almeida, Fonte, Gonçalves, 2010).
///
/// ```
/// use anti_entropy::clock::{Dot, ReplicaId};
///
/// let dot = Dot { replica: ReplicaId::from_u128(0xabcd_ef01 << 96), counter: 3 };
/// assert_eq!(dot.to_string(), "abcdef01:3");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawDot")]
pub struct Dot {
    /// The replica that made the write.
    pub replica: ReplicaId,
    /// The number of the write among those of this replica, counted from 1.
    pub counter: u64,
}

/// A dot as it is decoded, before it is checked.
#[derive(Deserialize)]
struct RawDot {
    replica: ReplicaId,
    counter: u64,
}

impl TryFrom<RawDot> for Dot {
    type Error = &'static str;

    fn try_from(raw: RawDot) -> Result<Self, Self::Error> {
        match raw.counter {
            0 => Err("a dot with counter zero names no write"),
            counter => Ok(Self { replica: raw.replica, counter }),
        }
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dot({self})")
    }
}

/// Shows the first eight hexadecimal digits of the writer, a colon, and the counter.
impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}:{}", self.replica.short(), self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(replica: u128, counter: u64) -> Dot {
        Dot { replica: ReplicaId::from_u128(replica), counter }
    }

    #[test]
    fn writer_first_then_counter() {
        assert!(dot(1, 9) < dot(2, 1) && dot(2, 1) < dot(2, 2));
    }

    #[test]
    fn encoded_as_id_and_counter_and_never_zero() {
        let encoded = postcard::to_allocvec(&dot(7, 300)).unwrap();
        assert_eq!(encoded[..16], ReplicaId::from_u128(7).to_bytes());
        assert_eq!(encoded[16..], [0xac, 0x02]);
        assert_eq!(postcard::from_bytes::<Dot>(&encoded).unwrap(), dot(7, 300));
        let zero = postcard::to_allocvec(&dot(7, 0)).unwrap();
        assert!(postcard::from_bytes::<Dot>(&zero).is_err());
    }
}
