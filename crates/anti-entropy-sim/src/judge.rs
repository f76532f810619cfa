//! Running a scenario under checkers.

use core::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::check::{Checker, Staleness, Suite, Violation, all};
use crate::history::Record;
use crate::run::{Run, run_sabotaged};
use crate::scenario::{Fault, Lie, Scenario};
use crate::subject::Subject;
use crate::world::{Counts, Detail, Sabotage};

/// The result of a run under checkers.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The result of the run itself.
    pub run: Run,
    /// The violations in the order in which they were found; at most one for each checker.
    pub violations: Vec<Violation>,
    /// The staleness of reads.
    pub staleness: Staleness,
}

/// How a run is judged. By default it runs to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judging {
    /// Whether the run ends at the first violation.
    pub until_first: bool,
    /// Whether every frame that arrives is recorded.
    pub deliveries: bool,
    /// A bug outside of the core that the checkers have to find.
    #[doc(hidden)]
    pub sabotage: Option<Sabotage>,
}

/// The checkers that apply to a scenario: all of them, unless members lie.
///
/// Members are trusted to name only writes that were made, and to give each write one content, since dots are not signed. A
/// member that breaks this can damage its own writes and what others know of them, and no checker can tell. What still has to
/// hold is that honest nodes keep their limits, and that their roots are those of what they hold.
pub fn checkers_for(scenario: &Scenario) -> Vec<Box<dyn Checker>> {
    let forges = |fault: &Fault| matches!(fault, Fault::Lie { lie: Lie::Forge | Lie::Twin | Lie::Impersonate });
    let has_forger = scenario.steps.iter().any(|step| forges(&step.fault));
    let reuses_names = scenario.steps.iter().any(|step| step.fault.reuses_names());
    let upgrades = scenario.steps.iter().any(|step| step.fault == Fault::OldRelease);
    let lies = scenario.steps.iter().any(|step| matches!(step.fault, Fault::Lie { .. } | Fault::Hostile { .. }));
    let applies = |name: &str| {
        if has_forger {
            matches!(name, "S6" | "S9")
        } else if reuses_names {
            matches!(name, "S6" | "S9" | "S12" | "L1" | "L2" | "L4" | "L5")
        } else {
            !((lies || upgrades) && name == "alarms")
        }
    };
    all().into_iter().filter(|checker| applies(checker.name())).collect()
}

/// Runs an [expanded](Scenario::expanded) scenario under these checkers. `record` is called with every record. A panic of the
/// code under test is a violation named `panic`, and an error of [`Subject::inspect`] one named `subject`.
pub fn judge<S: Subject>(
    scenario: &Scenario,
    seed: u64,
    subject: S,
    checkers: Vec<Box<dyn Checker>>,
    judging: Judging,
    mut record: impl FnMut(&Record),
) -> Verdict {
    let mut suite = Suite::of(checkers);
    let detail = if judging.deliveries { Detail::Deliveries } else { Detail::Everything };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        run_sabotaged(scenario, seed, subject, detail, judging.sabotage, |item| {
            record(item);
            suite.observe(item);
            let found = suite.violations().next().is_some();
            if judging.until_first && found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }));
    let mut violations: Vec<Violation> = suite.violations().cloned().collect();
    let run = ran.unwrap_or_else(|_| {
        violations.push(Violation { invariant: "panic", at: 0, detail: "the code under test panicked".to_owned() });
        Run {
            seed,
            trace_hash: 0,
            simulated_us: 0,
            rounds_to_converge: None,
            objection: None,
            counts: Counts::default(),
        }
    });
    let objection = run.objection.clone();
    violations.extend(objection.map(|detail| Violation { invariant: "subject", at: run.simulated_us, detail }));
    Verdict { run, violations, staleness: suite.staleness().clone() }
}
