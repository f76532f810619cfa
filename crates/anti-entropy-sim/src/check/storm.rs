//! L5: no storms.

use super::convergence::scale_by_loss;
use super::{Checker, Knowledge, Violation};
use crate::history::{Healed, Record, Start, Traffic};

/// How many frames a node at rest may send to each of `fanout` peers in an interval: a request and a reply, and half as much
/// again because intervals are shortened at random.
const AT_REST: u64 = 3;

/// The same in each shortest interval while the core becomes equal. A session with differences takes some ten messages each
/// way, of several frames each if frames are short. Pushes, and sessions that begin while others are busy, are added. In a
/// storm each frame causes more than one other, and passes any bound.
const CONVERGING: u64 = 160;

/// How many more frames are allowed in any span of time, so that a short span with two rounds is no storm.
const SLACK: u64 = 10;

/// L5: after healing the rate of frames is bounded. Ten rounds after healing, and once the core is equal and all nodes have had
/// the time to slow down, the rate is that of rest.
///
/// Rounds cluster where few sessions are allowed and some wait for dead peers. Frames that were allowed in the last spans and
/// not sent may be sent later.
#[derive(Debug, Default)]
pub struct Storm {
    unused: u64,
}

impl Checker for Storm {
    fn name(&self) -> &'static str {
        "L5"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        let (Record::Traffic(traffic), Some(start), Some(healed)) = (record, knowledge.start(), knowledge.healed())
        else {
            return Ok(());
        };
        if traffic.from < healed.at {
            return Ok(());
        }
        let rests = knowledge.converged().is_some_and(|at| traffic.from >= rest(start, healed, at));
        let speed = (start.interval_us / start.min_interval_us.max(1)).max(1);
        let each = if rests { AT_REST } else { CONVERGING.saturating_mul(speed) };
        let share = allowed(each, start, healed, traffic);
        let allowed = share.saturating_add(self.unused);
        if traffic.frames <= allowed {
            self.unused = (allowed - traffic.frames).min(2 * share);
            return Ok(());
        }
        let when = if rests { "at rest" } else { "while the core becomes equal" };
        let detail = format!("{} nodes sent {} frames {when}, more than {allowed}", traffic.nodes, traffic.frames);
        Err(self.violation(knowledge, detail))
    }
}

/// When the rate has to be that of rest: ten rounds after healing, and four rounds after the core was equal, plus the rounds in
/// which the interval grows back by doubling.
fn rest(start: &Start, healed: &Healed, converged: u64) -> u64 {
    let doublings = u64::from((start.interval_us / start.min_interval_us.max(1)).max(1).ilog2());
    let after = |time: u64, rounds: u64| time.saturating_add(rounds.saturating_mul(start.interval_us));
    after(healed.at, 10).max(after(converged, 4 + doublings))
}

/// How many frames are allowed in this span if each node may send `each` to each of `fanout` peers in an interval.
fn allowed(each: u64, start: &Start, healed: &Healed, traffic: &Traffic) -> u64 {
    let rate = scale_by_loss(each, start).saturating_mul(u64::from(start.fanout)).saturating_mul(traffic.nodes.into());
    let length = u128::from(traffic.to.saturating_sub(traffic.from));
    let frames = u128::from(rate) * length / u128::from(start.interval_us.max(1));
    // Requests to nodes that do not answer are repeated.
    let outside = u64::from(start.nodes).saturating_sub(healed.core.len() as u64);
    u64::try_from(frames).unwrap_or(u64::MAX).saturating_add(SLACK * (1 + outside))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, ROUND, finds, judge};
    use super::*;

    /// All three nodes are equal at once, and have had the time to slow down.
    fn rested() -> History {
        let mut history = History::new();
        history.healed(&[0, 1, 2]).converged(0).traffic(3600, 0);
        history.now += 10 * ROUND;
        history
    }

    #[test]
    fn a_rate_that_falls_back_is_fine() {
        let mut history = rested();
        history.traffic(37, 0);
        assert_eq!(judge(Storm::default(), &history), None);
    }

    #[test]
    fn a_rate_that_does_not_fall_back_is_found() {
        let mut history = rested();
        for _ in 0..8 {
            history.traffic(50, 0);
        }
        finds(Storm::default(), &history, "sent 50 frames at rest");
    }

    #[test]
    fn rounds_that_bunch_are_fine() {
        let mut history = rested();
        for frames in [37, 10, 60, 37, 20, 54] {
            history.traffic(frames, 0);
        }
        assert_eq!(judge(Storm::default(), &history), None);
    }

    #[test]
    fn a_storm_while_the_core_becomes_equal_is_found() {
        let mut history = History::new();
        history.traffic(10_000, 0).healed(&[0, 1, 2]).traffic(15_000, 0);
        finds(Storm::default(), &history, "while the core becomes equal");
    }

    #[test]
    fn a_stretch_of_half_an_interval_carries_half_as_much() {
        let mut history = rested();
        for _ in 0..8 {
            history.traffic(32, 0);
            if let Some(Record::Traffic(traffic)) = history.records.last_mut() {
                traffic.to -= ROUND / 2;
            }
        }
        finds(Storm::default(), &history, "sent 32 frames at rest");
    }
}
