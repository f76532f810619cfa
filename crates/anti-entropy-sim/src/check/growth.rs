//! S4: contexts only grow, and a dot names one write.

use super::{Checker, Knowledge, Violation};
use crate::history::{Opened, Record};

/// S4: within one life of a store, a context never covers less than before. A dot names one write or delete, at one key, with
/// one value.
#[derive(Debug, Default)]
pub struct ContextGrowth;

impl Checker for ContextGrowth {
    fn name(&self) -> &'static str {
        "S4"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let shrunk = match record {
            Record::State(state) => Some((state.node, state.grown)),
            Record::Life(life) if life.opened == Opened::Restarted => Some((life.node, true)),
            Record::End(end) => Some((end.node, true)),
            _ => None,
        };
        if let Some((node, grown)) = shrunk {
            if let Some(&id) = knowledge.uncovered().first() {
                let dot = knowledge.dot(id);
                return Err(self.violation(knowledge, format!("the context of node {node} covers {dot} no more")));
            }
            if !grown {
                return Err(self.violation(knowledge, format!("the context of node {node} covers less than before")));
            }
        }
        if let Some(reused) = knowledge.reused().filter(|reused| reused.certain) {
            let detail = format!("{} names both operation {} and {}", reused.dot, reused.first, reused.second);
            return Err(self.violation(knowledge, detail));
        }
        self.check_names(knowledge)
    }
}

impl ContextGrowth {
    fn check_names(&self, knowledge: &Knowledge) -> Result<(), Violation> {
        let attempt = |id| knowledge.events().attempt(id);
        for change in knowledge.changes() {
            let elsewhere = |&&id: &&_| attempt(id).is_some_and(|attempt| attempt.key != change.key);
            let mut named = change.covered.iter().chain(&change.came);
            if let Some(&id) = named.find(elsewhere) {
                let (node, key, dot) = (change.node, change.key, knowledge.dot(id));
                return Err(
                    self.violation(knowledge, format!("{dot} is at key {key} of node {node}, and of another key"))
                );
            }
            let other = |&&(id, value): &&(_, _)| attempt(id).is_some_and(|attempt| attempt.value != Some(value));
            if let Some(&(id, value)) = change.held.iter().find(other) {
                let (node, dot) = (change.node, knowledge.dot(id));
                return Err(
                    self.violation(knowledge, format!("{dot} has value {value} at node {node}, and another one"))
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key};
    use super::*;
    use crate::history::{Held, KeyState, ValueHash};

    #[test]
    fn growth_is_fine_and_so_is_a_wiped_store() {
        let (a, b) = (dot(1, 1), dot(1, 2));
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).write(0, b, &[a]).state(0, &[b], &[b]);
        history.life(0, Opened::Restarted, vec![key(&[b], &[a, b])], &[]);
        history.life(0, Opened::Wiped, vec![], &[]).state(0, &[b], &[a, b]).end(0, vec![key(&[b], &[a, b])]);
        assert_eq!(judge(ContextGrowth, &history), None);
    }

    #[test]
    fn a_dot_of_a_write_that_was_not_done_may_be_minted_again() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.doubtful(0, a).life(0, Opened::Restarted, vec![], &[]).write(0, a, &[]).state(0, &[a], &[a]);
        assert_eq!(judge(ContextGrowth, &history), None);
    }

    #[test]
    fn a_dot_minted_twice_is_found() {
        let mut history = History::new();
        history.write(0, dot(1, 1), &[]).write(1, dot(1, 1), &[]);
        finds(ContextGrowth, &history, "names both operation 0 and 1");
    }

    #[test]
    fn a_context_that_shrinks_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        let forgets = KeyState { forgotten: vec![a], ..key(&[], &[]) };
        history.write(0, a, &[]).state(0, &[a], &[a]).state_of(0, vec![forgets], true);
        finds(ContextGrowth, &history, "covers 00000000:1 no more");
        let mut history = History::new();
        history.state_of(0, vec![], false);
        finds(ContextGrowth, &history, "covers less than before");
    }

    #[test]
    fn a_restart_that_forgets_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        history.write(0, a, &[]).state(0, &[a], &[a]).life(0, Opened::Restarted, vec![], &[]);
        finds(ContextGrowth, &history, "no more");
    }

    #[test]
    fn a_dot_at_two_keys_or_with_two_values_is_found() {
        let a = dot(1, 1);
        let mut history = History::new();
        let elsewhere = KeyState { key: 1, ..key(&[], &[a]) };
        history.write(0, a, &[]).state_of(1, vec![elsewhere], true);
        finds(ContextGrowth, &history, "of another key");
        let mut history = History::new();
        let other = KeyState { held: vec![Held { dot: a, value: ValueHash::from_u64(7) }], ..key(&[], &[a]) };
        history.write(0, a, &[]).state_of(1, vec![other], true);
        finds(ContextGrowth, &history, "and another one");
    }
}
