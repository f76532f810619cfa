//! `bandwidth`: measures what a cluster sends.

use std::error::Error;
use std::path::PathBuf;

use anti_entropy_sim::measure::bandwidth::{self, BandwidthSettings};
use clap::Args;

use super::{output, plot};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How many nodes there are.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    nodes: u32,
    /// How many entries each node has from the beginning.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    entries: u32,
    /// How many bytes each value has.
    #[arg(long, default_value_t = 3_200)]
    value_bytes: usize,
    /// How many entries change in an hour.
    #[arg(long, default_value_t = 100)]
    changes_per_hour: u32,
    /// How many minutes are simulated.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Do not push changes; leave them to the rounds.
    #[arg(long)]
    no_push: bool,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw a plot into this file, in SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Print a JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let settings = BandwidthSettings {
            nodes: self.nodes,
            entries: self.entries,
            value_bytes: self.value_bytes,
            changes_per_hour: self.changes_per_hour,
            push: !self.no_push,
            minutes: self.minutes,
            seed: self.seed,
        };
        let bar = output::progress(settings.work(), "changes");
        let report = bandwidth::measure(&settings, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let columns = [
            "nodes",
            "push",
            "changes",
            "digest_bytes_per_s",
            "total_bytes_per_s",
            "peak_bytes_per_s",
            "minutes_to_converge",
            "median_minutes_to_spread",
            "max_minutes_to_spread",
        ];
        output::print(core::slice::from_ref(&report), self.json, &columns);
        self.plot.as_ref().map_or(Ok(()), |path| plot::bandwidth(&report, path))
    }
}
