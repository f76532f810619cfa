//! Many runs with consecutive seeds, on several threads.

use core::num::NonZeroUsize;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::check::Violation;
use crate::judge::{Judging, Verdict, checkers_for, judge};
use crate::scenario::Scenario;
use crate::subject::Subject;

/// The results of many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many seeds were run.
    pub seeds: u64,
    /// The seeds whose runs violate an invariant, in ascending order, each with its first violation.
    pub failures: Vec<(u64, Violation)>,
    /// Microseconds that nodes were up, summed over all nodes.
    pub node_us: u64,
    /// Partitions that ended.
    pub partitions_healed: u64,
    /// Processes that ended.
    pub crashes: u64,
    /// Frames that were sent.
    pub messages: u64,
    /// Operations that were answered.
    pub operations: u64,
    /// The greatest number of gossip intervals that a core took to become equal.
    pub max_rounds_to_converge: u64,
    /// A hash of the runs' trace hashes, whatever the order in which the runs ended.
    pub trace_hash: u64,
    /// How many reads there were.
    pub reads: u64,
    /// How many reads missed an acknowledged write.
    pub stale_reads: u64,
    /// Sketches that were sent and fit into a frame.
    pub sketches: u64,
    /// Sketches that failed, so that trees were compared instead.
    pub sketches_failed: u64,
    /// Batches that were refused because they could not be certified.
    pub uncertified: u64,
    /// Sessions that became bulk transfers.
    pub bulk_sessions: u64,
    /// How many reads had which staleness: element *i* counts those below 2ⁱ milliseconds and not below the power before.
    pub ages_ms: [u64; 24],
}

impl Totals {
    /// Adds the result of a run.
    pub fn add(&mut self, verdict: &Verdict) {
        let run = &verdict.run;
        self.seeds += 1;
        self.node_us += run.counts.node_us;
        self.partitions_healed += run.counts.partitions_healed;
        self.crashes += run.counts.crashes;
        self.messages += run.counts.frames;
        self.operations += run.counts.operations;
        self.sketches += run.counts.sketches;
        self.sketches_failed += run.counts.sketches_failed;
        self.uncertified += run.counts.uncertified;
        self.bulk_sessions += run.counts.bulk_sessions;
        self.max_rounds_to_converge = self.max_rounds_to_converge.max(run.rounds_to_converge.unwrap_or(0));
        // A sum, so that the order in which threads finish makes no difference. Mixed with the seed, so that it differs if two
        // seeds exchange their runs.
        let mixed = (run.trace_hash ^ run.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace_hash = self.trace_hash.wrapping_add(mixed);
        self.reads += verdict.staleness.reads();
        self.stale_reads += verdict.staleness.stale_reads();
        for (age_us, reads) in verdict.staleness.ages() {
            let place = (age_us / 1000).checked_ilog2().map_or(0, |log| log as usize + 1);
            self.ages_ms[place.min(self.ages_ms.len() - 1)] += reads;
        }
        if let Some(violation) = verdict.violations.first() {
            let place = self.failures.partition_point(|(seed, _)| *seed < run.seed);
            self.failures.insert(place, (run.seed, violation.clone()));
        }
    }

    /// The staleness in milliseconds that `permille` thousandths of the reads did not exceed, rounded up to a power of two; 0 if
    /// these reads missed nothing. More than 1000 counts as 1000.
    pub fn staleness_ms(&self, permille: u64) -> u64 {
        let mut left = self.reads * (1000 - permille.min(1000)) / 1000;
        for (place, reads) in self.ages_ms.iter().enumerate().rev() {
            if *reads > left {
                return 1 << place;
            }
            left -= reads;
        }
        0
    }
}

/// Runs every seed of a range on this many threads. After each run it calls `progress`, which says whether to go on. The range is
/// fixed before the first run, so that results do not depend on what was found.
pub fn campaign<S: Subject + Sync>(
    seeds: Range<u64>,
    threads: NonZeroUsize,
    subject: &S,
    scenario_of: impl Fn(u64) -> Scenario + Sync,
    mut progress: impl FnMut(&Totals) -> bool,
) -> Totals {
    let next = AtomicU64::new(seeds.start);
    let mut totals = Totals::default();
    thread::scope(|scope| {
        let (sender, verdicts) = mpsc::sync_channel(64);
        for _ in 0..threads.get() {
            let (sender, next, scenario_of) = (sender.clone(), &next, &scenario_of);
            scope.spawn(move || {
                // It stays at the end of the range, since counting on after the last number would wrap around.
                let following = |seed: u64| (seed < seeds.end).then(|| seed + 1);
                while let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, following) {
                    let scenario = scenario_of(seed);
                    let judging = Judging { until_first: true, ..Judging::default() };
                    let verdict = judge(&scenario, seed, subject, checkers_for(&scenario), judging, |_| {});
                    if sender.send(verdict).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for verdict in verdicts {
            totals.add(&verdict);
            if !progress(&totals) {
                break;
            }
        }
    });
    totals
}

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;
    use std::sync::Mutex;

    use anti_entropy::{LastWriterWins, MemoryStore, Replica};

    use super::*;
    use crate::scenario::Profile;
    use crate::subject::{Item, Items, Release};

    fn threads(threads: usize) -> NonZeroUsize {
        NonZeroUsize::new(threads).unwrap()
    }

    #[test]
    fn the_last_seeds_that_there_are_do_not_begin_anew() {
        let scenario = |seed| Scenario::new("short", 2).duration_ms(1).expanded(seed);
        let totals =
            campaign(u64::MAX - 1..u64::MAX, threads(3), &Items::default(), scenario, |totals| totals.seeds < 10);
        assert_eq!(totals.seeds, 1);
        let totals = campaign(u64::MAX..u64::MAX, threads(3), &Items::default(), scenario, |totals| totals.seeds < 10);
        assert_eq!(totals.seeds, 0);
    }

    /// The usual subject, with something that it checks itself.
    struct Inspecting<F>(F);

    impl<F: Fn(&[&Replica<Item>]) -> Result<(), String>> Subject for Inspecting<F> {
        type Value = Item;
        type Store = MemoryStore;
        type Resolver = LastWriterWins;

        fn store(&self) -> MemoryStore {
            Items::default().store()
        }

        fn resolver(&self) -> LastWriterWins {
            LastWriterWins
        }

        fn value(&self, key: u32, write: u64) -> Item {
            Items::default().value(key, write)
        }

        fn value_of(&self, release: Release, key: u32, write: u64) -> Item {
            Items::default().value_of(release, key, write)
        }

        fn inspect(&self, core: &[&Replica<Item>]) -> Result<(), String> {
            self.0(core)
        }
    }

    fn swarm(subject: &(impl Subject + Sync)) -> Totals {
        campaign(0..4, threads(2), subject, |seed| Profile::Swarm.draw(seed, 3..=5), |_| true)
    }

    /// What is wrong with each seed.
    fn invariants(totals: &Totals) -> Vec<(u64, &'static str)> {
        totals.failures.iter().map(|(seed, violation)| (*seed, violation.invariant)).collect()
    }

    #[test]
    fn a_swarm_has_bulk_transfers_and_sketches_that_lead_nowhere() {
        let scenario = |seed| Profile::Swarm.draw(seed, 3..=5);
        let totals = campaign(0..30, threads(2), &Items::default(), scenario, |_| true);
        assert!(totals.bulk_sessions > 0 && totals.sketches_failed > 0, "{totals:?}");
    }

    #[test]
    fn what_a_subject_objects_to_is_a_violation_and_changes_nothing_else() {
        let plain = swarm(&Items::default());
        assert_eq!(plain.failures, []);
        let totals = swarm(&Inspecting(|_: &[&Replica<Item>]| Err("it never likes anything".to_owned())));
        assert_eq!(invariants(&totals), [0, 1, 2, 3].map(|seed| (seed, "subject")));
        assert!(totals.failures.iter().all(|(_, violation)| violation.detail == "it never likes anything"));
        assert_eq!(Totals { failures: Vec::new(), ..totals }, plain);
    }

    #[test]
    fn a_subject_sees_each_core_once_and_equal() {
        let cores = Mutex::new(Vec::new());
        let held = |replica: &Replica<Item>| {
            let mut all = Vec::new();
            let read = replica.for_each(|_, read| {
                all.extend_from_slice(read.siblings());
                ControlFlow::Continue(())
            });
            read.map(|()| (replica.context_hash(), all)).map_err(|error| error.to_string())
        };
        let equal = |core: &[&Replica<Item>]| {
            cores.lock().unwrap().push(core.len());
            let first = held(core[0])?;
            let differs = core.iter().any(|replica| held(replica).as_ref() != Ok(&first));
            if differs { Err("the core differs".to_owned()) } else { Ok(()) }
        };
        assert_eq!(swarm(&Inspecting(&equal)).failures, []);
        let scenario = |seed| Scenario::new("dead", 4).duration_ms(2_000).operations(10).never_back([3]).expanded(seed);
        assert_eq!(campaign(0..1, NonZeroUsize::MIN, &Inspecting(&equal), scenario, |_| true).failures, []);
        let cores = cores.into_inner().unwrap();
        assert_eq!((cores.len(), cores[4]), (5, 3), "a node that never comes back is not of the core");
    }

    #[test]
    fn a_subject_that_panics_is_reported_and_one_that_never_converges_not_inspected() {
        let panics = Inspecting(|_: &[&Replica<Item>]| panic!("it was asked"));
        let calm = |seed| Scenario::new("calm", 2).duration_ms(2_000).operations(10).expanded(seed);
        assert_eq!(invariants(&campaign(0..1, NonZeroUsize::MIN, &panics, calm, |_| true)), [(0, "panic")]);
        let mut deaf = calm(0);
        (deaf.links.loss_permille, deaf.healed_links.loss_permille) = (1000, 1000);
        let verdict = judge(&deaf, 0, &panics, checkers_for(&deaf), Judging::default(), |_| {});
        let found: Vec<_> = verdict.violations.iter().map(|violation| violation.invariant).collect();
        assert!(found.contains(&"L1") && !found.contains(&"panic"), "{found:?}");
    }
}
