//! What a replica keeps in memory besides its store. A test of its own, since it counts the bytes of the whole process.

use std::alloc::System;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use anti_entropy::clock::{Now, Seed};
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, Keyed, LastWriterWins, MemoryStore, Replica, Store, Transaction};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ENTRIES: u32 = 10_000;
const VALUE_BYTES: usize = 3_200;
const MOST_BYTES: usize = 2_000_000;

/// Stays when the replica goes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<MemoryStore>>);

impl Kept {
    fn store<T>(&self, act: impl FnOnce(&mut MemoryStore) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Kept {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.store(|store| store.load(key))
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store(|store| store.scan(range, visit))
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.store(|store| store.meta(slot))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.store(|store| store.commit(commit))
    }
}

/// The bytes on the heap.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn a_replica_of_ten_thousand_entries_takes_little_besides_its_store() {
    let kept = Kept::default();
    let open = || Replica::open(kept.clone(), LastWriterWins, Seed::from_bytes([7; 32])).unwrap();
    let now = Now { elapsed: std::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
    let mut written = open();
    for first in (0..ENTRIES).step_by(100) {
        let write = |writes: Transaction<_>, key| writes.write(Keyed::new(key, "z".repeat(VALUE_BYTES)));
        written.commit((first..first + 100).fold(Transaction::new(), write), now).unwrap();
    }
    let root = written.root();
    let own = |replica: Replica<Keyed<u32, String>>| {
        let with_it = live_bytes();
        drop(replica);
        with_it - live_bytes()
    };
    let as_written = own(written);
    let mut opened = open();
    assert_eq!((opened.root(), opened.len()), (root, u64::from(ENTRIES)));
    let as_opened = own(opened);
    println!("{ENTRIES} entries: {as_written} bytes after writing them, {as_opened} bytes after opening them");
    assert!(as_written <= MOST_BYTES && as_opened <= MOST_BYTES);
    let store = live_bytes();
    assert!(store > ENTRIES as usize * VALUE_BYTES, "the store itself is counted: {store}");
}
