//! Values in parts: what the peer has is named, and not sent.

use alloc::string::ToString;

use super::{Link, Pair, now, replica, write};
use crate::replica::Part;
use crate::replica::tests::pattern::Pattern;
use crate::sync::session::*;

fn pattern(id: u32, confidence: u8, embedding: u8) -> Pattern {
    Pattern { id, confidence, embedding: Part::from(alloc::vec![embedding; 3000]) }
}

#[test]
fn a_part_that_the_peer_holds_is_named_at_no_extra_round_trip() {
    let (mut a, b) = (replica(1), replica(2));
    for id in 0..10 {
        a.write(pattern(id, 1, 7), now()).unwrap();
    }
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    let first = pair.run(|_| {});
    assert_eq!((first.stats.value_bytes_sent, first.stats.part_bytes_sent), (10 * 3001, 10 * 3000));
    assert_eq!(pair.b.stats().part_bytes_needed, 10 * 3000);
    let Pair { mut a, mut b, .. } = pair;
    for id in 0..10 {
        a.write(pattern(id, 2, 7), now()).unwrap();
        b.write(pattern(id, 3, 7), now()).unwrap();
    }
    let before = (needed(&a), needed(&b));
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    let second = pair.run(|_| {});
    assert_eq!(second.outcome, Outcome::Converged);
    let bodies = ValueBytes { all: 10, parts: 0 };
    let answered = pair.answerer.as_ref().unwrap().stats();
    assert_eq!((second.stats.values_sent(), answered.values_sent()), (bodies, bodies));
    assert_eq!(second.stats.round_trips, first.stats.round_trips);
    assert_eq!((needed(&pair.a) - before.0, needed(&pair.b) - before.1), (bodies, bodies));
}

#[test]
fn a_part_that_was_wrongly_thought_held_is_sent_after_all() {
    let (mut a, b) = (replica(1), replica(2));
    a.write(pattern(0, 1, 1), now()).unwrap();
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    pair.run(|_| {});
    let Pair { mut a, mut b, .. } = pair;
    // Two writes at one side: the second has its part in common with the first, which the peer never saw.
    a.write(pattern(0, 2, 2), now()).unwrap();
    a.write(pattern(0, 3, 2), now()).unwrap();
    b.write(pattern(0, 4, 4), now()).unwrap();
    b.write(pattern(0, 5, 4), now()).unwrap();
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    assert_eq!(pair.a.root(), pair.b.root());
    assert_eq!(pair.a.conflicts(), 1);
}

fn needed<V: Replicated>(replica: &Replica<V>) -> ValueBytes {
    ValueBytes { all: replica.stats().value_bytes_needed, parts: replica.stats().part_bytes_needed }
}

/// Synchronises two replicas; returns how many bytes of values both sent and needed.
fn synchronise<V: Replicated>(a: Replica<V>, b: Replica<V>) -> (Replica<V>, Replica<V>, ValueBytes, ValueBytes) {
    let before = needed(&a) + needed(&b);
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    let sent = [Some(&pair.opener), pair.answerer.as_ref()].into_iter().flatten();
    let sent = sent.map(|session| session.stats().values_sent()).sum();
    let needed = needed(&pair.a) + needed(&pair.b) - before;
    (pair.a, pair.b, sent, needed)
}

#[test]
fn a_part_that_both_sides_wrote_is_not_sent() {
    let (mut a, mut b) = (replica(1), replica(2));
    for id in 0..200 {
        a.write(pattern(id, 1, 7), now()).unwrap();
        // The same part at every second key, and another one at the others.
        b.write(pattern(id, 2, if id % 2 == 0 { 7 } else { 8 }), now()).unwrap();
    }
    let (a, _, sent, needed) = synchronise(a, b);
    assert_eq!(a.conflicts(), 200);
    let expected = ValueBytes { all: 100 * 2 + 100 * 6002, parts: 100 * 6000 };
    assert_eq!((sent, needed), (expected, expected));
}

#[test]
fn a_part_that_siblings_have_in_common_is_sent_once() {
    let (mut a, mut b) = (replica(1), replica(2));
    a.write(pattern(0, 1, 7), now()).unwrap();
    b.write(pattern(0, 2, 7), now()).unwrap();
    let (a, ..) = synchronise(a, b);
    let (_, third, sent, needed) = synchronise(a, replica(3));
    assert_eq!(third.conflicts(), 1);
    let expected = ValueBytes { all: 3002, parts: 3000 };
    assert_eq!((sent, needed), (expected, expected));
}

#[test]
fn what_the_peer_has_deleted_or_replaced_is_not_sent() {
    let (mut a, b) = (replica(1), replica(2));
    for key in 0..30 {
        write(&mut a, key, "a value that is old");
    }
    let (a, mut b, ..) = synchronise(a, b);
    for key in 0..10 {
        b.delete(&key.to_string(), now()).unwrap();
        write(&mut b, key + 10, "new");
    }
    // The side that is behind opens, and has to say what it holds before it learns that it is behind.
    let (a, _, sent, needed) = synchronise(a, b);
    assert_eq!((a.len(), a.conflicts()), (20, 0));
    // Each "new" takes four bytes.
    let expected = ValueBytes { all: 40, parts: 0 };
    assert_eq!((sent, needed), (expected, expected));
}

#[test]
fn a_part_of_what_was_replaced_is_not_sent_back() {
    for new_part in [7, 8] {
        let (mut a, b) = (replica(1), replica(2));
        a.write(pattern(0, 1, 7), now()).unwrap();
        let (a, mut b, ..) = synchronise(a, b);
        b.write(pattern(0, 2, new_part), now()).unwrap();
        b.write(pattern(0, 3, new_part), now()).unwrap();
        let (_, _, sent, needed) = synchronise(a, b);
        let parts = if new_part == 7 { 0 } else { 3000 };
        let expected = ValueBytes { all: parts + 1, parts };
        assert_eq!((sent, needed), (expected, expected));
    }
}

#[test]
fn repeated_value_bytes_are_counted_again() {
    let mut repetitions = 0;
    for seed in 0..20 {
        let (mut a, b) = (replica(1), replica(2));
        a.write(pattern(0, 1, 7), now()).unwrap();
        let mut pair = Pair::new(a, b, SessionConfig::default(), Link { lost: 300, ..Link::default() }, seed);
        let sent = pair.run(|_| {}).stats.values_sent();
        let times = sent.parts / 3000;
        assert_eq!(sent, ValueBytes { all: times * 3001, parts: times * 3000 });
        repetitions += times.saturating_sub(1);
    }
    assert!(repetitions > 0);
}

/// What the opener wrote after the comparison, with a part that the answerer has had all along.
#[test]
fn a_part_that_is_written_during_a_session_is_not_sent_to_who_holds_it() {
    for max_sketch_cells in [1 << 16, 0] {
        let (mut a, b) = (replica(1), replica(2));
        (100..400).for_each(|id| drop(a.write(pattern(id, 1, 1), now()).unwrap()));
        let (a, mut b, ..) = synchronise(a, b);
        b.write(pattern(3, 2, 7), now()).unwrap();
        let before = needed(&b);
        let config = SessionConfig { max_sketch_cells, ..SessionConfig::default() };
        let mut pair = Pair::new(a, b, config, Link::default(), 0);
        let mut rounds = 0;
        let finished = pair.run(|pair| {
            rounds += 1;
            if rounds == 2 {
                pair.a.write(pattern(3, 3, 7), now()).unwrap();
            }
        });
        assert_eq!((finished.outcome, pair.a.conflicts()), (Outcome::Converged, 1));
        assert_eq!(finished.stats.values_sent(), ValueBytes { all: 1, parts: 0 });
        assert_eq!(needed(&pair.b) - before, ValueBytes { all: 1, parts: 0 });
    }
}
