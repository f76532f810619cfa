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

use std::process::ExitCode;

use shared::arguments;
use show::Show;

fn main() -> ExitCode {
    let arguments = match arguments::read("quickstart") {
        Ok(arguments) => arguments,
        Err(end) => return end,
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
