//! A node of the tests of the runbook.

fn main() -> std::process::ExitCode {
    anti_entropy_process_tests::process::run(anti_entropy_process_tests::operated::run())
}
