//! A record of the operations that were issued, kept beside the replicas, by which they are judged at the end.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::clock::Dot;
use anti_entropy::{Adopted, KeyHash, Written};

use crate::cluster::State;
use crate::pattern::Pattern;

/// Every operation, in the order in which it was acknowledged.
#[derive(Default)]
pub(crate) struct Ledger {
    operations: Vec<Operation>,
}

struct Operation {
    node: usize,
    dot: Dot,
    /// What it replaces.
    seen: Vec<Dot>,
    /// What was written; `None` for a delete.
    written: Option<Pattern>,
}

/// What was wrong with the replicas, and what there was to be right.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) writes: usize,
    pub(crate) deletes: usize,
    /// How many of the writes were replaced or deleted by a later operation that had seen them.
    pub(crate) replaced: usize,
    /// How many of the others are missing, or have another content, at one replica at least.
    pub(crate) lost: usize,
    /// How many of the replaced ones are held by one replica at least.
    pub(crate) resurrected: usize,
    /// How many versions are held that nobody wrote.
    pub(crate) invented: usize,
    /// Some of these, in words.
    pub(crate) examples: Vec<String>,
}

impl Ledger {
    /// Records what adopting these patterns at a node did.
    pub(crate) fn adopted(&mut self, node: usize, patterns: &[Pattern], adopted: &Adopted) {
        let by_place: BTreeMap<KeyHash, &Pattern> =
            patterns.iter().map(|pattern| (KeyHash::of(&pattern.id), pattern)).collect();
        for written in &adopted.written {
            self.record(node, written, by_place.get(&written.key).copied());
        }
    }

    /// Records one write, or a delete.
    pub(crate) fn record(&mut self, node: usize, written: &Written, value: Option<&Pattern>) {
        let Written { dot, seen, .. } = written.clone();
        self.operations.push(Operation { node, dot, seen, written: value.cloned() });
    }

    /// Compares what the replicas hold with what must be alive: every write that no later operation had seen.
    pub(crate) fn audit(&self, states: &[State]) -> Audit {
        let replaced: BTreeSet<Dot> = self.operations.iter().flat_map(|operation| operation.seen.clone()).collect();
        let writes = || self.operations.iter().filter_map(|made| Some((made.dot, made.written.as_ref()?)));
        let known: BTreeSet<Dot> = writes().map(|(dot, _)| dot).collect();
        let held: Vec<BTreeMap<Dot, &Pattern>> = states.iter().map(held).collect();
        let somewhere: BTreeSet<Dot> = held.iter().flat_map(|held| held.keys().copied()).collect();
        let is_lost = |(dot, value): &(Dot, &Pattern)| {
            !replaced.contains(dot) && !held.iter().all(|held| held.get(dot).is_some_and(|held| held == value))
        };
        let fault = |operation: &Operation| {
            let Operation { node, dot, written, .. } = operation;
            let (written, replaced) = (written.as_ref()?, replaced.contains(dot));
            let is_fault = if replaced { somewhere.contains(dot) } else { is_lost(&(*dot, written)) };
            let what = if replaced { "has come back" } else { "is lost" };
            is_fault.then(|| format!("the write {dot} of {} by node{} {what}", written.id, node + 1))
        };
        Audit {
            examples: self.operations.iter().filter_map(fault).take(5).collect(),
            writes: known.len(),
            deletes: self.operations.len() - known.len(),
            replaced: known.intersection(&replaced).count(),
            lost: writes().filter(is_lost).count(),
            resurrected: somewhere.intersection(&replaced).count(),
            invented: somewhere.difference(&known).count(),
        }
    }
}

/// The versions that a replica holds. One that is under a key that is not its own is as good as absent.
fn held(state: &State) -> BTreeMap<Dot, &Pattern> {
    let versions = state.entries.iter().flat_map(|(key, versions)| versions.iter().map(move |version| (key, version)));
    let in_place = versions.filter(|(key, version)| version.value.id == **key);
    in_place.map(|(_, version)| (version.dot, &version.value)).collect()
}
