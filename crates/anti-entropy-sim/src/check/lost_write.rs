//! S1: no acknowledged write is lost.

use super::{Checker, EventSet, Fate, KeyChange, Knowledge, Violation};
use crate::history::{Acknowledged, End, NodeIndex, OpKind, Opened, Record};

/// S1: a node holds every write that its context covers, until its context covers an event that replaces it. In the end every
/// core node covers everything that core nodes had after healing, and holds exactly the live writes of it.
#[derive(Debug, Default)]
pub struct LostWrite {
    /// The events that core nodes had covered or acknowledged when the network healed, or have since.
    owed: EventSet,
}

impl Checker for LostWrite {
    fn name(&self) -> &'static str {
        "S1"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        for change in knowledge.changes() {
            self.check_change(change, knowledge)?;
        }
        match record {
            Record::Healed(healed) => self.owe_what_is_known(&healed.core, knowledge),
            // A store may have been restored while its failing disk could not be opened, which shows only now. Events that no
            // other core node had were lost before the network healed.
            Record::Life(life) if life.opened != Opened::Restarted => {
                if let Some(healed) = knowledge.healed() {
                    self.owe_what_is_known(&healed.core, knowledge);
                }
            }
            Record::Op(op) if op.op != OpKind::Read && op.ok == Acknowledged::Yes && knowledge.is_core(op.node) => {
                self.owed.extend(op.dot.and_then(|dot| knowledge.events().id(dot)));
            }
            Record::State(_) | Record::Life(_) => {
                for change in knowledge.changes().iter().filter(|change| knowledge.is_core(change.node)) {
                    self.owed.extend(change.covered.iter().copied());
                }
            }
            Record::End(end) if end.core => self.check_end(end, knowledge)?,
            _ => {}
        }
        Ok(())
    }
}

impl LostWrite {
    /// From here on, the events that core nodes cover, or have acknowledged in their current lives, must not be lost.
    fn owe_what_is_known(&mut self, core: &[NodeIndex], knowledge: &Knowledge) {
        self.owed = EventSet::default();
        for node in core.iter().filter_map(|&node| knowledge.node(node)) {
            self.owed.extend(node.covered.iter().chain(node.acknowledged.iter().copied()));
        }
    }

    fn check_change(&self, change: &KeyChange, knowledge: &Knowledge) -> Result<(), Violation> {
        let Some(node) = knowledge.node(change.node) else { return Ok(()) };
        let gone = |&&id: &&_| !knowledge.events().is_replaced(id, &node.covered);
        if let Some(&id) = change.went.iter().find(gone) {
            let why = "does not hold any more, although nothing that it has seen replaces it";
            return Err(self.at_key(change, knowledge, id, why));
        }
        let unheld = |&&id: &&_| knowledge.is_live(node, id) && change.held.iter().all(|&(held, _)| held != id);
        if let Some(&id) = change.covered.iter().find(unheld) {
            let why = "has seen and does not hold, although nothing that it has seen replaces it";
            return Err(self.at_key(change, knowledge, id, why));
        }
        Ok(())
    }

    fn at_key(&self, change: &KeyChange, knowledge: &Knowledge, id: super::EventId, why: &str) -> Violation {
        self.violation(knowledge, format!("node {} {why}: {}, key {}", change.node, knowledge.dot(id), change.key))
    }

    fn check_end(&self, end: &End, knowledge: &Knowledge) -> Result<(), Violation> {
        let Some(node) = knowledge.node(end.node) else { return Ok(()) };
        let certain = |&id: &_| {
            let event = knowledge.events().get(id);
            !event.lost && event.attempt.as_ref().is_some_and(|attempt| attempt.fate != Fate::Unknown)
        };
        if let Some(id) = self.owed.missing_from(&node.covered).find(certain) {
            let dot = knowledge.dot(id);
            return Err(self.violation(knowledge, format!("core node {} ends without having seen {dot}", end.node)));
        }
        let held = node.keys.values().flat_map(|at_key| at_key.held.iter().map(|&(id, _)| id));
        let holds: EventSet = held.collect();
        let live: EventSet = node.covered.iter().filter(|&id| knowledge.is_live(node, id)).collect();
        let differs = live.missing_from(&holds).map(|id| ("without", id));
        let differs = differs.chain(holds.missing_from(&live).map(|id| ("with the dead", id))).next();
        differs.map_or(Ok(()), |(how, id)| {
            let dot = knowledge.dot(id);
            Err(self.violation(knowledge, format!("core node {} ends {how} {dot}, of all it has seen", end.node)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key};
    use super::*;

    #[test]
    fn kept_writes_are_fine() {
        let (a, b) = (dot(1, 1), dot(2, 1));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).state(1, &[a], &[a]);
        history.write(1, b, &[a]).state(1, &[b], &[b]).state(0, &[b], &[b]);
        history.life(0, Opened::Restarted, vec![key(&[b], &[a, b])], &[]).healed(&[0, 1]);
        history.end(0, vec![key(&[b], &[a, b])]).end(1, vec![key(&[b], &[a, b])]);
        assert_eq!(judge(LostWrite::default(), &history), None);
    }

    #[test]
    fn a_version_that_vanishes_is_found() {
        let (a, b) = (dot(1, 1), dot(2, 1));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).write(1, b, &[]).state(0, &[b], &[b]);
        finds(LostWrite::default(), &history, "does not hold any more");
    }

    #[test]
    fn a_write_that_is_seen_and_not_held_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(1, &[], &[a]);
        finds(LostWrite::default(), &history, "has seen and does not hold");
    }

    #[test]
    fn a_store_put_back_without_what_it_covers_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).life(0, Opened::Restored, vec![key(&[], &[a])], &[]);
        finds(LostWrite::default(), &history, "has seen and does not hold");
    }

    #[test]
    fn a_write_that_never_reaches_a_core_node_is_found_unless_its_only_store_was_lost() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).healed(&[0, 1]).end(0, vec![key(&[a], &[a])]).end(1, vec![]);
        finds(LostWrite::default(), &history, "core node 1 ends without having seen");
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).life(0, Opened::Wiped, vec![], &[]).healed(&[0, 1]);
        history.end(0, vec![]).end(1, vec![]);
        assert_eq!(judge(LostWrite::default(), &history), None);
    }

    /// Node 2 is outside the core, and knows it still: so it is not lost, and yet nobody owes it.
    #[test]
    fn what_a_core_node_lost_before_healing_is_not_owed() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(2, a, &[]).state(2, &[a], &[a]).state(1, &[a], &[a]).healed(&[0, 1]);
        history.life(1, Opened::Restored, vec![], &[]).end(0, vec![]).end(1, vec![]);
        assert_eq!(judge(LostWrite::default(), &history), None);
    }

    #[test]
    fn an_acknowledged_write_that_was_never_taken_in_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).healed(&[0, 1]).end(0, vec![]);
        finds(LostWrite::default(), &history, "core node 0 ends without having seen");
    }
}
