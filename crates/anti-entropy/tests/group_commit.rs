//! What waits for an engine is committed together, and answered afterwards.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::engine::{Engine, EngineOutput};
use anti_entropy::store::{Commit, StoreError};
use anti_entropy::transport::SendError;
use anti_entropy::{
    Clock, Error, GossipConfig, Handle, HandleError, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node, PeerId,
    Replica, ReplicaConfig, Store, Transaction, Transport,
};
use anti_entropy_conformance::with_commit;
use async_trait::async_trait;
use futures::StreamExt;
use futures::executor::block_on;
use futures::future::{Future, join_all};

type Item = Keyed<u32, String>;

const WORKS: u8 = 0;
const IS_FULL: u8 = 1;
const FAILS_TO_SYNC: u8 = 2;

/// What a store in memory counts of its commits, and when they fail.
#[derive(Clone, Default)]
struct Disk {
    commits: Arc<AtomicUsize>,
    records: Arc<AtomicUsize>,
    state: Arc<AtomicU8>,
    /// Of the next commits, how many succeed before one finds the disk full.
    full_after: Arc<Mutex<Option<usize>>>,
    /// Commits wait while the test holds it.
    gate: Arc<Mutex<()>>,
}

impl Disk {
    fn store(&self) -> impl Store + use<> {
        let disk = self.clone();
        with_commit(MemoryStore::new(), move |store, commit| disk.commit(store, commit))
    }

    fn commit(&self, store: &mut MemoryStore, commit: Commit) -> Result<(), StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.records.fetch_add(commit.records.len(), Ordering::SeqCst);
        drop(self.gate.lock().unwrap());
        let mut full_after = self.full_after.lock().unwrap();
        if let Some(left) = full_after.take() {
            let Some(left) = left.checked_sub(1) else { return Err(StoreError::unchanged("the disk is full")) };
            *full_after = Some(left);
        }
        match self.state.load(Ordering::SeqCst) {
            IS_FULL => Err(StoreError::unchanged("the disk is full")),
            FAILS_TO_SYNC => Err(StoreError::unknown("the disk was not synced")),
            _ => store.commit(commit),
        }
    }

    /// Commits and records in them since this was last asked.
    fn count(&self) -> (usize, usize) {
        (self.commits.swap(0, Ordering::SeqCst), self.records.swap(0, Ordering::SeqCst))
    }
}

/// Time stands still: nothing but what the test asks for is done.
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
    }
}

fn start(disk: &Disk, config: ReplicaConfig) -> Handle<Item> {
    let node =
        Node::<Item>::new(disk.store(), LastWriterWins).replica(config).gossip(GossipConfig::test()).clock(Still);
    let handle = node.spawn(MemoryNetwork::new(1).join("alice".into())).unwrap();
    block_on(handle.status()).unwrap();
    disk.count();
    handle
}

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

fn value(handle: &Handle<Item>, key: u32) -> Option<String> {
    block_on(handle.read(key)).unwrap().into_value().map(|item| item.value)
}

/// Occupies the engine's thread, from when this returns until the returned sender is dropped.
fn occupy(handle: &Handle<Item>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    let wait = move || {
        began.send(()).unwrap();
        assert!(released.recv().is_err(), "the sender is dropped");
    };
    handle.post(move |_, _| wait()).unwrap();
    has_begun.recv().unwrap();
    release
}

type Waiting<T> = Vec<Pin<Box<dyn Future<Output = Result<T, HandleError>>>>>;

/// Has each call wait for the engine.
fn queue<T>(calls: &mut Waiting<T>) {
    block_on(async {
        for call in calls {
            assert!(futures::poll!(call).is_pending(), "its thread is occupied");
        }
    });
}

/// Writes to these keys that wait at once, with what comes of them when the engine gets to them.
fn write_at_once(handle: &Handle<Item>, keys: std::ops::Range<u32>, text: &str) -> Vec<Result<(), HandleError>> {
    let release = occupy(handle);
    let write = |key| {
        let (handle, item) = (handle.clone(), item(key, text));
        Box::pin(async move { handle.write(item).await.map(drop) }) as Pin<Box<dyn Future<Output = _>>>
    };
    let mut writes: Waiting<()> = keys.map(write).collect();
    queue(&mut writes);
    drop(release);
    block_on(join_all(writes))
}

#[test]
fn writes_that_wait_at_once_are_one_commit() {
    let disk = Disk::default();
    let handle = start(&disk, ReplicaConfig::default());
    assert!(write_at_once(&handle, 0..100, "one").iter().all(Result::is_ok));
    assert_eq!(disk.count(), (1, 100));
    // Writes that wait for each other have a commit each.
    for key in 0..3 {
        block_on(handle.write(item(key, "two"))).unwrap();
    }
    assert_eq!(disk.count(), (3, 3));
    assert_eq!((value(&handle, 2), value(&handle, 99)), (Some("two".into()), Some("one".into())));
}

#[test]
fn nobody_has_an_answer_before_the_commit() {
    let disk = Disk::default();
    let handle = start(&disk, ReplicaConfig::default());
    let (closed, release) = (disk.gate.lock().unwrap(), occupy(&handle));
    let mut writes: Vec<_> = (0..10).map(|key| Box::pin(handle.write(item(key, "one")))).collect();
    let mut read = Box::pin(handle.read(3));
    block_on(async {
        for write in &mut writes {
            assert!(futures::poll!(write).is_pending());
        }
        assert!(futures::poll!(&mut read).is_pending());
        drop(release);
        while disk.commits.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        for write in &mut writes {
            assert!(futures::poll!(write).is_pending());
        }
        assert!(futures::poll!(&mut read).is_pending());
        drop(closed);
        assert!(join_all(writes).await.iter().all(Result::is_ok));
        assert_eq!(read.await.unwrap().value().unwrap().value, "one");
    });
    assert_eq!(disk.count(), (1, 10));
}

#[test]
fn a_commit_has_no_more_writes_and_bytes_than_its_limits() {
    let disk = Disk::default();
    let few = ReplicaConfig::default().with(|config| config.max_commit_writes = 30.try_into().unwrap());
    assert!(write_at_once(&start(&disk, few), 0..100, "one").iter().all(Result::is_ok));
    assert_eq!(disk.count(), (4, 100));
    let disk = Disk::default();
    let small = ReplicaConfig::default().with(|config| config.max_commit_bytes = 10_000.try_into().unwrap());
    assert!(write_at_once(&start(&disk, small), 0..100, &"x".repeat(960)).iter().all(Result::is_ok));
    assert_eq!(disk.count(), (10, 100));
    let disk = Disk::default();
    let alone = ReplicaConfig::default().with(|config| config.max_commit_writes = 1.try_into().unwrap());
    assert!(write_at_once(&start(&disk, alone), 0..100, "one").iter().all(Result::is_ok));
    assert_eq!(disk.count(), (100, 100));
}

#[test]
fn calls_see_those_before_them_and_a_refused_one_undoes_none() {
    let disk = Disk::default();
    let config = ReplicaConfig::default().with(|config| config.max_value_bytes = 100);
    let handle = start(&disk, config);
    block_on(handle.write(item(1, "old"))).unwrap();
    let old = block_on(handle.read(1)).unwrap();
    disk.count();
    let release = occupy(&handle);
    block_on(async {
        let mut read_before = Box::pin(handle.read(1));
        let mut write = Box::pin(handle.write(item(1, "new")));
        let mut read = Box::pin(handle.read(1));
        let mut too_long = Box::pin(handle.write(item(2, &"x".repeat(101))));
        let twice = Transaction::new().write(item(3, "a")).write(item(4, "b")).write(item(3, "c"));
        let mut twice = Box::pin(handle.commit(twice));
        let mut sibling = Box::pin(handle.write_seen(item(1, "sibling"), old.seen()));
        let mut delete = Box::pin(handle.delete(1));
        let mut read_after = Box::pin(handle.read(1));
        assert!(futures::poll!(&mut read_before).is_pending());
        assert!(futures::poll!(&mut write).is_pending());
        assert!(futures::poll!(&mut read).is_pending());
        assert!(futures::poll!(&mut too_long).is_pending());
        assert!(futures::poll!(&mut twice).is_pending());
        assert!(futures::poll!(&mut sibling).is_pending());
        assert!(futures::poll!(&mut delete).is_pending());
        assert!(futures::poll!(&mut read_after).is_pending());
        drop(release);
        assert_eq!(read_before.await.unwrap().value().unwrap().value, "old");
        write.await.unwrap();
        assert_eq!(read.await.unwrap().value().unwrap().value, "new");
        assert!(matches!(too_long.await, Err(HandleError::Replica(Error::ValueTooLong { .. }))));
        assert!(matches!(twice.await, Err(HandleError::Replica(Error::ChangedTwice(_)))));
        sibling.await.unwrap();
        assert_eq!(delete.await.unwrap().unwrap().seen.len(), 2, "both versions");
        assert!(read_after.await.unwrap().value().is_none());
    });
    assert_eq!(disk.count(), (1, 1));
    assert_eq!((value(&handle, 3), value(&handle, 4)), (None, None));
    assert_eq!(block_on(handle.status()).unwrap().entries, 0);
}

#[test]
fn a_commit_that_fails_fails_all_that_share_it_and_changes_nothing() {
    let disk = Disk::default();
    let handle = start(&disk, ReplicaConfig::default());
    block_on(handle.write(item(1, "old"))).unwrap();
    let before = block_on(handle.status()).unwrap();
    let changes = block_on(handle.subscribe()).unwrap();
    disk.state.store(IS_FULL, Ordering::SeqCst);
    disk.count();
    for result in write_at_once(&handle, 0..10, "new") {
        let Err(HandleError::Replica(Error::Store(error))) = result else { panic!("{result:?}") };
        assert!(!error.may_have_changed() && error.to_string().contains("the disk is full"), "{error}");
    }
    assert_eq!(disk.count(), (1, 10));
    // A read that shares the commit has read what is there.
    let release = occupy(&handle);
    let (mut write, mut read) = (Box::pin(handle.write(item(1, "new"))), Box::pin(handle.read(1)));
    block_on(async {
        assert!(futures::poll!(&mut write).is_pending());
        assert!(futures::poll!(&mut read).is_pending());
        drop(release);
        assert!(write.await.is_err());
        assert_eq!(read.await.unwrap().value().unwrap().value, "old");
    });
    let after = block_on(handle.status()).unwrap();
    assert_eq!((after.root, after.entries), (before.root, before.entries));
    disk.state.store(WORKS, Ordering::SeqCst);
    block_on(handle.write(item(5, "five"))).unwrap();
    assert_eq!(
        (value(&handle, 1), value(&handle, 2), value(&handle, 5)),
        (Some("old".into()), None, Some("five".into()))
    );
    let changes: Vec<_> = block_on(changes.take(1).collect());
    assert_eq!(changes, [anti_entropy::Change::Local(5)], "nobody heard of the others");
}

#[test]
fn after_a_commit_of_which_it_is_not_known_whether_it_was_kept_the_replica_stops() {
    let disk = Disk::default();
    let handle = start(&disk, ReplicaConfig::default());
    disk.state.store(FAILS_TO_SYNC, Ordering::SeqCst);
    for result in write_at_once(&handle, 0..10, "new") {
        let Err(HandleError::Replica(Error::Store(error))) = result else { panic!("{result:?}") };
        assert!(error.may_have_changed(), "{error}");
    }
    disk.state.store(WORKS, Ordering::SeqCst);
    disk.count();
    for result in write_at_once(&handle, 0..10, "new") {
        let Err(HandleError::Replica(Error::Stopped { cause })) = result else { panic!("{result:?}") };
        assert!(cause.contains("the disk was not synced"), "{cause}");
    }
    assert_eq!(disk.count(), (0, 0));
}

/// A transport over which come the frames that a test puts in.
struct Script(futures::lock::Mutex<futures::channel::mpsc::UnboundedReceiver<Vec<u8>>>);

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: &PeerId, _: Vec<u8>) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        Some(("bob".into(), self.0.lock().await.next().await?))
    }

    fn max_frame_bytes(&self) -> usize {
        1 << 16
    }
}

type Frames = futures::channel::mpsc::UnboundedSender<Vec<u8>>;

fn start_with_peer(disk: &Disk, config: ReplicaConfig) -> (Handle<Item>, Frames) {
    let (frames, script) = futures::channel::mpsc::unbounded();
    let node = Node::<Item>::new(disk.store(), LastWriterWins).replica(config).gossip(quiet()).clock(Still).peer("bob");
    let handle = node.spawn(Script(futures::lock::Mutex::new(script))).unwrap();
    block_on(handle.status()).unwrap();
    disk.count();
    (handle, frames)
}

fn quiet() -> GossipConfig {
    GossipConfig::default().with(|config| config.max_pushes = 1000)
}

/// Bob's frames of pushes, one for each of these ranges of keys.
fn pushes(ranges: impl IntoIterator<Item = std::ops::Range<u32>>) -> Vec<Vec<u8>> {
    let replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([2; 32])).unwrap();
    let mut bob = Engine::<Item>::new(replica, quiet(), 2, Still.now()).unwrap();
    bob.add_peer("alice".into(), None);
    let push = |keys: std::ops::Range<u32>| {
        let transaction = keys.map(|key| item(key, "bob's")).fold(Transaction::new(), Transaction::write);
        bob.commit(transaction, Still.now()).unwrap();
        let EngineOutput::Send { frame, .. } = bob.poll_output(Still.now()) else { panic!("nothing is pushed") };
        frame
    };
    ranges.into_iter().map(push).collect()
}

/// Waits until so many frames wait for the engine.
fn until_queued(handle: &Handle<Item>, frames: usize) {
    while !format!("{handle:?}").contains(&format!("frames: {frames},")) {
        std::thread::yield_now();
    }
}

#[test]
fn pushes_of_frames_that_wait_and_writes_that_wait_are_one_commit() {
    let disk = Disk::default();
    let (handle, frames) = start_with_peer(&disk, ReplicaConfig::default());
    let release = occupy(&handle);
    for frame in pushes([0..10, 10..20, 20..50]) {
        frames.unbounded_send(frame).unwrap();
    }
    until_queued(&handle, 3);
    let (mut first, mut second) =
        (Box::pin(handle.write(item(5, "alice's"))), Box::pin(handle.write(item(1000, "new"))));
    block_on(async { assert!(futures::poll!(&mut first).is_pending()) });
    block_on(async { assert!(futures::poll!(&mut second).is_pending()) });
    drop(release);
    // Frames and calls take turns, the frame first.
    assert_eq!(block_on(first).unwrap().seen.len(), 1, "it saw the push before it");
    block_on(second).unwrap();
    assert_eq!(disk.count(), (1, 51));
    let status = block_on(handle.status()).unwrap();
    assert_eq!((status.engine.pushes_taken, status.engine.frames_joined, status.entries), (50, 3, 51));
}

#[test]
fn where_a_frame_takes_several_commits_each_write_goes_by_its_own() {
    // Frames and calls take turns: a frame of one push, a write, a frame of fifty pushes, a write; twenty in a commit.
    for (full_after, [first, last], records, taken) in [
        (None, [true, true], (3, 53), 51),
        // What was before the long frame is lost with its beginning, and with that the rest of the frame.
        (Some(0), [false, true], (2, 21), 0),
        (Some(1), [true, true], (3, 41), 19),
    ] {
        let disk = Disk::default();
        let limits = ReplicaConfig::default().with(|config| config.max_commit_writes = 20.try_into().unwrap());
        let (handle, frames) = start_with_peer(&disk, limits);
        let release = occupy(&handle);
        let write = |key| Box::pin(handle.write(item(key, "alice's")));
        let (mut before, mut after) = (write(1000), write(1001));
        for frame in pushes([0..1, 1..51]) {
            frames.unbounded_send(frame).unwrap();
        }
        until_queued(&handle, 2);
        block_on(async {
            assert!(futures::poll!(&mut before).is_pending());
            assert!(futures::poll!(&mut after).is_pending());
            *disk.full_after.lock().unwrap() = full_after;
            drop(release);
            assert_eq!(before.await.is_ok(), first, "{full_after:?}");
            assert_eq!(after.await.is_ok(), last, "{full_after:?}");
        });
        assert_eq!(disk.count(), records, "{full_after:?}");
        let status = block_on(handle.status()).unwrap();
        assert_eq!(status.engine.pushes_taken, taken, "{full_after:?}");
        assert_eq!(status.entries, taken + 1 + u64::from(first), "{full_after:?}");
    }
}
