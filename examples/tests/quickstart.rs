//! The quickstart as its user meets it: the program is run, and judged by what it prints and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

use common::{directory, line, run, write_files};
use serde_json::Value;

fn quickstart(arguments: &[&str]) -> Output {
    run("quickstart", arguments)
}

fn sound_report(output: &Output) -> Value {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(report["replicas"], 5, "{report}");
    assert_eq!(report["converged"], true, "{report}");
    assert_eq!(report["distinct_roots"], 1, "{report}");
    assert_eq!(report["lost_writes"], 0, "{report}");
    assert_eq!(report["resurrected"], 0, "{report}");
    let [sent, needed] = ["value_bytes_sent", "value_bytes_needed"].map(|field| report[field].as_u64().unwrap());
    assert!(100 * sent <= 105 * needed, "{report}");
    for field in ["entries", "rounds", "sessions", "bytes_sent", "conflicts", "elapsed_ms"] {
        assert!(report[field].is_u64(), "{field} in {report}");
    }
    report
}

#[test]
fn the_shipped_patterns_converge() {
    let report = sound_report(&quickstart(&["--json"]));
    // Of 169 ids four are deleted, and by nobody rewritten.
    assert_eq!(report["entries"], 165);
    assert!(report["conflicts"].as_u64() >= Some(6), "{report}");
}

#[test]
fn other_files_converge_too() {
    // Some patterns are everybody's, some are one node's; one node has none at first, another one a single one.
    let directory = directory("other-files");
    write_files(&directory, |node, generation| {
        let mut lines = String::new();
        let own = match (node, generation) {
            (2, 1) => 0,
            (3, 1) => 1,
            _ => 4 * generation,
        };
        for pattern in 0..own {
            let embedding = format!("{node:02x}{pattern:02x}803f").repeat(8 + pattern);
            writeln!(lines, "{}", line(&format!("own-{node}-{pattern}"), "0.25", &embedding)).unwrap();
        }
        for pattern in 0..if own > 1 { 6 } else { 0 } {
            let confidence = format!("0.{node}{generation}");
            writeln!(lines, "{}", line(&format!("common-{pattern}"), &confidence, &"0000803f".repeat(100))).unwrap();
        }
        lines
    });
    let report = sound_report(&quickstart(&["--json", "--data", directory.to_str().unwrap()]));
    assert!(report["conflicts"].as_u64() >= Some(6), "{report}");
}

#[test]
fn empty_files_converge_to_nothing() {
    let directory = directory("empty-files");
    write_files(&directory, |_, _| String::new());
    let report = sound_report(&quickstart(&["--json", "--data", directory.to_str().unwrap()]));
    assert_eq!(report["entries"], 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let good = line("good", "1", "0000803f");
    let cases = [
        ("truncated", format!("{good}\n{}\n", &good[..40]), ":2: EOF while parsing"),
        ("no-field", format!("{}\n", good.replace("strength", "weakness")), ":1: missing field `strength`"),
        ("odd-hex", line("bad", "1", "0000803"), ":1: embedding has an odd number of hexadecimal digits"),
        ("bad-hex", line("bad", "1", "0000803g"), ":1: embedding has no hexadecimal digit at character 8"),
        ("half-a-float", line("bad", "1", "000080"), ":1: embedding is no whole number of 32-bit floats"),
        ("not-finite", line("bad", "1", "0000807f"), ":1: embedding has a number that is not finite"),
        ("no-embedding", line("bad", "1", ""), ":1: embedding is empty"),
        ("too-sure", line("bad", "1.5", "0000803f"), ":1: schema_confidence is not in 0 to 1"),
        ("no-id", line("", "1", "0000803f"), ":1: the id is empty"),
        ("no-time", good.replace("2025-11-01T", "yesterday "), ":1: last_consolidated is no RFC 3339 time"),
        ("twice", format!("{good}\n{good}\n"), ":2: the id \"good\" is on line 1 already"),
    ];
    for (name, content, reason) in cases {
        let directory = directory(name);
        write_files(
            &directory,
            |node, generation| if (node, generation) == (3, 2) { content.clone() } else { String::new() },
        );
        expect_refusal(&directory, &format!("node3-gen2.jsonl{reason}"));
    }
    let missing = directory("missing");
    write_files(&missing, |_, _| good.clone());
    fs::remove_file(missing.join("node4-gen1.jsonl")).unwrap();
    expect_refusal(&missing, "node4-gen1.jsonl: it cannot be read: ");
}

fn expect_refusal(directory: &Path, reason: &str) {
    let output = quickstart(&["--data", directory.to_str().unwrap(), "--json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(reason), "{reason:?} in {stderr:?}");
}
