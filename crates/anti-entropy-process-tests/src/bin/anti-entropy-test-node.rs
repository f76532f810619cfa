//! A node of the tests with real processes.

/// Two threads beside the engine's: there may be five nodes on two processors.
fn main() -> std::process::ExitCode {
    // A node that stands still must not outlive whoever would have let it go on.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let result = runtime.block_on(anti_entropy_process_tests::node::run()).map_err(|error| error.to_string());
        // A peer that does not answer must not keep a process that is to end.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
