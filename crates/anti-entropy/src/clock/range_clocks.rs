use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::span::Span;
use crate::clock::sparse::{Sparse, SparseRef};
use crate::clock::{Dot, InvalidRangeClocks, ReplicaId, VectorClock};
use crate::{KeyHash, KeyRange};

/// The clocks of a range: one for each piece of a replica's context inside the range.
///
/// Every batch starts with them. A single clock would not be enough. If it were the maximum of several pieces, it would
/// claim writes that have not been seen; if it were their minimum, it would forget deletes. Either corrupts the
/// receiver.
///
/// Encoded as the range, the first clock in full, and for each further piece its start and the counters that differ
/// from the first clock, where 0 removes a counter. Decoding refuses other forms, and more than
/// [`MAX_COUNTERS`](Self::MAX_COUNTERS) counters. It allocates no memory on account of a stated length.
///
/// ```
/// use anti_entropy::clock::{RangeClocks, ReplicaId, VectorClock};
/// use anti_entropy::{KeyHash, KeyRange};
///
/// let writer = ReplicaId::from_u128(1);
/// let clock = |counter| VectorClock::from_iter([(writer, counter)]);
/// let [low, cut, high] = [0, 100, 200].map(KeyHash::from_u128);
///
/// let clocks = RangeClocks::new(KeyRange::ALL, vec![(low, clock(7)), (cut, clock(5))])?;
/// assert_eq!(clocks.clock_at(low), Some(&clock(7)));
/// assert_eq!(clocks.clock_at(high), Some(&clock(5)));
/// assert_eq!(clocks.max_counter(writer), 7);
/// # Ok::<(), anti_entropy::clock::InvalidRangeClocks>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RangeClocks {
    range: KeyRange,
    /// Strictly ascending starts inside the range, the first of which is the range's.
    pieces: Vec<(KeyHash, VectorClock)>,
}

impl RangeClocks {
    /// The most counters that decoding expands to, of all clocks together.
    ///
    /// A piece whose clock equals the first one takes 17 bytes when encoded and a whole clock in memory. So without a
    /// limit, a frame of one megabyte could take many gigabytes. 2<sup>20</sup> counters take 24 MiB, and are enough
    /// for a thousand pieces of a thousand replicas each.
    pub const MAX_COUNTERS: usize = 1 << 20;

    /// The clocks of `range`, from the start and the clock of each piece.
    ///
    /// # Errors
    /// [`InvalidRangeClocks`] unless the first piece starts where the range does, all starts lie inside the range, and
    /// the starts strictly ascend.
    pub fn new(range: KeyRange, pieces: Vec<(KeyHash, VectorClock)>) -> Result<Self, InvalidRangeClocks> {
        let lo = range.lo();
        if pieces.first().is_none_or(|first| first.0 != lo) {
            return Err(InvalidRangeClocks::StartNotCovered { lo });
        }
        if let Some(&(start, _)) = pieces.iter().find(|piece| !range.contains(piece.0)) {
            return Err(InvalidRangeClocks::OutsideRange { start });
        }
        if let Some(pair) = pieces.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(InvalidRangeClocks::NotAscending { start: pair[1].0 });
        }
        Ok(Self { range, pieces })
    }

    /// The clocks of `range` from pieces that are known to fit.
    pub(super) fn from_valid(range: KeyRange, pieces: Vec<(KeyHash, VectorClock)>) -> Self {
        Self { range, pieces }
    }

    /// The range.
    pub const fn range(&self) -> KeyRange {
        self.range
    }

    /// The clock at `hash`, or `None` outside the range. Logarithmic in the number of pieces.
    pub fn clock_at(&self, hash: KeyHash) -> Option<&VectorClock> {
        let after = self.pieces.partition_point(|piece| piece.0 <= hash);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        self.range.contains(hash).then_some(&piece.1)
    }

    /// Whether the write named by `dot` had been seen at the key with this hash. `false` outside the range.
    pub fn covers(&self, hash: KeyHash, dot: Dot) -> bool {
        self.clock_at(hash).is_some_and(|clock| clock.covers(dot))
    }

    /// The pieces in ascending order: the part of the range, and its clock.
    pub fn iter(&self) -> impl Iterator<Item = (KeyRange, &VectorClock)> {
        let ends = self.pieces.iter().skip(1).map(|piece| Some(piece.0)).chain([self.range.hi()]);
        // No piece is empty, so none is left out here.
        self.pieces.iter().zip(ends).filter_map(|((start, clock), end)| Some((KeyRange::new(*start, end)?, clock)))
    }

    /// The number of pieces, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// How many pieces are holes: for a single hash, with less seen than a neighbour has. Linear.
    pub(crate) fn holes_len(&self) -> usize {
        let starts = self.pieces.iter().map(|piece| piece.0.to_u128());
        let ends = starts.skip(1).map(Some).chain([self.range.hi().map(KeyHash::to_u128)]);
        let is_less = |at: usize, neighbour: Option<usize>| {
            let neighbour = neighbour.and_then(|neighbour| self.pieces.get(neighbour));
            neighbour
                .is_some_and(|neighbour| neighbour.1 != self.pieces[at].1 && neighbour.1.includes(&self.pieces[at].1))
        };
        let is_hole = |(at, end): (usize, Option<u128>)| {
            let is_single = self.pieces[at].0.to_u128().checked_add(1) == end;
            is_single && (is_less(at, at.checked_sub(1)) || is_less(at, Some(at + 1)))
        };
        ends.enumerate().filter(|piece| is_hole(*piece)).count()
    }

    /// The number of counters of all clocks together, which [`MAX_COUNTERS`](Self::MAX_COUNTERS) limits.
    pub fn counters(&self) -> usize {
        self.pieces.iter().map(|piece| piece.1.len()).sum()
    }

    /// The highest counter of `replica` in any piece, or 0.
    pub fn max_counter(&self, replica: ReplicaId) -> u64 {
        self.pieces.iter().map(|piece| piece.1.get(replica)).max().unwrap_or(0)
    }

    /// All replicas that the clocks name, each once, in ascending order.
    ///
    /// O(n log n) for n counters of all clocks together.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let mut replicas: Vec<_> = self.pieces.iter().flat_map(|piece| piece.1.iter().map(|entry| entry.0)).collect();
        replicas.sort_unstable();
        replicas.dedup();
        replicas.into_iter()
    }
}

impl Serialize for RangeClocks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, rest) = self.pieces.split_first().ok_or_else(|| serde::ser::Error::custom("no piece"))?;
        let sparse = SparseRef::new(&first.1, rest.iter().map(|(start, clock)| (*start, clock)));
        (Span(self.range), sparse).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RangeClocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Span(range), sparse) = <(Span, Sparse)>::deserialize(deserializer)?;
        let pieces = sparse.expand(range.lo(), Self::MAX_COUNTERS).map_err(de::Error::custom)?;
        Self::new(range, pieces).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::collection::btree_map;
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    type Changes = Vec<(KeyHash, Vec<(ReplicaId, u64)>)>;

    fn id(number: u128) -> ReplicaId {
        ReplicaId::from_u128(number)
    }

    fn at(number: u128) -> KeyHash {
        KeyHash::from_u128(number)
    }

    fn clock(entries: &[(u128, u64)]) -> VectorClock {
        entries.iter().map(|&(number, counter)| (id(number), counter)).collect()
    }

    fn range(lo: u128, hi: u128) -> KeyRange {
        KeyRange::new(at(lo), Some(at(hi))).unwrap()
    }

    fn clocks(range: KeyRange, pieces: Vec<(KeyHash, VectorClock)>) -> RangeClocks {
        RangeClocks::new(range, pieces).unwrap()
    }

    fn encode(value: impl Serialize) -> Vec<u8> {
        postcard::to_allocvec(&value).unwrap()
    }

    fn decode(base: &VectorClock, rest: &Changes) -> Result<RangeClocks, postcard::Error> {
        postcard::from_bytes(&encode((Span(range(10, 90)), base, rest)))
    }

    #[test]
    fn pieces_must_fit_the_range() {
        let new = |starts: &[u128]| {
            RangeClocks::new(range(10, 20), starts.iter().map(|&start| (at(start), VectorClock::new())).collect())
        };
        assert!(new(&[10, 11, 19]).is_ok());
        assert_eq!(new(&[]), Err(InvalidRangeClocks::StartNotCovered { lo: at(10) }));
        assert_eq!(new(&[11]), Err(InvalidRangeClocks::StartNotCovered { lo: at(10) }));
        assert_eq!(new(&[10, 20]), Err(InvalidRangeClocks::OutsideRange { start: at(20) }));
        assert_eq!(new(&[10, 9]), Err(InvalidRangeClocks::OutsideRange { start: at(9) }));
        assert_eq!(new(&[10, 15, 15]), Err(InvalidRangeClocks::NotAscending { start: at(15) }));
        assert!(new(&[11]).unwrap_err().to_string().contains("nothing was built"));
    }

    #[test]
    fn each_hash_has_the_clock_of_its_piece() {
        let pieces = vec![(at(10), clock(&[(1, 7)])), (at(15), clock(&[(1, 5), (2, 1)]))];
        let clocks = clocks(range(10, 20), pieces);
        let seen = |hash, counter| clocks.covers(at(hash), Dot { replica: id(1), counter });
        assert!(seen(10, 7) && seen(14, 7) && !seen(15, 6) && seen(15, 5) && seen(19, 5));
        assert!(!seen(9, 1) && !seen(20, 1), "outside");
        let parts: Vec<_> = clocks.iter().map(|(part, clock)| (part, clock.get(id(1)))).collect();
        assert_eq!(parts, [(range(10, 15), 7), (range(15, 20), 5)]);
        assert_eq!((clocks.max_counter(id(1)), clocks.max_counter(id(3)), clocks.counters()), (7, 0, 3));
        assert_eq!(clocks.replicas().collect::<Vec<_>>(), [id(1), id(2)]);
    }

    #[test]
    fn a_further_piece_costs_its_start_and_what_differs() {
        let base: VectorClock = (1..=100).map(|number| (id(number), 9)).collect();
        let mut other = base.clone();
        other.set(id(5), 3);
        other.set(id(6), 0);
        other.set(id(200), 1);
        let one = clocks(range(10, 90), vec![(at(10), base.clone())]);
        let two = clocks(range(10, 90), vec![(at(10), base), (at(50), other)]);
        let (one, two_encoded) = (encode(&one), encode(&two));
        assert_eq!(two_encoded.len() - one.len(), 16 + 1 + 3 * 17);
        assert_eq!(postcard::from_bytes(&two_encoded), Ok(two));
    }

    #[test]
    fn only_the_canonical_encoding_is_accepted() {
        let base = clock(&[(1, 7), (2, 2)]);
        let change = |entries: &[(u128, u64)]| entries.iter().map(|&(number, counter)| (id(number), counter)).collect();
        let good = decode(&base, &vec![(at(20), change(&[(1, 0), (2, 3), (4, 1)]))]).unwrap();
        assert_eq!(good.clock_at(at(20)), Some(&clock(&[(2, 3), (4, 1)])));
        for (what, rest) in [
            ("same counter as the base", vec![(at(20), change(&[(1, 7)]))]),
            ("removes what the base lacks", vec![(at(20), change(&[(3, 0)]))]),
            ("descending ids", vec![(at(20), change(&[(4, 1), (1, 0)]))]),
            ("repeated id", vec![(at(20), change(&[(4, 1), (4, 1)]))]),
            ("start repeated", vec![(at(20), change(&[])), (at(20), change(&[]))]),
            ("start of the range repeated", vec![(at(10), change(&[]))]),
            ("outside", vec![(at(90), change(&[]))]),
        ] {
            assert!(decode(&base, &rest).is_err(), "{what}");
        }
        let between = |lo, hi| encode((2_u8, at(lo), at(hi), &base, Changes::new()));
        assert!(postcard::from_bytes::<RangeClocks>(&between(3, 9)).is_ok());
        assert!(postcard::from_bytes::<RangeClocks>(&between(9, 3)).is_err(), "range that ends before it starts");
        let from = |lo| encode((1_u8, at(lo), &base, Changes::new()));
        assert!(postcard::from_bytes::<RangeClocks>(&from(1)).is_ok());
        assert!(postcard::from_bytes::<RangeClocks>(&from(0)).is_err(), "an end that need not be written down");
    }

    #[test]
    fn few_bytes_do_not_expand_to_many_counters() {
        let replicas = 1 << 12;
        let base: VectorClock = (1..=replicas).map(|number| (id(number), 1)).collect();
        let pieces = |count: u128| (1..count).map(|number| (at(number), Vec::new())).collect::<Changes>();
        let decode = |rest: Changes| {
            let encoded = encode((Span(KeyRange::ALL), &base, rest));
            assert!(encoded.len() < 1 << 17);
            postcard::from_bytes::<RangeClocks>(&encoded)
        };
        let most = RangeClocks::MAX_COUNTERS as u128 / replicas;
        assert_eq!(decode(pieces(most)).unwrap().counters(), RangeClocks::MAX_COUNTERS);
        assert!(decode(pieces(most + 1)).is_err());
    }

    proptest! {
        #[test]
        fn it_survives_encoding(first: VectorClock, rest in btree_map(11u128..90, proptest::arbitrary::any::<VectorClock>(), 0..6)) {
            let rest = rest.into_iter().map(|(start, clock)| (at(start), clock));
            let clocks = clocks(range(10, 90), [(at(10), first)].into_iter().chain(rest).collect());
            prop_assert_eq!(postcard::from_bytes(&encode(&clocks)), Ok(clocks));
        }

        #[test]
        fn garbage_is_refused_or_survives(bytes: Vec<u8>) {
            if let Ok(clocks) = postcard::from_bytes::<RangeClocks>(&bytes) {
                prop_assert_eq!(RangeClocks::new(clocks.range, clocks.pieces.clone()), Ok(clocks));
            }
        }
    }
}
