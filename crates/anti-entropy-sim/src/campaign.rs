//! Many seeds, one after the other, on as many threads as there are.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::check::Violation;
use crate::judge::{Judging, Verdict, checkers_for, judge};
use crate::scenario::Scenario;
use crate::subject::Subject;

/// What many runs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many seeds were run.
    pub seeds: u64,
    /// The seeds that violate an invariant, in ascending order, and the first that each violates.
    pub failures: Vec<(u64, Violation)>,
    /// Microseconds that nodes were up.
    pub node_us: u64,
    /// Partitions that ended.
    pub partitions_healed: u64,
    /// Processes that were ended.
    pub crashes: u64,
    /// Frames that were sent.
    pub messages: u64,
    /// Operations that were answered.
    pub operations: u64,
    /// The most gossip intervals that a core took to become equal.
    pub max_rounds_to_converge: u64,
    /// The runs' trace hashes together, whatever their order.
    pub trace_hash: u64,
    /// How many reads there were, and how many of them missed an acknowledged write.
    pub reads: u64,
    /// See `reads`.
    pub stale_reads: u64,
    /// For how many reads what they missed was so old, in milliseconds up to each power of two.
    pub ages_ms: [u64; 24],
}

impl Totals {
    /// Adds what a run came to.
    pub fn add(&mut self, verdict: &Verdict) {
        let run = &verdict.run;
        self.seeds += 1;
        self.node_us += run.counts.node_us;
        self.partitions_healed += run.counts.partitions_healed;
        self.crashes += run.counts.crashes;
        self.messages += run.counts.frames;
        self.operations += run.counts.operations;
        self.max_rounds_to_converge = self.max_rounds_to_converge.max(run.rounds_to_converge.unwrap_or(0));
        // A sum, so that the order in which threads finish makes no difference; mixed with the seed, so that two runs that
        // change places do.
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

    /// How old, in milliseconds, what all but so many thousandths of the reads missed was at most; 0 if they missed nothing.
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

/// Runs every seed of a range and tells `progress` of each; its answer says whether to go on. The range is fixed before
/// the run: what is found does not move it.
pub fn campaign<S: Subject + Sync>(
    seeds: Range<u64>,
    threads: usize,
    subject: &S,
    scenario_of: impl Fn(u64) -> Scenario + Sync,
    mut progress: impl FnMut(&Totals) -> bool,
) -> Totals {
    let next = AtomicU64::new(seeds.start);
    let mut totals = Totals::default();
    thread::scope(|scope| {
        let (sender, verdicts) = mpsc::sync_channel(64);
        for _ in 0..threads.max(1) {
            let (sender, next, scenario_of) = (sender.clone(), &next, &scenario_of);
            scope.spawn(move || {
                // It stays at the end: counting on would begin anew after the last number that there is.
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
    use super::*;
    use crate::subject::Items;

    #[test]
    fn the_last_seeds_that_there_are_do_not_begin_anew() {
        let scenario = |seed| Scenario::new("short", 2).duration_ms(1).expanded(seed);
        let totals = campaign(u64::MAX - 1..u64::MAX, 3, &Items::default(), scenario, |totals| totals.seeds < 10);
        assert_eq!(totals.seeds, 1);
        let totals = campaign(u64::MAX..u64::MAX, 3, &Items::default(), scenario, |totals| totals.seeds < 10);
        assert_eq!(totals.seeds, 0);
    }
}
