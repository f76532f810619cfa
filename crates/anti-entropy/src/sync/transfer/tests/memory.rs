//! What is held in memory while a batch is taken in: counted in bytes of values that are alive, and that a commit has.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::thread_local;

use digest::Update;

use super::plan;
use crate::clock::{Now, Seed};
use crate::replica::tests::disk::Disk;
use crate::replica::*;
use crate::sync::transfer::*;
use crate::sync::wire::*;
use crate::{KeyHash, KeyRange};

thread_local! {
    static ALIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// A value that counts its bytes for as long as it lives, and keeps them in a part.
#[derive(Debug, PartialEq, Eq)]
struct Blob {
    key: u32,
    part: Part,
}

impl Blob {
    fn new(key: u32, part: Part) -> Self {
        ALIVE.set(ALIVE.get() + part.as_bytes().len());
        PEAK.set(PEAK.get().max(ALIVE.get()));
        Self { key, part }
    }
}

impl Clone for Blob {
    fn clone(&self) -> Self {
        Self::new(self.key, self.part.clone())
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - self.part.as_bytes().len());
    }
}

impl Digest for Blob {
    fn digest<H: Update>(&self, hash: &mut H) {
        hash.update(self.part.hash().as_bytes());
    }
}

impl Replicated for Blob {
    type Key = u32;

    fn key(&self) -> u32 {
        self.key
    }

    fn encode(&self) -> Encoded {
        Encoded { body: Vec::new(), parts: alloc::vec![self.part.clone()] }
    }

    fn decode(key: &u32, encoded: &Encoded) -> Result<Self, DecodeError> {
        match encoded.parts.as_slice() {
            [part] if encoded.body.is_empty() => Ok(Self::new(*key, part.clone())),
            _ => Err(DecodeError::new("a blob has one part")),
        }
    }
}

const KEYS: u32 = 500;
const BYTES: usize = 64 << 10;
/// A quarter of the default, so that the test is quick.
const LIMIT: usize = 1 << 20;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

/// An empty replica, and the most bytes of records that one commit had.
fn open(seed: u8) -> (Replica<Blob>, Arc<AtomicUsize>) {
    let committed = Arc::new(AtomicUsize::new(0));
    let config = ReplicaConfig::default().with(|config| config.max_loaded_bytes = LIMIT);
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|opening| opening.config = config);
    let noted = Arc::clone(&committed);
    let store = Disk::default().with_commit(move |store, commit| {
        noted.fetch_max(commit.records.values().flatten().map(Vec::len).sum(), Ordering::Relaxed);
        store.commit(commit)
    });
    (Replica::open(store, KeepAll, opening).unwrap(), committed)
}

fn write(replica: &mut Replica<Blob>, mark: u8) {
    for key in 0..KEYS {
        let mut bytes = alloc::vec![mark; BYTES];
        bytes[..4].copy_from_slice(&key.to_be_bytes());
        replica.write(Blob::new(key, bytes.into()), now()).unwrap();
    }
}

/// What `sender` has to say to `receiver`, of which it knows everything: values that are held there are named.
fn batch(sender: &mut Replica<Blob>, receiver: &mut Replica<Blob>, base: BatchBase) -> Batch {
    let (mine, theirs) = (sender.summary(), receiver.summary());
    let (inventory, _) = receiver.inventory((0..KEYS).map(|key| KeyHash::of(&key))).unwrap();
    let seen = receiver.context().pieces(&KeyRange::ALL);
    let plan = plan(KeyRange::ALL, &inventory, BatchLimits::NONE);
    let differences = mine.diff(&theirs).collect();
    sender.make_batch(&BatchPlan { base, differences, seen: Some(&seen), ..plan }).unwrap()
}

/// Two replicas that both hold two versions of each value.
fn equal() -> [(Replica<Blob>, Arc<AtomicUsize>); 2] {
    let mut both = [open(1), open(2)];
    let [(a, _), (b, _)] = &mut both;
    write(a, 1);
    write(b, 2);
    for _ in 0..2 {
        let base = b.baseline();
        let batch = batch(a, b, BatchBase::Snapshot);
        assert!(matches!(b.apply(batch, &base, now()).unwrap(), Applied::Joined(_)));
        core::mem::swap(a, b);
    }
    assert_eq!((a.root(), a.conflicts()), (b.root(), KEYS as usize));
    both
}

/// Takes in what the first says to the second, and returns the most bytes that this took: of values, and of one commit.
fn peak(both: &mut [(Replica<Blob>, Arc<AtomicUsize>); 2], base: BatchBase) -> (usize, usize) {
    let [(sender, _), (receiver, committed)] = both;
    let batch = batch(sender, receiver, base);
    assert!(postcard::to_allocvec(&batch).unwrap().len() < LIMIT);
    let baseline = receiver.baseline();
    committed.store(0, Ordering::Relaxed);
    let before = ALIVE.get();
    PEAK.set(before);
    let Applied::Joined(joined) = receiver.apply(batch, &baseline, now()).unwrap() else { panic!("not joined") };
    assert_eq!(joined.changed.len(), KEYS as usize);
    assert_eq!(joined.changed.iter().collect::<BTreeSet<_>>().len(), KEYS as usize);
    assert_eq!((receiver.root(), receiver.context_hash()), (sender.root(), sender.context_hash()));
    assert!(receiver.audit().unwrap().discrepancies.is_empty());
    (PEAK.get() - before, committed.load(Ordering::Relaxed))
}

#[test]
fn what_a_batch_deletes_is_loaded_one_by_one() {
    for base in [BatchBase::Snapshot, BatchBase::Nothing] {
        let mut both = equal();
        (0..KEYS).for_each(|key| drop(both[0].0.delete(&key, now()).unwrap()));
        let (values, committed) = peak(&mut both, base);
        assert!(values <= 3 * LIMIT, "{base:?}: {values}");
        assert_eq!(committed, 0);
    }
}

#[test]
fn what_a_batch_leaves_beside_what_it_deletes_is_committed_in_pieces() {
    for base in [BatchBase::Snapshot, BatchBase::Nothing] {
        let mut both = equal();
        for key in 0..KEYS {
            let read = both[0].0.read(&key).unwrap();
            let first = read.seen_where(|version| version.dot == read.siblings()[0].dot);
            both[0].0.delete_seen(&key, &first, now()).unwrap();
        }
        let (values, committed) = peak(&mut both, base);
        assert!(values <= 4 * LIMIT, "{base:?}: {values}");
        assert!(committed <= 2 * LIMIT, "{base:?}: {committed}");
    }
}

#[test]
fn what_a_batch_replaces_by_parts_that_are_held_is_made_one_by_one() {
    let mut both = equal();
    for key in 0..KEYS {
        let read = both[0].0.read(&key).unwrap();
        let value = read.siblings()[1].value.clone();
        both[0].0.write_seen(value, &read.seen(), now()).unwrap();
    }
    let (values, committed) = peak(&mut both, BatchBase::Snapshot);
    assert!(values <= 4 * LIMIT, "{values}");
    assert!(committed <= 2 * LIMIT, "{committed}");
}
