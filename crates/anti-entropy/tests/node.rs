//! Nodes: the way by which most applications run a replica.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::Engine;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{
    GossipConfig, Handle, HandleError, KeyHash, KeyRange, Keyed, LastWriterWins, Marker, MemoryNetwork, MemoryStore,
    Node, NodeError, PeerId, Replica, ReplicaConfig, Store,
};
use futures::executor::block_on;
use futures::future::join_all;

type Item = Keyed<u32, String>;

/// A store that outlives the nodes that open it.
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

fn node(store: impl Store + 'static) -> Node<Item> {
    Node::new(store, LastWriterWins).gossip(GossipConfig::test())
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

fn id(handle: &Handle<Item>) -> String {
    block_on(handle.with(|engine, _| engine.replica().id().to_string())).unwrap()
}

fn stop(handle: &Handle<Item>) -> Marker {
    block_on(handle.shutdown(Duration::from_secs(20))).unwrap()
}

#[test]
fn two_nodes_converge() {
    let network = MemoryNetwork::new(1);
    let alice = node(MemoryStore::new()).peer("bob").spawn(network.join("alice".into())).unwrap();
    let bob =
        node(MemoryStore::new()).peer_in("alice", "a zone").space("songs").spawn(network.join("bob".into())).unwrap();
    block_on(async {
        alice.write(item(1, "green")).await.unwrap();
        bob.write(item(2, "blue")).await.unwrap();
        bob.wait_converged(["alice".into()]).await.unwrap();
        alice.wait_converged(["bob".into()]).await.unwrap();
        assert_eq!(bob.read(1).await.unwrap().value().unwrap().value, "green");
        assert_eq!(alice.read(2).await.unwrap().value().unwrap().value, "blue");
        let status = bob.status().await.unwrap();
        assert_eq!(status.peers[0].zone.as_deref(), Some("a zone"));
        assert_eq!(&*bob.with(|engine, _| engine.space().to_string()).await.unwrap(), "songs");
    });
}

#[test]
fn a_bad_setting_is_refused_by_name_and_nothing_is_started() {
    let (network, disk) = (MemoryNetwork::new(1), Disk::default());
    let first = node(disk.clone()).spawn(network.join("a".into())).unwrap();
    let (own_id, marker) = (id(&first), stop(&first));
    let bad_gossip = GossipConfig::test().with(|config| config.random_percent = 200);
    let bad_session = GossipConfig::test().with(|config| config.session.max_frame_bytes = 1);
    let bad_replica = ReplicaConfig::default().with(|config| config.max_value_bytes = 0);
    let too_long = ReplicaConfig::default().with(|config| config.max_value_bytes = usize::MAX);
    for (node, field) in [
        (node(disk.clone()).gossip(bad_gossip), "gossip.random_percent"),
        (node(disk.clone()).gossip(bad_session), "gossip.session.max_frame_bytes"),
        (node(disk.clone()).replica(bad_replica), "replica.max_value_bytes"),
        (node(disk.clone()).replica(too_long), "replica.max_value_bytes"),
    ] {
        let refused = node.marker(marker).spawn(network.join("a".into()));
        let Err(NodeError::Config(error)) = refused else { panic!("{field} is not refused") };
        assert_eq!(error.field, field);
    }
    // Not even the store was opened: the marker is still good for its one opening.
    assert_eq!(id(&node(disk).marker(marker).spawn(network.join("a".into())).unwrap()), own_id);
}

#[test]
fn a_marker_continues_the_id_once() {
    let (network, disk) = (MemoryNetwork::new(1), Disk::default());
    let start = |node: Node<Item>| node.spawn(network.join("a".into())).unwrap();
    let first = start(node(disk.clone()));
    block_on(first.write(item(1, "kept"))).unwrap();
    let (first_id, marker) = (id(&first), stop(&first));
    let second = start(node(disk.clone()).marker(marker));
    assert_eq!(id(&second), first_id);
    assert_eq!(block_on(second.read(1)).unwrap().value().unwrap().value, "kept");
    stop(&second);
    assert_ne!(id(&start(node(disk.clone()).marker(marker))), first_id, "an old marker proves nothing");
    assert_ne!(id(&start(node(disk))), first_id);
}

/// State of the application's that lives on the engine's thread.
struct Counting {
    engine: Engine<Item>,
    calls: u32,
}

impl AsMut<Engine<Item>> for Counting {
    fn as_mut(&mut self) -> &mut Engine<Item> {
        &mut self.engine
    }
}

impl From<Counting> for Engine<Item> {
    fn from(counting: Counting) -> Self {
        counting.engine
    }
}

#[test]
fn start_with_runs_what_contains_the_engine() {
    let network = MemoryNetwork::new(1);
    let wrap = |engine| Counting { engine, calls: 0 };
    let (handle, frames) = node(MemoryStore::new()).peer("b").start_with(network.join("a".into()), wrap).unwrap();
    std::thread::spawn(|| block_on(frames));
    let other = node(MemoryStore::new()).peer("a").spawn(network.join("b".into())).unwrap();
    block_on(async {
        for expected in 1..=2 {
            let calls = handle.with(|counting, now| {
                counting.calls += 1;
                counting.engine.write(item(counting.calls, "counted"), now).unwrap();
                counting.calls
            });
            assert_eq!(calls.await.unwrap(), expected);
        }
        other.wait_converged(["a".into()]).await.unwrap();
        assert_eq!(other.read(2).await.unwrap().value().unwrap().value, "counted");
        let _: Marker = handle.shutdown(Duration::from_secs(20)).await.unwrap();
    });
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
