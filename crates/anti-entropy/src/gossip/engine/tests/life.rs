//! Engines whose replica has stopped.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Cluster, Item, name};
use crate::clock::Seed;
use crate::gossip::*;
use crate::replica::tests::disk::Disk;
use crate::replica::{Keyed, LastWriterWins, Replica};

/// A cluster in which node 0 has this disk.
fn on_disk(nodes: usize, config: &GossipConfig, disk: &Disk) -> Cluster<Item> {
    let mut cluster = Cluster::<Item>::new(nodes, &LastWriterWins, config, 1);
    let replica = Replica::open(disk.clone(), LastWriterWins, Seed::from_bytes([77; 32])).unwrap();
    let mut engine = Engine::new(replica, config.clone(), 77, cluster.now).unwrap();
    engine.set_name(Some(name(0)));
    (1..nodes).for_each(|peer| engine.add_peer(name(peer), None));
    cluster.engines.insert(name(0), engine);
    cluster
}

fn write(cluster: &mut Cluster<Item>, node: usize, key: u32) {
    let now = cluster.now;
    cluster.engine(node).write(Keyed::new(key, "value".to_string()), now).unwrap();
}

fn failures(cluster: &Cluster<Item>) -> Vec<&str> {
    let failed = cluster.events.iter().filter_map(|(_, event)| match event {
        Event::StoreFailed { message } => Some(message.as_str()),
        _ => None,
    });
    failed.collect()
}

/// Memory is put back while the disk stays. Nobody writes, and the peer has not seen the last write: only a look at the store
/// can tell.
#[test]
fn a_replica_with_another_store_than_it_left_says_so_once_and_takes_no_part() {
    let disk = Disk::default();
    let config = GossipConfig { push: false, ..GossipConfig::lan() };
    let mut cluster = on_disk(2, &config, &disk);
    write(&mut cluster, 0, 1);
    assert!(cluster.run(Duration::from_secs(60), Cluster::equal));
    let back = cluster.engine(0).fork(disk.clone(), LastWriterWins);
    write(&mut cluster, 0, 2);
    cluster.engines.insert(name(0), back);
    cluster.run(Duration::from_secs(300), |_| false);
    let failures = failures(&cluster);
    assert!(
        matches!(failures[..], [only] if only.contains("put back") && only.contains("open it again")),
        "{failures:?}"
    );
    assert!(cluster.engine(0).replica().is_stopped());
    assert_eq!(cluster.engine(0).sessions_len(), 0);
    assert_eq!(cluster.engine(1).replica().len(), 1, "what it would have said is not what its store holds");
}

#[test]
fn a_stopped_replica_neither_opens_nor_answers_nor_wakes_its_caller() {
    let mut cluster = Cluster::<Item>::new(2, &LastWriterWins, &GossipConfig::lan(), 1);
    write(&mut cluster, 0, 1);
    assert!(cluster.run(Duration::from_secs(60), Cluster::equal));
    cluster.engine(0).replica_mut().stop_for_test();
    let before = cluster.engine(0).stats();
    write(&mut cluster, 1, 2);
    cluster.run(Duration::from_secs(300), |_| false);
    let after = cluster.engine(0).stats();
    assert!(after.frames_received > before.frames_received, "the peer tries");
    assert_eq!((after.frames_sent, after.sessions_accepted), (before.frames_sent, before.sessions_accepted));
    assert_eq!((after.store_failures, after.rounds), (1, before.rounds));
    let now = cluster.now;
    assert_eq!(cluster.engine(0).poll_output(now), EngineOutput::Wait(Duration::MAX));
    let failed = cluster.engine(1).status(now).peers[0].failures;
    assert!(failed > 0, "it is left alone as one that is down");
}
