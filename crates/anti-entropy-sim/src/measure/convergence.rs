//! How many rounds it takes until all replicas are equal.
//!
//! A round is one gossip interval, 10 seconds of simulated time, in which each replica compares with three peers. The rounds of
//! replicas are not synchronised: the first round of each is at a random time in the first interval. Durations are measured in
//! rounds: the time divided by the interval, rounded up to hundredths.

use anti_entropy::ConfigError;
use serde::Serialize;

use super::{Blobs, check_nodes, in_parallel, quantile, quiet, ratio};
use crate::random::stream;
use crate::scenario::{Gossip, Links, Preset, Scenario};
use crate::world::{Detail, World};

/// What is written before the replicas become equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// One write at one node.
    One,
    /// A hundred writes at random nodes within the first tenth of a round, each at a key of its own.
    Burst,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvergenceSettings {
    /// The numbers of nodes to measure, each 2 to [`Scenario::MAX_NODES`]; at least one.
    pub nodes: Vec<u32>,
    /// The losses to measure, in thousandths of all frames, each below 1000; at least one.
    pub loss_permille: Vec<u16>,
    /// How many runs each combination has, each with a seed of its own; at least 1.
    pub runs: u32,
    /// With more nodes than this, the number of runs is divided by the ratio, but there is at least one. 0 stands for no limit.
    pub thin_above: u32,
    /// The seed of the first run; the others have those after it. With `runs` it has to fit into 64 bits.
    pub seed: u64,
}

/// The result for one combination.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvergenceRow {
    /// How many nodes there were.
    pub nodes: u32,
    /// The fraction of frames that was lost.
    pub loss: f64,
    /// Whether writes were pushed.
    pub push: bool,
    /// What was written.
    pub workload: Writes,
    /// How many runs there were.
    pub runs: u32,
    /// The median of the runs.
    pub median_rounds: f64,
    /// The 99th percentile of the runs.
    pub p99_rounds: f64,
    /// The 99.9th percentile of the runs.
    pub p999_rounds: f64,
    /// The slowest run; [`GIVEN_UP`] if one was given up.
    pub max_rounds: f64,
}

/// After how many rounds a run is given up.
pub const GIVEN_UP: u16 = 500;

/// Up to how many nodes all know each other. In larger clusters each node knows about [`PEERS`] others, chosen at random, as in
/// practice; tables of all peers would take quadratic memory.
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

impl ConvergenceSettings {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.nodes.is_empty() {
            return Err(ConfigError::new("nodes", &self.nodes, "at least one number"));
        }
        if self.loss_permille.is_empty() {
            return Err(ConfigError::new("loss_permille", &self.loss_permille, "at least one number"));
        }
        self.nodes.iter().try_for_each(|nodes| check_nodes(*nodes))?;
        self.loss_permille.iter().try_for_each(|loss| ConfigError::at_most("loss_permille", *loss, 999))?;
        ConfigError::at_least("runs", self.runs, 1)?;
        ConfigError::at_most("seed", self.seed, u64::MAX - u64::from(self.runs))
    }

    /// The amount of work, for progress bars: the sum of the nodes of all runs.
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

/// Runs all combinations on all processors. After each run it calls `done` with the run's part of [`ConvergenceSettings::work`].
///
/// # Errors
/// If a setting is out of its range.
pub fn measure(
    settings: &ConvergenceSettings,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Vec<ConvergenceRow>, ConfigError> {
    settings.validate()?;
    let combinations = settings.combinations();
    let mut jobs: Vec<(usize, u64)> = Vec::new();
    for (index, combination) in combinations.iter().enumerate() {
        jobs.extend((0..u64::from(combination.runs)).map(|run| (index, settings.seed + run)));
    }
    // The longest runs first, so that no processor is idle at the end.
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
    Ok(combinations.iter().zip(samples).map(|(combination, samples)| row(combination, samples)).collect())
}

fn row(combination: &Combination, mut hundredths: Vec<u64>) -> ConvergenceRow {
    hundredths.sort_unstable();
    let rounds = |permille| ratio(quantile(&hundredths, permille), 100);
    ConvergenceRow {
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
        // The interval is constant, so that all rounds are equally long.
        min_interval_ms: Some(INTERVAL_MS),
        fanout: Some(3),
        push: Some(combination.push),
        ..Gossip::default()
    };
    let links = Links { loss_permille: combination.loss_permille, ..Links::default() };
    let peers = if combination.nodes > ALL_KNOWN { PEERS } else { 0 };
    Scenario { peers, ..quiet(combination.nodes, BURST, gossip, links) }
}

/// The time from the first write until all nodes are equal, in hundredths of a round.
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

    fn settings() -> ConvergenceSettings {
        ConvergenceSettings { nodes: vec![3, 20], loss_permille: vec![0, 100], runs: 4, thin_above: 10, seed: 1 }
    }

    #[test]
    fn every_combination_has_its_row() {
        let done = core::sync::atomic::AtomicU64::new(0);
        let rows = measure(&settings(), &|work| {
            done.fetch_add(work, core::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(done.into_inner(), settings().work());
        assert_eq!(rows.len(), 2 * 2 * 2 * 2);
        assert!(rows.iter().all(|row| row.runs == if row.nodes == 3 { 4 } else { 2 }));
        assert!(rows.iter().all(|row| row.median_rounds <= row.p99_rounds && row.p999_rounds <= row.max_rounds));
        assert!(rows.iter().all(|row| row.max_rounds > 0.0 && row.max_rounds < 20.0), "{rows:?}");
        assert_eq!(measure(&settings(), &|_| {}), Ok(rows), "the same settings give the same numbers");
    }
    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let with = |change: fn(&mut ConvergenceSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings
        };
        let refused = [
            (with(|settings| settings.nodes.clear()), "nodes"),
            (with(|settings| settings.nodes.push(1)), "nodes"),
            (with(|settings| settings.nodes.push(10_001)), "nodes"),
            (with(|settings| settings.loss_permille.clear()), "loss_permille"),
            (with(|settings| settings.loss_permille.push(1000)), "loss_permille"),
            (with(|settings| settings.runs = 0), "runs"),
            (with(|settings| settings.seed = u64::MAX), "seed"),
        ];
        for (settings, field) in refused {
            assert_eq!(settings.validate().unwrap_err().field, field);
            assert_eq!(measure(&settings, &|_| {}).unwrap_err().field, field);
        }
        assert_eq!(settings().validate(), Ok(()));
    }
}
