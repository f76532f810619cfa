//! What each node has said, beside the replicas, to judge them by.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy_engram::gossiper::Rebuilt;
use anti_entropy_engram::{ConsolidationSnapshot, SemanticPattern};

use crate::cluster::State;

/// The last version that each node gave of each of its patterns.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By node and id.
    said: BTreeMap<(String, String), SemanticPattern>,
    /// By node and id: what was left out, since it was not valid.
    left_out: BTreeSet<(String, String)>,
    /// What was told of that.
    pub(crate) refused: Vec<String>,
}

impl Ledger {
    /// Notes what a node said, less what was refused. What it says no more still counts: it was not taken back.
    pub(crate) fn record(&mut self, node: &str, snapshot: &ConsolidationSnapshot, rebuilt: &Rebuilt) {
        self.left_out.extend(rebuilt.refused.iter().map(|refused| (node.to_owned(), refused.id.clone())));
        for pattern in &snapshot.patterns {
            let key = (node.to_owned(), pattern.id.clone());
            if !self.left_out.contains(&key) {
                self.said.insert(key, in_order(pattern));
            }
        }
        self.refused.extend(rebuilt.refused.iter().map(|refused| format!("{node}: {refused}")));
    }

    /// How many of the versions that a node gave last are not held, unchanged, by every node.
    pub(crate) fn lost(&self, states: &[State]) -> usize {
        let held: Vec<BTreeMap<_, _>> = states
            .iter()
            .map(|state| {
                let versions = state.entries.iter().flat_map(|(_, versions)| versions);
                versions.map(|version| ((version.value.origin(), version.value.id()), &version.value)).collect()
            })
            .collect();
        let is_held = |((node, id), said): &(&(String, String), &SemanticPattern)| {
            let held = held.iter().map(|held| held.get(&(node.as_str(), id.as_str())));
            held.into_iter().all(|pattern| pattern.is_some_and(|pattern| SemanticPattern::from(*pattern) == **said))
        };
        self.said.iter().filter(|said| !is_held(said)).count()
    }
}

/// The pattern as it is held.
fn in_order(pattern: &SemanticPattern) -> SemanticPattern {
    let mut pattern = pattern.clone();
    pattern.source_episodes.sort();
    pattern.source_episodes.dedup();
    for number in [&mut pattern.strength, &mut pattern.schema_confidence] {
        *number = number.clamp(0.0, 1.0);
    }
    pattern
}
