//! The results of an exploration.

use std::fmt;

use anti_entropy::ConfigError;

use super::bounds::Bounds;
use super::ghost::Violation;

/// The size of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many different states were reached.
    pub states: u64,
    /// From how many of them every possible event was tried.
    pub expanded: u64,
    /// How many transitions between states there were.
    pub transitions: u64,
    /// How many states there were in which no event is possible.
    pub terminal_states: u64,
    /// The greatest number of events between the first state and another one.
    pub deepest: u32,
    /// How many steps were executed by the production code. Each step is executed once and its result stored.
    pub executed: u64,
    /// Whether the exploration reached all states within the bounds and tried all events there.
    pub complete: bool,
}

/// A shortest sequence of events that leads to a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The bounds of the exploration.
    pub bounds: Bounds,
    /// Which check failed.
    pub check: &'static str,
    /// A description of the violation.
    pub detail: String,
    /// The events, one by one.
    pub path: Vec<String>,
    /// The size of the exploration until then.
    pub report: Report,
}

impl Counterexample {
    pub(super) fn new(bounds: Bounds, violation: &Violation, path: Vec<String>, report: Report) -> Self {
        Self { bounds, check: violation.check, detail: violation.detail.clone(), path, report }
    }
}

/// Why an exploration ended without a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExploreError {
    /// A bound is out of its range. Nothing was explored.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A check failed.
    #[error(transparent)]
    Counterexample(#[from] Box<Counterexample>),
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.check, self.detail)?;
        writeln!(f, "with {}, after {} states:", self.bounds, self.report.states)?;
        for (number, step) in (1..).zip(&self.path) {
            writeln!(f, "{number:3}. {step}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Counterexample {}
