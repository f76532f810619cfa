use std::collections::BTreeMap;

use anti_entropy::clock::{Context, ReplicaId};
use anti_entropy_sim::history::{Acknowledged, Held, NodeLimits, OpKind, Opened, ValueHash, WriteName};

use super::*;
use crate::wire::{Attempt, Done, Look, Report};

const VALUE: ValueHash = ValueHash::from_u64(7);
const FIRST: WriteName = WriteName { replica: 1, counter: 1 };

fn start() -> Start {
    Start {
        seed: 0,
        scenario: "by hand".to_owned(),
        nodes: 2,
        keys: 1,
        interval_us: 1_000_000,
        min_interval_us: 1_000_000,
        fanout: 3,
        idle_timeout_us: 1_000_000,
        healed_loss_permille: 0,
        limits: NodeLimits::default(),
    }
}

/// Replica 1 has made so many writes, and holds these.
fn look(writes: u64, held: &[WriteName]) -> Look {
    let mut context = Context::new(ReplicaId::from_u128(1));
    for _ in 0..writes {
        context.mint().expect("there are counters left");
    }
    let held: Vec<Held> = held.iter().map(|dot| Held { dot: *dot, value: VALUE }).collect();
    let keys = if held.is_empty() { BTreeMap::new() } else { BTreeMap::from([(0, held)]) };
    Look { root: ValueHash::from_u64(writes), context, keys }
}

fn attempt() -> Report {
    let (op, key, value, seen) = (OpKind::Write, 0, Some(VALUE), Vec::new());
    Report::Attempt(Attempt { op_id: 5, process: 0, op, key, dot: FIRST, value, seen })
}

fn done() -> Report {
    let (op, key, ok, seen) = (OpKind::Write, 0, Acknowledged::Yes, Vec::new());
    Report::Done(Done { op_id: 5, process: 0, op, key, ok, dot: Some(FIRST), seen })
}

/// Node 0 is started, says this, is killed, and has that when it is started again.
fn killed(said: Vec<Report>, found: Look) -> Vec<Record> {
    let mut happenings = vec![Happening::Started(0, Opened::New), Happening::Said(0, Report::Life(look(0, &[])))];
    happenings.extend(said.into_iter().map(|report| Happening::Said(0, report)));
    happenings.push(Happening::Ended(0));
    happenings.push(Happening::Started(0, Opened::Restarted));
    happenings.push(Happening::Said(0, Report::Life(found)));
    records(start(), (1..).zip(happenings).collect())
}

fn kept(records: &[Record]) -> Vec<WriteName> {
    let last = records.iter().rev().find_map(|record| if let Record::Life(life) = record { Some(life) } else { None });
    last.expect("it was started twice").kept.clone()
}

#[test]
fn a_write_that_was_not_answered_may_be_there_or_not() {
    let there = killed(vec![attempt()], look(1, &[FIRST]));
    assert_eq!((kept(&there), violations(&there)), (vec![FIRST], vec![]));
    let not_there = killed(vec![attempt()], look(0, &[]));
    assert_eq!((kept(&not_there), violations(&not_there)), (vec![], vec![]));
}

#[test]
fn a_write_that_was_answered_has_to_be_there() {
    let there = killed(vec![attempt(), done()], look(1, &[FIRST]));
    assert_eq!(violations(&there), vec![]);
    let lost = violations(&killed(vec![attempt(), done()], look(0, &[])));
    assert!(lost.iter().any(|violation| violation.invariant == "S8"), "{lost:?}");
}

#[test]
fn what_a_slow_pipe_brings_late_is_put_where_it_belongs() {
    let received = Happening::Said(1, Report::State(look(1, &[FIRST])));
    let mut happenings = vec![
        (1, Happening::Said(0, Report::Life(look(0, &[])))),
        (2, Happening::Said(1, Report::Life(look(0, &[])))),
        (9, received),
    ];
    happenings.extend([(3, Happening::Said(0, attempt())), (4, Happening::Said(0, done()))]);
    assert_eq!(violations(&records(start(), happenings)), vec![]);
}
