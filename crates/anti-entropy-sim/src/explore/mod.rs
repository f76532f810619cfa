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

mod bounds;
mod disk;
mod ghost;
mod judge;
mod replicas;
mod report;
mod search;
mod slot;
mod steps;
mod world;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use bounds::Bounds;
pub use report::{Counterexample, ExploreError, Report};

impl Bounds {
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
