//! S6: equal roots mean equal states, and sessions certify true roots.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Knowledge, Violation};
use crate::history::{End, EndedSession, NodeIndex, Record, ValueHash};

/// S6: in the end every node's root equals the root computed afresh from its store, nodes have equal roots if and only if they
/// hold the same, and an audit finds nothing. A session that converged names a root that both sides have had.
#[derive(Debug, Default)]
pub struct EqualRoots {
    states: BTreeMap<String, (NodeIndex, ValueHash)>,
    roots: BTreeMap<ValueHash, (NodeIndex, String)>,
    /// All roots that each node has had in any of its lives.
    had: BTreeMap<NodeIndex, BTreeSet<ValueHash>>,
}

impl Checker for EqualRoots {
    fn name(&self) -> &'static str {
        "S6"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            Record::Life(life) => _ = self.had.entry(life.node).or_default().insert(life.root),
            Record::State(state) => _ = self.had.entry(state.node).or_default().insert(state.root),
            Record::Session(session) => self.check_certificate(session, knowledge)?,
            Record::End(end) => self.check_end(end, knowledge)?,
            _ => {}
        }
        Ok(())
    }
}

impl EqualRoots {
    /// Both sides must have had the root at some time. A peer's message takes time, and the peer may have written since, so the
    /// times need not be equal.
    fn check_certificate(&self, session: &EndedSession, knowledge: &Knowledge) -> Result<(), Violation> {
        let (node, peer) = (session.node, session.peer);
        let Some(root) = session.root.filter(|_| session.outcome == "converged") else { return Ok(()) };
        // A node whose store was never seen to be opened is not observed.
        let never_had = |side: &NodeIndex| self.had.get(side).is_some_and(|had| !had.contains(&root));
        let Some(side) = [node, peer].into_iter().find(never_had) else { return Ok(()) };
        let detail =
            format!("a session of node {node} with node {peer} certifies root {root}, which node {side} never had");
        Err(self.violation(knowledge, detail))
    }

    fn check_end(&mut self, end: &End, knowledge: &Knowledge) -> Result<(), Violation> {
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
    use crate::history::Opened;

    fn ends(ends: impl IntoIterator<Item = End>) -> History {
        let mut history = History::new();
        history.records.extend(ends.into_iter().map(Record::End));
        history
    }

    #[test]
    fn equal_and_different_nodes_are_fine() {
        let other = End { root: "s".into(), root_afresh: "s".into(), state: ValueHash::from_u64(9), ..end(2, vec![]) };
        assert_eq!(judge(EqualRoots::default(), &ends([end(0, vec![]), end(1, vec![]), other])), None);
    }

    #[test]
    fn a_root_that_was_not_updated_is_found() {
        let stale = End { root_afresh: "s".into(), ..end(0, vec![]) };
        finds(EqualRoots::default(), &ends([stale]), "computed afresh");
    }

    #[test]
    fn a_digest_blind_to_a_difference_is_found() {
        let other = End { state: ValueHash::from_u64(9), ..end(1, vec![]) };
        finds(EqualRoots::default(), &ends([end(0, vec![]), other]), "the same root, but different states");
    }

    #[test]
    fn a_root_that_depends_on_the_order_of_arrival_is_found() {
        let other = End { root: "s".into(), root_afresh: "s".into(), ..end(1, vec![]) };
        finds(EqualRoots::default(), &ends([end(0, vec![]), other]), "the same state, but different roots");
    }

    /// Node 0 has had roots 1 and 2, node 1 root 2.
    fn with_roots() -> History {
        let mut history = History::new();
        history.root(0, ValueHash::from_u64(1)).root(0, ValueHash::from_u64(2)).root(1, ValueHash::from_u64(2));
        history
    }

    #[test]
    fn a_certificate_of_what_both_sides_had_is_fine() {
        let mut history = with_roots();
        history.certificate(0, 1, ValueHash::from_u64(2)).root(0, ValueHash::from_u64(3)).certificate(
            1,
            0,
            ValueHash::from_u64(2),
        );
        history.life(1, Opened::Wiped, vec![], &[]).certificate(0, 1, ValueHash::from_u64(2));
        history.certificate(0, 1, ValueHash::from_u64(0)).session(0, 1, "converged");
        assert_eq!(judge(EqualRoots::default(), &history), None);
    }

    #[test]
    fn a_certificate_of_what_a_peer_has_that_nobody_looks_at_is_fine() {
        let mut history = with_roots();
        history.certificate(0, 3, ValueHash::from_u64(1));
        assert_eq!(judge(EqualRoots::default(), &history), None);
    }

    #[test]
    fn a_certificate_of_what_the_peer_never_had_is_found() {
        let mut history = with_roots();
        history.certificate(0, 1, ValueHash::from_u64(1));
        finds(EqualRoots::default(), &history, "which node 1 never had");
    }

    #[test]
    fn a_certificate_of_what_the_node_itself_never_had_is_found() {
        let mut history = with_roots();
        history.certificate(1, 0, ValueHash::from_u64(1));
        finds(EqualRoots::default(), &history, "which node 1 never had");
    }

    #[test]
    fn a_certificate_of_what_the_peer_had_only_later_is_found() {
        let mut history = with_roots();
        history.certificate(0, 1, ValueHash::from_u64(1)).root(1, ValueHash::from_u64(1));
        finds(EqualRoots::default(), &history, "which node 1 never had");
    }

    #[test]
    fn what_an_audit_finds_is_found() {
        let bad = End { discrepancies: vec!["a key too many".into()], ..end(0, vec![]) };
        finds(EqualRoots::default(), &ends([bad]), "a key too many");
    }
}
