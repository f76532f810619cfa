//! Counting the bytes that each node has on the heap, besides its store.
//!
//! An allocator cannot be written without unsafe code, so that a test brings a finished one, and tells the simulator how to read
//! it. What is allocated while a node runs is the node's, what its store keeps is the store's, and a frame that is handed to the
//! network is nobody's any more.

use core::cell::Cell;
use std::sync::OnceLock;

use super::World;
use crate::history::{Heap, NodeIndex, Record};
use crate::subject::Subject;

static ALLOCATED: OnceLock<fn() -> u64> = OnceLock::new();

std::thread_local! {
    /// What stores have allocated in the step that is under way.
    static IN_STORE: Cell<i64> = const { Cell::new(0) };
    /// The most that was allocated at any call of a store in that step.
    static MOST: Cell<i64> = const { Cell::new(0) };
}

/// Says how to read how many bytes are allocated at present. From then on each node's heap is recorded, once in each interval.
///
/// The allocator counts for the whole process. So one run at a time may go on, and nothing else.
pub fn count_heap(allocated: fn() -> u64) {
    // Whoever was first counts the same.
    let _ = ALLOCATED.set(allocated);
}

/// The bytes that are allocated at present; `None` if nobody counts.
fn allocated() -> Option<i64> {
    ALLOCATED.get().map(|read| i64::try_from(read()).unwrap_or(i64::MAX))
}

/// Notes how much is allocated while a store is called: what is loaded, decoded and not yet written is there then.
pub(super) fn sample() {
    if let Some(now) = allocated() {
        MOST.set(MOST.get().max(now));
    }
}

/// What `act` allocates, and does not free, is the store's.
pub(super) fn in_store<T>(act: impl FnOnce() -> T) -> T {
    let before = allocated();
    let done = act();
    if let Some((before, after)) = before.zip(allocated()) {
        IN_STORE.set(IN_STORE.get() + after - before);
    }
    done
}

pub(super) fn is_counted() -> bool {
    ALLOCATED.get().is_some()
}

/// What a node has on the heap.
#[derive(Clone, Copy, Default)]
pub(super) struct Account {
    held: i64,
    /// The most since the last record, within steps too.
    most: i64,
}

impl<S: Subject> World<S> {
    /// Counts what `act` allocates as the node's.
    pub(super) fn counted<T>(&mut self, at: NodeIndex, act: impl FnOnce(&mut Self) -> T) -> T {
        let Some(before) = allocated() else { return act(self) };
        IN_STORE.set(0);
        MOST.set(before);
        let done = act(self);
        let after = allocated().unwrap_or(before);
        let in_store = IN_STORE.get();
        let account = self.heaps.entry(at).or_default();
        account.most = account.most.max(account.held + MOST.get() - before);
        account.held += after - before - in_store;
        account.most = account.most.max(account.held);
        done
    }

    /// These bytes are not the node's any more.
    pub(super) fn hand_out(&mut self, at: NodeIndex, bytes: usize) {
        if is_counted()
            && let Some(account) = self.heaps.get_mut(&at)
        {
            account.held -= i64::try_from(bytes).unwrap_or(0);
        }
    }

    /// Drops what belongs to the node.
    pub(super) fn drop_of<T>(&mut self, at: NodeIndex, owned: T) {
        self.counted(at, |_| drop(owned));
    }

    /// The node's process is gone, with all that it had.
    pub(super) fn clear_heap(&mut self, at: NodeIndex) {
        self.heaps.remove(&at);
    }

    pub(super) fn record_heap(&mut self, at: NodeIndex) {
        let Some(account) = self.heaps.get_mut(&at) else { return };
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        let (held_bytes, most_bytes) = (bytes(account.held), bytes(account.most));
        account.most = account.held;
        let limit_bytes = self.scenario.heap_bytes;
        self.records.push(Record::Heap(Heap { at: self.now, node: at, held_bytes, most_bytes, limit_bytes }));
    }
}
