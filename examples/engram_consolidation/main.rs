//! Five nodes of a semantic memory consolidate on their own, cut in two for a while, and end up with one state and one
//! view of it.
//!
//! ```sh
//! cargo run --release --example engram_consolidation
//! cargo run --release --example engram_consolidation -- --data DIR   # other files nodeN-genM.jsonl, N 1 to 5, M 1 to 2
//! cargo run --release --example engram_consolidation -- --json       # the result as one JSON object in the last line
//! cargo run --release --example engram_consolidation -- --strict     # patterns are refused unless they are in order
//! ```
//!
//! What they consolidate is as engram hands it over: every pattern names its episodes twice.
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

fn main() -> ExitCode {
    shared::program::run("engram_consolidation", &[data::STRICT], data::load, story::tell)
}
