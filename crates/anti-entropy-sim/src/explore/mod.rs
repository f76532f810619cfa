//! Model checking: every order of events in a small cluster, tried on the real replicas and sessions.
//!
//! A state consists of what all replicas hold and have seen, of the progress of each side of each session, and of the frames in
//! flight. From each state, every possible event is tried: each write and delete of a client at each replica, after a read of
//! everything held or after an earlier read; opening a session; the arrival of any frame in flight, in any order; the loss of a
//! frame; and its arrival twice. Pushes and crashes are left out.
//!
//! The behaviour of a replica or a session depends only on its own state and its input, since they use no clock and no random
//! numbers. Therefore each step is executed once, by the production code, and its result is stored. States of the whole cluster
//! are combinations of stored results, so that millions of them take seconds.
//!
//! Checks at every state: a replica holds exactly what the events that it covers determine, with the right values (S1, S2, S7);
//! what is gone stays gone (S3); contexts only grow (S4); tree and store agree (S6); no alarm is raised and no session is
//! refused; a frame that arrives twice changes nothing the second time (S7); both sides of a session that ends as converged were
//! equal at one instant. When no event is possible any more, sessions without disturbance have to make all replicas equal, with
//! everything that was done, and every order of the same operations has to give the same bytes (S5).

mod disk;
mod ghost;
mod judge;
mod replicas;
mod search;
mod slot;
mod steps;
mod world;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;

use anti_entropy::ConfigError;
use ghost::Violation;

/// The greatest number of replicas.
const MAX_REPLICAS: usize = 3;
/// The greatest number of sessions.
const MAX_SESSIONS: usize = 3;
/// The greatest number of duplicated frames.
const MAX_DUPLICATES: usize = 2;

/// The bounds of an exploration: how many events of each kind happen at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// How many replicas there are; 2 or 3.
    pub replicas: u8,
    /// How many keys are written; at least 1.
    pub keys: u8,
    /// How many writes and deletes there are at most.
    pub operations: u8,
    /// How many sessions are opened at most; up to 3.
    pub sessions: u8,
    /// How many frames are lost at most.
    pub losses: u8,
    /// How many frames are duplicated at most; up to 2.
    pub duplicates: u8,
}

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
    fn new(bounds: Bounds, violation: &Violation, path: Vec<String>, report: Report) -> Self {
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

impl Bounds {
    /// Checks that every bound is in its range.
    ///
    /// # Errors
    /// The first bound that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("replicas", self.replicas, 2)?;
        ConfigError::at_most("replicas", usize::from(self.replicas), MAX_REPLICAS)?;
        ConfigError::at_least("keys", self.keys, 1)?;
        ConfigError::at_most("sessions", usize::from(self.sessions), MAX_SESSIONS)?;
        ConfigError::at_most("duplicates", usize::from(self.duplicates), MAX_DUPLICATES)
    }

    /// Explores all states within the bounds. Calls `progress` now and then, which can end the exploration.
    ///
    /// # Errors
    /// If a bound is out of its range; or the first state in which a check fails, with a shortest sequence of events that
    /// leads to it.
    pub fn explore(self, progress: &mut dyn FnMut(&Report) -> ControlFlow<()>) -> Result<Report, ExploreError> {
        self.validate()?;
        explore(self, progress).map_err(|found| Box::new(found).into())
    }
}

/// Explores valid bounds.
fn explore(bounds: Bounds, progress: &mut dyn FnMut(&Report) -> ControlFlow<()>) -> Result<Report, Counterexample> {
    search::Search::run(bounds, progress)
}

/// The bounds that are explored on every change, all of them completely and together in less than a minute.
pub fn standard() -> Vec<Bounds> {
    all_of(&[
        [2, 1, 2, 2, 1, 1],
        [2, 1, 2, 3, 0, 0],
        [2, 1, 3, 2, 0, 0],
        [2, 1, 4, 1, 1, 1],
        [2, 2, 2, 2, 1, 1],
        [2, 2, 3, 2, 0, 0],
        [2, 2, 4, 1, 1, 1],
        [3, 1, 2, 2, 1, 1],
        [3, 1, 3, 2, 0, 0],
        [3, 2, 2, 2, 1, 0],
    ])
}

/// Larger bounds, which take minutes and gigabytes of memory. The last ones are too large to be explored completely.
pub fn deep() -> Vec<Bounds> {
    all_of(&[
        [2, 1, 3, 2, 1, 1],
        [2, 1, 4, 2, 0, 0],
        [2, 2, 2, 3, 0, 0],
        [3, 1, 2, 3, 0, 0],
        [3, 2, 3, 2, 0, 0],
        [3, 2, 2, 3, 0, 0],
        [2, 2, 4, 2, 1, 1],
        [3, 2, 4, 3, 1, 1],
    ])
}

fn all_of(table: &[[u8; 6]]) -> Vec<Bounds> {
    let bounds = |[replicas, keys, operations, sessions, losses, duplicates]: &[u8; 6]| Bounds {
        replicas: *replicas,
        keys: *keys,
        operations: *operations,
        sessions: *sessions,
        losses: *losses,
        duplicates: *duplicates,
    };
    table.iter().map(bounds).collect()
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replicas, keys, operations, sessions, losses, duplicates } = self;
        write!(f, "{replicas} replicas, {keys} keys, {operations} operations, {sessions} sessions, ")?;
        write!(f, "{losses} frames lost, {duplicates} doubled")
    }
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
