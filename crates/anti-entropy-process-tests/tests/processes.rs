//! Faults of processes and clocks, in namespaces of their own, under load.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use anti_entropy_process_tests::nemesis::Nemesis;
use anti_entropy_process_tests::run::Verdict;
use anti_entropy_sim::history::Record;

fn heals(name: &str, nemesis: Nemesis, faulty: Duration) -> Verdict {
    let _alone = common::alone();
    let mut run = common::run(name);
    run.round(&[nemesis], faulty);
    run.round(&[nemesis], faulty);
    run.rest(Duration::from_secs(9));
    let verdict = run.judge();
    verdict.assert_sound();
    verdict
}

/// How many ids the writes were made under.
fn ids(verdict: &Verdict) -> usize {
    let dot = |record: &Record| if let Record::Op(op) = record { op.dot } else { None };
    verdict.history.iter().filter_map(dot).map(|dot| dot.replica).collect::<BTreeSet<_>>().len()
}

/// For longer than time-outs and failure detection take.
#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn processes_that_stand_still_go_on() {
    heals("stopped", Nemesis::Pause, Duration::from_secs(10));
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn processes_that_are_killed_under_load_go_on_with_their_stores() {
    let verdict = heals("killed", Nemesis::Kill, Duration::from_secs(6));
    assert!(ids(&verdict) > 5, "nothing proves that a killed process's store is its last one: the id changes");
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn processes_that_are_restarted_in_order_go_on_under_their_ids() {
    let verdict = heals("restarted", Nemesis::Restart, Duration::from_secs(6));
    assert_eq!(ids(&verdict), 5);
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn clocks_that_jump_by_hours_change_nothing() {
    let verdict = heals("skewed", Nemesis::Skew, Duration::from_secs(4));
    let noticed = |record: &Record| matches!(record, Record::Alarm(alarm) if alarm.alarm == "clock_skew");
    assert!(verdict.history.iter().any(noticed), "no node has noticed clocks that are far ahead");
}
