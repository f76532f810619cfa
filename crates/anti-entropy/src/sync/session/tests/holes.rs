//! What cannot be taken in is left out, and everything else is equal.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::now;
use crate::KeyHash;
use crate::clock::Seed;
use crate::refusal::Refusal;
use crate::replica::tests::disk::Disk;
use crate::replica::{
    Continuity, Keyed, LastWriterWins, MemoryStore, Notice, Opening, ReplicaConfig, Replicated, Resolver, Store,
};
use crate::sync::session::*;

/// A value as the old release knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum OldValue {
    Text(String),
}

/// As the new release knows it: what is a text in both has the same bytes in both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum NewValue {
    Text(String),
    Number(u64),
}

type Old = Keyed<u32, OldValue>;
type New = Keyed<u32, NewValue>;

const SPECIAL: u32 = 700;

fn open<V: Replicated>(seed: u8) -> Replica<V>
where
    LastWriterWins: Resolver<V>,
{
    open_on(MemoryStore::new(), seed, ReplicaConfig::default())
}

fn open_on<V: Replicated>(store: impl Store + 'static, seed: u8, config: ReplicaConfig) -> Replica<V>
where
    LastWriterWins: Resolver<V>,
{
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|opening| {
        opening.config = config;
        opening.continuity = Continuity::Vouched;
    });
    Replica::open(store, LastWriterWins, opening).unwrap()
}

fn text(replica: &mut Replica<New>, key: u32, text: &str) {
    replica.write(Keyed::new(key, NewValue::Text(text.to_string())), now()).unwrap();
}

fn number(replica: &mut Replica<New>, key: u32, number: u64) {
    replica.write(Keyed::new(key, NewValue::Number(number)), now()).unwrap();
}

fn old_text(replica: &mut Replica<Old>, key: u32, text: &str) {
    replica.write(Keyed::new(key, OldValue::Text(text.to_string())), now()).unwrap();
}

/// A thousand texts, and a number that the old release cannot read.
fn upgraded(seed: u8) -> Replica<New> {
    let mut replica = open(seed);
    (0..1001).for_each(|key| text(&mut replica, key, "text"));
    number(&mut replica, SPECIAL, 7);
    replica
}

/// Runs a session to its end on both sides; returns how it ended for the opener and for the answerer.
fn run_with<A: Replicated, B: Replicated>(
    (a, a_config): (&mut Replica<A>, SessionConfig),
    (b, b_config): (&mut Replica<B>, SessionConfig),
) -> (Finished, Finished) {
    let mut opener = Session::open_valid(1, a, a_config, now());
    let mut answerer: Option<Session> = None;
    let mut ended = None;
    loop {
        match opener.poll_output() {
            SessionOutput::Send(frame) => {
                let frame = Frame::decode(&frame, &b_config).unwrap();
                let answerer = answerer
                    .get_or_insert_with(|| Session::accept_valid(&frame, 2, b_config, now()).expect("it opens"));
                answerer.handle_frame(frame, b, now()).unwrap();
                continue;
            }
            SessionOutput::Done(finished) => ended = Some(finished),
            SessionOutput::Wait(_) => {}
        }
        match (answerer.as_mut().expect("it was opened").poll_output(), ended.take()) {
            (SessionOutput::Send(frame), finished) => {
                opener.handle_frame(Frame::decode(&frame, &a_config).unwrap(), a, now()).unwrap();
                ended = finished;
            }
            (SessionOutput::Done(theirs), Some(mine)) => return (mine, theirs),
            (output, finished) => panic!("{output:?} {finished:?}"),
        }
    }
}

fn run<A: Replicated, B: Replicated>(a: &mut Replica<A>, b: &mut Replica<B>) -> Finished {
    let (mine, theirs) = run_with((a, SessionConfig::default()), (b, SessionConfig::default()));
    assert_eq!((&mine.outcome, mine.root), (&theirs.outcome, theirs.root));
    mine
}

fn except(keys: u64) -> Outcome {
    Outcome::ConvergedExcept { keys: keys.try_into().unwrap() }
}

fn notices<V: Replicated>(replica: &mut Replica<V>) -> Vec<Notice<V::Key>> {
    core::iter::from_fn(|| replica.poll_notice()).collect()
}

/// Sessions until nothing changes, whoever opens; returns how the last one ended.
fn settle<A: Replicated, B: Replicated>(a: &mut Replica<A>, b: &mut Replica<B>) -> Outcome {
    let _ = run(a, b);
    let _ = run(b, a);
    run(a, b).outcome
}

#[test]
fn one_value_of_a_newer_release_keeps_nothing_else_from_the_old_one() {
    for old_opens in [true, false] {
        let (mut new, mut old) = (upgraded(1), open::<Old>(2));
        old_text(&mut old, 5, "written here");
        let finished = if old_opens { run(&mut old, &mut new) } else { run(&mut new, &mut old) };
        assert_eq!(finished.outcome, except(1), "{finished:?}");
        assert_eq!(finished.root, Some(new.root()), "what the old one would hold");
        assert_eq!((old.len(), old.holes_len()), (1000, 1));
        let hash = KeyHash::of(&SPECIAL);
        assert_eq!(notices(&mut old), [Notice::Unreadable { hash, key: Some(SPECIAL) }]);
        assert_eq!(old.holes().collect::<Vec<_>>(), [hash]);
        assert!(old.read(&SPECIAL).unwrap().value().is_none());
        assert!(new.read(&SPECIAL).unwrap().value().is_some());
        // From then on it is quiet: one round trip, and no word of the value.
        for old_opens in [true, false, true] {
            let finished = if old_opens { run(&mut old, &mut new) } else { run(&mut new, &mut old) };
            assert_eq!((&finished.outcome, finished.stats.round_trips), (&except(1), 1));
            assert!(finished.stats.bytes_sent + finished.stats.bytes_received < 300, "{finished:?}");
        }
        assert_eq!(notices(&mut old), []);
    }
}

#[test]
fn what_could_not_be_read_is_not_sent_again_while_it_stays_the_same() {
    for old_opens in [true, false] {
        let (mut new, mut old) = (upgraded(1), open::<Old>(2));
        settle(&mut old, &mut new);
        let long = "x".repeat(1000);
        new.write(Keyed::new(1, NewValue::Text(long.clone())), now()).unwrap();
        let finished = if old_opens { run(&mut old, &mut new) } else { run(&mut new, &mut old) };
        assert_eq!(finished.outcome, except(1));
        let sent = finished.stats.value_bytes_sent + finished.stats.value_bytes_received;
        assert_eq!(sent, 3 + 1000, "the text alone");
        // Another value there is sent, and read if it can be.
        number(&mut new, SPECIAL, 8);
        assert_eq!(run(&mut old, &mut new).outcome, except(1));
        assert_eq!(old.holes_len(), 1);
        text(&mut new, SPECIAL, "readable");
        assert_eq!(run(&mut new, &mut old).outcome, Outcome::Converged);
        assert_eq!((old.holes_len(), old.len(), old.root()), (0, 1001, new.root()));
        let hash = KeyHash::of(&SPECIAL);
        assert_eq!(notices(&mut old).last(), Some(&Notice::HoleFilled { hash }));
    }
}

#[test]
fn a_hole_survives_a_restart_and_is_filled_by_the_upgrade() {
    let store = MemoryStore::new();
    let shared = Disk::of(store);
    let (mut new, mut old) = (upgraded(1), open_on::<Old>(shared.clone(), 2, ReplicaConfig::default()));
    assert_eq!(run(&mut old, &mut new).outcome, except(1));
    // The same release again: it tries once more.
    drop(old);
    let mut old = open_on::<Old>(shared.clone(), 3, ReplicaConfig::default());
    assert_eq!((old.holes_len(), old.len()), (1, 1000));
    let again = run(&mut old, &mut new);
    assert_eq!((again.outcome, old.holes_len()), (except(1), 1));
    assert_eq!(run(&mut old, &mut new).stats.round_trips, 1);
    // The new one.
    drop(old);
    let mut replica = open_on::<New>(shared, 4, ReplicaConfig::default());
    assert_eq!(replica.holes_len(), 1);
    assert_eq!(run(&mut replica, &mut new).outcome, Outcome::Converged);
    assert_eq!((replica.holes_len(), replica.root(), replica.context_hash()), (0, new.root(), new.context_hash()));
    assert!(replica.read(&SPECIAL).unwrap().value().is_some());
}

#[test]
fn third_parties_keep_what_they_have_and_get_what_they_lack_elsewhere() {
    let (mut new, mut old) = (upgraded(1), open::<Old>(2));
    let (mut has, mut lacks) = (open::<New>(3), open::<New>(4));
    run(&mut has, &mut new);
    run(&mut old, &mut new);
    settle(&mut old, &mut has);
    assert!(has.read(&SPECIAL).unwrap().value().is_some(), "who has it does not delete it");
    // Who gets everything from the old one knows that one key is missing, and has the rest.
    assert_eq!(run(&mut lacks, &mut old).outcome, Outcome::Converged, "both lack the same");
    assert_eq!((lacks.len(), lacks.holes_len()), (1000, 1));
    assert_eq!(settle(&mut lacks, &mut old), Outcome::Converged);
    assert_eq!(run(&mut lacks, &mut has).outcome, Outcome::Converged);
    assert_eq!((lacks.root(), lacks.holes_len()), (new.root(), 0));
    assert_eq!(settle(&mut lacks, &mut old), except(1));
}

#[test]
fn a_write_or_delete_at_a_hole_is_concurrent_with_what_is_missing() {
    for delete in [false, true] {
        let (mut new, shared) = (open::<New>(1), Disk::of(MemoryStore::new()));
        let mut old = open_on::<Old>(shared.clone(), 2, ReplicaConfig::default());
        text(&mut new, SPECIAL, "before");
        settle(&mut old, &mut new);
        number(&mut new, SPECIAL, 7);
        assert_eq!(settle(&mut old, &mut new), except(1));
        assert_eq!(old.read(&SPECIAL).unwrap().siblings().len(), 1, "it holds what it held");
        if delete {
            assert!(old.delete(&SPECIAL, now()).unwrap().is_some());
            assert!(old.delete(&SPECIAL, now()).unwrap().is_none(), "there is nothing left that it knows of");
        } else {
            old_text(&mut old, SPECIAL, "written without knowing");
        }
        assert_eq!(settle(&mut old, &mut new), except(1));
        let siblings = new.read(&SPECIAL).unwrap().siblings().len();
        assert_eq!(siblings, if delete { 1 } else { 2 }, "the number survives what did not see it");
        drop(old);
        let mut replica = open_on::<New>(shared, 3, ReplicaConfig::default());
        assert_eq!(settle(&mut replica, &mut new), Outcome::Converged);
        assert_eq!(replica.read(&SPECIAL).unwrap().siblings().len(), siblings);
        assert_eq!(replica.root(), new.root());
    }
}

#[test]
fn a_delete_of_what_could_not_be_read_leaves_no_hole() {
    let (mut new, mut old) = (upgraded(1), open::<Old>(2));
    settle(&mut old, &mut new);
    new.delete(&SPECIAL, now()).unwrap();
    assert_eq!(settle(&mut old, &mut new), Outcome::Converged);
    assert_eq!((old.holes_len(), old.root()), (0, new.root()));
}

#[test]
fn more_holes_than_allowed_are_refused_by_name() {
    for old_opens in [true, false] {
        let config = ReplicaConfig::default().with(|config| config.max_holes = 2);
        let (mut new, mut old) = (open::<New>(1), open_on::<Old>(MemoryStore::new(), 2, config));
        (0..10).for_each(|key| text(&mut new, key, "text"));
        (0..2).for_each(|key| number(&mut new, key, 7));
        assert_eq!(run(&mut old, &mut new).outcome, except(2));
        let before = (old.root(), old.context_hash(), old.len());
        number(&mut new, 2, 7);
        let default = SessionConfig::default();
        let refused = if old_opens {
            run_with((&mut old, default), (&mut new, default)).0
        } else {
            run_with((&mut new, default), (&mut old, default)).1
        };
        assert_eq!(refused.outcome, Outcome::Refused(Refusal::TooManyHoles { holes: 3, limit: 2 }));
        assert_eq!((old.root(), old.context_hash(), old.len()), before, "nothing is lost");
    }
}

/// An entry that is longer than one side's messages may be, between many that are not.
fn with_long_entry(seed: u8) -> Replica<Old> {
    let mut replica = open(seed);
    (0..300).for_each(|key| old_text(&mut replica, key, &"short".repeat(100)));
    old_text(&mut replica, SPECIAL, &"long".repeat(50_000));
    replica
}

fn limited(max_message_bytes: usize) -> SessionConfig {
    SessionConfig { max_message_bytes, batch_bytes: max_message_bytes.min(256 << 10), ..SessionConfig::default() }
}

#[test]
fn an_entry_that_is_too_long_keeps_nothing_else_back_and_follows_when_the_limit_is_raised() {
    const SMALL: usize = 64 << 10;
    let default = SessionConfig::default().max_message_bytes;
    for holder_opens in [true, false] {
        // Whose limit is the small one: the holder's, the other's, or both.
        for (holders, others) in [(SMALL, default), (default, SMALL), (SMALL, SMALL)] {
            let (mut holder, mut other) = (with_long_entry(1), open::<Old>(2));
            let session =
                |holder: &mut Replica<Old>, other: &mut Replica<Old>, limits: (usize, usize), holder_opens| {
                    let (first, second) = ((holder, limited(limits.0)), (other, limited(limits.1)));
                    if holder_opens { run_with(first, second).0 } else { run_with(second, first).0 }
                };
            let mut limits = (holders, others);
            let finished = session(&mut holder, &mut other, limits, holder_opens);
            assert_eq!(finished.outcome, except(1), "{limits:?} {holder_opens}");
            assert_eq!((other.len(), other.holes_len()), (300, 1));
            let hash = KeyHash::of(&SPECIAL);
            assert_eq!(notices(&mut other), [Notice::TooLong { hash, key: None }]);
            for holder_opens in [true, false] {
                let finished = session(&mut holder, &mut other, limits, holder_opens);
                assert_eq!((finished.outcome, finished.stats.round_trips), (except(1), 1));
            }
            // Raised at the other side alone, if both are small: it is tried again, and left out again.
            if (holders, others) == (SMALL, SMALL) {
                limits.1 = default;
                assert_eq!(session(&mut holder, &mut other, limits, false).outcome, except(1));
                assert_eq!(session(&mut holder, &mut other, limits, false).stats.round_trips, 1);
            }
            // Raised at both. The holder does not know of the hole, so that the other one opens.
            let finished = session(&mut holder, &mut other, (default, default), false);
            assert_eq!(finished.outcome, Outcome::Converged, "{limits:?} {holder_opens}");
            assert_eq!((other.root(), other.holes_len()), (holder.root(), 0));
            assert_eq!(notices(&mut other), [Notice::HoleFilled { hash }]);
        }
    }
}

#[test]
fn many_short_entries_arrive_whatever_the_smaller_limit_is() {
    for (openers, answerers) in [(4 << 10, 64 << 20), (64 << 20, 4 << 10)] {
        let (mut a, mut b) = (with_long_entry(1), open::<Old>(2));
        old_text(&mut b, 1000, "here");
        let config = |max| SessionConfig { max_sketch_cells: 0, answer_bytes: 1000, ..limited(max) };
        let (finished, _) = run_with((&mut a, config(openers)), (&mut b, config(answerers)));
        assert_eq!((finished.outcome, b.len(), a.len()), (except(1), 301, 302));
    }
}

#[test]
fn trying_again_is_asked_for_by_the_application_too() {
    let (mut new, mut old) = (upgraded(1), open::<Old>(2));
    settle(&mut old, &mut new);
    old.retry_holes();
    let finished = run(&mut old, &mut new);
    assert!(finished.stats.round_trips > 1);
    assert_eq!((finished.outcome, run(&mut old, &mut new).stats.round_trips), (except(1), 1));
}
