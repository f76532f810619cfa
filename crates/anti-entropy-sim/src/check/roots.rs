//! S6: equal roots are equal states.

use std::collections::BTreeMap;

use super::{Checker, Knowledge, Violation};
use crate::history::{NodeIndex, Record, ValueHash};

/// S6: in the end every node's root is the one computed afresh, nodes have equal roots just if they hold the same, and an
/// audit finds nothing.
#[derive(Debug, Default)]
pub struct EqualRoots {
    states: BTreeMap<String, (NodeIndex, ValueHash)>,
    roots: BTreeMap<ValueHash, (NodeIndex, String)>,
}

impl Checker for EqualRoots {
    fn name(&self) -> &'static str {
        "S6"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let Record::End(end) = record else { return Ok(()) };
        let node = end.node;
        let fail = |detail| Err(self.violation(knowledge, detail));
        if let Some(discrepancy) = end.discrepancies.first() {
            return fail(format!("the audit of node {node} finds {discrepancy}"));
        }
        if end.root != end.root_afresh {
            return fail(format!("node {node} keeps root {}, but computed afresh it is {}", end.root, end.root_afresh));
        }
        if let Some((other, _)) = self.states.get(&end.root).filter(|(_, state)| *state != end.state) {
            return fail(format!("nodes {other} and {node} have the same root, but different states"));
        }
        if let Some((other, _)) = self.roots.get(&end.state).filter(|(_, root)| *root != end.root) {
            return fail(format!("nodes {other} and {node} have the same state, but different roots"));
        }
        self.states.entry(end.root.clone()).or_insert((node, end.state));
        self.roots.entry(end.state).or_insert_with(|| (node, end.root.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, end, finds, judge};
    use super::*;
    use crate::history::End;

    fn ends(ends: impl IntoIterator<Item = End>) -> History {
        let mut history = History::new();
        history.records.extend(ends.into_iter().map(Record::End));
        history
    }

    #[test]
    fn equal_and_different_nodes_are_fine() {
        let other = End { root: "s".into(), root_afresh: "s".into(), state: ValueHash(9), ..end(2, vec![]) };
        assert_eq!(judge(EqualRoots::default(), &ends([end(0, vec![]), end(1, vec![]), other])), None);
    }

    #[test]
    fn a_root_that_was_not_updated_is_found() {
        let stale = End { root_afresh: "s".into(), ..end(0, vec![]) };
        finds(EqualRoots::default(), &ends([stale]), "computed afresh");
    }

    #[test]
    fn a_digest_blind_to_a_difference_is_found() {
        let other = End { state: ValueHash(9), ..end(1, vec![]) };
        finds(EqualRoots::default(), &ends([end(0, vec![]), other]), "the same root, but different states");
    }

    #[test]
    fn a_root_that_depends_on_the_order_of_arrival_is_found() {
        let other = End { root: "s".into(), root_afresh: "s".into(), ..end(1, vec![]) };
        finds(EqualRoots::default(), &ends([end(0, vec![]), other]), "the same state, but different roots");
    }

    #[test]
    fn what_an_audit_finds_is_found() {
        let bad = End { discrepancies: vec!["a key too many".into()], ..end(0, vec![]) };
        finds(EqualRoots::default(), &ends([bad]), "a key too many");
    }
}
