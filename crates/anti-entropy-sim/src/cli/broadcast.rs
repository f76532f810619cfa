//! `broadcast`: measures how long writes take to reach all nodes.

use std::error::Error;

use anti_entropy_sim::measure::broadcast::{self, BroadcastSettings, ROWS};
use clap::Args;

use super::output;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How many nodes there are.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..))]
    nodes: u32,
    /// How long every frame takes, in milliseconds.
    #[arg(long, default_value_t = 100)]
    delay_ms: u64,
    /// How many operations there are in a second, half of them reads.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// For how many seconds there are operations.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seconds: u64,
    /// How many seconds the cluster runs before the first operation, so that it has noticed who is dead.
    #[arg(long, default_value_t = BroadcastSettings::default().settle_seconds)]
    settle_seconds: u64,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let settings = BroadcastSettings {
            nodes: self.nodes,
            delay_ms: self.delay_ms,
            operations_per_second: self.rate,
            seconds: self.seconds,
            settle_seconds: self.settle_seconds,
            seed: self.seed,
        };
        let bar = output::progress(ROWS as u64, "configurations");
        let rows = broadcast::measure(&settings, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let columns = ["config", "dead", "operations", "writes", "messages_per_op", "median_ms", "max_ms"];
        output::print(&rows, self.json, &columns);
        Ok(())
    }
}
