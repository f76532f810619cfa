//! What measurements look at between the things that happen.

use std::collections::BTreeSet;

use anti_entropy::KeyHash;

use super::World;
use crate::history::{KeyIndex, NodeIndex};
use crate::subject::Subject;

impl<S: Subject> World<S> {
    /// When the next thing happens.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.next_at()
    }

    /// Lets everything happen until all nodes that count are equal; returns when they were, or nothing if they are not until
    /// then.
    pub fn run_until_equal(&mut self, until: u64) -> Option<u64> {
        while !self.is_converged() {
            if self.next_at().is_none_or(|at| at > until) {
                return None;
            }
            self.step();
        }
        Some(self.now)
    }

    /// The nodes that started, or hold or have seen something else, since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<NodeIndex> {
        core::mem::take(&mut self.changed)
    }

    /// Where the records of a key are, counted as in the scenario.
    pub fn key_hash(&self, key: KeyIndex) -> KeyHash {
        self.keys[key as usize].1
    }

    /// The nodes that are up.
    pub fn nodes_up(&self) -> Vec<NodeIndex> {
        let nodes = (0..).zip(&self.nodes);
        nodes.filter(|(_, node)| node.is_up()).map(|(at, _)| at).collect()
    }
}
