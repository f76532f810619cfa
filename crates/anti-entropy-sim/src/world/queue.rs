//! The queue of future events in the order of time. Events at the same time have the order in which they were queued.

use core::cmp::Ordering;
use std::collections::BinaryHeap;

use anti_entropy::engine::StateDigest;

use crate::history::NodeIndex;
use crate::scenario::Abuse;

/// An event.
#[derive(Debug)]
pub(super) enum What {
    /// A frame arrives.
    Arrival { to: NodeIndex, from: NodeIndex, frame: Vec<u8> },
    /// A hostile node does something.
    Abuse { node: NodeIndex, abuse: Abuse },
    /// A hostile node sends a frame that it has held back.
    Late { from: NodeIndex, to: NodeIndex, frame: Vec<u8> },
    /// A failure detector pings a peer.
    Ping(NodeIndex),
    /// A ping arrives, with the sender's announcement.
    Announcement { to: NodeIndex, from: NodeIndex, state: StateDigest },
    /// A deadline of an engine is reached.
    Timer { node: NodeIndex, life: u32 },
    /// A client asks for something.
    Operation(usize),
    /// A step of the scenario begins.
    Begins(usize),
    /// A step of the scenario ends.
    Ends(usize),
    /// A flapping partition opens or closes.
    Flap { step: usize, apart: bool },
    /// A node of a cascade crashes.
    Crash(NodeIndex),
    /// A node whose replica has stopped ends, and is started again.
    Restart { node: NodeIndex, life: u32 },
    /// A node that stopped itself is started again.
    Start { node: NodeIndex, life: u32 },
    /// All faults end.
    Heal,
    /// A gossip interval ends, and traffic and resources are recorded.
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

    /// Lets no frame in flight take longer than `within` from now on, and loses those of `dead` nodes.
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

/// Reversed, since the heap returns the greatest first and the earliest event has to come first.
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
