//! What is taken in together is committed together.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::ops::ControlFlow;
use core::time::Duration;
use std::sync::Mutex;

use super::{Item, frames, name};
use crate::clock::{Now, Seed};
use crate::gossip::*;
use crate::replica::{
    Change, Commit, Keyed, LastWriterWins, MemoryStore, MetaSlot, Opening, Replica, ReplicaConfig, Store, StoreError,
    Transaction,
};
use crate::sync::session::encode_push_frame;
use crate::sync::wire::Push;
use crate::sync::{Frame, SessionConfig};
use crate::{KeyHash, KeyRange};

/// A store in memory whose commits are counted, and fail when the test says so.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

type Failure = fn(&'static str) -> StoreError;

#[derive(Default)]
struct State {
    store: MemoryStore,
    commits: usize,
    /// Of the commits to come, how many succeed before one fails.
    fails_after: Option<(usize, Failure)>,
}

impl Disk {
    /// Commits since this was last asked.
    fn count(&self) -> usize {
        core::mem::take(&mut self.0.lock().unwrap().commits)
    }

    fn fail_after(&self, commits: usize, error: Failure) {
        self.0.lock().unwrap().fails_after = Some((commits, error));
    }

    /// What is read from the disk after a crash.
    fn copy(&self) -> MemoryStore {
        self.0.lock().unwrap().store.clone()
    }
}

impl Store for Disk {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().store.load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.lock().unwrap().store.scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().store.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        state.commits += 1;
        match &mut state.fails_after {
            Some((0, error)) => {
                let error = error("the disk failed");
                state.fails_after = None;
                return Err(error);
            }
            Some((commits, _)) => *commits -= 1,
            None => {}
        }
        state.store.commit(commit)
    }
}

const NOW: Now = Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 };

fn config() -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    GossipConfig { interval: never, min_interval: never, max_pushes: 10_000, ..GossipConfig::default() }
}

fn engine(number: u8, disk: &Disk, replica: ReplicaConfig) -> Engine<Item> {
    let opening = Opening { config: replica, ..Opening::from(Seed::from_bytes([number; 32])) };
    let opened = Replica::open(disk.clone(), LastWriterWins, opening).unwrap();
    let mut engine = Engine::new(opened, config(), number.into(), NOW).unwrap();
    engine.add_peer(name(0), None);
    engine.replica_mut().watch();
    disk.count();
    engine
}

fn item(key: u32, value: &str) -> Item {
    Keyed::new(key, value.to_string())
}

/// The frames with which another replica pushes these writes, and that replica.
fn pushed(items: impl IntoIterator<Item = Item>) -> (Vec<Vec<u8>>, Engine<Item>) {
    let mut writer = engine(9, &Disk::default(), ReplicaConfig::default());
    for item in items {
        writer.write(item, NOW).unwrap();
    }
    (frames(&mut writer, NOW).0, writer)
}

/// One frame of them all.
fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let config = SessionConfig::default();
    let payload: Vec<u8> =
        frames.iter().flat_map(|frame| Frame::decode(frame, &config).unwrap().payload.to_vec()).collect();
    encode_push_frame(&payload, &config)
}

fn value(engine: &Engine<Item>, key: u32) -> Option<String> {
    engine.replica().read(&key).unwrap().into_value().map(|item| item.value)
}

fn changes(engine: &mut Engine<Item>) -> Vec<Change<u32>> {
    core::iter::from_fn(|| engine.replica_mut().poll_change()).collect()
}

fn failures(engine: &mut Engine<Item>) -> usize {
    let events = core::iter::from_fn(|| match engine.poll_output(NOW) {
        EngineOutput::Wait(_) => None,
        output => Some(output),
    });
    events.filter(|output| matches!(output, EngineOutput::Event(Event::StoreFailed { .. }))).count()
}

#[test]
fn the_pushes_of_a_frame_are_one_commit() {
    let (frames, mut writer) = pushed((0..500).map(|key| item(key % 400, &key.to_string())));
    let disk = Disk::default();
    let mut reader = engine(1, &disk, ReplicaConfig::default());
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_taken, reader.stats().frames_joined), (1, 500, 1));
    assert_eq!(reader.replica_mut().root(), writer.replica_mut().root());
    assert!(reader.replica_mut().sketch_is_sound_for_test());
    assert_eq!(value(&reader, 1).as_deref(), Some("401"));
    assert_eq!(changes(&mut reader).len(), 500);
    // Again, nothing is changed.
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_seen), (0, 500));
    // The store holds what the memory does.
    let crashed = Disk(Arc::new(Mutex::new(State { store: disk.copy(), ..State::default() })));
    let mut opened = engine(2, &crashed, ReplicaConfig::default());
    assert_eq!(opened.replica_mut().root(), writer.replica_mut().root());
}

#[test]
fn a_push_that_is_refused_or_does_not_fit_in_is_set_aside_alone() {
    let (frames, writer) = pushed((0..10).map(|key| item(key, "value")));
    let config = SessionConfig::default();
    let mut pushes: Vec<Push> = Vec::new();
    let frame = joined(&frames);
    let mut payload = Frame::decode(&frame, &config).unwrap().payload;
    while !payload.is_empty() {
        let (push, rest) = postcard::take_from_bytes(payload).unwrap();
        pushes.push(push);
        payload = rest;
    }
    // The fourth comes last, and a copy of the seventh under a name of the reader's own is refused.
    let fourth = pushes.remove(3);
    let disk = Disk::default();
    let mut reader = engine(1, &disk, ReplicaConfig::default());
    let mut lies = pushes[6].clone();
    lies.dot.replica = reader.replica().id();
    pushes.insert(6, lies);
    let frame = |pushes: &[Push]| {
        let payload: Vec<u8> = pushes.iter().flat_map(|push| postcard::to_allocvec(push).unwrap()).collect();
        encode_push_frame(&payload, &config)
    };
    reader.handle_frame(&name(0), &frame(&pushes), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_taken, reader.stats().pushes_rejected), (1, 3, 1));
    // What waited for it is taken in with it.
    reader.handle_frame(&name(0), &frame(&[fourth]), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_taken), (1, 10));
    assert_eq!(reader.replica().context_hash(), writer.replica().context_hash());
}

#[test]
fn a_commit_of_pushes_has_no_more_writes_and_bytes_than_its_limits() {
    let (frames, mut writer) = pushed((0..95).map(|key| item(key, &"x".repeat(100))));
    let few = ReplicaConfig { max_commit_writes: NonZeroUsize::new(30).unwrap(), ..ReplicaConfig::default() };
    let small = ReplicaConfig { max_commit_bytes: NonZeroUsize::new(2000).unwrap(), ..ReplicaConfig::default() };
    for (limits, commits) in [(few, 4..=4), (small, 5..=9)] {
        let disk = Disk::default();
        let mut reader = engine(1, &disk, limits);
        reader.handle_frame(&name(0), &joined(&frames), NOW);
        let counted = disk.count();
        assert!(commits.contains(&counted), "{counted}");
        assert_eq!(reader.replica_mut().root(), writer.replica_mut().root());
        assert_eq!(reader.stats().pushes_taken, 95);
    }
}

#[test]
fn pushes_whose_commit_fails_have_not_come_and_come_again() {
    let (frames, _) = pushed((0..95).map(|key| item(key, "value")));
    let disk = Disk::default();
    let limits = ReplicaConfig { max_commit_writes: NonZeroUsize::new(30).unwrap(), ..ReplicaConfig::default() };
    let mut reader = engine(1, &disk, limits);
    reader.write(item(1000, "own"), NOW).unwrap();
    changes(&mut reader);
    disk.count();
    disk.fail_after(1, StoreError::unchanged);
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_taken, reader.replica().len()), (2, 30, 31));
    assert_eq!((changes(&mut reader).len(), failures(&mut reader)), (30, 1));
    assert_eq!((value(&reader, 29).as_deref(), value(&reader, 30)), (Some("value"), None));
    assert!(reader.replica_mut().sketch_is_sound_for_test());
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert_eq!((reader.stats().pushes_taken, reader.replica().len()), (95, 96));
}

#[test]
fn a_crash_before_the_commit_loses_all_of_it() {
    let (frames, _) = pushed((0..95).map(|key| item(key, "value")));
    let disk = Disk::default();
    let mut reader = engine(1, &disk, ReplicaConfig::default());
    disk.fail_after(0, StoreError::unknown);
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert_eq!((disk.count(), reader.stats().pushes_taken, reader.replica().len()), (1, 0, 0));
    // It stands still until it is opened again.
    reader.handle_frame(&name(0), &joined(&frames), NOW);
    assert!(reader.write(item(1, "own"), NOW).is_err());
    assert_eq!((disk.count(), reader.stats().pushes_taken), (0, 0));
    assert!(disk.copy().load(KeyHash::of_encoded(&postcard::to_allocvec(&1u32).unwrap())).unwrap().is_none());
}

#[test]
fn local_writes_of_a_group_are_pushed_once_they_are_committed() {
    let disk = Disk::default();
    let mut writer = engine(1, &disk, ReplicaConfig::default());
    assert!(writer.begin_group());
    assert!(!writer.begin_group(), "it is open");
    let first = writer.write(item(1, "one"), NOW).unwrap();
    let second = writer.write(item(1, "two"), NOW).unwrap();
    assert_eq!((first.dot.counter, second.dot.counter, second.seen), (1, 2, alloc::vec![first.dot]));
    assert_eq!((disk.count(), changes(&mut writer).len(), frames(&mut writer, NOW).0.len()), (0, 0, 0));
    writer.commit_group(NOW).unwrap();
    assert_eq!((disk.count(), changes(&mut writer).len()), (1, 2));
    // Each as it was written, though one has replaced the other: a peer takes them in one after the other.
    let mut reader = engine(2, &Disk::default(), ReplicaConfig::default());
    for frame in frames(&mut writer, NOW).0 {
        reader.handle_frame(&name(0), &frame, NOW);
    }
    assert_eq!((reader.stats().pushes_taken, value(&reader, 1).as_deref()), (2, Some("two")));
}

#[test]
fn local_writes_whose_commit_fails_were_never_made() {
    let disk = Disk::default();
    let mut writer = engine(1, &disk, ReplicaConfig::default());
    let kept = writer.write(item(1, "one"), NOW).unwrap();
    frames(&mut writer, NOW);
    changes(&mut writer);
    let before = (writer.replica().context_hash(), writer.replica_mut().root());
    disk.fail_after(0, StoreError::unchanged);
    writer.begin_group();
    let lost = writer.write(item(1, "two"), NOW).unwrap();
    writer.commit(Transaction::new().write(item(2, "three")).delete(1), NOW).unwrap();
    assert!(!writer.commit_group(NOW).unwrap_err().may_have_changed());
    assert_eq!((writer.replica().context_hash(), writer.replica_mut().root()), before);
    assert_eq!((value(&writer, 1).as_deref(), value(&writer, 2)), (Some("one"), None));
    assert_eq!((changes(&mut writer).len(), frames(&mut writer, NOW).0.len()), (0, 0));
    // Nobody has heard of its name.
    let next = writer.write(item(1, "four"), NOW).unwrap();
    assert_eq!((next.dot, next.seen), (lost.dot, alloc::vec![kept.dot]));
}

#[test]
fn writes_whose_commit_failed_are_not_taken_for_those_that_got_their_names() {
    let disk = Disk::default();
    let mut writer = engine(1, &disk, ReplicaConfig::default());
    for _ in 0..3 {
        disk.fail_after(0, StoreError::unchanged);
        writer.begin_group();
        (0..3).for_each(|key| drop(writer.write(item(key, "lost"), NOW).unwrap()));
        assert!(writer.commit_group(NOW).is_err());
    }
    let id = writer.replica().id();
    let mut reader = engine(2, &Disk::default(), ReplicaConfig::default());
    for key in 0..3 {
        writer.write(item(key, "made"), NOW).unwrap();
        for frame in frames(&mut writer, NOW).0 {
            reader.handle_frame(&name(0), &frame, NOW);
        }
        let claim = reader.replica().claim_of(id.first_eight());
        assert!(claim.last != 0 && claim.knows == u64::from(key) + 1, "{claim:?}");
        assert!(writer.replica_mut().notice_claim(claim).is_ok(), "{key}");
    }
    assert_eq!(writer.replica().id(), id);
}

#[test]
fn a_group_has_no_more_writes_than_the_queue_of_pushes_has_room_for() {
    let mut writer = engine(1, &Disk::default(), ReplicaConfig::default());
    (1..3).for_each(|peer| writer.add_peer(name(peer), None));
    let limits = GossipConfig { max_queued_pushes: 30, ..config() };
    writer.set_limits(ReplicaConfig::default(), limits).unwrap();
    writer.begin_group();
    let written = (0..).take_while(|key| {
        let is_full = writer.group_is_full();
        writer.write(item(*key, "value"), NOW).unwrap();
        !is_full
    });
    assert_eq!(written.count(), 10, "for each of three peers");
    // The one that was too many.
    writer.commit_group(NOW).unwrap();
    assert_eq!(writer.status(NOW).engine.pushes_dropped, 3);
    // Without peers there is nothing to wait for.
    (0..3).for_each(|peer| writer.remove_peer(&name(peer)));
    writer.begin_group();
    (0..100).for_each(|key| drop(writer.write(item(key, "value"), NOW).unwrap()));
    assert!(!writer.group_is_full());
}
