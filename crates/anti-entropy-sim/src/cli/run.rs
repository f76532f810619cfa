//! `run`: runs many seeds.

use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Instant;

use anti_entropy_sim::scenario::{Profile, Scenario, Sketches};
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Totals, campaign};
use serde::Serialize;

use super::{failure, output};

/// Runs many seeds, and checks every invariant in each run.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    what: What,
    /// How many threads to use; by default one for each processor.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// The folder for the scenarios and histories of failing runs.
    #[arg(long, default_value = "failures")]
    out: PathBuf,
    /// Print the results as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Which scenarios are run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct What {
    /// The profile from which each seed draws its scenario.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// How many nodes there are: a number, or a range from which each seed draws.
    #[arg(long, default_value = "3-25", value_parser = parse_range)]
    nodes: RangeInclusive<u32>,
    /// Run this scenario instead, with its operations drawn from each seed.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Whether sessions use sketches, whatever the scenario says.
    #[arg(long, value_enum)]
    sketches: Option<Sketches>,
}

fn parse_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let parse = |text: &str| text.trim().parse::<u32>().ok();
    let range = match text.split_once('-') {
        Some((from, to)) => parse(from).zip(parse(to)),
        None => parse(text).map(|nodes| (nodes, nodes)),
    };
    match range {
        Some((from, to)) if (2..=to).contains(&from) && to <= Scenario::MAX_NODES => Ok(from..=to),
        _ => Err(format!("nodes are given as in 3-25 or 5, from 2 to {}", Scenario::MAX_NODES)),
    }
}

/// A source of scenarios.
pub(super) struct Source {
    drawn_from: DrawnFrom,
    sketches: Option<Sketches>,
}

enum DrawnFrom {
    Profile(Profile, RangeInclusive<u32>),
    File(Box<Scenario>),
}

impl What {
    pub(super) fn source(&self) -> Result<Source, Box<dyn Error>> {
        let drawn_from = match &self.scenario {
            Some(path) => DrawnFrom::File(Box::new(Scenario::read(path)?)),
            None => DrawnFrom::Profile(self.profile, self.nodes.clone()),
        };
        Ok(Source { drawn_from, sketches: self.sketches })
    }
}

impl Source {
    /// The scenario of a seed, with its operations one by one.
    pub(super) fn scenario(&self, seed: u64) -> Scenario {
        let mut scenario = match &self.drawn_from {
            DrawnFrom::Profile(profile, nodes) => profile.draw(seed, nodes.clone()),
            DrawnFrom::File(scenario) => scenario.as_ref().clone().expanded(seed),
        };
        scenario.gossip.sketches = self.sketches.unwrap_or(scenario.gossip.sketches);
        scenario
    }
}

/// The results, which are the last line of the output.
#[derive(Serialize)]
struct Results {
    seeds: u64,
    violations: usize,
    node_hours_simulated: f64,
    seeds_per_s: f64,
    partitions_healed: u64,
    crashes: u64,
    messages: u64,
    max_rounds_to_converge: u64,
    trace_hash: String,
    first_seed: u64,
    operations: u64,
    reads: u64,
    stale_reads: u64,
    staleness_p50_ms: u64,
    staleness_p90_ms: u64,
    staleness_p99_ms: u64,
    node_hours_per_s: f64,
    threads: usize,
    sketches: u64,
    sketches_failed: u64,
    uncertified: u64,
    bulk_sessions: u64,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let source = self.what.source()?;
        let threads = self.threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let end =
            self.seed.checked_add(self.seeds).ok_or("there are not as many seeds; take fewer, or an earlier first")?;
        eprintln!("seeds {} to {}, fixed before the run", self.seed, end - 1);
        let bar = output::progress(self.seeds, "seeds");
        let started = Instant::now();
        let totals = campaign(
            self.seed..end,
            threads,
            &Items::default(),
            |seed| source.scenario(seed),
            |totals| {
                bar.set_position(totals.seeds);
                true
            },
        );
        bar.finish_and_clear();
        let failed = self.report_failures(&source, &totals)?;
        let seconds = started.elapsed().as_secs_f64();
        self.print(&totals, seconds, threads.get());
        if failed { Err("an invariant does not hold".into()) } else { Ok(()) }
    }

    /// Shrinks the first failure of each invariant, writes it to files and shows it. Names the seeds of the others.
    fn report_failures(&self, source: &Source, totals: &Totals) -> Result<bool, Box<dyn Error>> {
        let mut shown = std::collections::BTreeSet::new();
        for (seed, violation) in &totals.failures {
            if shown.insert(violation.invariant) {
                failure::report(source.scenario(*seed), *seed, violation, &self.out)?;
            } else {
                eprintln!("seed {seed}: {violation}");
            }
        }
        Ok(!totals.failures.is_empty())
    }

    fn print(&self, totals: &Totals, seconds: f64, threads: usize) {
        let node_hours = hours(totals.node_us);
        let results = Results {
            seeds: totals.seeds,
            violations: totals.failures.len(),
            node_hours_simulated: rounded(node_hours),
            seeds_per_s: rounded(output::ratio(totals.seeds, 1) / seconds),
            partitions_healed: totals.partitions_healed,
            crashes: totals.crashes,
            messages: totals.messages,
            max_rounds_to_converge: totals.max_rounds_to_converge,
            trace_hash: format!("{:016x}", totals.trace_hash),
            first_seed: self.seed,
            operations: totals.operations,
            reads: totals.reads,
            stale_reads: totals.stale_reads,
            staleness_p50_ms: totals.staleness_ms(500),
            staleness_p90_ms: totals.staleness_ms(900),
            staleness_p99_ms: totals.staleness_ms(990),
            node_hours_per_s: rounded(node_hours / seconds),
            threads,
            sketches: totals.sketches,
            sketches_failed: totals.sketches_failed,
            uncertified: totals.uncertified,
            bulk_sessions: totals.bulk_sessions,
        };
        output::print_fields(&results, self.json);
    }
}

fn hours(us: u64) -> f64 {
    output::ratio(us, 3_600_000_000)
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
