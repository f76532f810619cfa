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

fn main() -> ExitCode {
    shared::program::run("quickstart", &[], |arguments| data::load(&arguments.data), story::tell)
}
