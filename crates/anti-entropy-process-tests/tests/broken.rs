//! Nodes that are broken on purpose: the checkers have to find each, in processes as in the simulator.
//!
//! These run on loopback addresses and need no privileges.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::time::Duration;

use anti_entropy_process_tests::cluster::Ground;
use anti_entropy_process_tests::nemesis::Nemesis;
use anti_entropy_process_tests::node::database;
use anti_entropy_process_tests::run::Run;
use anti_entropy_process_tests::wire::Broken;
use anti_entropy_sim::history::{OpKind, Opened};

const SHORT: Duration = Duration::from_secs(1);
const FAULTY: Duration = Duration::from_secs(3);

/// What the checkers find in the others is not there where nothing is broken.
#[test]
fn a_sound_cluster_passes() {
    let _alone = common::alone();
    let mut run = Run::new(common::setup("sound", common::seed()), Ground::loopback());
    run.round(&[Nemesis::Kill], FAULTY);
    run.rest(Duration::from_secs(12));
    run.judge().assert_sound();
}

#[test]
fn a_store_that_promises_too_much_is_found() {
    let _alone = common::alone();
    let mut run = common::broken("volatile store", Broken::VolatileStore);
    run.round(&[Nemesis::Kill], FAULTY);
    run.judge().assert_found(&["S4", "S8"]);
}

#[test]
fn another_value_is_found() {
    let _alone = common::alone();
    let mut run = common::broken("another value", Broken::WritesAnotherValue);
    run.round(&[], SHORT);
    run.judge().assert_found(&["S2"]);
}

#[test]
fn a_node_that_knows_nobody_is_found() {
    let _alone = common::alone();
    let mut setup = common::setup("knows nobody", common::seed());
    setup.broken = [(0, Broken::KnowsNobody)].into();
    // The bound is in rounds, and waited for.
    setup.gossip.interval = Duration::from_millis(400);
    let mut run = Run::new(setup, Ground::loopback());
    run.round(&[], SHORT);
    run.judge().assert_found(&["S1", "L1"]);
}

/// A node's database is put back to an earlier state while the node is down; the history says this of it.
fn rolled_back(mut run: Run, opened: Opened) -> Run {
    run.round(&[], SHORT);
    run.cluster.shut_down(0);
    let file = database(&run.cluster.store(0));
    let backup = file.with_extension("backup");
    fs::copy(&file, &backup).expect("there is room for a backup");
    run.cluster.start_node(0, Opened::Restarted);
    run.round(&[], SHORT);
    (0..run.cluster.nodes()).for_each(|node| run.cluster.kill(node));
    fs::copy(&backup, &file).expect("the node is down");
    run.cluster.start_node(0, opened);
    // Nobody is there who could tell it that it has forgotten something.
    for key in 0..5 {
        run.cluster.ask(0, OpKind::Write, key, Some(format!("restored {key}"))).expect("it answers");
    }
    (1..run.cluster.nodes()).for_each(|node| run.cluster.start_node(node, Opened::Restarted));
    run.round(&[], SHORT);
    run
}

#[test]
fn a_store_that_was_rolled_back_is_sound_under_a_new_id() {
    let _alone = common::alone();
    let run = Run::new(common::setup("restored", common::seed()), Ground::loopback());
    rolled_back(run, Opened::Restored).judge().assert_sound();
}

/// A store that goes back in time by itself.
#[test]
fn a_store_that_forgets_is_found() {
    let _alone = common::alone();
    let run = Run::new(common::setup("forgets", common::seed()), Ground::loopback());
    rolled_back(run, Opened::Restarted).judge().assert_found(&["S3", "S4", "S8"]);
}

#[test]
fn a_store_that_was_rolled_back_and_is_vouched_for_is_found() {
    let _alone = common::alone();
    let run = common::broken("vouched for", Broken::VouchesForItsStore);
    rolled_back(run, Opened::Restored).judge().assert_found(&["S4", "S8"]);
}

/// Bugs of the core, and which checkers find them.
#[cfg(feature = "mutants")]
mod planted {
    use super::*;

    fn find(bug: &str, invariants: &[&str], rest: Duration) {
        let _alone = common::alone();
        let mut setup = common::setup(bug, common::seed());
        // Some never become equal, which is waited for.
        setup.gossip.interval = Duration::from_millis(400);
        setup.broken = (0..setup.nodes).map(|node| (node, Broken::Planted(bug.to_owned()))).collect();
        let mut run = Run::new(setup, Ground::loopback());
        // Some need a coincidence.
        for _ in 0..5 {
            run.round(&[Nemesis::Kill], FAULTY);
            run.rest(rest);
            if run.has_found(invariants) {
                return;
            }
        }
        run.judge().assert_found(invariants);
    }

    #[test]
    fn pushes_that_remove_everything() {
        find("PushRemovesAllHeld", &["S1", "S5"], Duration::ZERO);
    }

    #[test]
    fn pushes_that_ignore_what_they_replace() {
        find("PushIgnoresWhatItReplaces", &["S7"], Duration::ZERO);
    }

    #[test]
    fn sessions_that_converge_unchecked() {
        find("SessionConvergesUnchecked", &["S6"], Duration::ZERO);
    }

    #[test]
    fn digests_that_are_blind() {
        find("FingerprintBlindToVersions", &["S6"], Duration::ZERO);
    }

    #[test]
    fn pushes_that_never_end() {
        find("PushesRepeatedEveryRound", &["L2"], Duration::from_secs(15));
    }
}
