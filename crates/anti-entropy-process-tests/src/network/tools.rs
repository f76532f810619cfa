//! The commands that make and change networks.

use std::io::Write;
use std::process::{Command, Stdio};

use super::NetworkError;

/// Whether networks can be made here.
pub(super) fn check() -> Result<(), NetworkError> {
    if !rustix::process::geteuid().is_root() {
        return Err(NetworkError::Missing("this is not run by root".to_owned()));
    }
    if !is_there("ip") {
        return Err(NetworkError::Missing("there is no ip".to_owned()));
    }
    Ok(())
}

/// Whether there is such a program.
pub(super) fn is_there(program: &str) -> bool {
    let version = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Runs `ip`.
pub(super) fn ip(arguments: &[&str]) -> Result<(), NetworkError> {
    run("ip", arguments, "")
}

/// Runs a program with this on its standard input.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), NetworkError> {
    let command = || format!("{program} {}", arguments.join(" "));
    let failed = |reason: String| NetworkError::Failed { command: command(), reason };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())) }
}
