//! S5: merges are commutative, associative and idempotent.

use std::collections::BTreeMap;

use super::{Checker, HeldVersion, Knowledge, Violation};
use crate::history::{KeyIndex, NodeIndex, Record, ValueHash};

/// S5: nodes that have seen the same events of a key hold the same there, in whatever order the events arrived. In the end,
/// nodes that hold the same also return the same to readers, so that resolvers are deterministic.
#[derive(Debug, Default)]
pub struct MergeLaws {
    /// By the events seen of a key: the first node that had seen exactly these, and what it held.
    seen: BTreeMap<(KeyIndex, u128), (NodeIndex, Vec<HeldVersion>)>,
    /// By final state: the first node that ended with it, and what its readers see.
    views: BTreeMap<ValueHash, (NodeIndex, ValueHash)>,
}

impl Checker for MergeLaws {
    fn name(&self) -> &'static str {
        "S5"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        for change in knowledge.changes() {
            let at_key = knowledge.node(change.node).and_then(|node| node.keys.get(&change.key));
            let fingerprint = at_key.map_or(0, |at_key| at_key.fingerprint);
            let first = self.seen.entry((change.key, fingerprint));
            let (node, held) = first.or_insert_with(|| (change.node, change.held.clone()));
            if *held != change.held {
                let name = |held: &[HeldVersion]| -> Vec<_> { held.iter().map(|&(id, _)| knowledge.dot(id)).collect() };
                let (node, other, key) = (*node, change.node, change.key);
                let (one, two) = (name(held), name(&change.held));
                let detail = format!(
                    "nodes {node} and {other} have seen the same of key {key}, but hold {one:?} and {two:?} (or other values)"
                );
                return Err(self.violation(knowledge, detail));
            }
        }
        let Record::End(end) = record else { return Ok(()) };
        let (other, view) = *self.views.entry(end.state).or_insert((end.node, end.view));
        if view == end.view {
            return Ok(());
        }
        let detail = format!("nodes {other} and {} hold the same, but show their readers something else", end.node);
        Err(self.violation(knowledge, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, end, finds, judge, key};
    use super::*;
    use crate::history::{End, Held, KeyState};

    /// Nodes 0 and 1 have seen two concurrent writes in different order.
    fn concurrent() -> History {
        let (a, b) = (dot(1, 1), dot(2, 1));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).write(1, b, &[]).state(1, &[b], &[b]).state(0, &[a, b], &[b]);
        history
    }

    #[test]
    fn the_same_in_another_order_is_fine() {
        let mut history = concurrent();
        history.state(1, &[dot(1, 1), dot(2, 1)], &[dot(1, 1)]);
        assert_eq!(judge(MergeLaws::default(), &history), None);
    }

    #[test]
    fn a_merge_that_depends_on_the_order_is_found() {
        let mut history = concurrent();
        history.state(1, &[dot(1, 1)], &[dot(1, 1)]);
        finds(MergeLaws::default(), &history, "nodes 0 and 1 have seen the same of key 0");
    }

    #[test]
    fn a_merge_that_changes_when_repeated_is_found() {
        let mut history = concurrent();
        history.state(0, &[dot(2, 1)], &[]);
        finds(MergeLaws::default(), &history, "nodes 0 and 0");
    }

    #[test]
    fn two_values_of_one_write_are_found() {
        let mut history = concurrent();
        let held = vec![Held { dot: dot(1, 1), value: ValueHash::from_u64(7) }];
        history.state_of(2, vec![KeyState { held, ..key(&[], &[dot(1, 1)]) }], true);
        finds(MergeLaws::default(), &history, "or other values");
    }

    #[test]
    fn a_resolver_that_shows_the_same_in_two_ways_is_found() {
        let mut history = History::new();
        history.push(Record::End(end(0, vec![]))).push(Record::End(end(1, vec![])));
        assert_eq!(judge(MergeLaws::default(), &history), None);
        history.push(Record::End(End { view: ValueHash::from_u64(9), ..end(2, vec![]) }));
        finds(MergeLaws::default(), &history, "nodes 0 and 2 hold the same, but show their readers something else");
    }
}
