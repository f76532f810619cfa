//! S2: no phantoms.

use super::{Checker, Knowledge, Violation};
use crate::history::{OpKind, Record};

/// S2: every version that is held, seen or read was written by an operation, at that key with that value.
#[derive(Debug, Default)]
pub struct Phantom;

impl Checker for Phantom {
    fn name(&self) -> &'static str {
        "S2"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let events = knowledge.events();
        for change in knowledge.changes() {
            let attempted = |id, value| {
                let attempt = events.attempt(id);
                attempt.is_some_and(|attempt| attempt.key == change.key && value == attempt.value)
            };
            if let Some(&(id, value)) = change.held.iter().find(|&&(id, value)| !attempted(id, Some(value))) {
                let (node, key, dot) = (change.node, change.key, knowledge.dot(id));
                let detail = format!("node {node} holds {dot} with value {value} at key {key}, which nobody wrote");
                return Err(self.violation(knowledge, detail));
            }
            if let Some(&id) = change.covered.iter().find(|&&id| events.attempt(id).is_none()) {
                let detail = format!("node {} has seen {}, which nobody made", change.node, knowledge.dot(id));
                return Err(self.violation(knowledge, detail));
            }
        }
        if let Record::Op(op) = record
            && op.op == OpKind::Read
        {
            let written = |&&dot: &&_| {
                let attempt = events.id(dot).and_then(|id| events.attempt(id));
                !attempt.is_some_and(|attempt| attempt.key == op.key && attempt.value.is_some())
            };
            if let Some(dot) = op.seen.iter().find(written) {
                let (node, key) = (op.node, op.key);
                return Err(
                    self.violation(knowledge, format!("a read of key {key} at node {node} saw the phantom {dot}"))
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key, op, value};
    use super::*;
    use crate::history::{Held, KeyState};

    #[test]
    fn what_was_attempted_is_fine() {
        let (a, b) = (dot(1, 1), dot(2, 1));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).doubtful(1, b).state(0, &[a, b], &[b]);
        history.op(op(0, OpKind::Read, None, &[a, b])).end(0, vec![key(&[a, b], &[a, b])]);
        assert_eq!(judge(Phantom, &history), None);
    }

    #[test]
    fn a_version_that_nobody_wrote_is_found() {
        let mut history = History::new();
        history.state(0, &[dot(1, 1)], &[dot(1, 1)]);
        finds(Phantom, &history, "which nobody wrote");
    }

    #[test]
    fn a_version_with_another_value_or_at_another_key_is_found() {
        let a = dot(1, 1);
        for (key, value) in [(0, value(dot(9, 9))), (1, value(a))] {
            let mut history = History::new();
            let held = vec![Held { dot: a, value }];
            let keys = vec![KeyState { key, held, covered: vec![a], forgotten: vec![] }];
            history.write(0, a, &[]).state_of(1, keys, true);
            finds(Phantom, &history, "which nobody wrote");
        }
    }

    #[test]
    fn a_delete_that_nobody_made_is_found() {
        let mut history = History::new();
        history.state(0, &[], &[dot(1, 1)]);
        finds(Phantom, &history, "which nobody made");
    }

    #[test]
    fn a_read_of_a_phantom_is_found() {
        let mut history = History::new();
        history.op(op(0, OpKind::Read, None, &[dot(1, 1)]));
        finds(Phantom, &history, "saw the phantom");
    }
}
