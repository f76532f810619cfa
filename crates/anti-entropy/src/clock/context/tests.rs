use alloc::vec;

use proptest::arbitrary::any;
use proptest::collection::vec as vec_of;
use proptest::strategy::{Just, Strategy};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde::Serialize;

use super::*;

fn id(number: u128) -> ReplicaId {
    ReplicaId::from_u128(number)
}

fn at(number: u128) -> KeyHash {
    KeyHash::from_u128(number)
}

fn dot(replica: u128, counter: u64) -> Dot {
    Dot { replica: id(replica), counter }
}

fn clock(entries: &[(u128, u64)]) -> VectorClock {
    entries.iter().map(|&(number, counter)| (id(number), counter)).collect()
}

fn between(lo: KeyHash, hi: Option<KeyHash>) -> KeyRange {
    KeyRange::new(lo, hi).unwrap()
}

fn range(lo: u128, hi: u128) -> KeyRange {
    between(at(lo), Some(at(hi)))
}

fn range_from(lo: u128) -> KeyRange {
    between(at(lo), None)
}

fn clocks(range: KeyRange, pieces: Vec<(KeyHash, VectorClock)>) -> RangeClocks {
    RangeClocks::new(range, pieces).unwrap()
}

fn encode(value: impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(&value).unwrap()
}

/// A context of replica 1, which has minted `own` dots, after joins of `[lo, hi)` with a counter of replica 2.
fn context(own: u64, joins: &[(u128, u128, u64)]) -> Context {
    let mut context = Context::new(id(1));
    context.counter = own;
    for &(lo, hi, counter) in joins {
        context.join_range(&range(lo, hi), &clock(&[(2, counter)]));
    }
    context
}

fn cuts(context: &Context) -> Vec<u128> {
    context.cuts().map(KeyHash::to_u128).collect()
}

#[test]
fn the_own_counter_is_outside_the_pieces_and_counts_in_all() {
    let mut context = context(0, &[(10, 20, 1)]);
    assert_eq!(context.mint(), Ok(dot(1, 1)));
    assert_eq!(context.mint(), Ok(dot(1, 2)));
    for hash in [0, 10, 20] {
        assert!(context.covers(at(hash), dot(1, 2)) && !context.covers(at(hash), dot(1, 3)));
        assert_eq!(context.clock_at(at(hash)).get(id(1)), 2);
    }
    assert!(context.pieces.iter().all(|piece| piece.clock.get(id(1)) == 0));
    assert_eq!((context.max_counter(id(1)), context.pieces_len()), (2, 3));
}

#[test]
fn minting_stops_at_the_last_counter() {
    let mut context = context(u64::MAX, &[]);
    assert_eq!(context.mint(), Err(CounterExhausted { replica: id(1) }));
    assert_eq!(context.own_counter(), u64::MAX);
    assert!(!context.is_next(at(0), dot(1, 0)));
}

#[test]
fn joining_a_range_cuts_at_both_ends_and_raises_nothing_outside() {
    let context = context(0, &[(10, 20, 3)]);
    assert_eq!(cuts(&context), [10, 20]);
    let seen = [0, 9, 10, 19, 20].map(|hash| context.counter(at(hash), id(2)));
    assert_eq!(seen, [0, 0, 3, 3, 0], "the lower bound is in, the upper is not");
}

#[test]
fn a_range_without_an_end_reaches_the_top() {
    let mut context = context(0, &[]);
    context.join_range(&range_from(7), &clock(&[(2, 1)]));
    assert_eq!((cuts(&context), context.counter(KeyHash::MAX, id(2))), (vec![7], 1));
}

#[test]
fn only_equal_neighbours_are_merged() {
    assert_eq!(cuts(&context(0, &[(0, 10, 3), (10, 20, 3)])), [20]);
    assert_eq!(cuts(&context(0, &[(0, 10, 3), (10, 20, 4)])), [10, 20]);
    let uneven = context(0, &[(0, 10, 3), (10, 20, 4)]);
    assert_eq!([5, 15].map(|hash| uneven.counter(at(hash), id(2))), [3, 4], "neither maximum nor minimum");
    assert_eq!(cuts(&context(0, &[(0, 10, 3), (20, 30, 3)])), [10, 20, 30], "equal, but not neighbours");
}

#[test]
fn a_join_that_brings_nothing_cuts_nothing() {
    let mut context = context(5, &[(0, 30, 3)]);
    let before = context.clone();
    context.join_range(&range(10, 20), &clock(&[(2, 2), (1, 5)]));
    context.join_range(&range(10, 20), &VectorClock::new());
    assert_eq!(context, before);
}

#[test]
fn the_own_id_in_a_joined_clock_is_ignored() {
    let mut context = context(5, &[]);
    context.join_range(&range(10, 20), &clock(&[(1, 9)]));
    assert_eq!((context.own_counter(), context.pieces_len()), (5, 1));
}

#[test]
fn an_inverted_range_from_the_wire_is_harmless() {
    let bytes = encode((at(20), Some(at(10))));
    if let Ok(inverted) = postcard::from_bytes::<KeyRange>(&bytes) {
        let mut context = context(1, &[(5, 15, 1)]);
        let before = context.clone();
        context.join_range(&inverted, &clock(&[(2, 9)]));
        assert_eq!(context, before);
        assert_eq!(context.pieces(&inverted).iter().count(), 0);
    }
}

#[test]
fn pieces_are_clipped_to_the_range_and_hold_the_own_counter() {
    let context = context(4, &[(10, 20, 3), (15, 30, 5)]);
    let clocks = context.pieces(&range(12, 30));
    let expected = vec![(at(12), clock(&[(1, 4), (2, 3)])), (at(15), clock(&[(1, 4), (2, 5)]))];
    assert_eq!(clocks, self::clocks(range(12, 30), expected));
    assert_eq!(context.pieces(&range(20, 21)).len(), 1);
    assert_eq!(context.pieces(&KeyRange::ALL).len(), 4);
}

#[test]
fn joining_a_peers_pieces_keeps_them_apart() {
    let sender = context(4, &[(10, 20, 3)]);
    let mut receiver = Context::new(id(2));
    receiver.counter = 9;
    receiver.join(&sender.pieces(&range(5, 15)));
    assert_eq!(cuts(&receiver), [5, 15], "what the pieces say of the receiver itself cuts nothing");
    let mut third = Context::new(id(3));
    third.join(&sender.pieces(&range(5, 15)));
    assert_eq!(cuts(&third), [5, 10, 15]);
    assert_eq!([4, 5, 10, 15].map(|hash| third.counter(at(hash), id(1))), [0, 4, 4, 0]);
    assert_eq!([4, 5, 10, 15].map(|hash| third.counter(at(hash), id(2))), [0, 0, 3, 0]);
}

#[test]
fn raising_takes_other_pieces_along_only_if_they_lack_exactly_that_dot() {
    // Counters of replica 2: 6 below 10, 3 up to 20, 7 up to 30, 8 above.
    let mut context = context(0, &[(0, 10, 6), (10, 20, 3), (20, 30, 7)]);
    context.join_range(&range_from(30), &clock(&[(2, 8)]));
    assert!(context.is_next(at(5), dot(2, 7)) && !context.is_next(at(15), dot(2, 7)));

    assert!(context.raise(at(25), dot(2, 8)));
    assert_eq!([5, 15, 25, 35].map(|hash| context.counter(at(hash), id(2))), [6, 3, 8, 8], "two less stays");
    assert_eq!(cuts(&context), [10, 20], "what became equal is merged");
    assert!(context.raise(at(15), dot(2, 4)));
    assert_eq!([5, 15, 25].map(|hash| context.counter(at(hash), id(2))), [6, 4, 8], "never lowered");

    assert!(context.raise(at(5), dot(4, 1)), "a new writer");
    let pieces = context.pieces(&KeyRange::ALL);
    assert!(pieces.iter().all(|(_, clock)| clock.get(id(4)) == 1), "one less is raised");
}

#[test]
fn a_dot_that_is_not_the_next_one_there_raises_nothing() {
    let mut context = context(0, &[(0, 10, 6), (10, 20, 3)]);
    let before = context.clone();
    for (what, hash, dot) in [
        ("covered", 5, dot(2, 6)),
        ("one missing", 15, dot(2, 5)),
        ("next elsewhere only", 15, dot(2, 7)),
        ("counter zero", 5, dot(4, 0)),
        ("own", 5, dot(1, 1)),
    ] {
        assert!(!context.raise(at(hash), dot), "{what}");
    }
    assert_eq!(context, before);
}

#[test]
fn renaming_folds_the_old_id_into_every_piece() {
    let mut context = context(4, &[(10, 20, 3)]);
    let before = context.clone();
    assert!(context.rename(id(7)).is_ok());
    assert_eq!((context.own_id(), context.own_counter()), (id(7), 0));
    assert!(context.pieces.iter().all(|piece| piece.clock.get(id(1)) == 4));
    assert!(context.includes(&before) && before.includes(&context));
    assert_eq!(context.mint(), Ok(dot(7, 1)));
    context.join_range(&range(0, 5), &clock(&[(1, 6)]));
    assert_eq!(context.counter(at(0), id(1)), 6, "the old id is another replica's now");
}

#[test]
fn an_id_that_has_been_seen_cannot_be_taken() {
    let mut context = context(4, &[(10, 20, 3)]);
    let before = context.clone();
    for taken in [1, 2] {
        assert_eq!(context.rename(id(taken)), Err(ReplicaIdTaken { replica: id(taken) }));
    }
    assert_eq!(context, before);
}

#[test]
fn renaming_before_any_write_leaves_no_trace() {
    let mut context = context(0, &[]);
    assert!(context.rename(id(7)).is_ok());
    assert_eq!(context.whole_clock(), Some(VectorClock::new()));
}

#[test]
fn cuts_to_come_are_counted() {
    let mut context = context(0, &[(10, 20, 3)]);
    let would = |lo, hi| context.would_cut(&range(lo, hi));
    assert_eq!([would(0, 10), would(10, 20), would(10, 15), would(11, 15), would(0, 1)], [0, 0, 1, 2, 1]);
    assert_eq!(context.would_cut(&KeyRange::ALL), 0);
    let pieces = vec![(at(5), clock(&[(4, 1)])), (at(10), clock(&[(4, 2)])), (at(12), clock(&[(4, 3)]))];
    let clocks = clocks(range(5, 30), pieces);
    assert_eq!(context.would_cut_by(&clocks), 3);
    context.join(&clocks);
    assert_eq!(cuts(&context), [5, 10, 12, 20, 30]);
}

#[test]
fn replicas_are_counted_as_if_joined() {
    let pieces = vec![(at(0), clock(&[(2, 1), (4, 1)])), (at(5), clock(&[(1, 9), (5, 1)]))];
    let clocks = clocks(range(0, 30), pieces);
    for own in [0, 3] {
        let mut context = context(own, &[(10, 20, 3)]);
        let expected = context.replicas_with(&clocks);
        assert_eq!(expected, 3 + usize::from(own > 0));
        context.join(&clocks);
        assert_eq!(context.pieces(&KeyRange::ALL).replicas().count(), expected);
    }
}

#[test]
fn a_clone_shares_its_clocks_until_one_of_them_changes() {
    let mut context = context(0, &[(10, 20, 3)]);
    let clone = context.clone();
    assert!(Arc::ptr_eq(&context.pieces[0].clock, &clone.pieces[0].clock));
    assert!(context.raise(at(0), dot(2, 1)));
    assert_eq!((clone.counter(at(0), id(2)), context.counter(at(0), id(2))), (0, 1));
}

/// Something that happens to a context.
#[derive(Clone, Debug)]
enum Step {
    Mint,
    Rename(ReplicaId),
    JoinRange(usize, usize, VectorClock),
    Raise(usize, Dot),
    /// The next dot of this writer at this place, whatever its counter is by then.
    RaiseNext(usize, ReplicaId),
}

/// How many places the model tells apart; the context sees them 100 apart.
const PLACES: usize = 8;

fn place(number: usize) -> KeyHash {
    at(number as u128 * 100)
}

fn step() -> impl Strategy<Value = Step> {
    let join = (0..PLACES, 1..=PLACES, any::<VectorClock>());
    prop_oneof![
        1 => Just(Step::Mint),
        1 => any::<ReplicaId>().prop_map(Step::Rename),
        4 => join.prop_map(|(lo, length, clock)| Step::JoinRange(lo, lo + length, clock)),
        1 => (0..PLACES, any::<Dot>()).prop_map(|(place, dot)| Step::Raise(place, dot)),
        3 => (0..PLACES, any::<ReplicaId>()).prop_map(|(place, writer)| Step::RaiseNext(place, writer)),
    ]
}

/// One clock for every place, with the own counter in it: what a context stands for.
struct Model(ReplicaId, Vec<VectorClock>);

impl Model {
    fn apply(&mut self, step: &Step) {
        let Self(own, clocks) = self;
        match step {
            Step::Mint => clocks.iter_mut().for_each(|clock| assert!(clock.tick(*own).is_ok())),
            Step::Rename(new) if *new != *own && clocks.iter().all(|clock| clock.get(*new) == 0) => *own = *new,
            Step::Rename(_) => {}
            Step::JoinRange(lo, hi, joined) => {
                for clock in clocks.iter_mut().take(*hi).skip(*lo) {
                    let mine = clock.get(*own);
                    clock.join(joined);
                    clock.set(*own, mine);
                }
            }
            Step::Raise(place, dot) => self.raise(*place, *dot),
            Step::RaiseNext(place, replica) => {
                let counter = clocks[*place].get(*replica).saturating_add(1);
                self.raise(*place, Dot { replica: *replica, counter });
            }
        }
    }

    fn raise(&mut self, place: usize, dot: Dot) {
        let lacks_it_only = |clock: &VectorClock| clock.get(dot.replica) == dot.counter - 1;
        if dot.replica != self.0 && lacks_it_only(&self.1[place]) {
            self.1.iter_mut().filter(|clock| lacks_it_only(clock)).for_each(|clock| clock.observe(dot));
        }
    }
}

fn apply(context: &mut Context, step: &Step) {
    match step {
        Step::Mint => assert!(context.mint().is_ok()),
        Step::Rename(new) => drop(context.rename(*new)),
        Step::JoinRange(lo, hi, clock) => {
            let hi = (*hi < PLACES).then(|| place(*hi));
            context.join_range(&between(place(*lo), hi), clock);
        }
        Step::Raise(at, dot) => drop(context.raise(place(*at), *dot)),
        Step::RaiseNext(at, replica) => {
            let counter = context.counter(place(*at), *replica).saturating_add(1);
            context.raise(place(*at), Dot { replica: *replica, counter });
        }
    }
}

proptest! {
    #[test]
    fn a_context_is_a_clock_for_every_hash(steps in vec_of(step(), 0..24)) {
        let mut context = Context::new(id(1));
        let mut model = Model(id(1), vec![VectorClock::new(); PLACES]);
        for step in &steps {
            let before = context.clone();
            apply(&mut context, step);
            model.apply(step);
            for (number, clock) in model.1.iter().enumerate() {
                prop_assert_eq!(&context.clock_at(place(number)), clock, "at {} after {:?}", number, step);
            }
            let uneven = model.1.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert_eq!(context.pieces_len(), uneven + 1, "neighbours are merged where equal, and only there");
            prop_assert!(context.includes(&before), "what is seen only grows");
            prop_assert_eq!(before.includes(&context), before.hash() == context.hash());
            prop_assert_eq!(postcard::from_bytes(&encode(&context)), Ok(context.clone()));
        }
    }

    #[test]
    fn exchanging_everything_makes_contexts_equal(left in vec_of(step(), 0..12), right in vec_of(step(), 0..12)) {
        let replay = |own, steps: &[Step]| {
            let mut context = Context::new(own);
            // Ids of one's own must not turn up at the other: that is what the alarm of rule 8 is for.
            let known = |step: &&Step| !matches!(step, Step::Rename(_));
            steps.iter().filter(known).for_each(|step| apply(&mut context, step));
            context
        };
        let mut a = replay(id(1 << 100), &left);
        let mut b = replay(id(1 << 101), &right);
        a.join(&b.pieces(&KeyRange::ALL));
        prop_assert!(a.includes(&b));
        b.join(&a.pieces(&KeyRange::ALL));
        prop_assert_eq!(a.hash(), b.hash());
    }
}

/// The context around a hole: 9 of replica 2 has been seen everywhere, and 4 of it at one hash.
fn with_hole(hole: u128) -> Context {
    let mut context = Context::new(id(1));
    context.join_range(&KeyRange::ALL, &clock(&[(2, 4)]));
    let below = KeyRange::new(KeyHash::MIN, Some(at(hole)));
    let above = hole.checked_add(1).and_then(|next| KeyRange::new(at(next), None));
    for rest in [below, above].into_iter().flatten() {
        context.join_range(&rest, &clock(&[(2, 9)]));
    }
    context
}

#[test]
fn a_hole_is_no_piece_and_has_the_clock_from_before() {
    for hole in [0, 7, u128::MAX] {
        let context = with_hole(hole);
        assert_eq!((context.pieces_len(), context.holes().collect::<Vec<_>>()), (1, vec![at(hole)]));
        assert!(context.is_hole(at(hole)) && !context.is_hole(at(8)));
        assert_eq!((context.counter(at(hole), id(2)), context.counter(at(8), id(2))), (4, 9));
        assert_eq!((context.max_counter(id(2)), context.whole_clock()), (9, None));
        assert_eq!(context.cuts().len(), 0);
    }
}

#[test]
fn a_hole_is_a_piece_of_what_is_sent_hashed_and_stored() {
    let context = with_hole(7);
    let sent = context.pieces(&KeyRange::ALL);
    let starts: Vec<u128> = sent.iter().map(|(piece, _)| piece.lo().to_u128()).collect();
    assert_eq!(starts, [0, 7, 8]);
    assert_eq!(sent.clock_at(at(7)), Some(&clock(&[(2, 4)])));
    let whole = context.fill(at(7), &clock(&[(2, 9)]));
    assert_eq!(context.with_filled(|_| Some(&whole)).whole_clock(), Some(clock(&[(2, 9)])));
    assert_ne!(context.hash(), with_hole(6).hash());
    assert_ne!(context.hash(), context.with_filled(|_| Some(&whole)).hash());
    assert_eq!(postcard::from_bytes(&encode(&context)), Ok(context.clone()));
    let mut peer = Context::new(id(3));
    peer.join(&sent);
    assert_eq!((peer.pieces_len(), peer.holes_len()), (1, 1), "it is no cut for those who receive it either");
}

#[test]
fn a_hole_is_gone_when_what_was_missing_has_been_seen() {
    let mut context = with_hole(7);
    assert!(context.raise(at(7), dot(2, 5)), "the next of its writer at the hole");
    assert_eq!((context.counter(at(7), id(2)), context.holes_len()), (5, 1));
    context.join_range(&range(0, 100), &clock(&[(2, 9)]));
    assert_eq!((context.holes_len(), context.pieces_len(), context.counter(at(7), id(2))), (0, 1, 9));
}

#[test]
fn pushes_elsewhere_raise_no_hole_that_lacks_more() {
    let mut context = with_hole(7);
    assert!(context.raise(at(50), dot(2, 10)));
    assert_eq!((context.counter(at(7), id(2)), context.counter(at(8), id(2))), (4, 10));
    assert!(context.raise(at(50), dot(3, 1)));
    assert_eq!(context.counter(at(7), id(3)), 1, "it lacked just this one, whose key lies elsewhere");
    assert!(context.rename(id(9)).is_ok());
    assert_eq!((context.holes_len(), context.counter(at(7), id(2))), (1, 4));
}

#[test]
fn a_push_that_makes_a_hole_of_a_piece_does_so_at_once() {
    let mut context = Context::new(id(1));
    context.join_range(&KeyRange::ALL, &clock(&[(2, 5)]));
    context.join_range(&range(7, 8), &clock(&[(3, 1)]));
    context.join_range(&range(0, 7), &clock(&[(2, 6)]));
    context.join_range(&range_from(8), &clock(&[(2, 6)]));
    assert_eq!((context.pieces_len(), context.holes_len()), (3, 0), "each has seen what the other has not");
    assert!(context.raise(at(50), dot(3, 1)));
    assert_eq!((context.pieces_len(), context.holes().collect::<Vec<_>>()), (1, vec![at(7)]));
    assert!(context.is_hole(at(7)));
    assert_eq!(context.whole_clock(), None);
}

#[test]
fn a_hole_is_filled_as_it_is_at_the_peer_which_may_have_one_too() {
    // Counter 9 of replica 2 is nowhere to be had at the hash of the hole.
    let context = with_hole(7);
    let partly = context.fill(at(7), &clock(&[(2, 6), (3, 1)]));
    assert_eq!(context.with_filled(|_| Some(&partly)).clock_at(at(7)), clock(&[(2, 6), (3, 1)]));
    // Between two pieces it depends on whose the hash is at the peer.
    let mut context = with_hole(7);
    context.join_range(&range_from(8), &clock(&[(3, 5)]));
    for (filled, cut) in [(clock(&[(2, 9)]), 8), (clock(&[(2, 9), (3, 5)]), 7)] {
        let fill = context.fill(at(7), &filled);
        assert_eq!(cuts(&context.with_filled(|_| Some(&fill))), [cut]);
    }
}

#[test]
fn more_at_a_single_hash_than_around_it_is_a_piece() {
    let mut context = Context::new(id(1));
    context.join_range(&range(7, 8), &clock(&[(2, 3)]));
    assert_eq!((context.pieces_len(), context.holes_len()), (3, 0));
}

/// What a context means: the clock at each of a few hashes.
type Meaning = alloc::collections::BTreeMap<u128, VectorClock>;

proptest! {
    /// Single hashes, neighbouring ones too, are joined and left out; the context stays what joining each hash makes.
    #[test]
    fn holes_mean_what_pieces_mean(
        joins in vec_of((0u128..12, 1u128..12, 2u128..4, 1u64..4), 1..12),
        base in 0u128..3,
    ) {
        // At the bottom, in the middle, and with the highest hash as the last.
        let base = [0, 1 << 90, u128::MAX - 11][base as usize];
        let mut context = Context::new(id(1));
        let mut meaning: Meaning = (0..12).map(|place| (place, VectorClock::new())).collect();
        for (lo, len, replica, counter) in joins {
            let hi = lo + if len > 6 { 1 } else { len };
            let end = base.checked_add(hi).map(at);
            let joined = clock(&[(replica, counter)]);
            context.join_range(&between(at(base + lo), end), &joined);
            meaning.range_mut(lo..hi).for_each(|(_, clock)| clock.join(&joined));
            for (place, clock) in &meaning {
                prop_assert_eq!(&context.clock_at(at(base + place)), clock);
            }
            let clocks = context.pieces(&KeyRange::ALL);
            let merged = clocks.iter().map(|(_, clock)| clock).collect::<Vec<_>>();
            prop_assert!(merged.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert_eq!(postcard::from_bytes(&encode(&context)), Ok(context.clone()));
            // One form for each meaning, however it came about.
            let mut peer = Context::new(id(1));
            peer.join(&clocks);
            prop_assert_eq!(&peer, &context);
            prop_assert!(context.includes(&peer) && peer.includes(&context));
            prop_assert_eq!(peer.hash(), context.hash());
        }
    }
}

/// What is raised is noted beside the pieces, and put into them now and then: nobody can tell.
fn raises() -> impl Strategy<Value = Vec<(u128, u128, u64)>> {
    vec_of((0u128..40, 2u128..5, 1u64..4), 0..60)
}

/// The same, with everything put into the pieces at once.
fn raise_and_settle(context: &mut Context, at: KeyHash, dot: Dot) -> bool {
    let raised = context.raise(at, dot);
    context.settle();
    raised
}

proptest! {
    #[test]
    fn what_was_raised_reads_the_same_in_the_pieces_and_beside_them(
        joins in vec_of((0u128..40, 1u128..10, 0u64..6), 0..4),
        raises in raises(),
    ) {
        let joins: Vec<_> = joins.into_iter().map(|(lo, len, counter)| (lo, lo + len, counter)).collect();
        let (mut noted, mut settled) = (context(1, &joins), context(1, &joins));
        let (mut stored, mut from) = (noted.clone(), noted.base());
        for (hash, replica, ahead) in raises {
            let dot = dot(replica, noted.counter(at(hash), id(replica)) + ahead);
            prop_assert_eq!(noted.raise(at(hash), dot), ahead == 1);
            prop_assert_eq!(raise_and_settle(&mut settled, at(hash), dot), ahead == 1);
            for hash in (0..50).map(at) {
                for replica in (1..5).map(id) {
                    prop_assert_eq!(noted.counter(hash, replica), settled.counter(hash, replica));
                }
                prop_assert_eq!(noted.clock_at(hash), settled.clock_at(hash));
            }
            for replica in (1..5).map(id) {
                prop_assert_eq!(noted.max_counter(replica), settled.max_counter(replica));
                prop_assert_eq!(noted.names(replica), settled.names(replica));
            }
            prop_assert_eq!(noted.replicas_len(), settled.replicas_len());
            prop_assert_eq!(noted.pieces(&KeyRange::ALL), settled.pieces(&KeyRange::ALL));
            prop_assert_eq!((noted.hash(), noted.tally()), (settled.hash(), settled.tally()));
            prop_assert_eq!(cuts(&noted), cuts(&settled));
            prop_assert!(noted == settled && noted.counters_len() >= settled.counters_len());
            // The store is told of the notes while the base is the same.
            if !from.is(&noted.base()) {
                noted.settle();
                (stored, from) = (noted.clone(), noted.base());
            }
            let mut read = stored.clone();
            prop_assert!(postcard::from_bytes(&encode(noted.raised())).is_ok_and(|notes| read.resume_raised(notes)));
            prop_assert_eq!(&read, &noted);
        }
    }
}

#[test]
fn few_pushes_touch_the_pieces() {
    let mut context = context(0, &[]);
    context.join_range(&KeyRange::ALL, &(100..1100).map(|replica| (id(replica), 1)).collect());
    context.join_range(&range(10, 20), &clock(&[(7, 1)]));
    let (mut base, mut touched) = (context.base(), 0);
    for push in 0..6400 {
        let dot = dot(100 + push % 64, 2 + u64::try_from(push / 64).unwrap());
        assert!(context.raise(at(push), dot));
        touched += u32::from(!base.is(&context.base()));
        base = context.base();
    }
    assert_eq!(touched, 0, "64 writers have a note each");
    for push in 0..640 {
        assert!(context.raise(at(push), dot(200 + push, 2)));
        touched += u32::from(!base.is(&context.base()));
        base = context.base();
    }
    assert!(touched <= 640 / 64 + 1, "{touched}");
}

#[test]
fn notes_that_nobody_made_are_refused() {
    let decode = |runs: &[(ReplicaId, u64, u64)]| postcard::from_bytes::<Raised>(&encode(runs));
    assert!(decode(&[(id(2), 3, 4), (id(2), 1, 1), (id(3), 1, u64::MAX)]).is_ok());
    for (what, runs) in [
        ("descending", &[(id(3), 1, 1), (id(2), 1, 1)][..]),
        ("no write", &[(id(2), 0, 1)]),
        ("backwards", &[(id(2), 4, 3)]),
    ] {
        assert!(decode(runs).is_err(), "{what}");
    }
    let mut own = context(1, &[]);
    assert!(!own.resume_raised(decode(&[(id(1), 2, 3)]).unwrap()));
    assert_eq!(own, context(1, &[]));
}
