//! L4: dead peers do not block convergence.

use super::convergence::late;
use super::{Checker, Knowledge, Violation};
use crate::history::Record;

/// L4: the core becomes equal within the bound of [`Convergence`](super::Convergence) although other nodes stay down or cut
/// off. Runs without nodes outside the core are not judged.
#[derive(Debug, Default)]
pub struct DeadPeers {
    done: bool,
}

impl Checker for DeadPeers {
    fn name(&self) -> &'static str {
        "L4"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let outside = knowledge
            .start()
            .zip(knowledge.healed())
            .is_some_and(|(start, healed)| u32::try_from(healed.core.len()).is_ok_and(|core| core < start.nodes));
        if !outside {
            return Ok(());
        }
        match late(record, knowledge, &mut self.done) {
            Some(detail) => Err(self.violation(knowledge, format!("with nodes outside the core, {detail}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, finds, judge};
    use super::*;

    #[test]
    fn a_core_that_becomes_equal_without_the_dead_is_fine() {
        let mut history = History::new();
        history.healed(&[0, 1]).converged(12 * ROUND).end(0, vec![]);
        assert_eq!(judge(DeadPeers::default(), &history), None);
    }

    #[test]
    fn a_run_without_dead_peers_is_not_judged() {
        let mut history = History::new();
        history.healed(&[0, 1, 2]).end(0, vec![]);
        assert_eq!(judge(DeadPeers::default(), &history), None);
    }

    #[test]
    fn a_core_that_waits_for_the_dead_is_found() {
        let mut history = History::new();
        history.healed(&[0, 1]).converged(13 * ROUND);
        finds(DeadPeers::default(), &history, "became equal after");
    }

    #[test]
    fn a_core_that_never_becomes_equal_without_the_dead_is_found() {
        let mut history = History::new();
        history.healed(&[0, 1]).end(0, vec![]);
        finds(DeadPeers::default(), &history, "never became equal");
    }
}
