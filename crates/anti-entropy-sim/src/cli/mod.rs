//! The commands.

mod bandwidth;
mod broadcast;
mod convergence;
mod output;
mod plot;

use std::error::Error;

use clap::{Parser, Subcommand};

/// Simulates clusters of replicas on virtual time. Equal arguments give equal results.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How many rounds it takes until all replicas are equal.
    Convergence(convergence::Arguments),
    /// What a cluster sends while little changes.
    Bandwidth(bandwidth::Arguments),
    /// How long a write takes to be everywhere, and how many messages that takes.
    Broadcast(broadcast::Arguments),
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        match &self.command {
            Command::Convergence(arguments) => arguments.run(),
            Command::Bandwidth(arguments) => arguments.run(),
            Command::Broadcast(arguments) => arguments.run(),
        }
    }
}
