//! What happened in a run, and how it becomes a history that the simulator's checkers take.

mod historian;
#[cfg(test)]
mod tests;

use anti_entropy_sim::check::{Suite, Violation};
use anti_entropy_sim::history::{FaultChange, NodeIndex, Opened, Record, Start, Traffic};

use crate::wire::Report;

use self::historian::Historian;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A node's process was started; the store that it finds is this.
    Started(NodeIndex, Opened),
    /// A node's process is gone.
    Ended(NodeIndex),
    /// A node said something.
    Said(NodeIndex, Report),
    /// A fault began or ended.
    Fault(FaultChange),
    /// All is whole, all nodes are up, and clients have stopped. These have to become equal.
    Healed(Vec<NodeIndex>),
    /// What was sent in a stretch of time.
    Traffic(Traffic),
}

/// The history of what happened, each with its time; `start` is its first record.
///
/// All times are of one clock, and a node says what it does before anybody can hear of it. So the order of the times is one
/// in which causes come before effects, whoever was faster to write or read a pipe.
pub fn records(start: Start, mut happenings: Vec<(u64, Happening)>) -> Vec<Record> {
    happenings.sort_by_key(|(at, _)| *at);
    let mut historian = Historian::new(start, &happenings);
    for (at, happening) in happenings {
        historian.take(at, happening);
    }
    historian.into_records()
}

/// What the simulator's checkers find in a history; at most one violation each.
pub fn violations(records: &[Record]) -> Vec<Violation> {
    let mut suite = Suite::default();
    for record in records {
        suite.observe(record);
    }
    suite.violations().cloned().collect()
}
