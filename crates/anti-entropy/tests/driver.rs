//! The driver: real threads, an in-memory network, and no runtime but a thread for each future.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Engine, drive};
use anti_entropy::transport::LinkFaults;
use anti_entropy::{
    Change, Clock, DriverConfig, Event, GossipConfig, Handle, HandleError, Keyed, LastWriterWins, Marker,
    MemoryNetwork, MemoryStore, Missing, Node, PeerId, PushRoute, Replica, Replicated, Resolver, Store, SystemClock,
    Transaction,
};
use anti_entropy_conformance::with_commit;
use futures::StreamExt;
use futures::executor::block_on;
use serde::{Deserialize, Serialize};

type Item = Keyed<u32, String>;

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

fn start_with(
    network: &MemoryNetwork,
    index: usize,
    nodes: usize,
    store: impl Store + 'static,
    config: DriverConfig,
) -> Handle<Item> {
    start_gossip(network, index, nodes, store, GossipConfig::test(), config)
}

fn start_gossip(
    network: &MemoryNetwork,
    index: usize,
    nodes: usize,
    store: impl Store + 'static,
    gossip: GossipConfig,
    config: DriverConfig,
) -> Handle<Item> {
    start_driven(network, index, nodes, store, gossip, config, |engine| engine)
}

fn start_driven<E>(
    network: &MemoryNetwork,
    index: usize,
    nodes: usize,
    store: impl Store + 'static,
    gossip: GossipConfig,
    config: DriverConfig,
    contain: impl FnOnce(Engine<Item>) -> E,
) -> Handle<Item, E>
where
    E: AsMut<Engine<Item>> + Into<Engine<Item>> + Send + 'static,
{
    let seed = Seed::from_bytes([u8::try_from(index).unwrap() + 1; 32]);
    let replica = Replica::open(store, LastWriterWins, seed).unwrap();
    let clock = SystemClock::new();
    let mut engine = Engine::new(replica, gossip, index as u64, clock.now()).unwrap();
    for peer in (0..nodes).filter(|peer| *peer != index) {
        engine.add_peer(name(peer), None);
    }
    let (handle, driver) = drive(contain(engine), network.join(name(index)), clock, config).unwrap();
    std::thread::spawn(|| block_on(driver));
    handle
}

fn start(network: &MemoryNetwork, index: usize, nodes: usize) -> Handle<Item> {
    start_with(network, index, nodes, MemoryStore::new(), DriverConfig::default())
}

fn name(index: usize) -> PeerId {
    PeerId::from(format!("node-{index}").as_str())
}

fn others(index: usize, nodes: usize) -> Vec<PeerId> {
    (0..nodes).filter(|peer| *peer != index).map(name).collect()
}

#[test]
fn five_nodes_converge_over_a_bad_network() {
    let network = MemoryNetwork::new(1);
    let faults = LinkFaults::default().with(|faults| {
        faults.loss_per_mille = 100;
        faults.duplicate_per_mille = 100;
        faults.reorder_per_mille = 100;
    });
    network.set_faults(faults).unwrap();
    let handles: Vec<_> = (0..5).map(|index| start(&network, index, 5)).collect();
    block_on(async {
        for key in 0..50 {
            handles[key as usize % 5].write(item(key, "value")).await.unwrap();
        }
        for (index, handle) in handles.iter().enumerate() {
            handle.wait_converged(others(index, 5)).await.unwrap();
        }
        let first = handles[0].status().await.unwrap();
        for handle in &handles {
            let status = handle.status().await.unwrap();
            assert_eq!((status.root, status.entries), (first.root, 50));
        }
    });
}

#[test]
fn the_transport_names_the_engine_so_that_pushes_go_along_a_tree() {
    let network = MemoryNetwork::new(1);
    let never = Duration::from_secs(1_000_000);
    let chain = GossipConfig::test().with(|config| {
        config.interval = never;
        config.min_interval = never;
        config.push_route = PushRoute::Tree;
        config.push_fanout = 1;
    });
    let start = |index| start_gossip(&network, index, 5, MemoryStore::new(), chain.clone(), DriverConfig::default());
    let handles: Vec<_> = (0..5).map(start).collect();
    block_on(async {
        handles[0].write(item(1, "value")).await.unwrap();
        for handle in &handles {
            let deadline = Instant::now() + Duration::from_secs(60);
            while handle.read(1).await.unwrap().value().is_none() {
                assert!(Instant::now() < deadline, "a chain has no other way than to relay");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
}

#[test]
fn what_was_read_is_what_a_write_replaces() {
    let network = MemoryNetwork::new(1);
    let handle = start(&network, 0, 1);
    block_on(async {
        handle.write(item(1, "first")).await.unwrap();
        let seen = handle.read(1).await.unwrap().seen();
        handle.write(item(1, "second")).await.unwrap();
        handle.write_seen(item(1, "based on the first"), seen).await.unwrap();
        assert_eq!(handle.read(1).await.unwrap().siblings().len(), 2);
        assert!(handle.delete(1).await.unwrap().is_some());
        assert!(handle.delete(1).await.unwrap().is_none());
        let written = handle.commit(Transaction::new().write(item(2, "two")).write(item(3, "three"))).await.unwrap();
        assert_eq!(written.len(), 2);
        let adopted = handle.adopt(vec![item(2, "two"), item(4, "four")], Missing::Delete).await.unwrap();
        assert_eq!((adopted.written.len(), adopted.unchanged), (2, 1));
    });
}

#[test]
fn a_dropped_future_undoes_nothing() {
    let network = MemoryNetwork::new(1);
    let handle = start(&network, 0, 1);
    let mut write = Box::pin(handle.write(item(1, "kept")));
    // Polled once, the call is under way; then nobody waits for it any more.
    let _ = futures::FutureExt::now_or_never(&mut write);
    drop(write);
    let read = block_on(handle.read(1)).unwrap();
    assert_eq!(read.value().unwrap().value, "kept");
}

#[test]
fn subscribers_hear_of_local_and_remote_changes() {
    let network = MemoryNetwork::new(1);
    let (a, b) = (start(&network, 0, 2), start(&network, 1, 2));
    block_on(async {
        let mut changes = Box::pin(b.subscribe().await.unwrap());
        let mut events = Box::pin(b.events().await.unwrap());
        b.write(item(1, "own")).await.unwrap();
        assert_eq!(changes.next().await, Some(Change::Local(1)));
        a.write(item(2, "other")).await.unwrap();
        assert_eq!(changes.next().await, Some(Change::Remote(2)));
        b.wait_converged([name(0)]).await.unwrap();
        assert!(matches!(b.wait_converged([name(7)]).await, Err(HandleError::UnknownPeer(_))));
        assert!(matches!(b.sync_now(name(7)).await, Err(HandleError::UnknownPeer(_))));
        while !matches!(events.next().await.unwrap(), Event::Converged { .. }) {}
    });
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed_and_blocks_nobody() {
    let network = MemoryNetwork::new(1);
    let config = DriverConfig::default().with(|config| config.subscriber_queue = 4.try_into().unwrap());
    let handle = start_with(&network, 0, 1, MemoryStore::new(), config);
    block_on(async {
        let mut changes = Box::pin(handle.subscribe().await.unwrap());
        for key in 0..100 {
            handle.write(item(key, "value")).await.unwrap();
        }
        let mut next = 0;
        let mut missed = 0;
        handle.write(item(100, "value")).await.unwrap();
        // What fitted comes in order; then the gap is told; then it goes on.
        while next <= 100 {
            match changes.next().await.unwrap() {
                Change::Missed(count) => {
                    missed += count;
                    next += u32::try_from(count).unwrap();
                }
                change => {
                    assert_eq!(change, Change::Local(next));
                    next += 1;
                    if next == 5 {
                        handle.write(item(100, "again, behind the gap")).await.unwrap();
                    }
                }
            }
        }
        assert!(missed > 50, "{missed}");
    });
}

#[test]
fn a_store_that_blocks_does_not_stall_the_runtime_and_calls_are_bounded() {
    let network = MemoryNetwork::new(1);
    let (gate, blocked) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
    let (held, waits) = (Arc::clone(&gate), Arc::clone(&blocked));
    // Its commits wait until the gate opens.
    let store = with_commit(MemoryStore::new(), move |store, commit| {
        waits.store(true, Ordering::SeqCst);
        drop(held.lock().unwrap());
        waits.store(false, Ordering::SeqCst);
        store.commit(commit)
    });
    let config = DriverConfig::default().with(|config| config.max_queued_calls = 3.try_into().unwrap());
    let handle = start_with(&network, 0, 1, store, config);
    let closed = gate.lock().unwrap();
    block_on(async {
        let mut write = Box::pin(handle.write(item(1, "slow")));
        assert!(futures::poll!(&mut write).is_pending(), "the caller's thread goes on");
        while !blocked.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let mut waiting: Vec<_> = (2..5).map(|key| Box::pin(handle.write(item(key, "queued")))).collect();
        for write in &mut waiting {
            assert!(futures::poll!(write).is_pending());
        }
        assert!(matches!(handle.read(1).await, Err(HandleError::Overloaded { limit: 3 })));
        drop(closed);
        write.await.unwrap();
        for write in waiting {
            write.await.unwrap();
        }
        assert_eq!(handle.status().await.unwrap().entries, 4);
    });
}

#[test]
fn a_shutdown_ends_the_thread_within_its_deadline() {
    let network = MemoryNetwork::new(1);
    let (a, b) = (start(&network, 0, 2), start(&network, 1, 2));
    block_on(async {
        a.write(item(1, "one")).await.unwrap();
        b.wait_converged([name(0)]).await.unwrap();
        let started = Instant::now();
        a.shutdown(Duration::from_secs(20)).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(19), "open sessions come to an end");
        assert!(matches!(a.read(1).await, Err(HandleError::Stopped)));
        assert_eq!(b.read(1).await.unwrap().value().unwrap().value, "one");
    });
}

/// An engine and how often it was asked for something, as an adapter would keep it.
struct Counting {
    engine: Engine<Item>,
    asked: u32,
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
fn what_contains_an_engine_is_driven_like_one() {
    let network = MemoryNetwork::new(1);
    let (store, gossip, config) = (MemoryStore::new(), GossipConfig::test(), DriverConfig::default());
    let counting = start_driven(&network, 0, 2, store, gossip, config, |engine| Counting { engine, asked: 0 });
    let plain = start(&network, 1, 2);
    let ask = |counting: &mut Counting, now| {
        counting.asked += 1;
        counting.engine.write(item(counting.asked, "counted"), now).unwrap();
        counting.asked
    };
    block_on(async {
        assert_eq!(counting.with(ask).await.unwrap(), 1);
        assert_eq!(counting.clone().with(ask).await.unwrap(), 2, "its own state stays from one call to the next");
        plain.write(item(3, "plain")).await.unwrap();
        counting.wait_converged([name(1)]).await.unwrap();
        assert_eq!(counting.status().await.unwrap().root, plain.status().await.unwrap().root);
        assert_eq!(counting.read(3).await.unwrap().value().unwrap().value, "plain");
        let _: Marker = counting.shutdown(Duration::from_secs(20)).await.unwrap();
        assert!(matches!(counting.with(ask).await, Err(HandleError::Stopped)));
    });
}

/// A value as an old release knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum OldValue {
    Text(String),
}

/// As a new release does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum NewValue {
    Text(String),
    Number(u64),
}

/// Waits for a call that must return.
fn returned<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(done.send(block_on(call))));
    result.recv_timeout(Duration::from_secs(60)).expect("it waits for ever")
}

#[test]
fn who_waits_until_all_is_equal_is_told_of_holes() {
    fn start<V: Replicated>(network: &MemoryNetwork, name: &str, peer: &str) -> Handle<V>
    where
        LastWriterWins: Resolver<V>,
    {
        let node = Node::<V>::new(MemoryStore::new(), LastWriterWins).gossip(GossipConfig::test());
        node.peer(peer).spawn(network.join(name.into())).unwrap()
    }
    let network = MemoryNetwork::new(1);
    let old: Handle<Keyed<u32, OldValue>> = start(&network, "old", "new");
    let new: Handle<Keyed<u32, NewValue>> = start(&network, "new", "old");
    let text = || NewValue::Text("text".to_string());
    block_on(async {
        for key in 0..5 {
            new.write(Keyed::new(key, text())).await.unwrap();
        }
        new.write(Keyed::new(7, NewValue::Number(7))).await.unwrap();
    });
    let waits = |old: &Handle<_>, new: &Handle<_>| {
        let (old, new) = (old.clone(), new.clone());
        let old = returned(async move { old.wait_converged(["new".into()]).await });
        (old, returned(async move { new.wait_converged(["old".into()]).await }))
    };
    let (at_old, at_new) = waits(&old, &new);
    let one = NonZeroU64::MIN;
    let Err(HandleError::ConvergedExcept { peers, holes }) = at_old else { panic!("{at_old:?}") };
    assert_eq!(peers, [("new".into(), one)].into());
    assert_eq!(holes, block_on(old.with(|engine, _| engine.replica().holes().collect::<Vec<_>>())).unwrap());
    assert_eq!(holes.len(), 1);
    let Err(HandleError::ConvergedExcept { peers, holes }) = at_new else { panic!("{at_new:?}") };
    assert_eq!((peers, holes.len()), ([("old".into(), one)].into(), 0));
    assert_eq!(block_on(old.status()).unwrap().entries, 5, "all else is there");
    block_on(new.write(Keyed::new(7, text()))).unwrap();
    let (at_old, at_new) = waits(&old, &new);
    assert!(at_old.is_ok() && at_new.is_ok(), "{at_old:?} {at_new:?}");
}

#[test]
fn who_waits_for_a_peer_that_is_removed_is_told() {
    let network = MemoryNetwork::new(1);
    let handle = start(&network, 0, 2);
    let waiting = handle.clone();
    let mut waits = Box::pin(async move { waiting.wait_converged([name(1)]).await });
    block_on(async {
        assert!(futures::poll!(&mut waits).is_pending());
        handle.remove_peer(name(1)).await.unwrap();
    });
    let told = returned(waits);
    assert!(matches!(&told, Err(HandleError::UnknownPeer(peer)) if *peer == name(1)), "{told:?}");
}
