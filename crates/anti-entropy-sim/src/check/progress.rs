//! L3: every session ends, and between equal nodes it ends well.

use super::{Checker, Knowledge, Violation};
use crate::history::{EndedSession, Record, Start, Usage};

/// How many sessions may fail to certify their transfer after healing. Writes between comparison and transfer cause a few. A
/// sender and a receiver that hash differently cause one in each round.
const UNCERTIFIED: u32 = 10;

/// L3: every session of a core node ends in time. Once the core is equal, and if no frames are lost, every session ends well.
#[derive(Debug, Default)]
pub struct Progress {
    uncertified: u32,
}

impl Checker for Progress {
    fn name(&self) -> &'static str {
        "L3"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            Record::Healed(_) => self.uncertified = 0,
            Record::Usage(usage) => self.check_age(usage, knowledge)?,
            Record::Session(session) => self.check_outcome(session, knowledge)?,
            _ => {}
        }
        Ok(())
    }
}

impl Progress {
    /// A session may be open for a limited time after the network has healed. Before that, a node may be paused for longer;
    /// outside the core, also after it.
    fn check_age(&self, usage: &Usage, knowledge: &Knowledge) -> Result<(), Violation> {
        let (Some(start), Some(healed)) = (knowledge.start(), knowledge.healed()) else { return Ok(()) };
        let grace = grace(start);
        let due = knowledge.is_core(usage.node) && usage.at >= healed.at.saturating_add(grace);
        if !due || usage.oldest_session_us <= grace {
            return Ok(());
        }
        let (node, age, grace) = (usage.node, usage.oldest_session_us / 1000, grace / 1000);
        let detail = format!("a session of node {node} has been open for {age} ms, longer than {grace} ms");
        Err(self.violation(knowledge, detail))
    }

    fn check_outcome(&mut self, session: &EndedSession, knowledge: &Knowledge) -> Result<(), Violation> {
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

/// How long a session may be open on a network that has healed: four time-outs or eight rounds; twice that where a fifth of all
/// frames is lost, and in proportion in between.
fn grace(start: &Start) -> u64 {
    let grace = start.idle_timeout_us.saturating_mul(4).max(start.interval_us.saturating_mul(8));
    grace.saturating_mul(200 + u64::from(start.healed_loss_permille.min(200))) / 200
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, finds, judge};
    use super::*;

    /// Node 1's oldest session is of that age.
    fn usage(oldest_session_us: u64) -> Usage {
        Usage { node: 1, oldest_session_us, ..Usage::default() }
    }

    /// Node 1 has an old session before healing, and for all of the grace after it but the last round.
    fn healed_for_seven_rounds(loss_permille: u16) -> History {
        let mut history = History::new();
        if let Some(Record::Start(start)) = history.records.first_mut() {
            start.healed_loss_permille = loss_permille;
        }
        history.usage(&usage(20 * ROUND)).healed(&[0, 1]);
        for _ in 0..7 {
            history.usage(&usage(20 * ROUND));
        }
        history
    }

    fn healed() -> History {
        let mut history = History::new();
        history.healed(&[0, 1]);
        history
    }

    #[test]
    fn sessions_that_end_well_are_fine() {
        let mut history = healed();
        history.converged(3 * ROUND).session(0, 1, "partial: the peer was silent for too long");
        history.now += 4 * ROUND;
        history.session(0, 1, "converged").session(0, 1, "partial: one side is in another transfer");
        history.session(0, 2, "partial: the peer was silent for too long");
        assert_eq!(judge(Progress::default(), &history), None);
    }

    #[test]
    fn sessions_that_end_within_the_grace_after_healing_are_fine() {
        let mut history = healed_for_seven_rounds(0);
        history.usage(&usage(8 * ROUND)).usage(&usage(0)).usage(&usage(8 * ROUND));
        history.usage(&Usage { node: 2, ..usage(20 * ROUND) });
        assert_eq!(judge(Progress::default(), &history), None);
    }

    #[test]
    fn a_session_that_never_ends_is_found() {
        let mut history = healed_for_seven_rounds(0);
        history.usage(&usage(8 * ROUND + 1000));
        finds(Progress::default(), &history, "a session of node 1 has been open for 80001 ms, longer than 80000 ms");
    }

    #[test]
    fn a_session_may_take_longer_where_frames_are_lost() {
        let judge_at = |loss, age| judge(Progress::default(), healed_for_seven_rounds(loss).usage(&usage(1)).push(age));
        let sample = |rounds: u64, age| Record::Usage(Usage { at: rounds * ROUND, ..usage(age) });
        assert_eq!(judge_at(100, sample(30, 12 * ROUND)), None);
        assert!(judge_at(100, sample(30, 12 * ROUND + 1)).is_some());
        for loss in [200, 500] {
            assert_eq!(judge_at(loss, sample(30, 16 * ROUND)), None);
            assert!(judge_at(loss, sample(30, 16 * ROUND + 1)).is_some());
        }
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
