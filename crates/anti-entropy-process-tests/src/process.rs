//! What the binaries of the tests have in common.

use std::fmt::Display;
use std::process::ExitCode;

use tokio::runtime::Builder;

/// Runs a node to its end, and says on standard error why it failed. Two threads beside the engine's: there may be five
/// nodes on two processors.
pub fn run<E: Display>(node: impl Future<Output = Result<(), E>>) -> ExitCode {
    // A node that stands still must not outlive whoever would have let it go on.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let result = runtime.block_on(node);
    // Neither a peer that does not answer nor a thread that waits for standard input must keep a process that is to end.
    runtime.shutdown_background();
    result.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &dyn Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
