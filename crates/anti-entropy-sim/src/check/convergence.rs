//! L1: the healed core becomes equal in time.

use super::{Checker, Knowledge, Violation};
use crate::history::{Healed, Record, Start};
use crate::rounds_allowed;

/// L1: the core is equal within `4 ceil(log2 n) + 8` rounds after the network has healed, or within twice that if a fifth of
/// all frames or more is still lost.
#[derive(Debug, Default)]
pub struct Convergence {
    done: bool,
}

impl Checker for Convergence {
    fn name(&self) -> &'static str {
        "L1"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match late(record, knowledge, &mut self.done) {
            Some(detail) => Err(self.violation(knowledge, detail)),
            None => Ok(()),
        }
    }
}

/// The violation, if this record says that the core became equal too late or never. Only the first convergence after each
/// healing counts.
pub(super) fn late(record: &Record, knowledge: &Knowledge, done: &mut bool) -> Option<String> {
    let (start, healed) = (knowledge.start()?, knowledge.healed()?);
    let deadline = healed.at.saturating_add(bound(start, healed));
    let rounds = |time: u64| time.saturating_sub(healed.at) / start.interval_us.max(1);
    match record {
        Record::Healed(_) => {
            *done = false;
            None
        }
        Record::Converged(converged) if !core::mem::replace(done, true) && converged.at > deadline => {
            let (took, bound) = (rounds(converged.at), rounds(deadline));
            Some(format!("the core of {} became equal after {took} rounds, not {bound}", healed.core.len()))
        }
        Record::End(_) if !core::mem::replace(done, true) => {
            Some(format!("the core of {} never became equal, in {} rounds", healed.core.len(), rounds(knowledge.now())))
        }
        _ => None,
    }
}

/// How long the core may take.
pub(super) fn bound(start: &Start, healed: &Healed) -> u64 {
    let core = u32::try_from(healed.core.len()).unwrap_or(u32::MAX);
    rounds_allowed(core, start.healed_loss_permille).saturating_mul(start.interval_us)
}

/// Scales a bound by the loss after healing: twice as much where a fifth of all frames or more is lost.
pub(super) fn scale_by_loss(amount: u64, start: &Start) -> u64 {
    amount.saturating_mul(200 + u64::from(start.healed_loss_permille.min(200))) / 200
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, finds, judge};
    use super::*;
    use crate::history::FaultChange;

    /// Two core nodes may take 12 rounds.
    fn after(rounds: u64, loss: u16) -> History {
        let mut history = History::new();
        if let Record::Start(start) = &mut history.records[0] {
            start.healed_loss_permille = loss;
        }
        history.healed(&[0, 1]).converged(rounds * ROUND).end(0, vec![]);
        history
    }

    #[test]
    fn convergence_in_time_is_fine() {
        for (rounds, loss) in [(12, 0), (18, 100), (24, 200), (24, 300)] {
            assert_eq!(judge(Convergence::default(), &after(rounds, loss)), None);
        }
    }

    #[test]
    fn late_convergence_is_found() {
        for (rounds, loss) in [(13, 0), (19, 100), (25, 300)] {
            finds(Convergence::default(), &after(rounds, loss), "became equal after");
        }
    }

    #[test]
    fn each_healing_is_judged() {
        let fault = FaultChange { at: 0, fault: "again".into(), begins: true, partitions: true, crashes: false };
        let mut history = after(12, 0);
        history.push(Record::Fault(fault)).healed(&[0, 1]).converged(12 * ROUND).end(0, vec![]);
        assert_eq!(judge(Convergence::default(), &history), None);
        history.healed(&[0, 1]).converged(13 * ROUND);
        finds(Convergence::default(), &history, "became equal after 13 rounds");
    }

    #[test]
    fn a_run_that_ends_without_convergence_is_found() {
        let mut history = History::new();
        history.healed(&[0, 1]).end(0, vec![]);
        finds(Convergence::default(), &history, "never became equal");
    }
}
