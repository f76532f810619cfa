//! `explore`: tries every order of events in small clusters.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use anti_entropy_sim::explore::{Bounds, Report, deep, standard};
use serde::Serialize;

use super::output;

/// Tries every order of operations, sessions, losses and duplicates in small clusters, with the production code.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Explore the large configurations too, up to `--limit` states each.
    #[arg(long)]
    deep: bool,
    /// How many states to keep at most for each configuration; each takes some 50 bytes.
    #[arg(long, default_value_t = 30_000_000)]
    limit: u64,
    /// Print lines of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    replicas: u8,
    keys: u8,
    operations: u8,
    sessions: u8,
    losses: u8,
    duplicates: u8,
    states: u64,
    transitions: u64,
    terminal_states: u64,
    complete: bool,
    seconds: f64,
}

const COLUMNS: [&str; 11] = [
    "replicas",
    "keys",
    "operations",
    "sessions",
    "losses",
    "duplicates",
    "states",
    "transitions",
    "terminal_states",
    "complete",
    "seconds",
];

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let mut all = standard();
        if self.deep {
            all.extend(deep());
        }
        let bar = output::progress(all.len() as u64, "configurations");
        let mut rows = Vec::new();
        for bounds in all {
            rows.push(self.explore(bounds)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        output::print(&rows, self.json, &COLUMNS);
        let states: u64 = rows.iter().map(|row| row.states).sum();
        eprintln!("{states} states explored");
        Ok(())
    }

    fn explore(&self, bounds: Bounds) -> Result<Row, Box<dyn Error>> {
        let started = Instant::now();
        let mut watch = |report: &Report| {
            if report.states < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let report = bounds.explore(&mut watch)?;
        Ok(Row {
            replicas: bounds.replicas,
            keys: bounds.keys,
            operations: bounds.operations,
            sessions: bounds.sessions,
            losses: bounds.losses,
            duplicates: bounds.duplicates,
            states: report.states,
            transitions: report.transitions,
            terminal_states: report.terminal_states,
            complete: report.complete,
            seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        })
    }
}
