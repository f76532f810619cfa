//! S8: everything acknowledged or seen survives a crash.

use std::collections::BTreeMap;

use super::{Checker, Knowledge, Violation};
use crate::history::{Life, Opened, Record, WriteName};

/// S8: a store that is opened again after a crash has everything that its node had acknowledged, covered and held. No dot is
/// ever used twice.
#[derive(Debug, Default)]
pub struct DurablePrefix {
    /// Operations that may have been done under a dot that names another one.
    doubtful: BTreeMap<WriteName, u64>,
}

impl Checker for DurablePrefix {
    fn name(&self) -> &'static str {
        "S8"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        if let Some(reused) = knowledge.reused() {
            if reused.certain {
                let detail = format!("{} was used by operation {} and {}", reused.dot, reused.first, reused.second);
                return Err(self.violation(knowledge, detail));
            }
            self.doubtful.insert(reused.dot, reused.second);
        }
        let Record::Life(life) = record else { return Ok(()) };
        if let Some((dot, op)) = life.kept.iter().find_map(|dot| Some((dot, self.doubtful.get(dot)?))) {
            return Err(self.violation(knowledge, format!("{dot} was used by operation {op} after another")));
        }
        if life.opened == Opened::Restarted { self.check_restart(life, knowledge) } else { Ok(()) }
    }
}

impl DurablePrefix {
    fn check_restart(&self, life: &Life, knowledge: &Knowledge) -> Result<(), Violation> {
        let Some(node) = knowledge.node(life.node) else { return Ok(()) };
        let fail = |id, what| {
            let detail = format!("after a restart node {} has lost {}, which it {what}", life.node, knowledge.dot(id));
            Err(self.violation(knowledge, detail))
        };
        if let Some(&id) = node.acknowledged.iter().find(|&&id| !node.covered.contains(id)) {
            return fail(id, "acknowledged");
        }
        if let Some(&id) = knowledge.uncovered().first() {
            return fail(id, "had seen");
        }
        let mut went = knowledge.changes().iter().flat_map(|change| &change.went);
        let lost = went.find(|&&id| !knowledge.events().is_replaced(id, &node.covered));
        lost.map_or(Ok(()), |&id| fail(id, "held"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key};
    use super::*;

    #[test]
    fn a_restart_with_everything_is_fine_and_so_is_a_doubtful_write_either_way() {
        let (a, b) = (dot(1, 1), dot(1, 2));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).doubtful(0, b);
        history.life(0, Opened::Restarted, vec![key(&[a, b], &[a, b])], &[b]);
        history.doubtful(0, dot(1, 3)).life(0, Opened::Restarted, vec![key(&[a, b], &[a, b])], &[]);
        history.life(0, Opened::Wiped, vec![], &[]).life(0, Opened::Restarted, vec![], &[]);
        assert_eq!(judge(DurablePrefix::default(), &history), None);
    }

    #[test]
    fn an_acknowledged_write_that_was_not_durable_is_found() {
        let mut history = History::new();
        history.write(0, dot(1, 1), &[]).life(0, Opened::Restarted, vec![], &[]);
        finds(DurablePrefix::default(), &history, "which it acknowledged");
    }

    #[test]
    fn what_was_received_and_not_durable_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(1, &[a], &[a]).life(1, Opened::Restarted, vec![], &[]);
        finds(DurablePrefix::default(), &history, "which it had seen");
    }

    #[test]
    fn a_torn_commit_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(1, &[a], &[a]).life(1, Opened::Restarted, vec![key(&[], &[a])], &[]);
        finds(DurablePrefix::default(), &history, "which it held");
    }

    #[test]
    fn a_dot_used_twice_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).life(0, Opened::Wiped, vec![], &[]).write(0, a, &[]);
        finds(DurablePrefix::default(), &history, "was used by operation 0 and 1");
        let mut history = History::new();
        history.write(0, a, &[]).doubtful(0, a).life(0, Opened::Wiped, vec![key(&[a], &[a])], &[a]);
        finds(DurablePrefix::default(), &history, "was used by operation 1 after another");
    }
}
