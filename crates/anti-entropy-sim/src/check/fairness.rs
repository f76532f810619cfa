//! L6: a hostile member does not keep others from each other.

use super::convergence::bound;
use super::{Checker, EventId, Knowledge, Violation};
use crate::history::{Healed, NodeIndex, Record};

/// How many times as long as without hostile members the others may take.
pub(crate) const TIMES: u64 = 3;

/// L6: while members are hostile, every two others that are connected exchange what they hold within three times
/// [`Convergence`](super::Convergence)'s bound.
///
/// What has to arrive is what other than hostile members had written when all other faults were over. What is written by hostile
/// ones, and goes on being written, may be refused: so the others need not be equal as long as hostile members go on. They have to
/// be once these are gone, which the other checkers judge.
#[derive(Debug, Default)]
pub(crate) struct Fairness {
    siege: Option<Siege>,
}

/// What has to be exchanged among which nodes.
#[derive(Debug)]
struct Siege {
    besieged: Healed,
    deadline: u64,
    /// Each event with a node that had it.
    owed: Vec<(EventId, NodeIndex)>,
}

impl Checker for Fairness {
    fn name(&self) -> &'static str {
        "L6"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        if let Record::Besieged(besieged) = record {
            self.siege = Siege::new(besieged, knowledge);
            return Ok(());
        }
        // Hostile members are stopped when all is exchanged, or it has taken too long.
        let is_over = matches!(record, Record::Healed(_));
        let is_due = |siege: &Siege| is_over || knowledge.now() > siege.deadline;
        let Some(siege) = self.siege.take_if(|siege| is_due(siege)) else { return Ok(()) };
        siege.check(knowledge).map_err(|detail| self.violation(knowledge, detail))
    }
}

impl Siege {
    fn new(besieged: &Healed, knowledge: &Knowledge) -> Option<Self> {
        let deadline = besieged.at.saturating_add(TIMES.saturating_mul(bound(knowledge.start()?, besieged)));
        let is_honest = |id: EventId| {
            let attempt = knowledge.events().attempt(id);
            attempt.is_some_and(|attempt| besieged.core.contains(&attempt.node))
        };
        let mut owed = std::collections::BTreeMap::new();
        for &node in &besieged.core {
            let covered = knowledge.node(node).into_iter().flat_map(|known| known.covered.iter());
            for id in covered.filter(|id| is_honest(*id)) {
                owed.entry(id).or_insert(node);
            }
        }
        Some(Self { besieged: besieged.clone(), deadline, owed: owed.into_iter().collect() })
    }

    fn check(&self, knowledge: &Knowledge) -> Result<(), String> {
        for &node in &self.besieged.core {
            let has = |id| knowledge.node(node).is_some_and(|known| known.covered.contains(id));
            let lacks = || self.owed.iter().filter(|(id, _)| !has(*id));
            if let Some(&(id, other)) = lacks().next() {
                let (dot, count) = (knowledge.dot(id), lacks().count());
                let interval = knowledge.start().map_or(1, |start| start.interval_us.max(1));
                let rounds = knowledge.now().saturating_sub(self.besieged.at) / interval;
                return Err(format!(
                    "node {node} lacks {dot}, which node {other} had {rounds} rounds ago, and {} more",
                    count - 1
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, dot, finds, judge};
    use super::*;

    /// Nodes 0 and 1 are honest, and each has written something.
    fn besieged() -> History {
        let mut history = History::new();
        for (node, name) in [(0, dot(1, 1)), (1, dot(2, 1)), (2, dot(3, 1))] {
            history.write(node, name, &[]).state(node, &[name], &[name]);
        }
        history.state(0, &[dot(1, 1), dot(3, 1)], &[dot(3, 1)]);
        let at = history.now;
        history.push(Record::Besieged(Healed { at, core: vec![0, 1] }));
        history
    }

    fn exchanged(history: &mut History) {
        history.state(0, &[dot(1, 1), dot(2, 1)], &[dot(2, 1)]).state(1, &[dot(1, 1), dot(2, 1)], &[dot(1, 1)]);
    }

    #[test]
    fn what_is_exchanged_in_time_is_fine_whatever_becomes_of_what_the_hostile_member_wrote() {
        let mut history = besieged();
        history.now += 35 * ROUND;
        exchanged(&mut history);
        history.healed(&[0, 1]).converged(3 * ROUND);
        assert_eq!(judge(Fairness::default(), &history), None);
    }

    #[test]
    fn what_is_not_exchanged_in_time_is_found() {
        let mut history = besieged();
        history.now += 37 * ROUND;
        exchanged(&mut history);
        finds(Fairness::default(), &history, "node 1 lacks 00000000:1, which node 0 had 37 rounds ago, and 0 more");
    }

    #[test]
    fn what_is_not_exchanged_until_the_hostile_member_is_gone_is_found() {
        let mut history = besieged();
        history.state(0, &[dot(1, 1), dot(2, 1)], &[dot(2, 1)]).healed(&[0, 1]);
        finds(Fairness::default(), &history, "node 1 lacks");
    }

    #[test]
    fn without_hostile_members_nothing_is_judged() {
        let mut history = History::new();
        history.write(0, dot(1, 1), &[]).state(0, &[dot(1, 1)], &[dot(1, 1)]).healed(&[0, 1]).converged(99 * ROUND);
        assert_eq!(judge(Fairness::default(), &history), None);
    }
}
