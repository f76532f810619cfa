//! Five replicas on loopback TCP: they converge, are cut in two, go on writing on both sides, heal, and converge again.
//!
//! ```sh
//! cargo run --release --example quickstart
//! cargo run --release --example quickstart -- --data DIR   # other files nodeN-genM.jsonl, N 1 to 5, M 1 to 2
//! cargo run --release --example quickstart -- --json       # the result as one JSON object in the last line of stdout
//! ```
//!
//! Where to start reading: `pattern.rs` is what a store's value has to say of itself; `cluster.rs` is how a replica is
//! started and talked to; `story.rs` is what happens here, stage by stage.

mod cluster;
mod data;
mod ledger;
mod pattern;
mod report;
#[path = "../shared/mod.rs"]
mod shared;
mod show;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use show::Show;

/// How the program is called.
struct Arguments {
    data: PathBuf,
    json: bool,
}

const USAGE: &str = "usage: quickstart [--data DIR] [--json]";

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("error: {reason}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    // Everything is read and checked before anything is started.
    let data = match data::load(&arguments.data) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut show = Show::new(arguments.json);
    let report =
        runtime.map_err(story::Failure::from).and_then(|runtime| runtime.block_on(story::tell(&data, &mut show)));
    match report {
        Ok(report) => {
            show.report(&report);
            if arguments.json {
                println!("{}", report.to_json());
            }
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; `None` if help is asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut parsed = Arguments { data: shipped, json: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => parsed.json = true,
            "--data" => parsed.data = arguments.next().ok_or("--data needs a directory")?.into(),
            "--help" | "-h" => return Ok(None),
            other => match other.strip_prefix("--data=") {
                Some(directory) => parsed.data = directory.into(),
                None => return Err(format!("there is no argument {other:?}")),
            },
        }
    }
    Ok(Some(parsed))
}
