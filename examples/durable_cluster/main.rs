//! Three processes with a store on disk each, QUIC between them, and SWIM to find each other: one is killed in the middle
//! of its work, the others go on, it is started again, and all are equal.
//!
//! ```sh
//! cargo run --release --example durable_cluster
//! cargo run --release --example durable_cluster -- --json   # the result as one JSON object in the last line of stdout
//! ```
//!
//! Where to start reading: `node.rs` is all that a process needs to be a replica in production; `story.rs` is what happens
//! here, stage by stage; `cluster.rs` starts the processes, talks to them and kills them.

mod cluster;
mod node;
mod report;
mod story;
#[path = "../shared/terminal.rs"]
mod terminal;
mod wire;

use std::process::ExitCode;

use terminal::Terminal;

const USAGE: &str = "usage: durable_cluster [--json]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        // So it calls itself.
        ["node"] => in_runtime(node::run()),
        [] => in_runtime(tell(false)),
        ["--json"] => in_runtime(tell(true)),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: the arguments are not understood; {USAGE}");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever ends a process early; its text is for the one who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn in_runtime(work: impl Future<Output = Result<bool, Failure>>) -> Result<bool, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Tells the story; whether it ended well.
async fn tell(json: bool) -> Result<bool, Failure> {
    let mut terminal = Terminal::new(json);
    let report = tokio::select! {
        report = story::tell(&mut terminal) => report?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted; the processes and their files are gone".into()),
    };
    report.show(&mut terminal);
    if json {
        println!("{}", report.to_json());
    }
    Ok(report.is_sound())
}
