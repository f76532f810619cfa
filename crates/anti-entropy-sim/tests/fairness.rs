//! One member that is slow, broken or hostile, one row for each thing that it does: the others exchange what they hold within
//! three times the bound that they have without it, and all other invariants hold.
//!
//! A row that the core does not survive yet stands in `KNOWN`. The test fails too when such a row is survived, so that no mark
//! stays longer than its reason.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::num::{NonZeroU64, NonZeroUsize};

use anti_entropy_sim::scenario::{Abuse, Fault, Gossip, Scenario};
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Judging, checkers_for, judge};

/// The rows that are not survived yet, and why.
const KNOWN: &[(&str, &str)] = &[];

/// How many seeds of each row are tried.
const SEEDS: u64 = 4;

/// The last of four nodes does this. The others are parted until it is all that is left, so that they have much to exchange, and
/// only sessions can bring it.
fn beset(name: &str, does: &[Abuse]) -> Scenario {
    let gossip = Gossip {
        interval_ms: Some(1_000),
        min_interval_ms: Some(200),
        backoff_min_ms: Some(200),
        backoff_max_ms: Some(2_000),
        idle_timeout_ms: Some(2_000),
        push: Some(false),
        batch_entries: NonZeroUsize::new(10),
        ..Gossip::default()
    };
    let scenario = Scenario::new(name, 4).keys(60).duration_ms(8_000).operations(200).gossip(gossip);
    let split = Fault::Split { groups: vec![vec![0], vec![1, 2]] };
    scenario.step(500, 8_000, [], split).step(1_000, 8_000, [3], Fault::Hostile { does: does.to_vec() })
}

fn with(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    change(&mut scenario);
    scenario
}

fn rows() -> Vec<Scenario> {
    let mut rows = Abuse::ALL.map(|does| beset(&format!("{does:?}"), &[does])).to_vec();
    rows.push(with(beset("RepeatsRequestsWithABudget", &[Abuse::RepeatsRequests]), |scenario| {
        scenario.gossip.bytes_per_second = NonZeroU64::new(100_000);
        scenario.gossip.burst_bytes = NonZeroU64::new(10_000);
    }));
    rows.push(with(beset("TinyPushesOnASlowDisk", &[Abuse::TinyPushes]), |scenario| scenario.commit_us = 5_000));
    rows.push(beset("OpensAndClosesSlowly", &[Abuse::SlowReader, Abuse::OpensAndCloses]));
    rows
}

/// The first violation of a row, with its seed.
fn violated(row: &Scenario) -> Option<String> {
    row.check().expect("the row is a valid scenario");
    (0..SEEDS).find_map(|seed| {
        let scenario = row.clone().expanded(seed);
        let judging = Judging { until_first: true, ..Judging::default() };
        let verdict = judge(&scenario, seed, Items::default(), checkers_for(&scenario), judging, |_| {});
        verdict.violations.first().map(|violation| format!("seed {seed}: {violation}"))
    })
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes; .ci/simulation runs it in a release build")]
fn nobody_is_harmed_by_what_one_member_does() {
    let mut wrong = Vec::new();
    for row in rows() {
        let known = KNOWN.iter().find(|(name, _)| *name == row.name);
        match (violated(&row), known) {
            (Some(violation), None) => wrong.push(format!("{}: {violation}", row.name)),
            (None, Some((_, reason))) => wrong
                .push(format!("{} is survived now; take it out of KNOWN, where it stands because {reason}", row.name)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What makes the rows hard is the member, and nothing else.
#[test]
fn without_the_member_the_others_are_equal_in_time() {
    for mut row in rows() {
        row.steps.retain(|step| !matches!(step.fault, Fault::Hostile { .. }));
        let row = row.never_back([3]);
        assert_eq!(violated(&row), None, "{}", row.name);
    }
}
