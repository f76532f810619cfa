//! Bugs planted on purpose, and the checkers that are meant to find them.
//!
//! A checker that has never failed has not been tested. Each bug here is one line of the core, or of what is around it,
//! broken in one way; for each it is said which checkers have to find it, and within how many seeds.

mod table;

use core::ops::Range;
use std::collections::BTreeMap;

use anti_entropy::mutant::{self, Mutant};
use serde::Serialize;

pub use table::planted;

use crate::check::{Violation, same_trace};
use crate::judge::{Judging, checkers_for, judge};
use crate::scenario::{Fault, Links, Profile, Scenario};
use crate::subject::Items;
use crate::world::Sabotage;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the core.
    Core(Mutant),
    /// In what is around it: a store, a driver, an operator, the simulator.
    Around(Sabotage),
}

/// A bug, who has to find it, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// The bug.
    pub bug: Bug,
    /// The checkers that have to find it, each within so many seeds from 0.
    pub killers: &'static [(&'static str, u64)],
    /// In which scenarios.
    pub hunt: Hunt,
}

/// In which scenarios a bug is looked for. All of them are clean without the bug, which is checked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hunt {
    /// Few nodes and keys, many operations, transfers in many batches, slow links: sessions get in each other's way.
    Dense,
    /// The same without pushes, so that every write takes a session.
    DenseWithoutPushes,
    /// The same with stores that are wiped, restored and closed in between.
    DenseWithCrashes,
    /// As a profile draws them, for 3 to 8 nodes.
    Drawn(Profile),
}

/// Which checker has found a bug, and after how many seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// The bug.
    pub mutant: String,
    /// The checker.
    pub checker: &'static str,
    /// How many seeds it took; nothing if it was not found.
    pub seeds: Option<u64>,
    /// Within how many it has to be found; nothing if that is left to other checkers.
    pub within: Option<u64>,
}

impl Kill {
    /// Whether a checker missed what it has to find.
    pub fn is_missed(&self) -> bool {
        match (self.seeds, self.within) {
            (Some(seeds), Some(within)) => seeds > within,
            (None, Some(_)) => true,
            _ => false,
        }
    }
}

impl Planted {
    /// The bug's name.
    pub fn name(&self) -> String {
        match self.bug {
            Bug::Core(mutant) => format!("{mutant:?}"),
            Bug::Around(sabotage) => format!("{sabotage:?}"),
        }
    }

    /// Runs the first seeds until every checker that has to find the bug has, and says who found it when.
    pub fn hunt(&self) -> Vec<Kill> {
        let most = self.killers.iter().map(|(_, within)| *within).max().unwrap_or(0);
        let found = self.kills(0..most, |found| self.killers.iter().all(|(checker, _)| found.contains_key(checker)));
        let kill = |checker: &'static str, within| Kill {
            mutant: self.name(),
            checker,
            seeds: found.get(checker).copied(),
            within,
        };
        let intended = self.killers.iter().map(|(checker, within)| kill(checker, Some(*within)));
        let others = found.keys().filter(|name| self.killers.iter().all(|(killer, _)| killer != *name));
        intended.chain(others.map(|checker| kill(checker, None))).collect()
    }

    /// After how many seeds each checker finds the bug.
    pub fn kills(
        &self,
        seeds: Range<u64>,
        enough: impl Fn(&BTreeMap<&'static str, u64>) -> bool,
    ) -> BTreeMap<&'static str, u64> {
        let mut found = BTreeMap::new();
        for seed in seeds {
            for violation in self.run(seed) {
                found.entry(violation.invariant).or_insert(seed + 1);
            }
            if enough(&found) {
                break;
            }
        }
        found
    }

    /// What the checkers find in one seed.
    pub fn run(&self, seed: u64) -> Vec<Violation> {
        match self.bug {
            Bug::Core(mutant) => mutant::with(Some(mutant), || run(self.hunt, seed, None)),
            Bug::Around(Sabotage::DrawsFromTheMachine) => differs_from_itself(self.hunt, seed),
            Bug::Around(sabotage) => run(self.hunt, seed, Some(sabotage)),
        }
    }

    /// What the checkers find in a seed without the bug: nothing.
    pub fn run_sound(&self, seed: u64) -> Vec<Violation> {
        run(self.hunt, seed, None)
    }
}

fn run(hunt: Hunt, seed: u64, sabotage: Option<Sabotage>) -> Vec<Violation> {
    let scenario = hunt.scenario(seed);
    let judging = Judging { until_first: false, sabotage };
    judge(&scenario, seed, Items::default(), checkers_for(&scenario), judging, |_| {}).violations
}

/// S10 takes two runs.
fn differs_from_itself(hunt: Hunt, seed: u64) -> Vec<Violation> {
    let scenario = hunt.scenario(seed);
    let judging = Judging { until_first: false, sabotage: Some(Sabotage::DrawsFromTheMachine) };
    // The first run's memory is kept while the second one runs, so that the machine has something else to give.
    let verdicts = [(); 2].map(|()| judge(&scenario, seed, Items::default(), Vec::new(), judging, |_| {}));
    same_trace(verdicts[0].run.trace_hash, verdicts[1].run.trace_hash).err().into_iter().collect()
}

impl Hunt {
    /// The scenario of a seed.
    pub fn scenario(self, seed: u64) -> Scenario {
        match self {
            Self::Drawn(profile) => profile.draw(seed, 3..=8),
            Self::Dense => dense(seed, true, false),
            Self::DenseWithoutPushes => dense(seed, false, false),
            Self::DenseWithCrashes => dense(seed, true, true),
        }
    }
}

fn dense(seed: u64, push: bool, crashes: bool) -> Scenario {
    let mut random = crate::random::stream(seed, &[7]);
    let nodes = random.u32(3..=5);
    let links = Links {
        loss_permille: random.u16(0..150),
        duplicate_permille: random.u16(0..300),
        replay_permille: random.u16(0..100),
        reorder_permille: random.u16(0..200),
        delay_min_us: random.u64(0..20_000),
        delay_mean_us: random.u64(1_000..60_000),
        ..Links::default()
    };
    let mut scenario =
        Scenario::new("dense", nodes).keys(random.u32(1..=8)).duration_ms(8_000).operations(150).links(links);
    let gossip = &mut scenario.gossip;
    gossip.push = Some(push);
    gossip.push_fanout = Some(random.usize(1..4));
    gossip.interval_ms = Some(1_000);
    gossip.min_interval_ms = Some(100);
    gossip.backoff_min_ms = Some(100);
    gossip.backoff_max_ms = Some(500);
    gossip.resend_after_ms = Some(150);
    gossip.idle_timeout_ms = Some(1_000);
    gossip.batch_entries = core::num::NonZeroUsize::new(random.usize(1..3));
    if crashes {
        for turn in 0..6 {
            let start = 500 + turn * 1_200;
            let fault = match random.u8(0..4) {
                0 => Fault::Wipe,
                1 => Fault::Restore,
                2 => Fault::Crash { in_order: true, vouched: false },
                _ => Fault::Crash { in_order: false, vouched: random.bool() },
            };
            scenario = scenario.step(start, start + 900, [random.u32(0..nodes)], fault);
        }
    }
    scenario.expanded(seed)
}
