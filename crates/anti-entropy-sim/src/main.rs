//! Simulates clusters of replicas: `anti-entropy-sim help` says what it can do.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Says what went wrong in the words of the error: `Result` would print it as Rust sees it.
fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
