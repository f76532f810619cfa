//! Bugs planted on purpose, and the checkers that are meant to find them.
//!
//! A checker that has never failed has not been tested. Each bug here is one line of the core, or of what is around it,
//! broken in one way; for each it is said which checkers have to find it, and within how many seeds.

mod table;

use core::ops::Range;
use std::collections::BTreeMap;

use anti_entropy::__private::{Mutant, with};
use anti_entropy::{LastWriterWins, MemoryStore};
use serde::Serialize;

pub use table::planted;

use crate::check::{Checker, Violation, all, by_name, same_trace};
use crate::history::OpKind;
use crate::judge::{Judging, checkers_for, judge};
use crate::scenario::dense::{
    DURATION_MS, beset, beset_by_the_first, busier, compacting, dense, stale_deletes, with_announcements,
    with_bad_disks, with_budgets, with_bulk, with_clocks_by_cells, with_crashes, with_few_new_replicas,
    with_few_pieces, with_jumps, with_left_markers, with_poison, with_queues, with_short_messages, with_trees,
    without_pushes,
};
use crate::scenario::{Abuse, DiskAge, Fault, Lie, Links, Operation, Profile, Scenario};
use crate::subject::{Items, Subject, from_fn};
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
    /// Dense, with a resolver that writes back what it decides.
    Compacting,
    /// Dense without pushes, over many keys and nodes, with room for next to no pieces of contexts.
    FewPieces,
    /// Dense without pushes, with clocks that are told by cells.
    ClocksByCells,
    /// Dense without pushes, over many keys, with trees that take many steps to compare.
    Trees,
    /// Dense, with nodes that are closed in order and put back afterwards.
    LeftMarkers,
    /// Dense, with next to nothing that may be sent at once.
    Budgets,
    /// Dense, with disks of which every tenth sync fails.
    BadDisks,
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
    /// Dense without pushes, with pings that announce what a node holds several times in each round, and with a write at
    /// the end of which nothing is left but that it is known.
    Announced,
    /// Dense without pushes, with a member that does this, beside others that were parted.
    Beset(Abuse),
    /// Dense without pushes, with a first member that does this, beside others that were parted, and with so little that may be
    /// sent that all entries take seconds.
    BesetByTheFirst(Abuse),
    /// Dense without pushes, with a member that makes up ids, of which each peer may bring few.
    MadeUpIds,
    /// Dense without pushes, with a first node that takes only short messages, and values that get longer than these after some time.
    ShortMessages,
    /// Dense, with nodes that are restarted while their wall clocks have jumped by up to an hour, either way.
    ClocksThatJump,
    /// A backup is opened as if it were the last state of its store, and nothing is written there until it has met others.
    UnnoticedRestore,
    /// A machine is put back to the memory and the disk of two seconds ago.
    PutBack,
    /// A machine is put back by less than the time that a question takes to a peer and its answer back.
    PutBackSoon,
    /// A machine is put back to the memory of two seconds ago, and keeps its disk.
    PutBackOnALaterDisk,
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
    let checkers = hunt.checkers(&scenario);
    match hunt {
        Hunt::ShortMessages => judge(&scenario, seed, swelling(), checkers, judging, |_| {}),
        // All of them in one batch take seconds to send.
        Hunt::BesetByTheFirst(_) => judge(&scenario, seed, Items { body_bytes: 1_000 }, checkers, judging, |_| {}),
        _ => judge(&scenario, seed, Items::default(), checkers, judging, |_| {}),
    }
    .violations
}

/// Values that are short at first, until all have met all, and then longer than some messages.
fn swelling() -> impl Subject {
    const SHORT: u64 = 60;
    let items = |write| if write < SHORT { Items::default() } else { Items { body_bytes: 70_000 } };
    from_fn(MemoryStore::new, || LastWriterWins, move |key, write| items(write).value(key, write))
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
            Self::Compacting => compacting(dense(seed)),
            Self::FewPieces => with_few_pieces(without_pushes(dense(seed))),
            Self::ClocksByCells => with_clocks_by_cells(without_pushes(dense(seed))),
            Self::Trees => with_trees(without_pushes(dense(seed))),
            Self::LeftMarkers => with_left_markers(dense(seed)),
            Self::Budgets => with_budgets(dense(seed)),
            Self::BadDisks => with_bad_disks(dense(seed)),
            Self::StaleDeletes => stale_deletes(dense(seed)),
            Self::DeletesDuringBatches => busier(stale_deletes(dense(seed))),
            Self::ForgedFrames => {
                let lie = Fault::Lie { lie: Lie::Forge };
                without_pushes(dense(seed)).step(10, DURATION_MS, [0], lie).never_back([0])
            }
            Self::PoisonedSketches => with_poison(without_pushes(dense(seed))),
            Self::Bulk => with_crashes(with_bulk(without_pushes(dense(seed))), seed),
            Self::Announced => return announced(dense(seed), seed),
            Self::Beset(does) => beset(without_pushes(dense(seed)), does, 500),
            Self::BesetByTheFirst(does) => beset_by_the_first(without_pushes(dense(seed)), does),
            Self::MadeUpIds => with_few_new_replicas(beset(without_pushes(dense(seed)), Abuse::MostPieces, 3_000)),
            Self::ShortMessages => with_short_messages(without_pushes(dense(seed))),
            Self::ClocksThatJump => with_jumps(dense(seed), seed),
            Self::PutBackSoon => return put_back_soon(dense(seed), seed),
            Self::PutBack => put_back(dense(seed), DiskAge::Then),
            Self::PutBackOnALaterDisk => put_back(dense(seed), DiskAge::Now),
            Self::UnnoticedRestore => return unnoticed_restore(dense(seed), seed),
        };
        scenario.expanded(seed)
    }

    /// The checkers that hold in these scenarios without a bug.
    fn checkers(self, scenario: &Scenario) -> Vec<Box<dyn Checker>> {
        match self {
            // A forged bit in a batch is found out; what remains of honest writes is only that nothing else is held.
            Self::ForgedFrames => by_names(&["S2"]),
            // The replica is renamed, which is what has to happen; and it is before it writes, so that no name is used twice.
            Self::UnnoticedRestore => all().into_iter().filter(|checker| checker.name() != "alarms").collect(),
            _ => checkers_for(scenario),
        }
    }
}

fn by_names(names: &[&str]) -> Vec<Box<dyn Checker>> {
    names.iter().filter_map(|name| by_name(name)).collect()
}

/// All are equal after some seconds without operations. Then node 0 writes and deletes, and holds what it held before.
fn announced(scenario: Scenario, seed: u64) -> Scenario {
    let mut scenario = with_announcements(without_pushes(scenario)).expanded(seed);
    scenario.operations.retain(|operation| operation.at_us < 1_000 * DURATION_MS / 2);
    let last = |op, before_end_ms| {
        let at_us = 1_000 * (DURATION_MS - before_end_ms);
        Operation { at_us, process: 0, node: 0, op, keys: vec![0] }
    };
    scenario.operations.extend([last(OpKind::Write, 100), last(OpKind::Delete, 50)]);
    scenario
}

/// The memory of node 0 is put back to two seconds ago at 4 s.
fn put_back(scenario: Scenario, disk: DiskAge) -> Scenario {
    scenario.links(Links::default()).step(2_000, 4_000, [0], Fault::RestoreMemory { disk })
}

/// Two nodes have become equal when the memory of node 0 is put back by half a second, over links on which answers take longer:
/// those to what it asked before arrive when it has written something and asks again.
fn put_back_soon(scenario: Scenario, seed: u64) -> Scenario {
    const PUT_BACK_MS: u64 = 6_500;
    let links = Links { delay_min_us: 400_000, ..Links::default() };
    let fault = Fault::RestoreMemory { disk: DiskAge::Then };
    let mut scenario = without_pushes(scenario).links(links).step(PUT_BACK_MS - 500, PUT_BACK_MS, [0], fault);
    scenario.nodes = 2;
    let gossip = &mut scenario.gossip;
    (gossip.resend_after_ms, gossip.idle_timeout_ms) = (Some(2_000), Some(5_000));
    (gossip.batch_entries, gossip.transfer_turn_ms) = (None, None);
    let mut scenario = scenario.expanded(seed);
    scenario.operations.retain(|operation| operation.at_us < 1_000_000);
    let at_us = 1_000 * (PUT_BACK_MS + 5);
    scenario.operations.push(Operation { at_us, process: 0, node: 0, op: OpKind::Write, keys: vec![0] });
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
