//! What operators do that is not meant to be done, one row each: what was acknowledged is everywhere afterwards, or was refused
//! with an error.
//!
//! A row that the core does not survive yet stands in `KNOWN`. The test fails too when such a row is survived, so that no mark
//! stays longer than its reason.

#![allow(clippy::unwrap_used, reason = "tests")]

use anti_entropy_sim::scenario::{DiskAge, Fault, Gossip, Lie, Scenario};
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Judging, checkers_for, judge};

/// The rows that are not survived yet, and why.
const KNOWN: &[(&str, &str)] = &[];

/// How many seeds of each row are tried.
const SEEDS: u64 = 8;

fn calm(name: &str) -> Scenario {
    let gossip = Gossip { interval_ms: Some(1_000), min_interval_ms: Some(200), ..Gossip::default() };
    Scenario::new(name, 4).keys(6).duration_ms(10_000).operations(120).gossip(gossip)
}

/// A node that is backed up at 2 s and put back at 4 s.
fn put_back(name: &str, fault: Fault) -> Scenario {
    calm(name).step(2_000, 4_000, [0], fault)
}

fn cloned(name: &str, running: bool, one_name: bool) -> Scenario {
    let end = if one_name { 8_000 } else { 10_000 };
    let scenario = calm(name).step(2_000, end, [0, 3], Fault::Clone { running, one_name });
    if one_name { scenario.never_back([3]) } else { scenario }
}

/// Each restart without a proof takes a new id, and there is room for eight.
fn ids_run_out() -> Scenario {
    let mut scenario = calm("ids_run_out");
    scenario.gossip.clock_replicas = Some(8);
    for turn in 0..12 {
        let crash = Fault::Crash { in_order: false, vouched: false };
        scenario = scenario.step(500 + turn * 700, 700 + turn * 700, [0], crash);
    }
    scenario
}

fn rows() -> Vec<Scenario> {
    let lie = Fault::Lie { lie: Lie::Counter };
    vec![
        ids_run_out(),
        put_back("disk_put_back_and_vouched_for", Fault::Restore { vouched: true }),
        put_back("disk_put_back_with_its_marker", Fault::RestoreMarker),
        put_back("memory_put_back_with_its_disk", Fault::RestoreMemory { disk: DiskAge::Then }),
        put_back("memory_put_back_on_a_later_disk", Fault::RestoreMemory { disk: DiskAge::Now }),
        cloned("stopped_node_cloned_with_its_marker", false, false),
        cloned("stopped_node_cloned_under_one_name", false, true),
        cloned("running_node_cloned", true, false),
        cloned("running_node_cloned_under_one_name", true, true),
        put_back("memory_node_with_a_constant_seed", Fault::SameSeed { wiped: true }),
        put_back("node_with_a_constant_seed", Fault::SameSeed { wiped: false }),
        calm("lies_about_a_counter").step(1_000, 10_000, [3], lie).never_back([3]),
        calm("upgrade_node_by_node").step(0, 6_000, [0], Fault::OldRelease).step(0, 8_000, [1], Fault::OldRelease),
        upgraded_one_after_the_other("upgrade_of_all_nodes"),
        upgraded_one_after_the_other("upgrade_while_nodes_are_parted").step(
            500,
            7_000,
            [],
            Fault::Split { groups: vec![vec![0, 1], vec![2, 3]] },
        ),
        calm("upgrade_while_nodes_crash")
            .operations(200)
            .step(0, 4_000, [0], Fault::OldRelease)
            .step(0, 7_000, [1], Fault::OldRelease)
            .step(1_000, 1_200, [2], Fault::Crash { in_order: false, vouched: false })
            .step(5_000, 5_200, [0], Fault::Crash { in_order: false, vouched: false })
            .step(5_500, 5_700, [3], Fault::Crash { in_order: true, vouched: false }),
        clock_wrong("clock_ten_years_ahead", TEN_YEARS_MS),
        clock_wrong("clock_ten_years_behind", -TEN_YEARS_MS),
    ]
}

/// All nodes run the old release at first, and each is restarted with the new one while all are written to.
fn upgraded_one_after_the_other(name: &str) -> Scenario {
    let upgrade =
        |scenario: Scenario, node| scenario.step(0, 2_000 + 2_000 * u64::from(node), [node], Fault::OldRelease);
    (0..4).fold(calm(name).operations(200), upgrade)
}

const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;

/// The clock of node 0 is wrong from 1 s to 4 s. The node is restarted with its id and gets a new one, while the clock is wrong
/// and afterwards.
fn clock_wrong(name: &str, by_ms: i64) -> Scenario {
    let restart = |vouched| Fault::Crash { in_order: false, vouched };
    calm(name)
        .operations(200)
        .step(1_000, 4_000, [0], Fault::ClockJump { by_ms })
        .step(1_600, 1_700, [0], restart(true))
        .step(2_400, 2_500, [0], restart(false))
        .step(4_800, 4_900, [0], restart(true))
        .step(6_000, 6_100, [0], restart(false))
}

/// The first violation of a row, with its seed.
fn violated(row: &Scenario) -> Option<String> {
    row.check().expect("the row is a valid scenario");
    (0..SEEDS).find_map(|seed| {
        let scenario = row.clone().expanded(seed);
        let judging = Judging::default();
        let verdict = judge(&scenario, seed, Items::default(), checkers_for(&scenario), judging, |_| {});
        verdict.violations.first().map(|violation| format!("seed {seed}: {violation}"))
    })
}

#[test]
fn what_was_acknowledged_is_everywhere_or_was_refused() {
    let mut wrong = Vec::new();
    for row in rows() {
        let known = KNOWN.iter().find(|(name, _)| *name == row.name);
        match (violated(&row), known) {
            (Some(violation), None) => wrong.push(format!("{}: {violation}", row.name)),
            (None, Some((_, reason))) => {
                wrong.push(format!(
                    "{} is survived now; take it out of KNOWN, where it stands because {reason}",
                    row.name
                ));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
