//! What `simulate_engram` checks finds what it is meant to find: the same runs, judged with views that are broken on purpose.

#[path = "../simulate_engram.rs"]
#[allow(dead_code, reason = "what it prints is not looked at here")]
mod simulate_engram;

use std::num::NonZeroUsize;

use anti_entropy::{MemoryStore, Replica};
use anti_entropy_engram::{Pattern, Resolution};
use anti_entropy_sim::campaign;
use anti_entropy_sim::scenario::Profile;
use anti_entropy_sim::subject::Subject;
use simulate_engram::{Patterns, entries};

/// What is wrong with the views.
#[derive(Clone, Copy)]
enum Broken {
    /// Nothing.
    No,
    /// A node looks at its own version where there are several.
    PrefersLocal,
    /// One node forgets a pattern.
    Forgetful,
}

struct Views(Patterns, Broken);

impl Subject for Views {
    type Value = Pattern;
    type Store = MemoryStore;
    type Resolver = Resolution;

    fn store(&self) -> MemoryStore {
        self.0.store()
    }

    fn resolver(&self) -> Resolution {
        self.0.resolver()
    }

    fn value(&self, key: u32, write: u64) -> Pattern {
        self.0.value(key, write)
    }

    fn inspect(&self, core: &[&Replica<Pattern>]) -> Result<(), String> {
        let mut nodes = Vec::new();
        for (node, replica) in core.iter().enumerate() {
            let mut entries = entries(replica)?;
            match self.1 {
                Broken::No => {}
                Broken::PrefersLocal => {
                    for entry in entries.values_mut().flatten() {
                        let local = entry.siblings.iter().position(|version| version.dot.replica == replica.id());
                        entry.siblings.swap(0, local.unwrap_or(0));
                        entry.siblings.truncate(1);
                    }
                }
                Broken::Forgetful => drop((node == 1).then(|| entries.pop_first())),
            }
            nodes.push((*replica, entries));
        }
        self.0.judge(nodes)
    }
}

/// How many of some seeds fail, all of them by what this subject inspects.
fn failures(broken: Broken) -> usize {
    let subject = Views(Patterns::new(), broken);
    let totals = campaign(
        0..24,
        NonZeroUsize::new(2).expect("2 is not 0"),
        &subject,
        |seed| Profile::Swarm.draw(seed, 3..=4),
        |_| true,
    );
    assert!(totals.failures.iter().all(|(_, violation)| violation.invariant == "subject"), "{:?}", totals.failures);
    totals.failures.len()
}

#[test]
fn healthy_views_are_equal() {
    assert_eq!(failures(Broken::No), 0);
}

#[test]
fn views_that_prefer_the_local_version_are_found() {
    assert!(failures(Broken::PrefersLocal) > 0);
}

#[test]
fn views_that_lose_a_pattern_are_found() {
    assert!(failures(Broken::Forgetful) > 0);
}
