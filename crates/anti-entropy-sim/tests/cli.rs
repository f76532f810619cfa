//! What the binary says to input that it cannot use.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

/// What a command that has to fail prints on stderr.
fn error_of(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_anti-entropy-sim")).args(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?} {error}");
    assert!(!error.contains("panicked"), "{arguments:?} {error}");
    error
}

#[test]
fn errors_are_told_in_words_and_say_what_to_do() {
    let last = u64::MAX.to_string();
    let told: [(&[&str], &str); 7] = [
        (&["run", "--scenario", "no/such.toml"], "cannot read no/such.toml"),
        (&["replay", "--judge", "no/such.jsonl"], "check the path"),
        (&["replay", "--history", "no/such/file"], "cannot write no/such/file"),
        (&["run", "--seeds", "0"], "0 is not in 1.."),
        (&["run", "--seeds", "2", "--seed", &last], "take fewer"),
        (&["run", "--nodes", "1"], "from 2 to 10000"),
        (&["run", "--nodes", "10001"], "from 2 to 10000"),
    ];
    for (arguments, words) in told {
        let error = error_of(arguments);
        assert!(error.contains(words), "{arguments:?} {error}");
    }
}
