//! Clocks of a range as their difference to a clock that both sides know.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::span::Span;
use crate::clock::sparse::{Changes, Further, Growing};
use crate::clock::vector::side_by_side;
use crate::clock::{RangeClocks, ReplicaId, VectorClock};
use crate::{KeyHash, KeyRange};

/// The clocks of a range, by what distinguishes the first of them from a clock that the receiver has, the *base*. The
/// further ones are encoded as in [`RangeClocks`].
///
/// A writer that only the base names is told by the first eight bytes of its id, which may be all that the sender knows
/// of it. First, all writers with such ids are taken out of the base; then, counters are put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClocksSince {
    range: Span,
    /// Ascending, and each in the base.
    gone: Growing<FirstEight>,
    /// Ascending, and none of them with the counter that the base has.
    changed: Changes,
    further: Further,
}

/// The first eight bytes of a replica's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct FirstEight(#[serde(with = "postcard::fixint::be")] u64);

impl ClocksSince {
    /// The range of the clocks.
    pub(crate) fn range(&self) -> KeyRange {
        self.range.0
    }

    /// The clocks, if this is how they differ from `base`, and no other way of saying it.
    pub(crate) fn on(self, base: &VectorClock) -> Option<RangeClocks> {
        let Self { range: Span(range), gone: Growing(gone), changed: Growing(changed), further } = self;
        let left = without(base, &gone);
        let differs = |(replica, counter): &(ReplicaId, u64)| *counter != 0 && *counter != left.get(*replica);
        if !changed.is_sorted_by(|a, b| a.0 < b.0) || !changed.iter().all(differs) {
            return None;
        }
        let put_in =
            side_by_side(left.entries(), &changed).map(|(replica, old, new)| (replica, new.or(old).unwrap_or(0)));
        let first = VectorClock::from_canonical(put_in.collect())?;
        if gone == only_in(base, &first) { further.behind(range, first) } else { None }
    }
}

impl RangeClocks {
    /// How these clocks differ from a clock of their receiver's.
    pub(crate) fn since(&self, base: &VectorClock) -> ClocksSince {
        let first = self.first();
        let gone = only_in(base, first);
        let left = without(base, &gone);
        let changed = side_by_side(left.entries(), first.entries()).filter(|(_, old, new)| old != new);
        let changed = changed.filter_map(|(replica, _, new)| Some((replica, new?))).collect();
        ClocksSince {
            range: Span(self.range()),
            gone: Growing(gone),
            changed: Growing(changed),
            further: self.further(),
        }
    }

    /// The clocks behind the first.
    pub(crate) fn further(&self) -> Further {
        Further::new(self.first(), self.iter().skip(1).map(|(piece, clock)| (piece.lo(), clock)))
    }

    /// The clock at the start of the range.
    pub(crate) fn first(&self) -> &VectorClock {
        static NOTHING: VectorClock = VectorClock::new();
        self.clock_at(self.range().lo()).unwrap_or(&NOTHING)
    }
}

impl Further {
    /// The clocks of a range whose first is known, if the others are in the form that [`RangeClocks`] are encoded in.
    pub(crate) fn behind(self, range: KeyRange, first: VectorClock) -> Option<RangeClocks> {
        let pieces = self.expand(range.lo(), first, RangeClocks::MAX_COUNTERS).ok()?;
        RangeClocks::new(range, pieces).ok()
    }
}

/// What a peer has seen, worked out from what has been seen here. Writers go by the first eight bytes of their ids; one
/// that is not known here has zeros behind them.
impl VectorClock {
    /// Whether two writers have ids that begin with the same eight bytes.
    pub(crate) fn has_namesakes(&self) -> bool {
        !names(self).is_sorted_by(|a, b| a < b)
    }

    /// This clock with the ids of another where both have one that begins with the same eight bytes: a writer that was
    /// known by these alone when this clock was worked out may be known by now.
    pub(crate) fn with_ids_of(&self, other: &Self) -> Self {
        let known: BTreeMap<u64, ReplicaId> =
            other.iter().map(|(replica, _)| (replica.first_eight(), replica)).collect();
        let id = |replica: ReplicaId| match known.get(&replica.first_eight()) {
            Some(known) if other.get(replica) == 0 => *known,
            _ => replica,
        };
        self.iter().map(|(replica, counter)| (id(replica), counter)).collect()
    }

    /// This clock with other counters, by the first eight bytes of the ids; 0 removes.
    pub(crate) fn with_named(&self, counters: &BTreeMap<u64, u64>) -> Self {
        let mut unknown = counters.clone();
        let mut changed: Vec<(ReplicaId, u64)> = Vec::with_capacity(self.len() + counters.len());
        for (replica, counter) in self.iter() {
            let name = replica.first_eight();
            unknown.remove(&name);
            changed.push((replica, counters.get(&name).copied().unwrap_or(counter)));
        }
        let of_name = |(name, counter)| (ReplicaId::from_u128(u128::from(name) << 64), counter);
        changed.into_iter().chain(unknown.into_iter().map(of_name)).filter(|(_, counter)| *counter > 0).collect()
    }
}

impl Further {
    /// The clocks of the whole space, as far as they are known, if the first of them is known as far as that, and they have
    /// no more counters than this.
    pub(crate) fn guess(&self, first: VectorClock, max_counters: usize) -> Option<RangeClocks> {
        let named = |(start, changes): (KeyHash, &[(ReplicaId, u64)])| {
            let counters = changes.iter().map(|(replica, counter)| (replica.first_eight(), *counter)).collect();
            (start, first.with_named(&counters))
        };
        let pieces = 1 + self.iter().len();
        let counters = pieces.checked_mul(first.len())?.checked_add(self.len())?;
        if counters > max_counters {
            return None;
        }
        let further: Vec<_> = self.iter().map(named).collect();
        let pieces = [(KeyHash::MIN, first)].into_iter().chain(further).collect();
        RangeClocks::new(KeyRange::ALL, pieces).ok()
    }
}

/// The names of a clock's writers, ascending.
fn names(clock: &VectorClock) -> impl Iterator<Item = FirstEight> + '_ {
    clock.iter().map(|(replica, _)| FirstEight(replica.first_eight()))
}

/// The names of the writers that only the base knows, ascending.
fn only_in(base: &VectorClock, clock: &VectorClock) -> Vec<FirstEight> {
    let gone = side_by_side(base.entries(), clock.entries()).filter(|(_, _, counter)| counter.is_none());
    let mut gone: Vec<FirstEight> = gone.map(|(replica, ..)| FirstEight(replica.first_eight())).collect();
    gone.dedup();
    gone
}

/// A clock without the writers that have these names, which ascend.
fn without(clock: &VectorClock, gone: &[FirstEight]) -> VectorClock {
    let stays = |(replica, _): &(ReplicaId, u64)| gone.binary_search(&FirstEight(replica.first_eight())).is_err();
    clock.iter().filter(stays).collect()
}

/// Clocks of the whole space, which are encoded without their range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WholeSpace(pub(crate) RangeClocks);

impl Serialize for WholeSpace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.first(), self.0.further()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WholeSpace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, further) = <(VectorClock, Further)>::deserialize(deserializer)?;
        let clocks = further.behind(KeyRange::ALL, first);
        clocks.map(Self).ok_or_else(|| de::Error::custom("the pieces are not canonical, or too many"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::arbitrary::any;
    use proptest::collection::btree_map;
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    /// An id with a name of its own.
    fn id(number: u64) -> ReplicaId {
        ReplicaId::from_u128(u128::from(number) << 64 | 1)
    }

    fn clock(entries: &[(u64, u64)]) -> VectorClock {
        entries.iter().map(|&(number, counter)| (id(number), counter)).collect()
    }

    fn of_all(clock: VectorClock) -> RangeClocks {
        RangeClocks::new(KeyRange::ALL, vec![(KeyHash::MIN, clock)]).unwrap()
    }

    fn encoded(clocks: &ClocksSince) -> Vec<u8> {
        postcard::to_allocvec(clocks).unwrap()
    }

    /// As it is sent: where the range is all of the space, and the clock is one.
    fn sent(gone: &[u64], changed: &[(u64, u64)]) -> ClocksSince {
        let changed = changed.iter().map(|&(number, counter)| (id(number), counter)).collect();
        let gone = gone.iter().map(|name| FirstEight(*name)).collect();
        let further = of_all(VectorClock::new()).further();
        ClocksSince { range: Span(KeyRange::ALL), gone: Growing(gone), changed: Growing(changed), further }
    }

    #[test]
    fn a_thousand_writers_of_which_one_differs_take_a_few_bytes() {
        let mut base: VectorClock = (1..=1000).map(|number| (id(number), 300)).collect();
        let clocks = of_all(base.clone());
        assert_eq!(encoded(&clocks.since(&base)).len(), 4);
        base.set(id(500), 299);
        assert_eq!(encoded(&clocks.since(&base)).len(), 4 + 16 + 2);
        base.set(id(2000), 7);
        assert_eq!(encoded(&clocks.since(&base)).len(), 4 + 16 + 2 + 8);
        assert_eq!(clocks.since(&base).on(&base), Some(clocks));
    }

    #[test]
    fn only_the_canonical_form_is_accepted() {
        let base = clock(&[(1, 7), (2, 2)]);
        let good = sent(&[2], &[(1, 8), (3, 1)]).on(&base);
        assert_eq!(good, Some(of_all(clock(&[(1, 8), (3, 1)]))));
        for (what, wrong) in [
            ("same counter as the base", sent(&[], &[(1, 7)])),
            ("a counter of zero", sent(&[], &[(1, 0)])),
            ("descending ids", sent(&[], &[(3, 1), (1, 8)])),
            ("repeated id", sent(&[], &[(3, 1), (3, 1)])),
            ("takes out what the base lacks", sent(&[3], &[])),
            ("takes out to put in", sent(&[2], &[(2, 2)])),
            ("takes out twice", sent(&[2, 2], &[])),
            ("descending names", sent(&[2, 1], &[])),
        ] {
            assert_eq!(wrong.on(&base), None, "{what}");
        }
    }

    #[test]
    fn few_bytes_do_not_expand_to_many_counters() {
        let base: VectorClock = (1..=1 << 12).map(|number| (id(number), 1)).collect();
        let pieces = |count: u128| {
            let further: Vec<(KeyHash, Vec<(ReplicaId, u64)>)> =
                (1..count).map(|number| (KeyHash::from_u128(number), Vec::new())).collect();
            let none = (Vec::<u8>::new(), Vec::<u8>::new());
            postcard::from_bytes::<ClocksSince>(&postcard::to_allocvec(&(0_u8, none, further)).unwrap()).unwrap()
        };
        let most = RangeClocks::MAX_COUNTERS as u128 >> 12;
        assert_eq!(pieces(most).on(&base).unwrap().counters(), RangeClocks::MAX_COUNTERS);
        assert_eq!(pieces(most + 1).on(&base), None);
        assert!(pieces(most - 1).further.guess(base.clone(), RangeClocks::MAX_COUNTERS).is_some());
        assert!(pieces(most + 1).further.guess(base, RangeClocks::MAX_COUNTERS).is_none());
    }

    #[test]
    fn what_a_peer_has_seen_is_worked_out_by_names() {
        let mine = clock(&[(1, 7), (2, 2), (3, 3)]);
        let theirs = mine.with_named(&[(2, 5), (3, 0), (9, 4), (10, 0)].into_iter().collect());
        let unknown = (ReplicaId::from_u128(9 << 64), 4);
        assert_eq!(theirs, [(id(1), 7), (id(2), 5), unknown].into_iter().collect());
        assert!(!theirs.has_namesakes());
        assert!([(id(1), 1), (ReplicaId::from_u128(1 << 64), 1)].into_iter().collect::<VectorClock>().has_namesakes());
    }

    #[test]
    fn a_writer_that_was_known_by_its_name_has_its_id_once_that_is_known() {
        let worked_out = clock(&[(1, 7)]).with_named(&[(9, 4)].into_iter().collect());
        let later = of_all(clock(&[(1, 8), (9, 4)]));
        let since = later.since(&worked_out.with_ids_of(later.first()));
        assert_eq!(since, sent(&[], &[(1, 8)]));
        assert_eq!(since.on(&clock(&[(1, 7), (9, 4)])), Some(later));
    }

    proptest! {
        /// Small ids share their first eight bytes, so that names are not unique.
        #[test]
        fn differences_lead_to_the_same_clocks_from_what_they_are_to(
            base: VectorClock,
            first: VectorClock,
            rest in btree_map(11u128..90, any::<VectorClock>(), 0..6),
        ) {
            let at = KeyHash::from_u128;
            let rest = rest.into_iter().map(|(start, clock)| (at(start), clock));
            let range = KeyRange::new(at(10), Some(at(90))).unwrap();
            let clocks = RangeClocks::new(range, [(at(10), first)].into_iter().chain(rest).collect()).unwrap();
            let sent = postcard::from_bytes::<ClocksSince>(&encoded(&clocks.since(&base))).unwrap();
            prop_assert_eq!(sent.range(), range);
            prop_assert_eq!(sent.on(&base), Some(clocks.clone()));
            let all = of_all(clocks.first().clone());
            let whole = postcard::to_allocvec(&WholeSpace(all.clone())).unwrap();
            prop_assert_eq!(postcard::from_bytes::<WholeSpace>(&whole).unwrap().0, all);
        }

        #[test]
        fn garbage_is_refused_or_has_one_form(bytes: Vec<u8>, base: VectorClock) {
            if let Ok((sent, _)) = postcard::take_from_bytes::<ClocksSince>(&bytes)
                && let Some(clocks) = sent.clone().on(&base)
            {
                prop_assert_eq!(clocks.since(&base), sent);
            }
        }
    }
}
