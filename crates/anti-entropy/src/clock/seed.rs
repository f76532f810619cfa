use core::fmt;

use sha2::{Digest, Sha256};

use crate::clock::ReplicaId;

const REPLICA_ID_TAG: &[u8] = b"anti-entropy replica id";
const NUMBER_TAG: &[u8] = b"anti-entropy seed number";
const STIRRED_TAG: &[u8] = b"anti-entropy seed stirred";

/// Random bytes that the caller passes in: the only source of randomness of a replica.
///
/// The core reads no random generator, so that a run can be repeated from its seed. Outside of tests, a seed must be 32
/// bytes from the operating system (`Seed::from_os`, with the feature `std`). Draw a new seed each time the store is
/// opened, and never store it: two stores with the same seed would make the same [`ReplicaId`].
///
/// `Debug` does not show the bytes: replica ids, and choices that peers must not predict, depend on them.
///
/// ```
/// use anti_entropy::clock::Seed;
///
/// let seed = Seed::from_bytes([7; 32]); // in tests; a program uses `Seed::from_os`
/// assert_ne!(seed.replica_id(0), seed.replica_id(1));
/// assert_ne!(seed.derive_u64("jitter"), seed.derive_u64("sketch"));
/// assert_eq!(format!("{seed:?}"), "Seed(..)");
/// ```
#[derive(Clone)]
pub struct Seed([u8; Seed::LEN]);

impl Seed {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// The seed with these bytes, **for tests**. A program uses `Seed::from_os`.
    ///
    /// A constant here loses data: a replica in memory that is restarted with the seed it had before takes the id that it
    /// had before, and makes its dots again for other writes. Its peers believe that they have seen these, and delete
    /// them. Where there is no `std`, pass 32 bytes from the hardware's generator, new ones at each opening.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// A seed from the operating system's random generator.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`](crate::clock::RandomnessUnavailable) if the operating system returns no random bytes.
    ///
    /// ```
    /// let seed = anti_entropy::clock::Seed::from_os()?;
    /// # Ok::<(), anti_entropy::clock::RandomnessUnavailable>(())
    /// ```
    #[cfg(feature = "std")]
    pub fn from_os() -> Result<Self, crate::clock::RandomnessUnavailable> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes).map_err(|_| crate::clock::RandomnessUnavailable)?;
        Ok(Self(bytes))
    }

    /// The `n`-th replica id of this seed.
    ///
    /// The first 16 bytes of SHA-256 over: the 23 bytes `anti-entropy replica id`, the 32 bytes of the seed, and `n` as
    /// 8 bytes, most significant first.
    pub fn replica_id(&self, n: u64) -> ReplicaId {
        ReplicaId::from_bytes(self.derive(REPLICA_ID_TAG, &n.to_be_bytes()))
    }

    /// A number for `label`. Numbers of different labels are independent of each other.
    ///
    /// The first 8 bytes, most significant first, of SHA-256 over: the 24 bytes `anti-entropy seed number`, the 32 bytes
    /// of the seed, and the label in UTF-8. Takes time linear in the length of the label.
    pub fn derive_u64(&self, label: &str) -> u64 {
        u64::from_be_bytes(self.derive(NUMBER_TAG, label.as_bytes()))
    }

    /// The seed that follows from this one and a number of somebody else's: SHA-256 over the 25 bytes `anti-entropy seed
    /// stirred`, the 32 bytes of this seed, and the number as 8 bytes, most significant first.
    pub(crate) fn stirred(&self, number: u64) -> Self {
        Self(self.derive(STIRRED_TAG, &number.to_be_bytes()))
    }

    /// The first `N <= 32` bytes of the hash that tag, seed and name make.
    fn derive<const N: usize>(&self, tag: &[u8], name: &[u8]) -> [u8; N] {
        const { assert!(N <= 32) }
        let hash = Sha256::new().chain_update(tag).chain_update(self.0).chain_update(name).finalize();
        let mut bytes = [0; N];
        bytes.copy_from_slice(&hash[..N]);
        bytes
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_vectors() {
        let seed = Seed::from_bytes(core::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(seed.replica_id(0).to_u128(), 0xcb4b_ee31_7e52_aadd_6e51_2d84_ff11_d38f);
        assert_eq!(seed.replica_id(258).to_u128(), 0x198d_10b6_8e83_5f07_1535_84cc_9f8d_f4b1);
        assert_eq!(seed.derive_u64("jitter"), 0x2041_5130_1d4c_8f01);
    }

    #[cfg(feature = "std")]
    #[test]
    fn two_seeds_from_the_operating_system_differ() {
        let (one, other) = (Seed::from_os().unwrap(), Seed::from_os().unwrap());
        assert_ne!(one.replica_id(0), other.replica_id(0));
    }
}
