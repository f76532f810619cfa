//! S7: no causal gaps.

use super::{Checker, KeyChange, Knowledge, Violation};
use crate::history::Record;

/// S7: a context covers exactly what was applied, and with each event everything that the event replaces. A record that brings
/// no new event changes nothing.
#[derive(Debug, Default)]
pub struct CausalGap;

impl Checker for CausalGap {
    fn name(&self) -> &'static str {
        "S7"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        for change in knowledge.changes() {
            if let Some(gap) = gap(change, knowledge) {
                let (node, key) = (change.node, change.key);
                return Err(self.violation(knowledge, format!("node {node} {gap}, key {key}")));
            }
            let moved = !change.came.is_empty() || !change.went.is_empty();
            if matches!(record, Record::State(_)) && change.covered.is_empty() && moved {
                let (node, key) = (change.node, change.key);
                let detail = format!("node {node} holds something else at key {key}, although nothing new came to it");
                return Err(self.violation(knowledge, detail));
            }
        }
        Ok(())
    }
}

fn gap(change: &KeyChange, knowledge: &Knowledge) -> Option<String> {
    let node = knowledge.node(change.node)?;
    for &id in &change.covered {
        let dot = knowledge.dot(id);
        let mut replaces = knowledge.events().attempt(id).into_iter().flat_map(|attempt| &attempt.replaces);
        if let Some(&missing) = replaces.find(|&&replaced| !node.covered.contains(replaced)) {
            return Some(format!("has seen {dot}, but not {}, which it replaces", knowledge.dot(missing)));
        }
        if knowledge.is_live(node, id) && change.held.iter().all(|&(held, _)| held != id) {
            return Some(format!("covers {dot}, which was not applied"));
        }
    }
    let uncovered = change.held.iter().find(|&&(id, _)| !node.covered.contains(id));
    uncovered.map(|&(id, _)| format!("holds {}, which its context does not cover", knowledge.dot(id)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge};
    use super::*;

    /// Node 0 has replaced one write by another.
    fn replaced() -> History {
        let (a, b) = (dot(1, 1), dot(1, 2));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).write(0, b, &[a]).state(0, &[b], &[b]);
        history
    }

    #[test]
    fn causes_before_or_with_their_effects_are_fine() {
        let (a, b) = (dot(1, 1), dot(1, 2));
        let mut history = replaced();
        history.state(1, &[a], &[a]).state(1, &[b], &[b]).state(2, &[b], &[b, a]).state(2, &[b], &[]);
        assert_eq!(judge(CausalGap, &history), None);
    }

    #[test]
    fn an_effect_without_its_cause_is_found() {
        let mut history = replaced();
        history.state(1, &[dot(1, 2)], &[dot(1, 2)]);
        finds(CausalGap, &history, "which it replaces");
    }

    #[test]
    fn a_clock_ahead_of_the_entries_is_found() {
        let mut history = replaced();
        history.state(1, &[], &[dot(1, 1), dot(1, 2)]);
        finds(CausalGap, &history, "which was not applied");
    }

    #[test]
    fn an_entry_ahead_of_the_clock_is_found() {
        let mut history = replaced();
        history.state(1, &[dot(1, 1), dot(1, 2)], &[dot(1, 1)]);
        finds(CausalGap, &history, "which its context does not cover");
    }

    #[test]
    fn a_replay_that_changes_something_is_found() {
        let mut history = replaced();
        history.state(0, &[dot(1, 1)], &[]);
        finds(CausalGap, &history, "nothing new came to it");
    }
}
