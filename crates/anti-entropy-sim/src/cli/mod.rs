//! The commands.

mod bandwidth;
mod broadcast;
mod convergence;
mod explore;
mod failure;
mod output;
#[cfg(feature = "mutants")]
mod planted;
mod plot;
mod replay;
mod run;

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
    /// Runs many seeds, and checks every invariant in each run.
    Run(run::Arguments),
    /// Runs one seed again, or checks a recorded history.
    Replay(replay::Arguments),
    /// Tries every order of events in small clusters.
    Explore(explore::Arguments),
    /// Plants bugs, and says which checker finds each after how many seeds.
    #[cfg(feature = "mutants")]
    Mutants(planted::Arguments),
    /// Measures how many rounds it takes until all replicas are equal.
    Convergence(convergence::Arguments),
    /// Measures what a cluster sends while little changes.
    Bandwidth(bandwidth::Arguments),
    /// Measures how long a write takes to reach all nodes, and how many messages that takes.
    Broadcast(broadcast::Arguments),
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        match &self.command {
            Command::Run(arguments) => arguments.run(),
            Command::Replay(arguments) => arguments.run(),
            Command::Explore(arguments) => arguments.run(),
            #[cfg(feature = "mutants")]
            Command::Mutants(arguments) => arguments.run(),
            Command::Convergence(arguments) => arguments.run(),
            Command::Bandwidth(arguments) => arguments.run(),
            Command::Broadcast(arguments) => arguments.run(),
        }
    }
}
