//! Every order of events that a small cluster can live through, tried on the real replicas and sessions.
//!
//! A state is what all replicas hold and have seen, how far each side of each session has got, and which frames are on
//! their way. From each state everything that can happen is tried: each write and delete of a client at each replica,
//! following a read of all that is held or an earlier read; opening a session; the arrival of any frame that is on
//! its way, whatever was sent before it; its loss, and its arrival twice. Pushes and crashes are not among it.
//!
//! What a replica or a session does depends on its own state and on what it is handed, and on nothing else: there are
//! no clocks and no random numbers in them. So every step is executed once, by the code that everybody runs, and
//! remembered; the states of the whole are combinations of what was remembered, and millions of them take seconds.
//!
//! Held against, at every state: what a replica covers makes exactly what it holds, with the right values (S1, S2,
//! S7); what is gone stays gone (S3); contexts grow (S4); tree and store agree (S6); no alarm goes off and no session
//! is refused; a frame that comes twice changes nothing the second time (S7); a session that ends as converged had
//! equal sides at one instant. When nothing can happen any more, undisturbed sessions have to make all replicas
//! equal, with everything that was done, and whatever is done makes the same bytes in every order (S5).

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

use ghost::Violation;

/// The most replicas.
const MAX_REPLICAS: usize = 3;
/// The most sessions.
const MAX_SESSIONS: usize = 3;
/// The most duplicated frames.
const MAX_DUPLICATES: usize = 2;

/// How much happens at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// How many replicas there are; 2 or 3.
    pub replicas: u8,
    /// How many keys are written.
    pub keys: u8,
    /// How many writes and deletes there are.
    pub operations: u8,
    /// How many sessions are opened; 3 at most.
    pub sessions: u8,
    /// How many frames are lost.
    pub losses: u8,
    /// How many frames are doubled; 2 at most.
    pub duplicates: u8,
}

/// What an exploration has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Different states that were reached.
    pub states: u64,
    /// Of these, how many were left again in every way that there is.
    pub expanded: u64,
    /// Steps from a state to the next.
    pub transitions: u64,
    /// States in which nothing can happen any more.
    pub terminal_states: u64,
    /// How many steps the state that is farthest away is from the first.
    pub deepest: u32,
    /// How often the real code was run: a step that was taken once is remembered.
    pub executed: u64,
    /// Whether all states within the bounds were reached and left.
    pub complete: bool,
}

/// A way into a state that must not be; there is no shorter one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What was explored.
    pub bounds: Bounds,
    /// Which check failed.
    pub check: &'static str,
    /// What was found.
    pub detail: String,
    /// What happened, step by step.
    pub path: Vec<String>,
    /// What had been seen until then.
    pub report: Report,
}

impl Counterexample {
    fn new(bounds: Bounds, violation: &Violation, path: Vec<String>, report: Report) -> Self {
        Self { bounds, check: violation.check, detail: violation.detail.clone(), path, report }
    }
}

/// Explores everything within `bounds`, and calls `progress` now and then, which can end it.
///
/// # Errors
/// The first state in which a check fails, with a shortest way there.
///
/// # Panics
/// If the bounds are beyond what [`Bounds`] says.
pub fn explore(bounds: Bounds, progress: &mut dyn FnMut(&Report) -> ControlFlow<()>) -> Result<Report, Counterexample> {
    assert!(
        (2..=MAX_REPLICAS).contains(&usize::from(bounds.replicas))
            && usize::from(bounds.sessions) <= MAX_SESSIONS
            && usize::from(bounds.duplicates) <= MAX_DUPLICATES,
        "the bounds are too wide: {bounds}"
    );
    search::Search::run(bounds, progress)
}

/// What is explored on every change: all of it complete, in less than a minute in all.
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

/// What takes minutes and gigabytes of memory. The last ones are too large to be completed.
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
