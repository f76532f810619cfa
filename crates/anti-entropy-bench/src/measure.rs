//! Measuring on a machine that others use too.

use std::hint::black_box;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use cpu_time::ThreadTime;
use sha2::{Digest, Sha256};
use stats_alloc::Stats;

/// The processor time of `work` in nanoseconds. For work so long that other threads interrupt it.
pub(crate) fn processor_time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = ThreadTime::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e9, result)
}

/// The elapsed time of `work` in nanoseconds. For work too short to be interrupted often: this clock is read quickly.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e9, result)
}

/// By how much the heap has grown. Other threads' allocations are counted too, so that tests cannot rely on it.
pub(crate) fn live_bytes(change: Stats) -> usize {
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// A count as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Repeated measurements of one figure.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The median. A few samples that were disturbed by other programs do not move it.
    pub(crate) fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.0.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::NAN)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The unit of the figures: the time of SHA-256 over 64 bytes. It is sampled between the other measurements, so that it
/// is taken under the same load.
#[derive(Debug, Default)]
pub(crate) struct Unit(Samples);

impl Unit {
    pub(crate) fn sample(&mut self) {
        const HASHES: u32 = 500;
        let mut message = [7; 64];
        let (time, ()) = time(|| {
            for _ in 0..HASHES {
                // Each hash depends on the one before, so that no two are computed at once.
                let digest = Sha256::digest(black_box(&message));
                message[..32].copy_from_slice(&digest);
            }
        });
        black_box(message);
        self.0.add(time / f64::from(HASHES));
    }

    pub(crate) fn median(&mut self) -> f64 {
        self.0.median()
    }

    pub(crate) fn samples(&mut self) -> &mut Samples {
        &mut self.0
    }
}

/// A line on the terminal that shows what is being measured. Shows nothing if the output is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    pub(crate) fn show(&self, what: &str) {
        if self.shown {
            eprint!("\r\x1b[2K{what}");
            // If the line cannot be shown, the measurement goes on.
            let _ = std::io::stderr().flush();
        }
    }

    /// Erases the line, so that output can be printed in its place.
    pub(crate) fn clear(&self) {
        self.show("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
