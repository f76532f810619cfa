//! What a checker is, and what it finds.

use core::fmt;

use super::knowledge::Knowledge;
use crate::history::Record;

/// Watches a history, record by record, for violations of one invariant.
///
/// A checker sees the records and nothing else, so that a run and its history file are judged alike. Each run has its own
/// checkers. A checker that has found a violation is not called again.
pub trait Checker {
    /// The invariant's short name: `S1`, `L1`.
    fn name(&self) -> &'static str;

    /// Checks the next record. `knowledge` is the state after this record; [`Knowledge::changes`] says what the record changed.
    ///
    /// # Errors
    /// The first violation.
    fn observe(&mut self, record: &Record, knowledge: &Knowledge) -> Result<(), Violation>;

    /// A violation of this invariant at the current time.
    fn violation(&self, knowledge: &Knowledge, detail: String) -> Violation {
        Violation { invariant: self.name(), at: knowledge.now(), detail }
    }
}

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name: [`Checker::name`].
    pub invariant: &'static str,
    /// When, in microseconds of simulated time.
    pub at: u64,
    /// A description, with nodes, keys and dots.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}.{:06} s: {}", self.invariant, self.at / 1_000_000, self.at % 1_000_000, self.detail)
    }
}
