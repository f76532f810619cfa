//! Comparisons between two snapshots through the encoded messages.
// Clippy's exception for tests does not reach the helpers beside them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use anti_entropy_summary::compare::{Answer, AnswerError, Ask, Comparison, Prefix, answer, first_answer};
use anti_entropy_summary::{Difference, Fingerprint, KeyHash, MerkleTree, Snapshot, TruncatedFingerprint, Width};
use proptest::collection::vec;
use proptest::prelude::*;

type Model = BTreeMap<KeyHash, Fingerprint>;

fn spread(number: u128) -> KeyHash {
    KeyHash::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn snapshot(model: &Model) -> Snapshot {
    model.iter().map(|(key, fingerprint)| (*key, *fingerprint)).collect::<MerkleTree>().snapshot()
}

fn any_key() -> impl Strategy<Value = KeyHash> {
    prop_oneof![
        8 => (0..3000_u128).prop_map(spread),
        2 => (0..80_u128).prop_map(KeyHash::from_u128),
        1 => (0..80_u128).prop_map(|number| KeyHash::from_u128(u128::MAX - number)),
        1 => (0..128_u32).prop_map(|bit| KeyHash::from_u128(1 << bit)),
    ]
}

fn any_model(most: usize) -> impl Strategy<Value = Model> {
    vec((any_key(), (0..3_u8).prop_map(|byte| Fingerprint::from_bytes([byte; 32]))), 0..most)
        .prop_map(|entries| entries.into_iter().collect())
}

fn any_width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Short), Just(Width::Full)]
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    width: Width,
    max_prefixes: usize,
    max_bytes: usize,
    max_found: usize,
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let bytes = prop_oneof![Just(0_usize), 1..300_usize, 300..5000_usize, Just(1 << 20)];
    let prefixes = prop_oneof![Just(1_usize), 2..50_usize, 60..70_usize, Just(5000)];
    (any_width(), prefixes, bytes, prop_oneof![Just(1_usize), 2..50_usize, Just(usize::MAX)])
        .prop_map(|(width, max_prefixes, max_bytes, max_found)| Limits { width, max_prefixes, max_bytes, max_found })
}

#[derive(Debug, Default, PartialEq)]
struct Cost {
    round_trips: usize,
    ask_bytes: usize,
    answer_bytes: usize,
}

/// Compares to the end, encoding all messages, draining what is found as it goes.
fn compare(ours: &Snapshot, theirs: &Snapshot, limits: Limits) -> (Vec<Difference>, Cost) {
    let mut comparison = Comparison::new(ours.clone(), limits.width);
    let (mut found, mut cost) = (Vec::new(), Cost::default());
    let mut reply = first_answer(theirs, limits.width, limits.max_bytes);
    loop {
        let bytes = postcard::to_allocvec(&reply).unwrap();
        assert!(bytes.len() <= limits.max_bytes.max(160), "{} bytes", bytes.len());
        cost.round_trips += 1;
        cost.answer_bytes += bytes.len();
        let before = comparison.resolved_up_to();
        comparison.handle_answer(&postcard::from_bytes::<Answer>(&bytes).unwrap()).unwrap();
        let frontier = comparison.resolved_up_to();
        assert!(frontier.is_none_or(|frontier| before.unwrap() <= frontier), "the frontier only rises");
        loop {
            let some = comparison.take_found(frontier, limits.max_found);
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= limits.max_found);
            found.extend(some);
        }
        assert!(found.last().is_none_or(|last| frontier.is_none_or(|frontier| last.key < frontier)));
        let Some(ask) = comparison.next_ask(limits.max_prefixes) else { break };
        let bytes = postcard::to_allocvec(&ask).unwrap();
        cost.ask_bytes += bytes.len();
        reply = answer(theirs, &postcard::from_bytes::<Ask>(&bytes).unwrap(), limits.max_bytes);
    }
    assert!(comparison.is_complete());
    (found, cost)
}

fn expected(ours: &Snapshot, theirs: &Snapshot, width: Width) -> Vec<Difference> {
    let cut = |fingerprint| TruncatedFingerprint::new(&fingerprint, width);
    ours.diff(theirs)
        .map(|found| Difference { theirs: found.theirs.and_then(|theirs| theirs.full()).map(cut), ..found })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_two_sets(ours in any_model(2000), theirs in any_model(2000), limits in any_limits()) {
        let (ours, theirs) = (snapshot(&ours), snapshot(&theirs));
        prop_assert_eq!(compare(&ours, &theirs, limits).0, expected(&ours, &theirs, limits.width));
    }

    #[test]
    fn sets_of_very_different_sizes(large in any_model(3000), small in any_model(20), limits in any_limits()) {
        let (large, small) = (snapshot(&large), snapshot(&small));
        prop_assert_eq!(compare(&large, &small, limits).0, expected(&large, &small, limits.width));
        prop_assert_eq!(compare(&small, &large, limits).0, expected(&small, &large, limits.width));
    }

    #[test]
    fn sets_that_differ_in_a_few(model in any_model(3000), other in any_model(12), limits in any_limits()) {
        let mut changed = model.clone();
        changed.extend(other);
        let (ours, theirs) = (snapshot(&model), snapshot(&changed));
        prop_assert_eq!(compare(&ours, &theirs, limits).0, expected(&ours, &theirs, limits.width));
        prop_assert_eq!(compare(&theirs, &ours, limits).0, expected(&theirs, &ours, limits.width));
    }

    /// A peer may send anything: it is refused and changes nothing, or it is taken; never a panic.
    #[test]
    fn mutated_answers_do_no_harm(
        ours in any_model(1500), theirs in any_model(1500), width in any_width(), max_prefixes in 1..100_usize,
        mutations in vec((0..20_usize, any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let (ours, theirs) = (snapshot(&ours), snapshot(&theirs));
        let mut comparison = Comparison::new(ours, width);
        let mut reply = first_answer(&theirs, width, 3000);
        for round in 0..20 {
            let mut bytes = postcard::to_allocvec(&reply).unwrap();
            for (_, at, to) in mutations.iter().filter(|(when, ..)| *when == round) {
                *at.get_mut(&mut bytes) = *to;
            }
            if let Ok(mutated) = postcard::from_bytes::<Answer>(&bytes) {
                let before = format!("{comparison:?} {:?}", comparison.resolved_up_to());
                if comparison.handle_answer(&mutated).is_err() {
                    prop_assert_eq!(before, format!("{comparison:?} {:?}", comparison.resolved_up_to()));
                }
            }
            let found = comparison.take_found(None, 100);
            prop_assert!(found.is_sorted_by(|a, b| a.key < b.key));
            let Some(ask) = comparison.next_ask(max_prefixes) else { break };
            reply = answer(&theirs, &ask, 3000);
        }
    }

    #[test]
    fn mutated_asks_do_no_harm(theirs in any_model(1500), bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(ask) = postcard::from_bytes::<Ask>(&bytes) {
            answer(&snapshot(&theirs), &ask, 3000);
        }
    }
}

fn numbers(count: u128) -> Model {
    (0..count).map(|number| (spread(number), Fingerprint::from_bytes([1; 32]))).collect()
}

#[test]
fn what_is_not_asked_for_is_refused() {
    let (ours, theirs) = (snapshot(&numbers(1000)), snapshot(&numbers(900)));
    let mut comparison = Comparison::new(ours, Width::Short);
    let first = first_answer(&theirs, Width::Short, 4096);
    let nothing = answer(&theirs, &Ask::new([], Width::Short), 4096);
    assert!(nothing.is_empty());
    assert_eq!(comparison.handle_answer(&nothing), Err(AnswerError::Empty));
    let twice = Ask::new([Prefix::ALL; 2], Width::Short);
    let twice = answer(&theirs, &twice, 4096);
    assert_eq!(comparison.handle_answer(&twice), Err(AnswerError::TooMany { got: 2, asked: 1 }));
    let full = first_answer(&theirs, Width::Full, 4096);
    assert_eq!(comparison.handle_answer(&full), Err(AnswerError::Digests));
    comparison.handle_answer(&first).unwrap();
    assert_eq!(comparison.handle_answer(&first), Err(AnswerError::NotAsked));
}

#[test]
fn a_comparison_with_nothing_takes_no_memory_until_drained() {
    let ours = snapshot(&numbers(5000));
    let mut comparison = Comparison::new(ours, Width::Short);
    comparison.handle_answer(&first_answer(&snapshot(&Model::new()), Width::Short, 4096)).unwrap();
    assert!(comparison.is_complete());
    let half = KeyHash::from_u128(1 << 127);
    let mut taken = comparison.take_found(Some(half), 10);
    assert_eq!(taken.len(), 10);
    taken.extend(comparison.take_found(Some(half), usize::MAX));
    assert!(taken.iter().all(|found| found.key < half && found.theirs.is_none()));
    taken.extend(comparison.take_found(None, usize::MAX));
    assert_eq!(taken.len(), 5000);
    assert!(taken.is_sorted_by(|a, b| a.key < b.key));
}

/// What a comparison costs, so that a change of it is seen.
#[test]
fn costs() {
    let ours = numbers(100_000);
    let cost = |differences: u128, width| {
        let mut theirs = ours.clone();
        theirs.extend((0..differences).map(|number| (spread(number * 97), Fingerprint::from_bytes([2; 32]))));
        let limits = Limits { width, max_prefixes: 2048, max_bytes: 1 << 18, max_found: usize::MAX };
        let (found, cost) = compare(&snapshot(&ours), &snapshot(&theirs), limits);
        assert_eq!(found.len() as u128, differences);
        (cost.round_trips, cost.ask_bytes, cost.answer_bytes)
    };
    assert_eq!(cost(0, Width::Short), (1, 0, 518));
    assert_eq!(cost(1, Width::Short), (3, 9, 1592));
    assert_eq!(cost(1, Width::Full), (3, 9, 5240));
    assert_eq!(cost(100, Width::Short), (4, 734, 51967));
    assert_eq!(cost(1000, Width::Short), (4, 6136, 214_325));
}
