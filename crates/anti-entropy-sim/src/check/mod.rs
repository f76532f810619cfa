//! Checkers: each watches a history for violations of one invariant.
//!
//! ```
//! use anti_entropy_sim::check::Suite;
//! use anti_entropy_sim::history::{Alarm, Record};
//!
//! let alarm = Alarm { at: 5, node: 1, alarm: "content_clash".into(), detail: "key 3".into() };
//! let mut suite = Suite::default();
//! suite.observe(&Record::Alarm(alarm));
//! assert_eq!(suite.violations().next().unwrap().invariant, "alarms");
//! ```

mod alarms;
mod causal_gap;
mod convergence;
mod dead_peers;
mod determinism;
mod durable;
mod events;
mod growth;
mod knowledge;
mod lost_write;
mod merge_laws;
mod phantom;
mod progress;
mod quiet;
mod resources;
mod resurrection;
mod roots;
mod staleness;
mod storm;
mod suite;
#[cfg(test)]
mod testing;

use core::fmt;

pub use alarms::Alarms;
pub use causal_gap::CausalGap;
pub use convergence::Convergence;
pub use dead_peers::DeadPeers;
pub use determinism::same_trace;
pub use durable::DurablePrefix;
pub use events::{Attempt, EventId, EventSet, Events, Fate, Reused, WriteEvent};
pub use growth::ContextGrowth;
pub use knowledge::{AtKey, HeldVersion, KeyChange, Knowledge, NodeKnowledge};
pub use lost_write::LostWrite;
pub use merge_laws::MergeLaws;
pub use phantom::Phantom;
pub use progress::Progress;
pub use quiet::QuietWhenEqual;
pub use resources::BoundedResources;
pub use resurrection::Resurrection;
pub use roots::EqualRoots;
pub use staleness::Staleness;
pub use storm::Storm;
pub use suite::Suite;

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

/// One checker of each kind.
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(LostWrite::default()),
        Box::new(Phantom),
        Box::new(Resurrection),
        Box::new(ContextGrowth),
        Box::new(MergeLaws::default()),
        Box::new(EqualRoots::default()),
        Box::new(CausalGap),
        Box::new(DurablePrefix::default()),
        Box::new(BoundedResources),
        Box::new(Convergence::default()),
        Box::new(QuietWhenEqual),
        Box::new(Progress::default()),
        Box::new(DeadPeers::default()),
        Box::new(Storm::default()),
        Box::new(Staleness::default()),
        Box::new(Alarms),
    ]
}

/// The checker with this name, in upper or lower case; `None` if there is none.
pub fn by_name(name: &str) -> Option<Box<dyn Checker>> {
    all().into_iter().find(|checker| checker.name().eq_ignore_ascii_case(name))
}
