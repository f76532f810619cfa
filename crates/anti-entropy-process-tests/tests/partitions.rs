//! Faults of the network, between five processes in namespaces of their own, under load.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use anti_entropy_process_tests::cluster::Setup;
use anti_entropy_process_tests::nemesis::Nemesis;
use anti_entropy_process_tests::run::Run;
use anti_entropy_process_tests::wire::Carrier;

const FAULTY: Duration = Duration::from_secs(4);

fn heals(name: &str, nemeses: &[Nemesis]) {
    let _alone = common::alone();
    let mut run = common::run(name);
    for nemesis in nemeses {
        run.round(&[*nemesis], FAULTY);
    }
    run.rest(Duration::from_secs(9));
    run.judge().assert_sound();
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn clean_partitions_heal() {
    heals("clean", &[Nemesis::Halves, Nemesis::Isolate]);
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn clean_partitions_heal_over_tcp_with_tls() {
    let _alone = common::alone();
    let mut run =
        Run::new(Setup { carrier: Carrier::Tcp, ..common::setup("tcp", common::seed()) }, common::namespaces());
    run.round(&[Nemesis::Halves], FAULTY);
    run.judge().assert_sound();
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn partitions_with_ways_around_heal() {
    heals("around", &[Nemesis::Bridge, Nemesis::Ring]);
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn asymmetric_partitions_heal() {
    heals("asymmetric", &[Nemesis::Mute, Nemesis::Deaf]);
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn flapping_partitions_heal() {
    heals("flapping", &[Nemesis::Flapping, Nemesis::Flapping]);
}

#[test]
#[ignore = "needs root and network namespaces; see docs/testing.md"]
fn links_that_go_down_come_back() {
    heals("link down", &[Nemesis::LinkDown, Nemesis::LinkDown]);
}
