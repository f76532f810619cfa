//! Alarms that honest nodes never raise.

use super::{Checker, Knowledge, Violation};
use crate::history::{Alarm, Record};

/// Alarms that mean corruption, a reused dot, an operation that failed although its disk did not, or a batch that could not be
/// certified although nobody poisons sketches. Damaged frames, failing
/// disks and wrong clocks raise other alarms, as they should.
const NEVER: [&str; 7] =
    ["content_clash", "histories_differ", "renamed", "push_rejected", "refused", "operation_failed", "uncertified"];

/// In a run of honest nodes, no node raises an alarm that only lies or bugs of the framework can cause.
#[derive(Debug, Default)]
pub struct Alarms;

impl Checker for Alarms {
    fn name(&self) -> &'static str {
        "alarms"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            Record::Alarm(alarm) if NEVER.contains(&alarm.alarm.as_str()) && !is_out_of_room(alarm) => {
                let detail = format!("node {} reports {}: {}", alarm.node, alarm.alarm, alarm.detail);
                Err(self.violation(knowledge, detail))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a context had no room for the cuts of a peer's, which a complete synchronisation mends. Honest peers meet it where the
/// limit is next to nothing and each has cut at another place.
fn is_out_of_room(alarm: &Alarm) -> bool {
    alarm.alarm == "refused" && alarm.detail.contains("pieces and the limit is")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, finds, judge};
    use super::*;

    fn history(alarm: &str) -> History {
        let mut history = History::new();
        history.push(Record::Alarm(Alarm { at: 1, node: 2, alarm: alarm.into(), detail: "why".into() }));
        history
    }

    #[test]
    fn alarms_about_the_outside_world_are_fine() {
        for alarm in ["frame_refused", "store_failed", "clock_skew"] {
            assert_eq!(judge(Alarms, &history(alarm)), None);
        }
    }

    #[test]
    fn a_context_without_room_is_fine() {
        let mut history = history("refused");
        let Some(Record::Alarm(alarm)) = history.records.last_mut() else { panic!("it was added last") };
        alarm.detail =
            "n8: the context would have 13 pieces and the limit is 12; a complete synchronisation mends it".into();
        assert_eq!(judge(Alarms, &history), None);
    }

    #[test]
    fn every_alarm_of_a_broken_invariant_is_found() {
        for alarm in NEVER {
            finds(Alarms, &history(alarm), &format!("node 2 reports {alarm}: why"));
        }
    }
}
