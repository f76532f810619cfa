//! How many rounds it takes until all replicas are equal.
//!
//! A round is one gossip interval, 10 seconds of simulated time, with three peers. Replicas do not keep time with each
//! other: the first round of each is somewhere in the first interval. The rounds that something took are the time that it
//! took, divided by the interval and rounded up to hundredths.

use serde::Serialize;

use super::{Blobs, in_parallel, quantile, quiet, ratio};
use crate::random::stream;
use crate::scenario::{Gossip, Links, Preset, Scenario};
use crate::world::{Detail, World};

/// What is written before the replicas become equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// One write at one node.
    One,
    /// A hundred writes at random nodes, each at a key of its own, within the first tenth of a round.
    Burst,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes there are, once for each.
    pub nodes: Vec<u32>,
    /// How many of a thousand frames are lost, once for each.
    pub loss_permille: Vec<u16>,
    /// How often each combination is run, with other seeds.
    pub runs: u32,
    /// With more nodes than this there are as many fewer runs, but one at least; never if it is 0.
    pub thin_above: u32,
    /// From which seed on.
    pub seed: u64,
}

/// How many rounds it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How many nodes there were.
    pub nodes: u32,
    /// Which part of all frames was lost.
    pub loss: f64,
    /// Whether writes were pushed.
    pub push: bool,
    /// What was written.
    pub workload: Writes,
    /// How often it was run.
    pub runs: u32,
    /// What half of the runs did not exceed.
    pub median_rounds: f64,
    /// What 99 % of the runs did not exceed.
    pub p99_rounds: f64,
    /// What 99.9 % of the runs did not exceed.
    pub p999_rounds: f64,
    /// What no run exceeded; [`GIVEN_UP`] if one was given up.
    pub max_rounds: f64,
}

/// After so many rounds a run is given up.
pub const GIVEN_UP: u16 = 500;

/// How many nodes may all know each other. With more, each knows about [`PEERS`] at random: that is what a large cluster
/// does, and a table of all peers at all nodes would take quadratic room.
pub const ALL_KNOWN: u32 = 300;

/// How many peers each node of a large cluster knows.
pub const PEERS: u32 = 32;

const INTERVAL_MS: u64 = 10_000;
const INTERVAL_US: u64 = INTERVAL_MS * 1000;
const BURST: u32 = 100;
const VALUE_BYTES: usize = 64;

#[derive(Clone, Copy)]
struct Combination {
    nodes: u32,
    loss_permille: u16,
    push: bool,
    writes: Writes,
    runs: u32,
}

impl Settings {
    /// How much there is to do: the nodes of all runs, added.
    pub fn work(&self) -> u64 {
        self.combinations().iter().map(|combination| u64::from(combination.nodes) * u64::from(combination.runs)).sum()
    }

    fn combinations(&self) -> Vec<Combination> {
        let mut all = Vec::new();
        for &nodes in &self.nodes {
            let thin = self.thin_above != 0 && nodes > self.thin_above;
            let runs = if thin { (self.runs / nodes.div_ceil(self.thin_above)).max(1) } else { self.runs };
            for &loss_permille in &self.loss_permille {
                for push in [false, true] {
                    for writes in [Writes::One, Writes::Burst] {
                        all.push(Combination { nodes, loss_permille, push, writes, runs });
                    }
                }
            }
        }
        all
    }
}

/// Runs all combinations, on all processors. `done` is told how much of [`Settings::work`] has been done in addition.
pub fn measure(settings: &Settings, done: &(dyn Fn(u64) + Sync)) -> Vec<Row> {
    let combinations = settings.combinations();
    let mut jobs: Vec<(usize, u64)> = Vec::new();
    for (index, combination) in combinations.iter().enumerate() {
        jobs.extend((0..u64::from(combination.runs)).map(|run| (index, settings.seed + run)));
    }
    // The long ones first, so that no processor is idle in the end.
    jobs.sort_by_key(|(index, _)| core::cmp::Reverse(combinations[*index].nodes));
    let took = in_parallel(jobs.len(), |job| {
        let (index, seed) = jobs[job];
        let took = rounds(&combinations[index], seed);
        done(u64::from(combinations[index].nodes));
        took
    });
    let mut samples = vec![Vec::new(); combinations.len()];
    for ((index, _), took) in jobs.into_iter().zip(took) {
        samples[index].push(took);
    }
    combinations.iter().zip(samples).map(|(combination, samples)| row(combination, samples)).collect()
}

fn row(combination: &Combination, mut hundredths: Vec<u64>) -> Row {
    hundredths.sort_unstable();
    let rounds = |permille| ratio(quantile(&hundredths, permille), 100);
    Row {
        nodes: combination.nodes,
        loss: f64::from(combination.loss_permille) / 1000.0,
        push: combination.push,
        workload: combination.writes,
        runs: combination.runs,
        median_rounds: rounds(500),
        p99_rounds: rounds(990),
        p999_rounds: rounds(999),
        max_rounds: rounds(1000),
    }
}

fn scenario(combination: &Combination) -> Scenario {
    let gossip = Gossip {
        preset: Preset::Lan,
        interval_ms: Some(INTERVAL_MS),
        // The pace does not change, so that a round is a round.
        min_interval_ms: Some(INTERVAL_MS),
        fanout: Some(3),
        push: Some(combination.push),
        ..Gossip::default()
    };
    let links = Links { loss_permille: combination.loss_permille, ..Links::default() };
    let peers = if combination.nodes > ALL_KNOWN { PEERS } else { 0 };
    Scenario { peers, ..quiet(combination.nodes, BURST, gossip, links) }
}

/// How many hundredths of a round it takes from the first write until all nodes are equal.
fn rounds(combination: &Combination, seed: u64) -> u64 {
    let mut world = World::new(&scenario(combination), seed, Blobs::new(VALUE_BYTES), Detail::Roots);
    let mut random = stream(seed, &[3]);
    match combination.writes {
        Writes::One => {
            world.write(random.u32(0..combination.nodes), 0);
        }
        Writes::Burst => {
            let mut times: Vec<u64> = (1..BURST).map(|_| random.u64(0..INTERVAL_US / 10)).chain([0]).collect();
            times.sort_unstable();
            for (key, at) in (0..).zip(times) {
                world.run_until(at);
                world.write(random.u32(0..combination.nodes), key);
            }
        }
    }
    let limit = u64::from(GIVEN_UP) * INTERVAL_US;
    let equal_at = world.run_until_equal(limit).unwrap_or(limit);
    (equal_at * 100).div_ceil(INTERVAL_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { nodes: vec![3, 20], loss_permille: vec![0, 100], runs: 4, thin_above: 10, seed: 1 }
    }

    #[test]
    fn every_combination_has_its_row() {
        let done = core::sync::atomic::AtomicU64::new(0);
        let rows = measure(&settings(), &|work| {
            done.fetch_add(work, core::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), settings().work());
        assert_eq!(rows.len(), 2 * 2 * 2 * 2);
        assert!(rows.iter().all(|row| row.runs == if row.nodes == 3 { 4 } else { 2 }));
        assert!(rows.iter().all(|row| row.median_rounds <= row.p99_rounds && row.p999_rounds <= row.max_rounds));
        assert!(rows.iter().all(|row| row.max_rounds > 0.0 && row.max_rounds < 20.0), "{rows:?}");
        assert_eq!(measure(&settings(), &|_| {}), rows, "the same settings give the same numbers");
    }
}
