//! L3: sessions end, and well.

use std::collections::{BTreeMap, VecDeque};

use super::{Checker, Knowledge, Violation};
use crate::history::{NodeIndex, Record, Session, Usage};

/// How many sessions may fail to certify what they exchanged after healing: writes between comparing and sending cause a
/// few, a sender and a receiver that do not agree on how to hash cause one in each round.
const UNCERTIFIED: u32 = 10;

/// L3: every session of a core node ends, and once the core is equal and no frame is lost they all end well.
#[derive(Debug, Default)]
pub struct Progress {
    /// How many sessions had begun at earlier times, by node.
    begun: BTreeMap<NodeIndex, VecDeque<(u64, u64)>>,
    uncertified: u32,
}

impl Checker for Progress {
    fn name(&self) -> &'static str {
        "L3"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            // Counters begin anew.
            Record::Life(life) => drop(self.begun.remove(&life.node)),
            Record::Usage(usage) => self.check_ends(usage, knowledge)?,
            Record::Session(session) => self.check_outcome(session, knowledge)?,
            _ => {}
        }
        Ok(())
    }
}

impl Progress {
    /// What had begun two time-outs and a round earlier is over. Before healing a node may be paused for longer than
    /// that, and outside the core also after it.
    fn check_ends(&mut self, usage: &Usage, knowledge: &Knowledge) -> Result<(), Violation> {
        let Some(start) = knowledge.start().filter(|_| knowledge.is_core(usage.node)) else { return Ok(()) };
        let grace = start.idle_timeout_us.saturating_mul(2).saturating_add(start.interval_us);
        let begun = self.begun.entry(usage.node).or_default();
        begun.push_back((usage.at, usage.sessions_begun));
        let mut due = 0;
        while let Some(&(_, count)) = begun.front().filter(|(at, _)| at.saturating_add(grace) <= usage.at) {
            due = count;
            begun.pop_front();
        }
        if usage.sessions_ended >= due {
            return Ok(());
        }
        let (node, ended, grace) = (usage.node, usage.sessions_ended, grace / 1000);
        let detail = format!("node {node} had begun {due} sessions {grace} ms ago, and only {ended} have ended");
        Err(self.violation(knowledge, detail))
    }

    fn check_outcome(&mut self, session: &Session, knowledge: &Knowledge) -> Result<(), Violation> {
        let (node, peer, outcome) = (session.node, session.peer, session.outcome.as_str());
        let core = knowledge.is_core(node) && knowledge.is_core(peer);
        let Some(start) = knowledge.start().filter(|start| core && start.healed_loss_permille == 0) else {
            return Ok(());
        };
        self.uncertified += u32::from(outcome.contains("could not be certified"));
        if self.uncertified > UNCERTIFIED {
            let detail = format!("{} sessions could not certify what they exchanged", self.uncertified);
            return Err(self.violation(knowledge, detail));
        }
        let grace = start.idle_timeout_us.saturating_add(start.interval_us).saturating_mul(2);
        let settled = knowledge.converged().is_some_and(|at| session.at > at.saturating_add(grace));
        // Both sides open a session at a time now and then, and one of them gives way.
        let excused = ["busy", "another transfer", "shuts down"].iter().any(|why| outcome.contains(why));
        if settled && outcome != "converged" && !(outcome.starts_with("partial") && excused) {
            let detail = format!("a session of nodes {node} and {peer}, both equal, ended with {outcome:?}");
            return Err(self.violation(knowledge, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, finds, judge};
    use super::*;
    use crate::history::Opened;

    fn usage(sessions_begun: u64, sessions_ended: u64) -> Usage {
        Usage { node: 1, sessions_begun, sessions_ended, ..Usage::default() }
    }

    fn healed() -> History {
        let mut history = History::new();
        history.usage(&usage(9, 1)).healed(&[0, 1]);
        history
    }

    #[test]
    fn sessions_that_end_in_time_are_fine() {
        let mut history = healed();
        history.usage(&usage(10, 8)).usage(&usage(12, 9)).usage(&usage(14, 12));
        history.life(1, Opened::Restarted, vec![], &[]).usage(&usage(1, 0)).usage(&usage(1, 0)).usage(&usage(1, 1));
        history.converged(3 * ROUND).session(0, 1, "partial: the peer was silent for too long");
        history.now += 4 * ROUND;
        history.session(0, 1, "converged").session(0, 1, "partial: one side is in another transfer");
        history.session(0, 2, "partial: the peer was silent for too long");
        assert_eq!(judge(Progress::default(), &history), None);
    }

    #[test]
    fn a_session_that_never_ends_is_found() {
        let mut history = healed();
        history.usage(&usage(10, 9)).usage(&usage(10, 9)).usage(&usage(10, 9));
        finds(Progress::default(), &history, "only 9 have ended");
    }

    #[test]
    fn a_session_of_equal_nodes_that_does_not_converge_is_found() {
        let mut history = healed();
        history.converged(0);
        history.now += 4 * ROUND;
        history.session(0, 1, "progress");
        finds(Progress::default(), &history, "ended with \"progress\"");
    }

    #[test]
    fn batches_that_are_never_certified_are_found() {
        let mut history = healed();
        for _ in 0..10 {
            history.session(0, 1, "partial: what was exchanged could not be certified");
        }
        assert_eq!(judge(Progress::default(), &history), None);
        history.session(0, 1, "partial: what was exchanged could not be certified");
        finds(Progress::default(), &history, "11 sessions");
    }
}
