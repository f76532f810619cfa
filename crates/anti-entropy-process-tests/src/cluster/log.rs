//! What happened so far, and what can be seen of it while it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anti_entropy::clock::ContextHash;
use anti_entropy_sim::history::{NodeIndex, ValueHash};

use crate::history::Happening;
use crate::wire::{Done, Report, Tick};

/// All that happened, in no order yet, and the present state of each node.
#[derive(Debug, Default)]
pub struct Log {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    happenings: Vec<(u64, Happening)>,
    live: Live,
}

/// The present state of all nodes, as they have told it.
#[derive(Debug, Default)]
pub struct Live {
    nodes: BTreeMap<NodeIndex, LiveNode>,
    done: BTreeMap<u64, Done>,
    /// Operations for which nobody waits any more.
    forgotten: BTreeSet<u64>,
}

/// The present state of a node.
#[derive(Clone, Debug, Default)]
pub struct LiveNode {
    /// How often it was started.
    pub lives: u64,
    /// What it holds and has seen, while it is up.
    seen: Option<(ValueHash, ContextHash)>,
    closed: bool,
    /// How often it has said what it has sent.
    pub ticks: u64,
    /// What it said of it last.
    pub tick: Option<Tick>,
    /// How often it has said all that it holds.
    pub ends: u64,
}

impl LiveNode {
    /// Whether its store is open.
    pub fn is_up(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether it has closed its store in order.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Live {
    /// The state of a node.
    pub fn node(&self, node: NodeIndex) -> LiveNode {
        self.nodes.get(&node).cloned().unwrap_or_default()
    }

    /// How an operation ended, if it did.
    pub fn done(&self, op_id: u64) -> Option<&Done> {
        self.done.get(&op_id)
    }

    /// Whether so many nodes are up, and hold and have seen the same.
    pub fn is_equal(&self, nodes: NodeIndex) -> bool {
        let mut all = (0..nodes).map(|node| self.nodes.get(&node)?.seen);
        let first = all.next().flatten();
        first.is_some() && all.all(|other| other == first)
    }

    /// Whether no node of the one side holds what one of the other does.
    pub fn differ(&self, one: &[NodeIndex], other: &[NodeIndex]) -> bool {
        let seen = |node: &NodeIndex| self.nodes.get(node)?.seen;
        one.iter().all(|a| other.iter().all(|b| seen(a).is_some() && seen(a) != seen(b)))
    }

    fn take(&mut self, happening: &Happening) {
        match happening {
            Happening::Started(node, _) => {
                let node = self.nodes.entry(*node).or_default();
                *node = LiveNode { lives: node.lives + 1, ticks: node.ticks, ends: node.ends, ..LiveNode::default() };
            }
            Happening::Ended(node) => {
                let node = self.nodes.entry(*node).or_default();
                (node.seen, node.lives) = (None, node.lives + 1);
            }
            Happening::Said(node, report) => self.hear(*node, report),
            Happening::Fault(_) | Happening::Healed(_) | Happening::Traffic(_) => {}
        }
    }

    fn hear(&mut self, node: NodeIndex, report: &Report) {
        let node = self.nodes.entry(node).or_default();
        match report {
            Report::Life(look) | Report::State(look) => node.seen = Some((look.root, look.context.hash())),
            Report::Done(done) if self.forgotten.remove(&done.op_id) => {}
            Report::Done(done) => drop(self.done.insert(done.op_id, done.clone())),
            Report::Tick(tick) => (node.ticks, node.tick) = (node.ticks + 1, Some(tick.clone())),
            Report::End(_) => node.ends += 1,
            Report::Closed => node.closed = true,
            Report::Failed { .. } | Report::Attempt(_) | Report::Session(_) | Report::Alarm { .. } => {}
        }
    }
}

impl Log {
    /// Takes in what happened at this time.
    pub fn push(&self, at: u64, happening: Happening) {
        let mut inner = self.lock();
        inner.live.take(&happening);
        inner.happenings.push((at, happening));
        drop(inner);
        self.changed.notify_all();
    }

    /// All that happened so far.
    pub fn happenings(&self) -> Vec<(u64, Happening)> {
        self.lock().happenings.clone()
    }

    /// Looks at the present state.
    pub fn look<T>(&self, look: impl FnOnce(&Live) -> T) -> T {
        look(&self.lock().live)
    }

    /// Nobody waits for the end of an operation any more.
    pub fn forget(&self, op_id: u64) {
        let live = &mut self.lock().live;
        if live.done.remove(&op_id).is_none() {
            live.forgotten.insert(op_id);
        }
    }

    /// Waits until something can be seen; nothing if that takes too long.
    pub fn wait_for<T>(&self, patience: Duration, mut seen: impl FnMut(&Live) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        loop {
            if let Some(found) = seen(&inner.live) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until something can be seen.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait<T>(&self, patience: Duration, what: &str, seen: impl FnMut(&Live) -> Option<T>) -> T {
        self.wait_for(patience, seen).unwrap_or_else(|| panic!("within {patience:?} it never happened that {what}"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
