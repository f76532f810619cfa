//! What is to happen, in the order of time; at the same time, in the order in which it was decided.

use core::cmp::Ordering;
use std::collections::BinaryHeap;

use anti_entropy::engine::StateDigest;

use crate::history::NodeIndex;

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    /// A frame arrives.
    Arrival { to: NodeIndex, from: NodeIndex, frame: Vec<u8> },
    /// A failure detector is about to ping somebody.
    Ping(NodeIndex),
    /// Its ping arrives, with what the sender announces.
    Announcement { to: NodeIndex, from: NodeIndex, state: StateDigest },
    /// A deadline of an engine is reached.
    Timer { node: NodeIndex, life: u32 },
    /// A client asks for something.
    Operation(usize),
    /// A step of the scenario begins.
    Begins(usize),
    /// It is over.
    Ends(usize),
    /// A flapping partition opens or closes.
    Flap { step: usize, apart: bool },
    /// A node of a cascade crashes.
    Crash(NodeIndex),
    /// A node that stopped itself is started again.
    Start { node: NodeIndex, life: u32 },
    /// All faults are over.
    Heal,
    /// A gossip interval is over: what was sent and is in use is recorded.
    Tick,
}

#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Item>,
    sequence: u64,
}

struct Item {
    at: u64,
    sequence: u64,
    what: What,
}

impl Queue {
    pub(super) fn push(&mut self, at: u64, what: What) {
        self.heap.push(Item { at, sequence: self.sequence, what });
        self.sequence += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(u64, What)> {
        self.heap.pop().map(|item| (item.at, item.what))
    }

    /// Lets no frame that is on its way take longer than `within` from now on, and loses those of `dead` nodes.
    pub(super) fn hurry(&mut self, now: u64, within: u64, dead: &[NodeIndex]) {
        self.heap.retain(|item| !matches!(&item.what, What::Arrival { from, .. } if dead.contains(from)));
        let hurry = |mut item: Item| {
            if matches!(item.what, What::Arrival { .. }) {
                item.at = item.at.min(now + within);
            }
            item
        };
        self.heap = core::mem::take(&mut self.heap).into_iter().map(hurry).collect();
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|item| item.at)
    }
}

/// The heap gives the greatest first, and what is earlier is to be first.
impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Item {}
