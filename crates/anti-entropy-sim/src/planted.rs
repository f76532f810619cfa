//! Bugs planted on purpose, and the checkers that are meant to find them.
//!
//! A checker that has never failed has not been tested. Each bug here is one line of the core, or of what is around it,
//! broken in one way; for each it is said which checkers have to find it, and within how many seeds.

mod table;

use core::num::NonZeroUsize;
use core::ops::Range;
use std::collections::BTreeMap;

use anti_entropy::__private::{Mutant, with};
use serde::Serialize;

pub use table::planted;

use crate::check::{Checker, Violation, by_name, same_trace};
use crate::judge::{Judging, checkers_for, judge};
use crate::scenario::{Fault, Gossip, Lie, Links, Mix, Operation, Profile, Scenario, Sketches};
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
    /// Dense, with pushes that wait for each other in short queues.
    DenseWithQueues,
    /// Dense, with clients that delete some of several concurrent versions, as they read them long ago.
    StaleDeletes,
    /// The same with more operations over slower links: what is deleted is on its way in batches.
    DeletesDuringBatches,
    /// Dense without pushes, with a member that forges a bit of every third frame.
    ForgedFrames,
    /// Dense without pushes, over many keys, with sketches that are poisoned on their way.
    PoisonedSketches,
    /// Dense without pushes, over many keys, with clients that delete and stores that are wiped: who holds little sends all
    /// of it, in whole batches.
    Bulk,
    /// Dense without pushes, with pings that announce what a node holds several times in each round.
    Announced,
    /// Dense, with nodes that are restarted while their wall clocks have jumped by up to an hour, either way.
    ClocksThatJump,
    /// A backup is opened as if it were the last state of its store, and nothing is written there until it has met others.
    UnnoticedRestore,
    /// As a profile draws them, for 3 to 8 nodes.
    Drawn(Profile),
}

/// Which checker has found a bug, and after how many seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// The bug.
    pub bug: String,
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
            Bug::Core(bug) => format!("{bug:?}"),
            Bug::Around(sabotage) => format!("{sabotage:?}"),
        }
    }

    /// Runs the first seeds until every checker that has to find the bug has, and says who found it when.
    pub fn hunt(&self) -> Vec<Kill> {
        let most = self.killers.iter().map(|(_, within)| *within).max().unwrap_or(0);
        let found = self.kills(0..most, |found| self.killers.iter().all(|(checker, _)| found.contains_key(checker)));
        let kill = |checker: &'static str, within| Kill {
            bug: self.name(),
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
            Bug::Core(bug) => with(Some(bug), || run(self.hunt, seed, None)),
            Bug::Around(Sabotage::DrawsFromTheMachine) => differs_from_itself(self.hunt, seed),
            Bug::Around(sabotage) => run(self.hunt, seed, Some(sabotage)),
        }
    }
}

fn run(hunt: Hunt, seed: u64, sabotage: Option<Sabotage>) -> Vec<Violation> {
    let scenario = hunt.scenario(seed);
    let judging = Judging { sabotage, ..Judging::default() };
    judge(&scenario, seed, Items::default(), hunt.checkers(&scenario), judging, |_| {}).violations
}

/// S10 takes two runs.
fn differs_from_itself(hunt: Hunt, seed: u64) -> Vec<Violation> {
    let scenario = hunt.scenario(seed);
    let judging = Judging { sabotage: Some(Sabotage::DrawsFromTheMachine), ..Judging::default() };
    // The first run's memory is kept while the second one runs, so that the machine has something else to give.
    let verdicts = [(); 2].map(|()| judge(&scenario, seed, Items::default(), Vec::new(), judging, |_| {}));
    same_trace(verdicts[0].run.trace_hash, verdicts[1].run.trace_hash).err().into_iter().collect()
}

impl Hunt {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for planted in planted() {
            if !all.contains(&planted.hunt) {
                all.push(planted.hunt);
            }
        }
        all
    }

    /// What the checkers find in a seed without a bug: nothing, or it would not be the bug that they find with one.
    pub fn sound(self, seed: u64) -> Vec<Violation> {
        run(self, seed, None)
    }

    /// The scenario of a seed.
    pub fn scenario(self, seed: u64) -> Scenario {
        let scenario = match self {
            Self::Drawn(profile) => return profile.draw(seed, 3..=8),
            Self::Dense => dense(seed),
            Self::DenseWithoutPushes => without_pushes(dense(seed)),
            Self::DenseWithCrashes => with_crashes(dense(seed), seed),
            Self::DenseWithQueues => with_queues(dense(seed)),
            Self::StaleDeletes => stale_deletes(dense(seed)),
            Self::DeletesDuringBatches => busier(stale_deletes(dense(seed))),
            Self::ForgedFrames => {
                let lie = Fault::Lie { lie: Lie::Forge };
                without_pushes(dense(seed)).step(10, DURATION_MS, [0], lie).never_back([0])
            }
            Self::PoisonedSketches => with_poison(without_pushes(dense(seed))),
            Self::Bulk => with_crashes(with_bulk(without_pushes(dense(seed))), seed),
            Self::Announced => with_announcements(without_pushes(dense(seed))),
            Self::ClocksThatJump => with_jumps(dense(seed), seed),
            Self::UnnoticedRestore => return unnoticed_restore(dense(seed), seed),
        };
        scenario.expanded(seed)
    }

    /// The checkers that hold in these scenarios without a bug.
    fn checkers(self, scenario: &Scenario) -> Vec<Box<dyn Checker>> {
        match self {
            // A forged bit in a batch is found out; what remains of honest writes is only that nothing else is held.
            Self::ForgedFrames => by_names(&["S2"]),
            // The replica is renamed, which is what has to happen.
            Self::UnnoticedRestore => {
                checkers_for(scenario).into_iter().filter(|checker| checker.name() != "alarms").collect()
            }
            _ => checkers_for(scenario),
        }
    }
}

fn by_names(names: &[&str]) -> Vec<Box<dyn Checker>> {
    names.iter().filter_map(|name| by_name(name)).collect()
}

const DURATION_MS: u64 = 8_000;

fn dense(seed: u64) -> Scenario {
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
    let scenario = Scenario::new("dense", nodes).keys(random.u32(1..=8)).duration_ms(DURATION_MS);
    scenario.operations(150).links(links).gossip(Gossip {
        push_fanout: Some(random.u8(1..4).into()),
        interval_ms: Some(1_000),
        min_interval_ms: Some(100),
        backoff_min_ms: Some(100),
        backoff_max_ms: Some(500),
        resend_after_ms: Some(150),
        idle_timeout_ms: Some(1_000),
        batch_entries: NonZeroUsize::new(random.u8(1..3).into()),
        ..Gossip::default()
    })
}

fn without_pushes(mut scenario: Scenario) -> Scenario {
    scenario.gossip.push = Some(false);
    scenario
}

fn with_poison(mut scenario: Scenario) -> Scenario {
    scenario.gossip.sketches = Sketches::Failing;
    scenario.keys(40)
}

fn with_announcements(mut scenario: Scenario) -> Scenario {
    scenario.gossip.announce_ms = Some(50);
    (scenario.gossip.interval_ms, scenario.gossip.min_interval_ms) = (Some(3_000), Some(1_000));
    // What was written and deleted between two comparisons leaves nothing but that it is known.
    scenario.workload.mix = Mix { write: 40, delete: 80, read: 0, ..Mix::default() };
    scenario.workload.operations = 400;
    scenario.keys(40)
}

fn with_bulk(mut scenario: Scenario) -> Scenario {
    scenario.gossip.bulk_after = Some(0);
    scenario.workload.mix = Mix { write: 40, delete: 80, read: 0, ..Mix::default() };
    scenario.workload.operations = 400;
    scenario.keys(12)
}

fn with_queues(mut scenario: Scenario) -> Scenario {
    scenario.gossip.push_delay_ms = Some(2_500);
    scenario.gossip.push_fanout = Some(4);
    scenario.gossip.max_queued_pushes = Some(2);
    scenario
}

fn stale_deletes(mut scenario: Scenario) -> Scenario {
    scenario.workload.mix = Mix { write: 30, delete: 0, read: 35, write_seen: 10, delete_seen: 25, transaction: 0 };
    scenario.workload.operations = 250;
    scenario
}

fn busier(mut scenario: Scenario) -> Scenario {
    scenario.workload.operations = 700;
    scenario.links.delay_mean_us = 100_000;
    scenario
}

fn with_crashes(mut scenario: Scenario, seed: u64) -> Scenario {
    let mut random = crate::random::stream(seed, &[8]);
    for turn in 0..6 {
        let start = 500 + turn * 1_200;
        let fault = match random.u8(0..4) {
            0 => Fault::Wipe,
            1 => Fault::Restore { vouched: false },
            2 => Fault::Crash { in_order: true, vouched: false },
            _ => Fault::Crash { in_order: false, vouched: random.bool() },
        };
        let node = random.u32(0..scenario.nodes);
        scenario = scenario.step(start, start + 900, [node], fault);
    }
    scenario
}

fn with_jumps(mut scenario: Scenario, seed: u64) -> Scenario {
    const HOUR_MS: i64 = 3_600_000;
    let mut random = crate::random::stream(seed, &[9]);
    for turn in 0..6 {
        let (start, node) = (500 + turn * 1_200, random.u32(0..scenario.nodes));
        let jump = Fault::ClockJump { by_ms: random.i64(-HOUR_MS..=HOUR_MS) };
        let crash = Fault::Crash { in_order: random.bool(), vouched: random.bool() };
        scenario = scenario.step(start, start + 600, [node], jump).step(start + 300, start + 900, [node], crash);
    }
    scenario
}

/// Node 0 is put back to two seconds ago at 4 s. What it wrote in between has reached others by then, and it is asked for
/// nothing until 7 s.
fn unnoticed_restore(scenario: Scenario, seed: u64) -> Scenario {
    let scenario = scenario.links(Links::default()).step(2_000, 4_000, [0], Fault::Restore { vouched: true });
    let mut scenario = scenario.expanded(seed);
    let asleep = |operation: &Operation| operation.node == 0 && (3_000_000..7_000_000).contains(&operation.at_us);
    scenario.operations.retain(|operation| !asleep(operation));
    scenario
}
