//! Five nodes of a semantic memory consolidate on their own, cut in two for a while, and end up with one state and one
//! view of it.
//!
//! ```sh
//! cargo run --release --example engram_consolidation
//! cargo run --release --example engram_consolidation -- --data DIR   # other files nodeN-genM.jsonl, N 1 to 5, M 1 to 2
//! cargo run --release --example engram_consolidation -- --json       # the result as one JSON object in the last line
//! ```
//!
//! Where to start reading: `cluster.rs` is how a node is started and talked to; `story.rs` is what happens, stage by stage.

mod cluster;
mod data;
mod ledger;
mod report;
#[path = "../shared/mod.rs"]
mod shared;
mod show;
mod story;

use std::process::ExitCode;

use shared::arguments;
use shared::terminal::Terminal;

fn main() -> ExitCode {
    let arguments = match arguments::read("engram_consolidation") {
        Ok(arguments) => arguments,
        Err(end) => return end,
    };
    let data = match data::load(&arguments.data) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut terminal = Terminal::new(arguments.json);
    let report =
        runtime.map_err(story::Failure::from).and_then(|runtime| runtime.block_on(story::tell(data, &mut terminal)));
    match report {
        Ok(report) => {
            show::report(&mut terminal, &report);
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
