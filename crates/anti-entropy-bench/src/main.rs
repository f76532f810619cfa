//! Reports of what anti-entropy costs. docs/benchmarks.md says what is counted.

mod compression;
mod crossover;
mod digest;
mod draws;
mod durable;
mod engram;
mod instructions;
mod measure;
mod membership;
mod peers;
mod reconcile;
mod sketch;
mod spaces;
mod table;
mod transport;
mod whole;

use std::alloc::System;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use instructions::Scenario;
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
        /// Repeat each search with that many random sets of keys, and count the round trips.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        draws: Option<u64>,
        /// Report where comparing trees becomes cheaper than a sketch, at fixed numbers of entries and differences.
        #[arg(long, conflicts_with = "draws")]
        crossover: bool,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// The rateless sketch: keeping it up to date, and finding changed keys with it.
    Sketch {
        /// Numbers of entries, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000", value_parser = entries())]
        entries: Vec<u64>,
        /// Numbers of keys that differ, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,10000")]
        differences: Vec<u64>,
        /// Print one JSON object a line instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// The durable store: opening, committing, the size of its file.
    Durable {
        /// Numbers of entries, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = entries())]
        entries: Vec<u64>,
        /// Where to put the files; by default the directory for temporary files.
        #[arg(long)]
        directory: Option<PathBuf>,
        /// Print one JSON object a line instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Finding what differs: anti-entropy and other libraries.
    Peers {
        /// Numbers of entries, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000", value_parser = entries())]
        entries: Vec<u64>,
        /// Numbers of keys that differ, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "0,1,10,100,1000,10000")]
        differences: Vec<u64>,
        /// Plot the results as SVG files in this directory.
        #[arg(long)]
        plot: Option<PathBuf>,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Compression: what it would save of patterns and frames, and what lossy encodings lose. Needs the tool `zstd`.
    Compression {
        /// The directory of the patterns.
        #[arg(long, default_value = "examples/data")]
        data: PathBuf,
        /// Print one JSON object a line instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// What an idle cluster on loopback sends to watch itself.
    Membership {
        /// How many nodes there are.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=100))]
        nodes: u16,
        /// How many spaces each node announces.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=64))]
        spaces: u64,
        /// For how many probe intervals to count; one takes a tenth of a second.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        intervals: u64,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// What an idle cluster with many spaces sends, and how many threads it takes.
    Spaces {
        /// How many nodes there are; each space is on three.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=20))]
        nodes: u16,
        /// How many spaces there are.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        spaces: u64,
        /// For how many seconds to wait after all are equal.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(0..=3_600))]
        settle: u64,
        /// For how many seconds to count.
        #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Frames over QUIC: the latency of a write and the throughput of filling a replica, compared with a bare stream.
    Transport {
        /// How many entries the replica has.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        entries: u64,
        /// Print a JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Patterns: voting, taking in snapshots, the semantic view, what replicas send each other.
    Engram {
        /// How many patterns there are.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        patterns: u64,
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Runs one scenario whose instructions `.ci/instructions` counts.
    Instructions {
        /// The scenario.
        scenario: Scenario,
    },
}

fn entries() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=100_000_000)
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().report {
        Report::Digest { entries, json } => report_digest(&entries, json),
        Report::Reconcile { crossover: true, json, .. } => report_crossover(json)?,
        Report::Reconcile { entries, differences, draws: Some(draws), json, .. } => {
            report_draws(&entries, &differences, draws, json)?;
        }
        Report::Reconcile { entries, differences, json, .. } => report_reconcile(&entries, &differences, json)?,
        Report::Sketch { entries, differences, json } => report_sketch(&entries, &differences, json),
        Report::Durable { entries, directory, json } => report_durable(&entries, directory.as_deref(), json)?,
        Report::Peers { entries, differences, plot, json } => {
            report_peers(&entries, &differences, plot.as_deref(), json)?;
        }
        Report::Compression { data, json } => report_compression(&data, json)?,
        Report::Membership { nodes, spaces, intervals, json } => {
            report_membership(nodes.into(), spaces, intervals, json)?;
        }
        Report::Spaces { nodes, spaces, settle, seconds, json } => {
            report_spaces(nodes.into(), spaces, Duration::from_secs(settle), seconds, json)?;
        }
        Report::Transport { entries, json } => report_transport(entries, json)?,
        Report::Engram { patterns, json } => report_engram(patterns, json)?,
        Report::Instructions { scenario } => instructions::run(scenario)?,
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

fn report_transport(entries: u64, json: bool) -> Result<(), Box<dyn Error>> {
    let row = transport::measure(entries, &Progress::new())?;
    if json {
        print_json(&row);
    } else {
        print!("{}", table::format(&transport::Row::HEADERS, &[row.cells()]));
    }
    Ok(())
}

fn report_reconcile(entries: &[u64], differences: &[u64], json: bool) -> Result<(), Box<dyn Error>> {
    let (mut rows, mut whole_rows) = (Vec::new(), Vec::new());
    for &entries in entries {
        let progress = Progress::new();
        reconcile::measure(entries, differences, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            rows.push(row.cells());
        })?;
        whole::measure(entries, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            whole_rows.push(row.cells());
        })?;
    }
    if !json {
        println!("{}", table::format(&reconcile::Row::HEADERS, &rows));
        print!("{}", table::format(&whole::Row::HEADERS, &whole_rows));
    }
    Ok(())
}

fn report_draws(entries: &[u64], differences: &[u64], draws: u64, json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for &entries in entries {
        let progress = Progress::new();
        draws::measure(entries, differences, draws, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            rows.push(row.cells());
        })?;
    }
    if !json {
        print!("{}", table::format(&draws::Row::HEADERS, &rows));
    }
    Ok(())
}

fn report_crossover(json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    let progress = Progress::new();
    crossover::measure(&progress, |row| {
        if json {
            progress.clear();
            print_json(&row);
        }
        rows.push(row.cells());
    })?;
    progress.clear();
    if !json {
        print!("{}", table::format(&crossover::Row::HEADERS, &rows));
    }
    Ok(())
}

fn report_sketch(entries: &[u64], differences: &[u64], json: bool) {
    let (mut rows, mut finding_rows) = (vec![sketch::Row::GOALS.map(String::from).to_vec()], Vec::new());
    for &entries in entries {
        let progress = Progress::new();
        let row = sketch::measure(entries, differences, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            finding_rows.push(row.cells());
        });
        if json {
            print_json(&row);
        }
        rows.push(row.cells());
    }
    if !json {
        println!("{}", table::format(&sketch::Row::HEADERS, &rows));
        print!("{}", table::format(&sketch::FindingRow::HEADERS, &finding_rows));
    }
}

fn report_durable(entries: &[u64], directory: Option<&Path>, json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = vec![durable::Row::GOALS.map(String::from).to_vec()];
    let mut writing_rows = vec![durable::WritingRow::GOALS.map(String::from).to_vec()];
    for &entries in entries {
        let progress = Progress::new();
        let row = durable::measure(entries, directory, &progress, |row| {
            if json {
                progress.clear();
                print_json(&row);
            }
            writing_rows.push(row.cells());
        })?;
        progress.clear();
        if json {
            print_json(&row);
        }
        rows.push(row.cells());
    }
    let mut handle_rows = vec![durable::WaitingRow::GOALS.map(String::from).to_vec()];
    durable::measure_waiting(directory, |row| {
        if json {
            print_json(&row);
        }
        handle_rows.push(row.cells());
    })?;
    if !json {
        println!("{}", table::format(&durable::Row::HEADERS, &rows));
        println!("{}", table::format(&durable::WritingRow::HEADERS, &writing_rows));
        print!("{}", table::format(&durable::WaitingRow::HEADERS, &handle_rows));
    }
    Ok(())
}

fn report_peers(entries: &[u64], differences: &[u64], plot: Option<&Path>, json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    let progress = Progress::new();
    peers::measure(entries, differences, &progress, |row| {
        if json {
            progress.clear();
            print_json(&row);
        }
        rows.push(row);
    });
    progress.clear();
    let ratios = peers::Ratios::of(&rows);
    if json {
        ratios.iter().for_each(print_json);
    } else {
        let cells: Vec<_> = rows.iter().map(peers::Row::cells).collect();
        println!("{}", table::format(&peers::Row::HEADERS, &cells));
        let cells: Vec<_> = ratios.iter().map(peers::Ratios::cells).collect();
        println!("{}", table::format(&peers::Ratios::HEADERS, &cells));
        print!("{}", peers::legend(&rows));
    }
    plot.map_or(Ok(()), |directory| peers::draw(&rows, directory))
}

fn report_compression(data: &Path, json: bool) -> Result<(), Box<dyn Error>> {
    let (mut rows, mut lossy_rows) = (Vec::new(), Vec::new());
    let progress = Progress::new();
    compression::measure(data, &progress, |row| rows.push(row), |row| lossy_rows.push(row))?;
    progress.clear();
    if json {
        rows.iter().for_each(print_json);
        lossy_rows.iter().for_each(print_json);
    } else {
        let cells: Vec<_> = rows.iter().map(compression::Row::cells).collect();
        println!("{}", table::format(&compression::Row::HEADERS, &cells));
        let cells: Vec<_> = lossy_rows.iter().map(compression::LossyRow::cells).collect();
        print!("{}", table::format(&compression::LossyRow::HEADERS, &cells));
    }
    Ok(())
}

fn report_membership(nodes: usize, spaces: u64, intervals: u64, json: bool) -> Result<(), Box<dyn Error>> {
    let measured = membership::measure(nodes, spaces, intervals)?;
    if json {
        measured.iter().for_each(print_json);
    } else {
        let mut rows = vec![membership::Row::GOALS.map(String::from).to_vec()];
        rows.extend(measured.iter().map(membership::Row::cells));
        print!("{}", table::format(&membership::Row::HEADERS, &rows));
    }
    Ok(())
}

fn report_spaces(nodes: usize, spaces: u64, settle: Duration, seconds: u64, json: bool) -> Result<(), Box<dyn Error>> {
    let measured = spaces::measure(nodes, spaces, settle, seconds)?;
    if json {
        measured.iter().for_each(print_json);
    } else {
        let mut rows = vec![spaces::Row::GOALS.map(String::from).to_vec()];
        rows.extend(measured.iter().map(spaces::Row::cells));
        print!("{}", table::format(&spaces::Row::HEADERS, &rows));
    }
    Ok(())
}

fn report_engram(patterns: u64, json: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    let progress = Progress::new();
    engram::measure(patterns, &progress, |row| {
        if json {
            progress.clear();
            print_json(&row);
        }
        rows.push(row.cells());
    })?;
    progress.clear();
    if !json {
        print!("{}", table::format(&engram::Row::HEADERS, &rows));
    }
    Ok(())
}

fn print_json(row: &impl Serialize) {
    println!("{}", serde_json::to_string(row).expect("numbers have a JSON form"));
}
