//! A member that misbehaves.

fn main() -> std::process::ExitCode {
    anti_entropy_process_tests::process::run(anti_entropy_process_tests::hostile::run())
}
