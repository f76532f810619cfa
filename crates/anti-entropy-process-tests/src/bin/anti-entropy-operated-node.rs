//! A node of the tests of the runbook.

fn main() -> std::process::ExitCode {
    // A node that stands still must not outlive whoever would have let it go on.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        let result = runtime.block_on(anti_entropy_process_tests::operated::run());
        // A thread waits for standard input.
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
