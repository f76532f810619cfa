//! Measurements: how fast clusters converge, which bandwidth they use, and how long a write takes to reach all nodes.
//!
//! Each is a function from settings to numbers. Equal settings give equal numbers. Settings are plain data, which callers
//! write as struct literals, and are checked where they are taken.

pub mod bandwidth;
mod blobs;
pub mod broadcast;
pub mod convergence;
mod spread;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anti_entropy::{ConfigError, Error};
pub use blobs::{Blobs, SharedStore};

use crate::scenario::{Gossip, Links, Scenario, Workload};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A setting is out of its range. Nothing was run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The entries of the nodes could not be written.
    #[error(transparent)]
    Replica(#[from] Error),
}

/// Checks the number of nodes of a measurement.
fn check_nodes(nodes: u32) -> Result<(), ConfigError> {
    ConfigError::at_least("nodes", nodes, 2)?;
    ConfigError::at_most("nodes", nodes, Scenario::MAX_NODES)
}

/// A cluster without faults and without operations.
fn quiet(nodes: u32, keys: u32, gossip: Gossip, links: Links) -> Scenario {
    Scenario {
        name: String::new(),
        nodes,
        keys,
        duration_ms: 0,
        at_least_ms: 0,
        peers: 0,
        never_back: Vec::new(),
        compacts: false,
        commit_us: 0,
        heap_bytes: None,
        gossip,
        healed_links: links.clone(),
        links,
        workload: Workload::default(),
        steps: Vec::new(),
        operations: Vec::new(),
    }
}

/// Does all jobs on all processors. The results are in the order of the jobs.
fn in_parallel<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, core::num::NonZeroUsize::get);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(jobs)));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    let result = work(job);
                    results.lock().expect("no job panics while it holds the lock").push((job, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("all threads are done");
    results.sort_by_key(|(job, _)| *job);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The smallest of sorted numbers that at least `permille` thousandths of them do not exceed.
fn quantile(sorted: &[u64], permille: usize) -> u64 {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// A quotient of two counts.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
fn ratio(of: u64, by: u64) -> f64 {
    (of as f64) / (by.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        assert_eq!(in_parallel(100, |job| job * 2), (0..100).map(|job| job * 2).collect::<Vec<_>>());
        assert!(in_parallel(0, |job| job).is_empty());
    }

    #[test]
    fn quantiles_are_samples() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!([500, 990, 999, 1000].map(|permille| quantile(&sorted, permille)), [500, 990, 999, 1000]);
        assert_eq!(quantile(&[7], 999), 7);
        assert_eq!(quantile(&[1, 9], 500), 1);
        assert_eq!(quantile(&[], 500), 0);
    }
}
