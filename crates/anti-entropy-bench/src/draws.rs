//! How often one round trip is enough to find the differences, over many random sets of keys of the same size.

use anti_entropy::Error;
use anti_entropy_bench::{Pair, find};
use serde::Serialize;

use crate::measure::{Progress, Samples};

/// The cost of finding a number of keys, over many random draws.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    differences: u64,
    draws: u64,
    /// Draws in which the keys found were not exactly those that differ.
    inexact: u64,
    /// Draws for which one round trip was enough.
    one_trip: u64,
    two_trips: u64,
    most_trips: u32,
    bytes: f64,
    most_bytes: f64,
    cpu_us: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 10] = [
        "entries",
        "differences",
        "draws",
        "inexact",
        "one trip",
        "two",
        "most trips",
        "bytes, median",
        "most",
        "CPU, median",
    ];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.differences.to_string(),
            self.draws.to_string(),
            self.inexact.to_string(),
            self.one_trip.to_string(),
            self.two_trips.to_string(),
            self.most_trips.to_string(),
            format!("{:.0}", self.bytes),
            format!("{:.0}", self.most_bytes),
            format!("{:.0} us", self.cpu_us),
        ]
    }
}

/// Measures each number of differences between replicas with this number of entries. Leaves out numbers of differences
/// above it.
///
/// # Errors
/// If a replica fails.
pub(crate) fn measure(
    entries: u64,
    differences: &[u64],
    draws: u64,
    progress: &Progress,
    mut each: impl FnMut(Row),
) -> Result<(), Error> {
    let mut pair = Pair::new(entries, |_| {})?;
    let mut random = fastrand::Rng::with_seed(1);
    for &differences in differences.iter().filter(|&&wanted| wanted <= entries) {
        let [mut bytes, mut cpu] = [(); 2].map(|()| Samples::default());
        let mut row = Row {
            entries,
            differences,
            draws,
            inexact: 0,
            one_trip: 0,
            two_trips: 0,
            most_trips: 0,
            bytes: 0.0,
            most_bytes: 0.0,
            cpu_us: 0.0,
        };
        for draw in 0..draws {
            progress.show(&format!("{entries} entries: {differences} differences, draw {draw}"));
            pair.differ_elsewhere(differences, &mut random)?;
            let found = find(&mut pair)?;
            row.inexact += u64::from(!found.is_of(&pair.differing));
            row.one_trip += u64::from(found.round_trips == 1);
            row.two_trips += u64::from(found.round_trips == 2);
            row.most_trips = row.most_trips.max(found.round_trips);
            bytes.add(f64::from(u32::try_from(found.bytes).unwrap_or(u32::MAX)));
            cpu.add(found.cpu.as_secs_f64() * 1e6);
        }
        (row.bytes, row.most_bytes, row.cpu_us) = (bytes.median(), bytes.greatest(), cpu.median());
        each(row);
    }
    Ok(())
}
