//! Turning what happened in a run into a history for the simulator's checkers.

mod happening;
mod historian;
#[cfg(test)]
mod tests;

use anti_entropy_sim::check::{Suite, Violation};
use anti_entropy_sim::history::{Record, Start};

pub use self::happening::Happening;
use self::historian::Historian;

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

/// The violations that the simulator's checkers find in a history; at most one for each checker.
pub fn violations(records: &[Record]) -> Vec<Violation> {
    let mut suite = Suite::default();
    for record in records {
        suite.observe(record);
    }
    suite.violations().cloned().collect()
}
