//! Callers of a node that is put back, shuts down, or does not know whom they ask for.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{
    GossipConfig, Handle, HandleError, KeyHash, KeyRange, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node,
    PeerId, Replica, Store,
};
use futures::executor::block_on;
use futures::future::join_all;

type Item = Keyed<u32, String>;

/// A store that can be opened again once its node is gone.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<MemoryStore>>);

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.lock().unwrap().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(commit)
    }
}

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

fn start(network: &MemoryNetwork, disk: &Disk, name: &str, peer: &str) -> Handle<Item> {
    let gossip = GossipConfig::test().with(|config| config.push = name == "alice");
    start_with(network, disk, name, peer, gossip)
}

fn start_with(network: &MemoryNetwork, disk: &Disk, name: &str, peer: &str, gossip: GossipConfig) -> Handle<Item> {
    let node = Node::<Item>::new(disk.clone(), LastWriterWins).peer(peer).gossip(gossip);
    node.spawn(network.join(name.into())).unwrap()
}

#[test]
fn what_was_acknowledged_before_a_shutdown_is_in_the_store_and_nobody_waits_for_ever() {
    let (network, disk) = (MemoryNetwork::new(1), Disk::default());
    let alice = start(&network, &disk, "alice", "bob");
    let writers: Vec<_> = (0..100)
        .map(|writer: u32| {
            let alice = alice.clone();
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for round in 0.. {
                    let key = writer * 100_000 + round;
                    match block_on(alice.write(item(key, "value"))) {
                        Ok(_) => acknowledged.push(key),
                        Err(HandleError::Overloaded { .. }) => std::thread::yield_now(),
                        Err(HandleError::Stopped) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    block_on(alice.shutdown(Duration::ZERO)).unwrap();
    let acknowledged: Vec<u32> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    assert!(!acknowledged.is_empty());
    let opened = Replica::<Item>::open(disk, LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
    for key in acknowledged {
        assert!(opened.read(&key).unwrap().value().is_some(), "{key} was acknowledged");
    }
}

#[test]
fn whoever_asks_for_peers_of_which_one_is_unknown_has_started_nothing() {
    let (network, disk) = (MemoryNetwork::new(1), Disk::default());
    let alice = start_with(&network, &disk, "alice", "bob", GossipConfig::default());
    let opened = || block_on(alice.status()).unwrap().engine.sessions_opened;
    let before = opened();
    let unknown = block_on(alice.wait_converged(["bob", "carol"].map(PeerId::from)));
    assert!(matches!(unknown, Err(HandleError::UnknownPeer(_))), "{unknown:?}");
    assert_eq!(opened(), before, "the error says that nothing was done");
}

#[test]
fn puts_back_and_writes_of_many_callers_end_with_all_that_was_acknowledged() {
    let (network, disk) = (MemoryNetwork::new(1), Disk::default());
    let alice = start(&network, &disk, "alice", "bob");
    let bob = start(&network, &Disk::default(), "bob", "alice");
    block_on(async {
        for round in 0..20 {
            let writes = (0..20).map(|key| alice.write(item(round * 100 + key, "value")));
            let (written, put_back) = futures::join!(join_all(writes), alice.put_back());
            put_back.unwrap();
            assert!(written.iter().all(Result::is_ok));
        }
        alice.wait_converged([PeerId::from("bob")]).await.unwrap();
        assert_eq!(bob.status().await.unwrap().entries, 400);
    });
}
