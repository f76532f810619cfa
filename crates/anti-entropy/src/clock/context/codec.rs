//! The encoding of a context on disk: the own id and counter, the first clock, and how the others differ from it. A hole is
//! written as a piece, and is recognised when it is read.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::KeyHash;
use crate::clock::sparse::{Sparse, SparseRef};
use crate::clock::{Context, ReplicaId, VectorClock};

use super::Piece;

/// For the replica's own store. Peers are sent [`RangeClocks`](crate::clock::RangeClocks).
impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pieces = self.unfolded();
        let (first, rest) = pieces.split_first().ok_or_else(|| serde::ser::Error::custom("no piece"))?;
        let sparse = SparseRef::new(&first.clock, rest.iter().map(|piece| (piece.start, &*piece.clock)));
        (self.own, self.counter, sparse).serialize(serializer)
    }
}

/// Refuses other forms than encoding makes.
///
/// The number of counters is not limited, since a replica must be able to read what it has written. Do not decode a
/// context that a peer sent.
impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (own, counter, sparse) = <(ReplicaId, u64, Sparse)>::deserialize(deserializer)?;
        let pieces = sparse.expand(KeyHash::MIN, usize::MAX).map_err(de::Error::custom)?;
        if pieces.iter().any(|(_, clock)| clock.get(own) > 0) {
            return Err(de::Error::custom("a piece names the replica's own id"));
        }
        if !pieces.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1) {
            return Err(de::Error::custom("pieces must ascend and differ from their neighbours"));
        }
        let piece = |(start, clock): (KeyHash, VectorClock)| Piece { start, clock: Arc::new(clock) };
        let pieces = pieces.into_iter().map(piece).collect::<Vec<_>>();
        Ok(Self::of(own, counter, pieces))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    type Changes = Vec<(KeyHash, Vec<(ReplicaId, u64)>)>;

    fn id(number: u128) -> ReplicaId {
        ReplicaId::from_u128(number)
    }

    fn decode(rest: Changes) -> Result<Context, postcard::Error> {
        let base = VectorClock::from_iter([(id(2), 5)]);
        postcard::from_bytes(&postcard::to_allocvec(&(id(1), 3_u64, base, rest)).unwrap())
    }

    #[test]
    fn it_is_the_own_counter_and_sparse_clocks() {
        let at = KeyHash::from_u128(9);
        let context = decode(vec![(at, vec![(id(2), 4)])]).unwrap();
        assert_eq!((context.own_id(), context.own_counter(), context.pieces_len()), (id(1), 3, 2));
        assert_eq!((context.counter(KeyHash::MIN, id(2)), context.counter(at, id(2))), (5, 4));
    }

    #[test]
    fn only_the_canonical_encoding_is_accepted() {
        let at = |number| KeyHash::from_u128(number);
        for (what, rest) in [
            ("own id in a piece", vec![(at(9), vec![(id(1), 1)])]),
            ("second piece at the start", vec![(at(0), vec![(id(2), 4)])]),
            ("descending", vec![(at(9), vec![(id(2), 4)]), (at(8), vec![(id(2), 3)])]),
            ("equal neighbours", vec![(at(9), vec![])]),
            ("equal neighbours, not the base", vec![(at(9), vec![(id(2), 4)]), (at(10), vec![(id(2), 4)])]),
        ] {
            assert!(decode(rest).is_err(), "{what}");
        }
    }
}
