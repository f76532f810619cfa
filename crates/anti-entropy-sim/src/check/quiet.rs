//! L2: equal nodes are quiet.

use super::{Checker, Knowledge, Violation};
use crate::history::Record;

/// L2: no value is sent once the core is equal and the sessions that were open at that time are over.
#[derive(Debug, Default)]
pub struct QuietWhenEqual;

impl Checker for QuietWhenEqual {
    fn name(&self) -> &'static str {
        "L2"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let (Record::Traffic(traffic), Some(start), Some(converged)) =
            (record, knowledge.start(), knowledge.converged())
        else {
            return Ok(());
        };
        let quiet = converged.saturating_add(start.idle_timeout_us).saturating_add(start.interval_us);
        if traffic.from < quiet || traffic.value_bytes == 0 {
            return Ok(());
        }
        let (bytes, after) = (traffic.value_bytes, (traffic.from - converged) / 1000);
        Err(self.violation(knowledge, format!("{bytes} bytes of values were sent {after} ms after the core was equal")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge};
    use super::*;

    fn equal() -> History {
        let mut history = History::new();
        history.healed(&[0, 1, 2]).traffic(10, 100).converged(0).traffic(10, 100).traffic(10, 100).traffic(10, 0);
        history
    }

    #[test]
    fn quiet_after_open_sessions_is_fine_until_the_next_write() {
        let mut history = equal();
        history.write(0, dot(1, 1), &[]).traffic(10, 100);
        assert_eq!(judge(QuietWhenEqual, &history), None);
    }

    #[test]
    fn values_sent_between_equal_nodes_are_found() {
        let mut history = equal();
        history.traffic(10, 1);
        finds(QuietWhenEqual, &history, "1 bytes of values");
    }

    #[test]
    fn values_sent_again_and_again_are_found() {
        let mut history = equal();
        history.traffic(10, 0).traffic(10, 0).traffic(10, 300);
        finds(QuietWhenEqual, &history, "300 bytes of values");
    }
}
