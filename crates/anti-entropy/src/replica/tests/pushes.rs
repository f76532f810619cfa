//! What a push costs, whatever the clocks look like: counted in bytes that are committed.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use super::disk::Disk;
use crate::clock::{Dot, Now, ReplicaId, VectorClock};
use crate::replica::*;
use crate::sync::transfer::PushOutcome;
use crate::sync::wire::Push;
use crate::{KeyHash, KeyRange};

type Item = Keyed<String, u32>;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn open(store: impl Store + 'static, seed: u8) -> Replica<Item> {
    Replica::open(store, LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

/// Lets a replica know of so many others, in so many pieces.
fn know(replica: &mut Replica<Item>, ids: u128, pieces: u128) {
    let mut context = replica.context.clone();
    context.join_range(&KeyRange::ALL, &(0..ids).map(|id| (ReplicaId::from_u128(1 + id), 1)).collect());
    for piece in 1..pieces {
        let lo = KeyHash::from_u128(u128::MAX / pieces * piece);
        let more = VectorClock::from_iter([(ReplicaId::from_u128(1), 1 + u64::try_from(piece).unwrap())]);
        context.join_range(&KeyRange::new(lo, None).unwrap(), &more);
    }
    replica.persist(Staged { records: BTreeMap::new(), context, context_changed: true }).unwrap();
}

/// A delete of what is gone already, which shows the cost of the clocks alone.
fn push(writer: u128, counter: u64) -> Push {
    let dot = Dot { replica: ReplicaId::from_u128(writer), counter };
    let gone = Dot { replica: ReplicaId::from_u128(1), counter: 1 };
    Push { key: KeyHash::from_u128(writer << 64), dot, seen: alloc::vec![gone], write: None }
}

/// The bytes that a thousand pushes of ten writers commit to a store.
fn committed_by_pushes(ids: u128, pieces: u128) -> usize {
    let (inner, committed) = (Disk::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&committed);
    let counting = inner.with_commit(move |store, commit| {
        let records = commit.records.values().flatten().map(Vec::len).sum::<usize>();
        counted.fetch_add(records + commit.meta.values().map(Vec::len).sum::<usize>(), Ordering::Relaxed);
        store.commit(commit)
    });
    let mut replica = open(counting, 7);
    know(&mut replica, ids, pieces);
    committed.store(0, Ordering::Relaxed);
    for number in 0..1000 {
        let taken = replica.receive_push(push(1_000_000 + number % 10, 1 + u64::try_from(number / 10).unwrap()), now());
        assert_eq!(taken.unwrap(), PushOutcome::Taken);
    }
    let committed = committed.load(Ordering::Relaxed);
    let context = replica.context().clone();
    drop(replica);
    let opened = open(inner, 8);
    assert_eq!(opened.context().max_counter(ReplicaId::from_u128(1_000_003)), 100);
    assert_eq!(opened.context_hash(), context.hash(), "what was pushed is there after a crash");
    committed
}

#[test]
fn a_push_commits_no_more_beside_a_thousand_ids_or_many_pieces() {
    let few = committed_by_pushes(10, 1);
    for (ids, pieces) in [(1000, 1), (50, 200)] {
        let many = committed_by_pushes(ids, pieces);
        assert!(many * 10 <= few * 13, "{ids} ids in {pieces} pieces: {many} bytes, and {few} with ten ids");
    }
}

#[test]
fn what_was_pushed_before_a_commit_failed_is_there_after_it() {
    let disk = Disk::default();
    let mut replica = open(disk.clone(), 7);
    know(&mut replica, 100, 3);
    let mut writer = open(MemoryStore::new(), 9);
    for number in 0..5 {
        let written = writer.write(Keyed::new(number.to_string(), number), now()).unwrap();
        let push = writer.push_of(&written).unwrap().unwrap();
        assert_eq!(replica.receive_push(push, now()).unwrap(), PushOutcome::Taken);
        replica.write(Keyed::new("own".to_string(), number), now()).unwrap();
        let opened = open(Disk::of(disk.copy()), 8);
        assert_eq!((opened.context_hash(), opened.len()), (replica.context_hash(), u64::from(number) + 2));
    }
}
