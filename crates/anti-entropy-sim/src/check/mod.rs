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
mod checker;
mod convergence;
mod dead_peers;
mod determinism;
mod durable;
mod events;
mod everywhere;
mod fairness;
mod growth;
mod heap;
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
mod timestamps;

pub use alarms::Alarms;
pub use causal_gap::CausalGap;
pub use checker::{Checker, Violation};
pub use convergence::Convergence;
pub use dead_peers::DeadPeers;
pub use determinism::same_trace;
pub use durable::DurablePrefix;

pub use events::{Attempt, EventId, EventSet, Events, Fate, Reused, WriteEvent};
pub(crate) use fairness::TIMES;
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

// Who wants one of these by itself asks for it by its name.
use everywhere::Everywhere;
use fairness::Fairness;
use heap::BoundedHeap;
use timestamps::Timestamps;

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
        Box::new(BoundedHeap),
        Box::new(Timestamps::default()),
        Box::new(Everywhere::default()),
        Box::new(Convergence::default()),
        Box::new(QuietWhenEqual),
        Box::new(Progress::default()),
        Box::new(DeadPeers::default()),
        Box::new(Storm::default()),
        Box::new(Fairness::default()),
        Box::new(Staleness::default()),
        Box::new(Alarms),
    ]
}

/// The checker with this name, in upper or lower case; `None` if there is none.
pub fn by_name(name: &str) -> Option<Box<dyn Checker>> {
    all().into_iter().find(|checker| checker.name().eq_ignore_ascii_case(name))
}
