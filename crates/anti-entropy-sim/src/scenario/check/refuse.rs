//! Refusing a scenario.

use crate::scenario::ScenarioError;

/// The longest time in a scenario: a hundred years.
pub(super) const MAX_MS: u64 = 100 * 365 * 24 * 3_600_000;

/// The greatest number in TOML, whose integers are signed.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

pub(super) type Checked = Result<(), ScenarioError>;

/// An error at a place.
pub(in crate::scenario) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> ScenarioError {
    ScenarioError::Invalid { place: place.into(), problem: problem.into() }
}

/// Returns an error unless a condition holds. The message is only made if it does not.
pub(super) fn require(holds: bool, place: &str, problem: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(invalid(place, problem())) }
}
