//! What each node has on the heap while one member is hostile. A test of its own, since it counts the bytes of the whole process.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::System;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use anti_entropy_sim::history::{NodeIndex, OpKind, Record};
use anti_entropy_sim::scenario::{Abuse, Fault, Gossip, Operation, Profile, Scenario};
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::world::count_heap;
use anti_entropy_sim::{Judging, checkers_for, judge};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The bytes on the heap.
fn live_bytes() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

/// The last of three nodes does this.
fn beset(does: Abuse) -> Scenario {
    let gossip = Gossip {
        interval_ms: Some(1_000),
        min_interval_ms: Some(200),
        backoff_min_ms: Some(200),
        backoff_max_ms: Some(2_000),
        idle_timeout_ms: Some(2_000),
        ..Gossip::default()
    };
    let scenario = Scenario::new(format!("{does:?}"), 3).keys(20).duration_ms(6_000).operations(100).gossip(gossip);
    scenario.step(1_000, 6_000, [2], Fault::Hostile { does: vec![does] })
}

/// How many values are deleted at once.
const DELETED: u32 = 400;

/// Two nodes hold many values of 64 KiB, and one deletes all of them while it is cut off: a few kilobytes tell the other one.
fn deleted_at_once() -> Scenario {
    let gossip = Gossip {
        batch_entries: NonZeroUsize::new(DELETED as usize),
        push: Some(false),
        interval_ms: Some(1_000),
        min_interval_ms: Some(200),
        ..Gossip::default()
    };
    let mut scenario = Scenario::new("deleted at once", 2).keys(DELETED).duration_ms(20_000).gossip(gossip);
    let operation = |key, at_ms: u64, op| Operation { at_us: 1_000 * at_ms, process: 0, node: 0, op, keys: vec![key] };
    scenario.operations = (0..DELETED).map(|key| operation(key, u64::from(key), OpKind::Write)).collect();
    scenario.operations.extend((0..DELETED).map(|key| operation(key, 15_000 + u64::from(key), OpKind::Delete)));
    let split = Fault::Split { groups: vec![vec![0], vec![1]] };
    scenario.step(14_000, 20_000, [], split)
}

/// The most that each node had, by node, and what it had when nothing was going on any more.
fn most(scenario: &Scenario, items: Items) -> Vec<(NodeIndex, u64, u64)> {
    scenario.check().unwrap();
    let mut most = std::collections::BTreeMap::new();
    let scenario = scenario.clone().expanded(1);
    judge(&scenario, 1, items, Vec::new(), Judging::default(), |record| {
        if let Record::Heap(heap) = record {
            let (most, held) = most.entry(heap.node).or_insert((0, 0));
            *most = heap.most_bytes.max(*most);
            *held = heap.held_bytes;
        }
    });
    most.into_iter().map(|(node, (most, held))| (node, most, held)).collect()
}

/// A row: its name, the scenario, its values, and how many bytes a node may have at most above what it has in the end.
type Row = (String, Scenario, Items, u64);

/// What a few small entries, sessions and queues take, three times over.
const USUAL: u64 = 256 << 10;

fn rows() -> Vec<Row> {
    let row = |does: Abuse| {
        let above = match does {
            // Some values of 100 kB are on their way at a time, each encoded and decoded.
            Abuse::LargestValues => 2 << 20,
            // Four times the message of 200 kB.
            Abuse::EmptyParts => USUAL + (800 << 10),
            _ => USUAL,
        };
        (format!("{does:?}"), beset(does), Items::default(), above)
    };
    let deleted = ("DeletedAtOnce".to_owned(), deleted_at_once(), Items { body_bytes: 64 << 10 }, 8 << 20);
    Abuse::ALL.into_iter().map(row).chain([deleted]).collect()
}

/// The rows in which a node takes more than it may, and why.
const KNOWN: &[(&str, &str)] = &[];

/// How many seeds of the profile are run; `SEEDS` sets another number.
const SEEDS: u64 = 20;

/// One test at a time, since it counts what the whole process allocates.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes; .ci/simulation runs it in a release build")]
fn nodes_take_what_they_may() {
    let _alone = ALONE.lock();
    count_heap(live_bytes);
    let mut wrong = Vec::new();
    for (name, scenario, items, above) in rows() {
        // A node that is shut down has nothing in the end.
        let rest = most(&scenario, items).into_iter().filter(|(_, _, held)| *held > 0);
        let most = rest.map(|(node, most, held)| (most.saturating_sub(held.min(USUAL)), node)).max().unwrap();
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        println!("{name}: node {} takes {} bytes more than it keeps", most.1, most.0);
        match (most.0 > above, known) {
            (true, None) => wrong.push(format!("{name}: node {} takes {} bytes, more than {above}", most.1, most.0)),
            (false, Some((_, reason))) => wrong.push(format!(
                "{name} takes no more than it may now; take it out of KNOWN, where it stands because {reason}"
            )),
            _ => {}
        }
    }
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let scenario = Profile::Hostile.draw(seed, 3..=8);
        let mut highest = 0;
        let verdict = judge(&scenario, seed, Items::default(), checkers_for(&scenario), Judging::default(), |record| {
            if let Record::Heap(heap) = record {
                highest = heap.most_bytes.max(highest);
            }
        });
        println!("seed {seed}: {highest} of {:?} bytes", scenario.heap_bytes);
        wrong.extend(verdict.violations.iter().map(|violation| format!("seed {seed}: {violation}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A planted bug, which only bytes show. `.ci/mutants` runs it.
#[test]
#[cfg(feature = "mutants")]
#[cfg_attr(debug_assertions, ignore = "takes minutes; .ci/mutants runs it in a release build")]
fn a_batch_that_is_loaded_all_at_once_takes_more() {
    use anti_entropy::__private::{Mutant, with};

    let _alone = ALONE.lock();
    count_heap(live_bytes);
    let mut scenario = deleted_at_once();
    scenario.heap_bytes = Some((8 << 20) + USUAL);
    let scenario = scenario.expanded(1);
    let violations = |bug| {
        let items = Items { body_bytes: 64 << 10 };
        let verdict = with(bug, || judge(&scenario, 1, items, checkers_for(&scenario), Judging::default(), |_| {}));
        verdict.violations.iter().map(|violation| violation.invariant).collect::<Vec<_>>()
    };
    assert_eq!(violations(None), [""; 0]);
    assert_eq!(violations(Some(Mutant::BatchLoadedAllAtOnce)), ["S9 by bytes"]);
}
