use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{Context, RangeClocks, ReplicaId, VectorClock};

const TAG: &[u8] = b"anti-entropy context";

/// The hash of a context, from [`Context::hash`]. It does not depend on which replica the context belongs to.
///
/// ```
/// use anti_entropy::clock::{Context, ContextHash, ReplicaId};
///
/// // Two that have seen nothing have seen the same.
/// let hash = Context::new(ReplicaId::from_u128(1)).hash();
/// assert_eq!(hash, Context::new(ReplicaId::from_u128(2)).hash());
/// assert_eq!(ContextHash::from_bytes(hash.to_bytes()), hash);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContextHash([u8; ContextHash::LEN]);

impl ContextHash {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

/// Shows the first eight hexadecimal digits; `Display` shows all 64.
impl fmt::Debug for ContextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextHash(")?;
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for ContextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Context {
    /// The hash of the context. It is equal for replicas that have seen the same writes at every key.
    ///
    /// SHA-256 over: the 20 bytes `anti-entropy context`; the number of pieces, in 4 bytes; for each piece its start, in
    /// 16 bytes, the number of its counters, in 4 bytes, and for each counter above zero, in ascending order of the ids,
    /// the id, in 16 bytes, and the counter, in 8 bytes. Numbers are written most significant byte first. The own counter
    /// is in every piece, and pieces that are equal to their predecessor are merged into it. A hole is a piece. Linear in
    /// the counters.
    pub fn hash(&self) -> ContextHash {
        let mut hash = Sha256::new();
        hash.update(TAG);
        let pieces = self.unfolded();
        hash.update(count(pieces.len()));
        for piece in pieces.iter() {
            hash.update(piece.start.as_bytes());
            self.hash_clock(&mut hash, &piece.clock);
        }
        ContextHash(hash.finalize().into())
    }

    /// Hashes the clock of a piece with the own counter put where it belongs, without making a copy of the clock.
    fn hash_clock(&self, hash: &mut Sha256, clock: &VectorClock) {
        let own = (self.counter > 0).then_some((self.own, self.counter));
        let split = clock.entries().partition_point(|entry| entry.0 < self.own);
        let (below, above) = clock.entries().split_at(split);
        hash.update(count(clock.len() + usize::from(own.is_some())));
        hash_entries(hash, below.iter().copied().chain(own).chain(above.iter().copied()));
    }
}

impl RangeClocks {
    /// The same hash over these pieces. For all of the space, it is that of the context that they are from.
    pub(crate) fn hash(&self) -> ContextHash {
        let mut hash = Sha256::new();
        hash.update(TAG);
        hash.update(count(self.len()));
        for (piece, clock) in self.iter() {
            hash.update(piece.lo().as_bytes());
            hash.update(count(clock.len()));
            hash_entries(&mut hash, clock.iter());
        }
        ContextHash(hash.finalize().into())
    }
}

fn hash_entries(hash: &mut Sha256, entries: impl Iterator<Item = (ReplicaId, u64)>) {
    for (id, counter) in entries {
        hash.update(id.to_bytes());
        hash.update(counter.to_be_bytes());
    }
}

/// A number of things in memory, which never reaches 2<sup>32</sup> of at least 24 bytes each.
fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::clock::Dot;
    use crate::{KeyHash, KeyRange};

    fn id(number: u128) -> ReplicaId {
        ReplicaId::from_u128(number)
    }

    /// A context that has minted so many dots.
    fn context(own: u128, minted: u64) -> Context {
        let mut context = Context::new(id(own));
        assert!((0..minted).all(|_| context.mint().is_ok()));
        context
    }

    fn range_from(lo: u128) -> KeyRange {
        KeyRange::new(KeyHash::from_u128(lo), None).unwrap()
    }

    #[test]
    fn golden_vectors() {
        let context = Context::new(id(2));
        assert_eq!(context.hash().to_string(), "6b4d014bbb8689827f80e4bc6b3fa82dcbb95e2fbe5a6544dbffc9f1151a648d");

        let mut context = self::context(2, 2);
        context.join_range(&KeyRange::ALL, &VectorClock::from_iter([(id(1), 3)]));
        context.join_range(&range_from(1 << 127), &VectorClock::from_iter([(id(3), 258)]));
        assert_eq!(context.hash().to_string(), "4710da96d66f349929b0e6f4043246f9659a8c23c47a0b5f1ac7d444fc7996c5");
    }

    #[test]
    fn the_clocks_of_all_of_the_space_have_the_hash_of_their_context() {
        let mut context = context(2, 1);
        for (number, at) in [(1, 1 << 127), (7, 9), (8, 10)] {
            assert_eq!(context.pieces(&KeyRange::ALL).hash(), context.hash());
            context.join_range(&range_from(at), &VectorClock::from_iter([(id(number), 5)]));
        }
        assert_eq!((context.pieces_len(), context.holes_len()), (3, 1));
        assert_eq!(context.pieces(&KeyRange::ALL).hash(), context.hash());
    }

    #[test]
    fn those_who_have_seen_the_same_have_the_same_hash() {
        let [mut a, mut b] = [context(1, 1), context(2, 1)];
        let mut onlooker = Context::new(id(3));
        a.join(&b.pieces(&KeyRange::ALL));
        b.join(&a.pieces(&KeyRange::ALL));
        onlooker.join(&a.pieces(&KeyRange::ALL));
        assert_eq!([a.hash(), onlooker.hash()], [b.hash(); 2]);

        let last: Dot = b.mint().unwrap();
        assert_ne!(a.hash(), b.hash());
        a.raise(KeyHash::MAX, last);
        assert_eq!(a.hash(), b.hash());
    }

    #[test]
    fn a_cut_shows_in_the_hash() {
        let clock = VectorClock::from_iter([(id(1), 1)]);
        let joined = |lo| {
            let mut context = Context::new(id(9));
            context.join_range(&range_from(lo), &clock);
            context.hash()
        };
        assert_ne!(joined(1), joined(2));
        assert_ne!(joined(1), joined(0));
    }

    #[test]
    fn renaming_changes_nothing_that_was_seen() {
        let mut context = context(5, 1);
        let before = context.hash();
        assert!(context.rename(id(6)).is_ok());
        assert_eq!(context.hash(), before);
    }
}
