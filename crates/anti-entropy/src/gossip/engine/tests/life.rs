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

/// What was said before it was put back says nothing of what it does now: numbers are drawn anew, and nothing waits.
#[test]
fn an_engine_that_is_put_back_forgets_its_sessions_and_draws_other_numbers() {
    let disk = Disk::default();
    let mut cluster = on_disk(2, &GossipConfig::lan(), &disk);
    write(&mut cluster, 0, 1);
    let now = cluster.now;
    cluster.engine(0).sync_now(&name(1), now);
    let mut back = cluster.engine(0).fork(disk.copy(), LastWriterWins);
    assert!(back.sessions_len() > 0 && back.queued_len() > 0);
    let before = back.replica().id();
    back.put_back(Seed::from_bytes([9; 32]), now).unwrap();
    assert_eq!((back.sessions_len(), back.queued_len()), (0, 0));
    assert_ne!(back.replica().id(), before);
    assert_ne!(back.random.u64(..), cluster.engine(0).random.u64(..));
    let event = back.poll_output(now);
    assert!(matches!(event, EngineOutput::Event(Event::Notice(crate::replica::Notice::PutBack { .. }))), "{event:?}");
    cluster.engines.insert(name(0), back);
    assert!(cluster.run(Duration::from_secs(60), Cluster::equal), "it goes on");
    assert_eq!(cluster.engine(1).replica().len(), 1);
}

/// Two engines that were one draw the same numbers, and not at the same time.
#[test]
fn numbers_of_sessions_depend_on_the_time() {
    let disk = Disk::default();
    let mut cluster = on_disk(2, &GossipConfig::lan(), &disk);
    let mut back = cluster.engine(0).fork(disk.copy(), LastWriterWins);
    let now = cluster.now;
    let later = crate::clock::Now { unix_ms: now.unix_ms + 1, ..now };
    let number = |engine: &mut Engine<Item>, now| {
        engine.sync_now(&name(1), now);
        engine.sessions[0].nonce
    };
    assert_ne!(number(cluster.engine(0), now), number(&mut back, later));
}

/// A member that claims each time to have seen one write more of node 0 than that has made.
fn claims_again(cluster: &mut Cluster<Item>) {
    let victim = cluster.engine(0).replica().context();
    let seen = [(victim.own_id(), victim.own_counter() + 1)].into_iter().collect();
    cluster.engine(2).replica_mut().context.join_range(&crate::KeyRange::ALL, &seen);
    write(cluster, 2, 2);
}

#[test]
fn whoever_claims_too_much_again_and_again_is_left_alone_and_costs_nobody_else_anything() {
    const LIES: u64 = 30;
    let config = GossipConfig { push: false, ..GossipConfig::lan() };
    let mut cluster = Cluster::<Item>::new(3, &LastWriterWins, &config, 1);
    // The liar talks to its victim alone, so that nobody repeats what it says.
    cluster.split(&[1], &[2]);
    write(&mut cluster, 0, 1);
    cluster.run(Duration::from_secs(60), |_| false);
    for _ in 0..LIES {
        claims_again(&mut cluster);
        let now = cluster.now;
        cluster.engine(2).sync_now(&name(0), now);
        cluster.run(Duration::from_secs(2), |_| false);
        write(&mut cluster, 0, 1);
    }
    let now = cluster.now;
    let status = cluster.engine(0).status(now);
    let peer = |index: usize| status.peers.iter().find(|peer| peer.peer == name(index)).unwrap();
    assert!(status.replica.renamings > 1, "{status:?}");
    assert!(status.replica.renamings < LIES / 2, "each lie costs an id at most, and soon few are heard: {status:?}");
    assert!(peer(2).failures > 1 && peer(2).backoff > Duration::ZERO, "{status:?}");
    assert_eq!((peer(1).failures, peer(1).backoff), (0, Duration::ZERO));
    assert!(peer(1).lag.unwrap() < Duration::from_secs(30), "it is as equal as ever: {status:?}");
    let roots = |all: &mut Cluster<Item>| [0, 1].map(|node| all.engine(node).replica_mut().root());
    assert!(cluster.run(Duration::from_secs(60), |all| roots(all)[0] == roots(all)[1]));
}
