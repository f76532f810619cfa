//! Simulates clusters of replicas. `anti-entropy-sim help` lists the commands.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Prints errors in words. Returning a `Result` would print them in debug format.
fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
