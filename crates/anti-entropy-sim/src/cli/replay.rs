//! `replay`: runs one seed again, or checks a recorded history.

use std::error::Error;
use std::path::PathBuf;

use anti_entropy_sim::check::{Suite, Violation};
use anti_entropy_sim::history::read_file;
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Judging, checkers_for, judge};
use serde::Serialize;

use super::run::What;
use super::{failure, output};

/// Runs one seed again, or checks a recorded history.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    what: What,
    /// Write the history to this file.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Check this history, and run nothing.
    #[arg(long, conflicts_with_all = ["seed", "scenario", "history"])]
    judge: Option<PathBuf>,
    /// Print the results as a line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Results {
    violations: Vec<String>,
    trace_hash: Option<String>,
    rounds_to_converge: Option<u64>,
    messages: Option<u64>,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let results = match &self.judge {
            Some(path) => {
                let mut suite = Suite::default();
                for record in read_file(path)? {
                    suite.observe(&record?);
                }
                Results {
                    violations: texts(suite.violations()),
                    trace_hash: None,
                    rounds_to_converge: None,
                    messages: None,
                }
            }
            None => self.replay()?,
        };
        output::print_fields(&results, self.json);
        if results.violations.is_empty() { Ok(()) } else { Err("an invariant does not hold".into()) }
    }

    fn replay(&self) -> Result<Results, Box<dyn Error>> {
        let scenario = self.what.source()?.scenario(self.seed);
        if let Some(path) = &self.history {
            failure::write_history(&scenario, self.seed, path)?;
        }
        let checkers = checkers_for(&scenario);
        let verdict = judge(&scenario, self.seed, Items::default(), checkers, Judging::default(), |_| {});
        Ok(Results {
            violations: texts(verdict.violations.iter()),
            trace_hash: Some(format!("{:016x}", verdict.run.trace_hash)),
            rounds_to_converge: verdict.run.rounds_to_converge,
            messages: Some(verdict.run.counts.frames),
        })
    }
}

fn texts<'a>(violations: impl Iterator<Item = &'a Violation>) -> Vec<String> {
    violations.map(ToString::to_string).collect()
}
