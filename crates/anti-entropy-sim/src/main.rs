//! Simulates clusters of replicas: `anti-entropy-sim help` says what it can do.

mod cli;

use std::error::Error;

use clap::Parser;

fn main() -> Result<(), Box<dyn Error>> {
    cli::Arguments::parse().run()
}
