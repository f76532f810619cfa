use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::iter::from_fn;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::clock::growing::growing_vec;
use crate::clock::{CounterExhausted, Dot, ReplicaId};

/// The causal order of two clocks, as [`VectorClock::compare`] returns it.
///
/// Exhaustive on purpose: there is no fifth case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CausalOrder {
    /// Both have seen the same writes.
    Equal,
    /// The other clock has seen everything that this one has, and more.
    Before,
    /// This clock has seen everything that the other one has, and more.
    After,
    /// Each has seen something that the other has not.
    Concurrent,
}

/// The writes that have been seen: for each replica, the highest counter.
///
/// Counters are contiguous from 1, so counter `n` stands for the writes 1 to `n` of that replica. A replica that is not
/// listed has counter 0. Clocks are partially ordered, by [`compare`](Self::compare). [`join`](Self::join) makes the
/// least clock that includes two clocks.
///
/// Encoded as the sequence of (id, counter) in ascending order of the ids. Decoding refuses any other order, repeated
/// ids and counters of zero, so that equal clocks have one encoding. Takes 24 bytes of memory for each replica.
///
/// Vector clocks are from Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering" (1988), and
/// Mattern, "Virtual Time and Global States of Distributed Systems" (1989).
///
/// ```
/// use anti_entropy::clock::{CausalOrder, ReplicaId, VectorClock};
///
/// let [alice, bob] = [1, 2].map(ReplicaId::from_u128);
/// let mut left = VectorClock::new();
/// let mut right = VectorClock::new();
/// let write = left.tick(alice)?;
/// right.tick(bob)?;
/// assert_eq!(left.compare(&right), CausalOrder::Concurrent);
///
/// right.join(&left);
/// assert!(right.covers(write));
/// assert_eq!(left.compare(&right), CausalOrder::Before);
/// # Ok::<(), anti_entropy::clock::CounterExhausted>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct VectorClock(
    /// Ascending by id, no counter zero.
    Vec<(ReplicaId, u64)>,
);

impl VectorClock {
    /// A clock that has seen no writes.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The highest counter seen of `replica`, or 0. Logarithmic in the number of replicas.
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.find(replica).map_or(0, |at| self.0[at].1)
    }

    /// Whether the write named by `dot` has been seen.
    ///
    /// Every clock covers a dot with counter 0, which names no write. What a clock covers and its replica does not hold
    /// is dead, so that such a dot is never accepted.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.counter <= self.get(dot.replica)
    }

    /// Raises the counter of the dot's writer to at least that of the dot. All earlier writes of that writer are then
    /// covered too.
    pub fn observe(&mut self, dot: Dot) {
        if !self.covers(dot) {
            self.set(dot.replica, dot.counter);
        }
    }

    /// Sets the counter of `replica`, even to a lower value; 0 removes it. Linear in the number of replicas.
    pub fn set(&mut self, replica: ReplicaId, counter: u64) {
        match (self.find(replica), counter) {
            (Ok(at), 0) => {
                self.0.remove(at);
            }
            (Ok(at), _) => self.0[at].1 = counter,
            (Err(_), 0) => {}
            (Err(at), _) => self.0.insert(at, (replica, counter)),
        }
    }

    /// Makes the next dot of `replica`, and covers it.
    ///
    /// # Errors
    /// [`CounterExhausted`] if the counter has its greatest value. Nothing is changed then.
    pub fn tick(&mut self, replica: ReplicaId) -> Result<Dot, CounterExhausted> {
        let counter = self.get(replica).checked_add(1).ok_or(CounterExhausted { replica })?;
        self.set(replica, counter);
        Ok(Dot { replica, counter })
    }

    /// Covers what `other` has seen: takes the greater counter of each replica. Linear in the number of replicas.
    ///
    /// Commutative, associative and idempotent.
    pub fn join(&mut self, other: &Self) {
        // The usual case by far, and the one without an allocation.
        if !self.includes(other) {
            let joined = side_by_side(&self.0, &other.0).map(|(id, a, b)| (id, a.max(b).unwrap_or(0)));
            self.0 = joined.collect();
        }
    }

    /// Whether this clock is before, after, equal to or concurrent with `other`.
    ///
    /// Linear in the number of replicas. `PartialOrd` agrees, with `None` for concurrent clocks.
    pub fn compare(&self, other: &Self) -> CausalOrder {
        match (self.includes(other), other.includes(self)) {
            (true, true) => CausalOrder::Equal,
            (true, false) => CausalOrder::After,
            (false, true) => CausalOrder::Before,
            (false, false) => CausalOrder::Concurrent,
        }
    }

    /// Whether this clock has seen everything that `other` has: none of its counters is lower. Linear in the number of
    /// replicas.
    pub fn includes(&self, other: &Self) -> bool {
        side_by_side(&self.0, &other.0).all(|(_, mine, theirs)| mine >= theirs)
    }

    /// The number of replicas that the clock names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no writes have been seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The replicas and their counters, all above zero, in ascending order of the ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, u64)> + Clone + '_ {
        self.0.iter().copied()
    }

    /// The entries as they are kept.
    pub(super) fn entries(&self) -> &[(ReplicaId, u64)] {
        &self.0
    }

    /// The clock with these entries, if they are ascending and without zeros.
    pub(super) fn from_canonical(entries: Vec<(ReplicaId, u64)>) -> Option<Self> {
        let ascending = entries.is_sorted_by(|a, b| a.0 < b.0);
        (ascending && entries.iter().all(|entry| entry.1 > 0)).then_some(Self(entries))
    }

    fn find(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&replica, |entry| entry.0)
    }
}

/// Two ascending lists as one: every id that is in either, and what either has for it.
pub(super) fn side_by_side<'a>(
    mut left: &'a [(ReplicaId, u64)],
    mut right: &'a [(ReplicaId, u64)],
) -> impl Iterator<Item = (ReplicaId, Option<u64>, Option<u64>)> + 'a {
    from_fn(move || {
        let id = match (left.first(), right.first()) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(one), None) | (None, Some(one)) => one.0,
            (None, None) => return None,
        };
        Some((id, take_if(&mut left, id), take_if(&mut right, id)))
    })
}

/// Takes the first entry off the list if it belongs to `id`.
fn take_if(list: &mut &[(ReplicaId, u64)], id: ReplicaId) -> Option<u64> {
    let (&(first, counter), rest) = list.split_first()?;
    (first == id).then(|| {
        *list = rest;
        counter
    })
}

impl PartialOrd for VectorClock {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.compare(other) {
            CausalOrder::Equal => Some(Ordering::Equal),
            CausalOrder::Before => Some(Ordering::Less),
            CausalOrder::After => Some(Ordering::Greater),
            CausalOrder::Concurrent => None,
        }
    }
}

/// Accepts entries in any order. If a replica occurs several times, its greatest counter counts. Zeros are left out.
impl FromIterator<(ReplicaId, u64)> for VectorClock {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().filter(|entry| entry.1 > 0).collect();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        entries.dedup_by_key(|entry| entry.0);
        entries.reverse();
        Self(entries)
    }
}

impl fmt::Debug for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(replica, counter)| Dot { replica, counter })).finish()
    }
}

impl<'de> Deserialize<'de> for VectorClock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refusal = "a clock must list replicas in strictly ascending order, with counters above zero";
        Self::from_canonical(growing_vec(deserializer)?).ok_or_else(|| de::Error::custom(refusal))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn id(number: u128) -> ReplicaId {
        ReplicaId::from_u128(number)
    }

    fn joined(a: &VectorClock, b: &VectorClock) -> VectorClock {
        let mut clock = a.clone();
        clock.join(b);
        clock
    }

    #[test]
    fn observing_covers_all_before_and_never_lowers() {
        let mut clock = VectorClock::new();
        clock.observe(Dot { replica: id(1), counter: 5 });
        clock.observe(Dot { replica: id(1), counter: 3 });
        assert_eq!(clock.get(id(1)), 5);
        assert!(clock.covers(Dot { replica: id(1), counter: 1 }) && clock.covers(Dot { replica: id(1), counter: 5 }));
        assert!(!clock.covers(Dot { replica: id(1), counter: 6 }) && !clock.covers(Dot { replica: id(2), counter: 1 }));
    }

    #[test]
    fn ticks_are_contiguous_from_one_and_stop_at_the_last() {
        let mut clock = VectorClock::new();
        assert_eq!(clock.tick(id(1)).unwrap().counter, 1);
        assert_eq!(clock.tick(id(1)).unwrap().counter, 2);
        clock.set(id(1), u64::MAX);
        assert_eq!(clock.tick(id(1)), Err(CounterExhausted { replica: id(1) }));
        assert_eq!(clock.get(id(1)), u64::MAX);
    }

    #[test]
    fn zeros_are_not_kept() {
        let mut clock: VectorClock = [(id(2), 1), (id(1), 0), (id(2), 4), (id(2), 3)].into_iter().collect();
        assert_eq!(clock.entries(), [(id(2), 4)]);
        clock.set(id(2), 0);
        clock.set(id(3), 0);
        clock.observe(Dot { replica: id(4), counter: 0 });
        assert_eq!(clock, VectorClock::new());
    }

    #[test]
    fn only_the_canonical_encoding_is_accepted() {
        let encode = |entries: &[(ReplicaId, u64)]| postcard::to_allocvec(entries).unwrap();
        let decode = |bytes: &[u8]| postcard::from_bytes::<VectorClock>(bytes);
        assert_eq!(decode(&encode(&[(id(1), 3), (id(2), 1)])).unwrap().get(id(1)), 3);
        for (what, wrong) in [
            ("descending", vec![(id(2), 1), (id(1), 3)]),
            ("repeated", vec![(id(1), 1), (id(1), 3)]),
            ("zero", vec![(id(1), 0)]),
        ] {
            assert!(decode(&encode(&wrong)).is_err(), "{what}");
        }
        // A length of 2^62 with nothing behind it.
        assert!(decode(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]).is_err());
    }

    proptest! {
        #[test]
        fn join_is_the_least_upper_bound(a: VectorClock, b: VectorClock, c: VectorClock) {
            let ab = joined(&a, &b);
            prop_assert_eq!(&ab, &joined(&b, &a));
            prop_assert_eq!(joined(&ab, &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(&joined(&a, &a), &a);
            prop_assert!(ab.includes(&a) && ab.includes(&b));
            prop_assert!(!(c.includes(&a) && c.includes(&b)) || c.includes(&ab));
            prop_assert_eq!(VectorClock::from_canonical(ab.0.clone()), Some(ab));
        }

        #[test]
        fn compare_is_what_its_definition_says(a: VectorClock, b: VectorClock) {
            let ids = || a.iter().chain(b.iter()).map(|entry| entry.0);
            let (less, more) = (ids().any(|i| a.get(i) < b.get(i)), ids().any(|i| a.get(i) > b.get(i)));
            let (expected, ordering) = match (less, more) {
                (false, false) => (CausalOrder::Equal, Some(Ordering::Equal)),
                (true, false) => (CausalOrder::Before, Some(Ordering::Less)),
                (false, true) => (CausalOrder::After, Some(Ordering::Greater)),
                (true, true) => (CausalOrder::Concurrent, None),
            };
            prop_assert_eq!(a.compare(&b), expected);
            prop_assert_eq!(a.partial_cmp(&b), ordering);
            prop_assert_eq!(a == b, expected == CausalOrder::Equal);
            prop_assert_eq!(joined(&a, &b).compare(&a) == CausalOrder::Equal, a.includes(&b));
        }

        #[test]
        fn it_survives_encoding(clock: VectorClock) {
            let encoded = postcard::to_allocvec(&clock).unwrap();
            prop_assert_eq!(postcard::from_bytes::<VectorClock>(&encoded).unwrap(), clock);
        }
    }
}
