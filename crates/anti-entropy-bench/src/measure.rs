//! Measuring on a machine that others use too.

use std::hint::black_box;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use cpu_time::ThreadTime;
use sha2::{Digest, Sha256};
use stats_alloc::Stats;

/// The processor time that `work` takes, in nanoseconds: for what takes longer than the machine leaves a thread alone.
pub(crate) fn processor_time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = ThreadTime::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e9, result)
}

/// The time that `work` takes, in nanoseconds: for what is too short to be interrupted often. Reading this clock is fast.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e9, result)
}

/// What is on the heap more than before. Where other threads work too, as in tests, it is no measurement.
pub(crate) fn live_bytes(change: Stats) -> usize {
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// Times of one thing, repeated.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// What half of the samples are below. What others do on the machine now and then does not move it.
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

/// The unit of the figures: the time of SHA-256 over 64 bytes, taken again and again between other measurements, so that
/// it is of the same machine under the same load.
#[derive(Debug, Default)]
pub(crate) struct Unit(Samples);

impl Unit {
    pub(crate) fn sample(&mut self) {
        const HASHES: u32 = 500;
        let mut message = [7; 64];
        let (time, ()) = time(|| {
            for _ in 0..HASHES {
                // Each hash waits for the one before.
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

/// A line on the terminal that says what is being done; nothing where there is no terminal.
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
            // A line that is not shown is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }

    /// Makes room for a line of output.
    pub(crate) fn clear(&self) {
        self.show("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
