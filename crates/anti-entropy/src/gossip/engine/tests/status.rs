//! What an engine counts and tells of itself.

use core::time::Duration;

use super::Cluster;
use super::tree::by_rank;
use crate::gossip::*;
use crate::replica::tests::pattern::Pattern;
use crate::replica::{LastWriterWins, Part, ReplicaStats, ValueBytes};

fn pattern(id: u32, confidence: u8) -> Pattern {
    // Each key has a part of its own.
    Pattern { id, confidence, embedding: Part::from(alloc::vec![u8::try_from(id).unwrap(); 3000]) }
}

fn write(cluster: &mut Cluster<Pattern>, node: usize, pattern: Pattern) {
    let now = cluster.now;
    cluster.engine(node).write(pattern, now).unwrap();
}

/// What all have sent, and what they needed.
fn sent_and_needed(cluster: &Cluster<Pattern>) -> (ValueBytes, ValueBytes) {
    let stats = cluster.engines.values().map(|engine| (engine.stats(), engine.replica.stats()));
    let of = |(engine, replica): (EngineStats, ReplicaStats)| {
        let sent = ValueBytes { all: engine.value_bytes_sent, parts: engine.part_bytes_sent };
        (sent, ValueBytes { all: replica.value_bytes_needed, parts: replica.part_bytes_needed })
    };
    stats.map(of).fold(Default::default(), |sum, next| (sum.0 + next.0, sum.1 + next.1))
}

/// Ten values, and then other bodies with the same parts, go from one replica to two. Returns how many pushes were
/// relayed.
fn moves_parts_once(config: &GossipConfig) -> u64 {
    let mut cluster = Cluster::new(3, &LastWriterWins, config, 1);
    // At the end of a chain.
    let writer = by_rank(3)[0];
    (0..10).for_each(|id| write(&mut cluster, writer, pattern(id, 1)));
    assert!(cluster.run(Duration::from_secs(300), Cluster::equal));
    let first = ValueBytes { all: 20 * 3001, parts: 20 * 3000 };
    assert_eq!(sent_and_needed(&cluster), (first, first));
    (0..10).for_each(|id| write(&mut cluster, writer, pattern(id, 2)));
    assert!(cluster.run(Duration::from_secs(300), Cluster::equal));
    let second = ValueBytes { all: first.all + 20, ..first };
    assert_eq!(sent_and_needed(&cluster), (second, second));
    cluster.engines.values().map(|engine| engine.stats().pushes_relayed).sum()
}

#[test]
fn sessions_send_parts_to_those_who_need_them() {
    moves_parts_once(&GossipConfig { push: false, ..GossipConfig::lan() });
}

#[test]
fn pushes_send_parts_to_those_who_need_them_and_so_do_relays() {
    let never = Duration::from_secs(1_000_000);
    let only_pushes = GossipConfig { interval: never, min_interval: never, ..GossipConfig::default() };
    assert_eq!(moves_parts_once(&only_pushes), 0);
    let chain = GossipConfig { push_route: PushRoute::Tree, push_fanout: 1, ..only_pushes };
    assert_eq!(moves_parts_once(&chain), 20);
}

#[test]
fn what_was_last_taken_in_came_from_a_peer_by_a_push_or_a_session() {
    let minute = Duration::from_secs(60);
    for push in [true, false] {
        let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { push, ..GossipConfig::lan() }, 1);
        let last_joined = |cluster: &mut Cluster<Pattern>, node| {
            let now = cluster.now;
            cluster.engine(node).status(now).last_joined
        };
        cluster.run(minute, |_| false);
        assert_eq!(last_joined(&mut cluster, 1), None, "equal replicas take nothing in");
        write(&mut cluster, 0, pattern(1, 1));
        assert!(cluster.run(minute, Cluster::equal));
        assert_eq!(cluster.engine(1).stats().pushes_taken, u64::from(push));
        assert_eq!(last_joined(&mut cluster, 1), Some(Duration::ZERO));
        cluster.run(minute, |_| false);
        assert_eq!(last_joined(&mut cluster, 1), Some(minute), "sessions that change nothing do not count");
        assert_eq!(last_joined(&mut cluster, 0), None, "own writes neither");
    }
}
