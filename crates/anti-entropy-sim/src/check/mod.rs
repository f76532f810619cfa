//! Checkers: each watches a history for one invariant, and says where it does not hold.

use core::fmt;

use crate::history::Record;

/// Watches a history, record by record, for one invariant.
///
/// A checker sees what is recorded and nothing else, so that a run and the file that it left are judged alike. It is
/// new for each run, and is not asked again once it has found a violation.
pub trait Checker {
    /// The invariant's short name: `S1`, `L1`.
    fn name(&self) -> &'static str;

    /// Takes the next record.
    ///
    /// # Errors
    /// The first place where the invariant does not hold.
    fn observe(&mut self, record: &Record) -> Result<(), Violation>;
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: [`Checker::name`].
    pub invariant: &'static str,
    /// When, in microseconds of simulated time.
    pub at: u64,
    /// What was found, with nodes, keys and dots.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}.{:06} s: {}", self.invariant, self.at / 1_000_000, self.at % 1_000_000, self.detail)
    }
}
