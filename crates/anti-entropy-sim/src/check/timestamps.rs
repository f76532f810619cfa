//! S11: a write is later than what it replaces, and follows the wall clock otherwise.

use core::time::Duration;
use std::collections::BTreeMap;

use anti_entropy::clock::{HybridClock, Timestamp};

use super::{Checker, Knowledge, Violation};
use crate::history::{Acknowledged, NodeIndex, Op, Opened, Record, WriteName};

/// S11: the timestamp of a write is later than that of each version that it replaces and that the same node wrote in the
/// same life of its store, whatever the wall clock did in between. And it is not ahead of the wall clock by more than clocks
/// may differ, unless it has to be later than what it replaces: a clock that was put right is followed again.
///
/// Versions of other nodes are left out: a node does not follow a timestamp that is too far ahead of its own wall clock.
#[derive(Debug, Default)]
pub(crate) struct Timestamps {
    /// How often each node's store was not the one that the node had before.
    stores: BTreeMap<NodeIndex, u64>,
    /// Who wrote a version, in which store, and when by its clock.
    written: BTreeMap<WriteName, (NodeIndex, u64, Timestamp)>,
    /// When the wall clock of each node jumped last, and what it showed then.
    clocks: BTreeMap<NodeIndex, (u64, u64)>,
}

/// How far ahead of its wall clock a node's timestamp may be: as far as it follows other nodes, and a minute for clocks that
/// drift or stand still.
const MOST_AHEAD: Duration = HybridClock::DEFAULT_MAX_AHEAD.saturating_add(Duration::from_secs(60));

impl Checker for Timestamps {
    fn name(&self) -> &'static str {
        "S11"
    }

    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation> {
        match record {
            Record::Life(life) if life.opened != Opened::Restarted => {
                *self.stores.entry(life.node).or_default() += 1;
                Ok(())
            }
            Record::Clock { at, node, unix_ms } => {
                self.clocks.insert(*node, (*at, *unix_ms));
                Ok(())
            }
            Record::Op(op) if op.ok == Acknowledged::Yes => self.check(op, knowledge),
            _ => Ok(()),
        }
    }
}

impl Timestamps {
    fn check(&mut self, op: &Op, knowledge: &Knowledge) -> Result<(), Violation> {
        let (Some(dot), Some(timestamp)) = (op.dot, op.timestamp) else { return Ok(()) };
        let store = self.stores.get(&op.node).copied().unwrap_or_default();
        self.check_ahead(op, timestamp, knowledge)?;
        self.written.insert(dot, (op.node, store, timestamp));
        let at_key = knowledge.node(op.node).and_then(|node| node.keys.get(&op.key));
        let held = at_key.iter().flat_map(|at_key| &at_key.held).map(|&(id, _)| knowledge.events().get(id).dot);
        for replaced in held.filter(|dot| op.seen.contains(dot)) {
            let Some(&(node, of, earlier)) = self.written.get(&replaced) else { continue };
            if (node, of) == (op.node, store) && timestamp <= earlier && earlier != Timestamp::MAX {
                let detail = format!(
                    "node {node} wrote {dot} at {timestamp:?}, which replaces its own {replaced} of {earlier:?}, key {}",
                    op.key
                );
                return Err(self.violation(knowledge, detail));
            }
        }
        Ok(())
    }

    /// Judged at nodes whose clock has jumped: what others show is not recorded.
    fn check_ahead(&self, op: &Op, timestamp: Timestamp, knowledge: &Knowledge) -> Result<(), Violation> {
        let Some((jumped_at, showed)) = self.clocks.get(&op.node) else { return Ok(()) };
        let wall_ms = showed + op.start.saturating_sub(*jumped_at) / 1000;
        let most = wall_ms.saturating_add(u64::try_from(MOST_AHEAD.as_millis()).unwrap_or(u64::MAX));
        // Of a version whose time nobody saw, it is not known what is later.
        let replaces_later = |dot| {
            self.written.get(dot).is_none_or(|(.., earlier)| timestamp.wall_ms <= earlier.wall_ms.saturating_add(1))
        };
        if timestamp.wall_ms <= most || op.seen.iter().any(replaces_later) {
            return Ok(());
        }
        let ahead = Duration::from_millis(timestamp.wall_ms - wall_ms);
        let detail = format!("node {} writes {ahead:?} ahead of its wall clock, key {}", op.node, op.key);
        Err(self.violation(knowledge, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, dot, finds, judge, key, op};
    use super::*;
    use crate::history::OpKind;

    /// A write at this millisecond by the node's clock, after which the node holds it alone.
    fn write(history: &mut History, node: NodeIndex, counter: u64, seen: &[WriteName], wall_ms: u64) -> WriteName {
        let name = dot(u128::from(node) + 1, counter);
        let timestamp = Some(Timestamp { wall_ms, logical: 0 });
        history.op(Op { timestamp, ..op(node, OpKind::Write, Some(name), seen) }).state(node, &[name], &[name]);
        name
    }

    #[test]
    fn later_writes_are_fine_and_so_are_earlier_ones_that_replace_nothing_of_their_node() {
        let mut history = History::new();
        let first = write(&mut history, 0, 1, &[], 10);
        let second = write(&mut history, 0, 2, &[first], 11);
        // The first is gone: to have seen it replaces nothing.
        write(&mut history, 0, 3, &[first], 5);
        history.state(1, &[second], &[first, second]);
        write(&mut history, 1, 1, &[second], 3);
        assert_eq!(judge(Timestamps::default(), &history), None);
    }

    #[test]
    fn a_store_put_back_begins_anew() {
        let mut history = History::new();
        let first = write(&mut history, 0, 1, &[], 10);
        history.life(0, Opened::Restored, vec![key(&[first], &[first])], &[]);
        write(&mut history, 0, 2, &[first], 5);
        assert_eq!(judge(Timestamps::default(), &history), None);
    }

    /// The clock of node 0 is a day ahead when it writes, and is put right.
    fn put_right() -> (History, WriteName) {
        const DAY_MS: u64 = 24 * 3_600_000;
        let mut history = History::new();
        history.push(Record::Clock { at: 1, node: 0, unix_ms: DAY_MS });
        let ahead = write(&mut history, 0, 1, &[], DAY_MS);
        history.push(Record::Clock { at: 2, node: 0, unix_ms: 1000 });
        (history, ahead)
    }

    #[test]
    fn a_clock_that_was_put_right_is_followed_but_for_what_replaces_what_it_wrote_before() {
        let (mut history, ahead) = put_right();
        write(&mut history, 0, 2, &[], 1000);
        write(&mut history, 0, 3, &[], 301_000);
        write(&mut history, 0, 4, &[ahead], 24 * 3_600_000 + 1);
        assert_eq!(judge(Timestamps::default(), &history), None);
    }

    #[test]
    fn a_write_that_goes_on_from_a_clock_that_was_wrong_is_found() {
        let (mut history, _) = put_right();
        write(&mut history, 0, 2, &[], 24 * 3_600_000 + 1);
        finds(Timestamps::default(), &history, "ahead of its wall clock");
        let (mut history, _) = put_right();
        let right = write(&mut history, 0, 2, &[], 1001);
        write(&mut history, 0, 3, &[right], 24 * 3_600_000 + 1);
        finds(Timestamps::default(), &history, "ahead of its wall clock");
    }

    #[test]
    fn an_earlier_write_is_found_also_after_a_restart() {
        for restarts in [false, true] {
            let mut history = History::new();
            let first = write(&mut history, 0, 1, &[], 10);
            if restarts {
                history.life(0, Opened::Restarted, vec![key(&[first], &[first])], &[]);
            }
            write(&mut history, 0, 2, &[first], 10);
            finds(Timestamps::default(), &history, "which replaces its own");
        }
    }
}
