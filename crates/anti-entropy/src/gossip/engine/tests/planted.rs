//! Every bug that can be planted in gossip shows.

use core::time::Duration;

use super::{Cluster, Item, name};
use crate::gossip::*;
use crate::mutant::{Mutant, with};
use crate::replica::LastWriterWins;

/// What a check sees with a bug and without.
fn both<T>(bug: Mutant, see: impl Fn() -> T) -> (T, T) {
    (with(Some(bug), &see), with(None, &see))
}

/// Three replicas after five minutes in which nobody heard the last of them.
fn with_a_dead_peer() -> Cluster<Item> {
    let mut cluster = Cluster::new(3, &LastWriterWins, &GossipConfig::lan(), 1);
    cluster.split(&[2], &[0, 1]);
    cluster.run(Duration::from_secs(300), |_| false);
    cluster
}

/// Three replicas that are equal, and what the first has done until then.
fn at_rest() -> (Cluster<Item>, EngineStats) {
    let mut cluster = Cluster::new(3, &LastWriterWins, &GossipConfig::lan(), 1);
    cluster.write(0, 1, "value");
    assert!(cluster.run(Duration::from_secs(100), Cluster::equal));
    let stats = cluster.engine(0).stats();
    cluster.run(Duration::from_secs(600), |_| false);
    (cluster, stats)
}

#[test]
fn rounds_that_never_slow_down_are_many() {
    let rounds = || {
        let (mut cluster, before) = at_rest();
        cluster.engine(0).stats().rounds - before.rounds
    };
    let (planted, sound) = both(Mutant::PaceNeverSlowsDown, rounds);
    assert!(planted > 5 * sound, "{planted} {sound}");
}

#[test]
fn pushes_that_are_repeated_move_values_though_all_is_equal() {
    let value_bytes = || {
        let (mut cluster, before) = at_rest();
        cluster.engine(0).stats().value_bytes_sent - before.value_bytes_sent
    };
    let (planted, sound) = both(Mutant::PushesRepeatedEveryRound, value_bytes);
    assert!(planted > 100 && sound == 0, "{planted} {sound}");
}

#[test]
fn a_dead_peer_stops_rounds_that_wait_for_it() {
    let rounds = || with_a_dead_peer().engine(0).stats().rounds;
    let (planted, sound) = both(Mutant::RoundWaitsForEverySession, rounds);
    assert!(planted < 5 && sound > 20, "{planted} {sound}");
}

#[test]
fn without_time_outs_no_failure_is_noticed() {
    let failures = || {
        let mut cluster = with_a_dead_peer();
        let now = cluster.now;
        let status = cluster.engine(0).status(now);
        status.peers.into_iter().find(|peer| peer.peer == name(2)).unwrap().failures
    };
    let (planted, sound) = both(Mutant::SessionsNeverTimeOut, failures);
    assert!(planted == 0 && sound > 2, "{planted} {sound}");
}

#[test]
fn a_queue_without_a_bound_grows() {
    let waiting = || {
        let config = GossipConfig { max_queued_pushes: 5, ..GossipConfig::default() };
        let mut cluster = Cluster::new(2, &LastWriterWins, &config, 1);
        (0..50).for_each(|key| cluster.write(0, key, "value"));
        cluster.engine(0).pushing.queued_len()
    };
    assert_eq!(both(Mutant::QueuesAreNotBounded, waiting), (50, 5));
}
