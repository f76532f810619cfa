use core::fmt;

use serde::{Deserialize, Serialize};

/// The name of **one unbroken life of a store**.
///
/// A store that was wiped, or restored from a backup, gets a new id. If it kept the old one, it would make a
/// [`Dot`](crate::clock::Dot) that other replicas know as another write. They would take the new write for one that
/// they have seen already, and it would be lost. So an id must be 128 random bits, from
/// [`Seed::replica_id`](crate::clock::Seed::replica_id), and not an address or a node's name. A node to which frames
/// are sent has a [`PeerId`](crate::PeerId).
///
/// Encoded as 16 raw bytes, most significant first, which also give the order.
///
/// ```
/// use anti_entropy::clock::ReplicaId;
///
/// let id = ReplicaId::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
/// assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
/// assert_eq!(format!("{id:?}"), "ReplicaId(01234567)");
/// assert_eq!(ReplicaId::from_bytes(id.to_bytes()), id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId([u8; ReplicaId::LEN]);

impl ReplicaId {
    /// The length in bytes.
    pub const LEN: usize = 16;

    /// The id with these bits, most significant first.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    /// The bits of the id, most significant first.
    pub const fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The first eight bytes, as a number.
    pub(crate) fn first_eight(self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// The first 32 bits: enough to tell the replicas of one store apart in a log line.
    pub(super) const fn short(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Shows the first eight hexadecimal digits; `Display` shows all 32.
impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaId({:08x})", self.short())
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.to_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sixteen_raw_bytes_in_big_endian_order() {
        let id = ReplicaId::from_u128(0xff01_0203_0405_0607_0809_0a0b_0c0d_0e0f);
        let encoded = postcard::to_allocvec(&id).unwrap();
        assert_eq!(encoded, id.to_bytes());
        assert_eq!(encoded[..2], [0xff, 0x01]);
        assert_eq!(postcard::from_bytes::<ReplicaId>(&encoded).unwrap(), id);
        assert!(postcard::from_bytes::<ReplicaId>(&encoded[..15]).is_err());
    }

    #[test]
    fn it_is_ordered_as_its_number() {
        assert!(ReplicaId::from_u128(0xff) < ReplicaId::from_u128(0x100));
        assert!(ReplicaId::from_u128(1 << 127) > ReplicaId::from_u128(1 << 126));
    }
}
