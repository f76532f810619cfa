//! Reporting a failing run: shrinks it, shows it, and writes it to files.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anti_entropy_sim::check::Violation;
use anti_entropy_sim::history::write_line;
use anti_entropy_sim::scenario::Scenario;
use anti_entropy_sim::shrink::shrink;
use anti_entropy_sim::subject::Items;
use anti_entropy_sim::{Judging, checkers_for, judge};

/// How many runs shrinking may try.
const TRIES: usize = 2000;

/// Shows the smallest scenario that violates the same invariant, and writes the scenario and its history to `directory`.
pub(super) fn report(
    scenario: Scenario,
    seed: u64,
    violation: &Violation,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    eprintln!("seed {seed}: {violation}\nshrinking ...");
    let name = format!("{}-{}", violation.invariant, scenario.name).to_lowercase().replace([' ', '/'], "-");
    let small = shrink(scenario, TRIES, &mut |scenario| finds(scenario, seed, violation.invariant).is_some());
    let smallest = finds(&small, seed, violation.invariant).unwrap_or_else(|| violation.clone());
    fs::create_dir_all(directory)?;
    let (toml, history) = (directory.join(format!("{name}.toml")), directory.join(format!("{name}.jsonl")));
    fs::write(&toml, small.to_toml()?)?;
    write_history(&small, seed, &history)?;
    eprintln!("{}", describe(&small, &smallest));
    eprintln!("history: {}", history.display());
    eprintln!("replay:  anti-entropy-sim replay --scenario {} --seed {seed}\n", toml.display());
    Ok(())
}

/// The violation of an invariant in a run, if there is one.
fn finds(scenario: &Scenario, seed: u64, invariant: &str) -> Option<Violation> {
    let verdict = judge(scenario, seed, Items::default(), checkers_for(scenario), Judging::default(), |_| {});
    verdict.violations.into_iter().find(|violation| violation.invariant == invariant)
}

pub(super) fn write_history(scenario: &Scenario, seed: u64, path: &Path) -> Result<(), Box<dyn Error>> {
    let file = File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let mut file = BufWriter::new(file);
    let mut failed = None;
    let judging = Judging { deliveries: true, ..Judging::default() };
    judge(scenario, seed, Items::default(), checkers_for(scenario), judging, |record| {
        if failed.is_none() {
            failed = write_line(&mut file, record).err();
        }
    });
    file.flush()?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn describe(scenario: &Scenario, violation: &Violation) -> String {
    let mut lines = vec![format!("the smallest history that violates it, {} nodes: {violation}", scenario.nodes)];
    for step in &scenario.steps {
        let fault = step.fault.name();
        lines.push(format!("  {:>9} to {:>6} ms  {fault} at {:?}", step.start_ms, step.end_ms, step.nodes));
    }
    for operation in &scenario.operations {
        let (ms, op) = (operation.at_us / 1000, operation.op);
        lines.push(format!(
            "  {ms:>9} ms  client {} at node {}: {op:?} {:?}",
            operation.process, operation.node, operation.keys
        ));
    }
    lines.join("\n")
}
