//! What measurements observe between events.

use std::collections::BTreeSet;

use anti_entropy::KeyHash;

use super::World;
use crate::history::{KeyIndex, NodeIndex};
use crate::subject::Subject;

impl<S: Subject> World<S> {
    /// The time of the next event.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.next_at()
    }

    /// Runs until all nodes that have to become equal are, and returns the time; `None` if they are not by the time `until`.
    pub fn run_until_equal(&mut self, until: u64) -> Option<u64> {
        while !self.is_converged() {
            if self.next_at().is_none_or(|at| at > until) {
                return None;
            }
            self.step();
        }
        Some(self.now)
    }

    /// The nodes that started since the last call, or whose state has changed.
    pub fn take_changed(&mut self) -> BTreeSet<NodeIndex> {
        core::mem::take(&mut self.changed)
    }

    /// The key hash of a key of the scenario.
    pub fn key_hash(&self, key: KeyIndex) -> KeyHash {
        self.keys[key as usize].1
    }

    /// The nodes that are up.
    pub fn nodes_up(&self) -> Vec<NodeIndex> {
        let nodes = (0..).zip(&self.nodes);
        nodes.filter(|(_, node)| node.is_up()).map(|(at, _)| at).collect()
    }
}
