//! Reports of what anti-entropy costs. docs/benchmarks.md says what is counted.

mod digest;
mod measure;
mod reconcile;
mod table;

use std::alloc::System;
use std::error::Error;

use clap::{Parser, Subcommand};
use measure::Progress;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts the bytes on the heap.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures what anti-entropy costs.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// The summary: building it, changing it, its memory.
    Digest {
        /// Numbers of entries, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000", value_parser = entries())]
        entries: Vec<u64>,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Finding what differs between two replicas: bytes, round trips, time.
    Reconcile {
        /// Numbers of entries, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000", value_parser = entries())]
        entries: Vec<u64>,
        /// Numbers of keys that differ, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "0,1,10,100,1000,10000")]
        differences: Vec<u64>,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
}

fn entries() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=100_000_000)
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().report {
        Report::Digest { entries, json } => report_digest(&entries, json),
        Report::Reconcile { entries, differences, json } => report_reconcile(&entries, &differences, json)?,
    }
    Ok(())
}

fn report_digest(entries: &[u64], json: bool) {
    let mut rows = vec![digest::Row::GOALS.map(String::from).to_vec()];
    for &entries in entries {
        let row = digest::measure(entries, &Progress::new());
        if json {
            print_json(&row);
        }
        rows.push(row.cells());
    }
    if !json {
        print!("{}", table::format(&digest::Row::HEADERS, &rows));
    }
}

fn report_reconcile(entries: &[u64], differences: &[u64], json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for &entries in entries {
        let progress = Progress::new();
        reconcile::measure(entries, differences, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            rows.push(row.cells());
        })?;
    }
    if !json {
        print!("{}", table::format(&reconcile::Row::HEADERS, &rows));
    }
    Ok(())
}

fn print_json(row: &impl Serialize) {
    println!("{}", serde_json::to_string(row).expect("numbers have a JSON form"));
}
