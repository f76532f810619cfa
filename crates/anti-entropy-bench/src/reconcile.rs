//! The cost of finding the differences between two replicas.

use anti_entropy::Error;
use anti_entropy_bench::{Pair, find};
use serde::Serialize;

use crate::measure::{Progress, Samples};

/// The figures for one number of entries and one of differences.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    differences: u64,
    found_exact: bool,
    bytes: u64,
    round_trips: u32,
    cpu_us: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 7] =
        ["entries", "differences", "found exactly", "bytes", "round trips", "CPU", "goal"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.differences.to_string(),
            if self.found_exact { "yes" } else { "NO" }.to_string(),
            self.bytes.to_string(),
            self.round_trips.to_string(),
            format!("{:.0} us", self.cpu_us),
            self.goal().to_string(),
        ]
    }

    fn goal(&self) -> &'static str {
        match (self.entries, self.differences) {
            (_, 0) => "<= 120 bytes, 1 trip, 5 us",
            (1_000_000, 1) => "<= 400 bytes, 1 trip, 20 us",
            (1_000_000, 10) => "<= 1,000 bytes, 1 trip, 40 us",
            (1_000_000, 100) => "<= 7,000 bytes, 2 trips, 200 us",
            (1_000_000, 1000) => "<= 55,000 bytes, 2 trips, 3 ms",
            (1_000_000, 10_000) => "<= 560,000 bytes, 2 trips, 40 ms",
            _ => "",
        }
    }
}

/// Measures each number of differences between replicas with this number of entries, in ascending order, and calls
/// `each` with each result. Leaves out numbers of differences above that of entries.
///
/// # Errors
/// If a replica fails.
pub(crate) fn measure(
    entries: u64,
    differences: &[u64],
    progress: &Progress,
    mut each: impl FnMut(Row),
) -> Result<(), Error> {
    let mut pair = Pair::new(entries, |written| {
        if written % 10_000 == 0 {
            progress.show(&format!("{entries} entries: {written} written"));
        }
    })?;
    let mut differences: Vec<u64> = differences.iter().copied().filter(|&wanted| wanted <= entries).collect();
    differences.sort_unstable();
    for wanted in differences {
        progress.show(&format!("{entries} entries: finding {wanted} differences"));
        pair.differ_at(wanted)?;
        // The first run fills the caches.
        let finding = find(&mut pair)?;
        let mut cpu = Samples::default();
        for _ in 0..repetitions(wanted) {
            cpu.add(find(&mut pair)?.cpu.as_secs_f64() * 1e6);
        }
        each(Row {
            entries,
            differences: wanted,
            found_exact: finding.is_of(&pair.differing) && pair.differing.len() as u64 == wanted,
            bytes: finding.bytes,
            round_trips: finding.round_trips,
            cpu_us: cpu.median(),
        });
    }
    Ok(())
}

/// How often to repeat the search: for about a second at most.
fn repetitions(differences: u64) -> u64 {
    (20_000 / differences.max(1)).clamp(11, 501)
}
