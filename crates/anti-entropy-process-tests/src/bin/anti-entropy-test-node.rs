//! A node of the tests with real processes.

fn main() -> std::process::ExitCode {
    anti_entropy_process_tests::process::run(anti_entropy_process_tests::node::run())
}
