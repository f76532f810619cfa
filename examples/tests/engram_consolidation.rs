//! The consolidation of five nodes as its user meets it: the program is run, and judged by what it prints and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fmt::Write as _;

use common::{directory, line, run, write_files};
use serde_json::Value;

const PROGRAM: &str = "engram_consolidation";

fn sound_report(arguments: &[&str]) -> Value {
    let output = run(PROGRAM, arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for (field, expected) in [("nodes", 5), ("distinct_roots", 1), ("distinct_views", 1), ("lost_patterns", 0)] {
        assert_eq!(report[field], expected, "{field} in {report}");
    }
    assert!(report["bytes_ratio"].is_f64(), "{report}");
    for field in ["bytes_sent", "full_state_bytes", "embedding_bytes_resent", "view_us"] {
        assert!(report[field].is_u64(), "{field} in {report}");
    }
    report
}

#[test]
fn the_shipped_patterns_come_to_one_view() {
    let report = sound_report(&["--json"]);
    let expected = [
        ("patterns", 169),
        ("conflicts_type1", 92),
        ("conflicts_type2", 233),
        ("conflicts_type3", 6),
        ("conflicts_type4", 117),
        // Several nodes say the same of these: no conflict.
        ("replicated", 37),
        ("unresolved", 11),
        // 92 pairs in 33 components, of which 22 are merged.
        ("view_items", 144),
        ("refused", 0),
        ("refused_told", 0),
    ];
    for (field, expected) in expected {
        assert_eq!(report[field], expected, "{field} in {report}");
    }
    assert!(report["bytes_ratio"].as_f64() < Some(0.5), "{report}");
    // 0, but for parts that a node is handed while a session brings them: what a node's snapshot has, at the most.
    let resent = report["embedding_bytes_resent"].as_u64();
    assert!(resent < report["full_state_bytes"].as_u64().map(|full| full / 5), "{report}");
}

#[test]
fn strictly_the_duplicates_are_refused_and_told_once() {
    let report = sound_report(&["--json", "--strict"]);
    // Of the 272 patterns in the ten files, 160 are in second snapshots, and 55 of these are as they were in the first.
    for (field, expected) in [("refused", 160), ("refused_told", 217), ("patterns", 0)] {
        assert_eq!(report[field], expected, "{field} in {report}");
    }
}

#[test]
fn other_files_come_to_one_view_too() {
    // Some patterns are everybody's, some one node's, one node has none at first; one pattern is not valid,
    // and one is surer than one can be.
    let directory = directory("engram-other-files");
    write_files(&directory, |node, generation| {
        let mut lines = String::new();
        for pattern in 0..if (node, generation) == (2, 1) { 0 } else { 4 * generation } {
            let embedding = format!("{node:02x}{pattern:02x}803f").repeat(16);
            writeln!(lines, "{}", line(&format!("own-{node}-{pattern}"), "0.25", &embedding)).unwrap();
        }
        writeln!(lines, "{}", line("common", &format!("0.{node}{generation}"), &"0000803f".repeat(16))).unwrap();
        if (node, generation) == (3, 2) {
            writeln!(lines, "{}", line("too-sure", "1.5", &"0000803f".repeat(16))).unwrap();
            writeln!(lines, "{}", line("too-long", "0.5", &"0000803f".repeat(17))).unwrap();
        }
        lines
    });
    let report = sound_report(&["--json", "--data", directory.to_str().unwrap()]);
    assert_eq!(report["patterns"], 5 * 8 + 2, "{report}");
    assert_eq!((&report["refused"], &report["refused_told"]), (&1.into(), &1.into()), "{report}");
}

#[test]
fn empty_files_come_to_an_empty_view() {
    let directory = directory("engram-empty-files");
    write_files(&directory, |_, _| String::new());
    let report = sound_report(&["--json", "--data", directory.to_str().unwrap()]);
    assert_eq!((&report["patterns"], &report["view_items"]), (&0.into(), &0.into()));
}

#[test]
fn a_missing_file_is_named() {
    let output = run(PROGRAM, &["--data", directory("engram-no-files").to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("node1-gen1.jsonl: it cannot be read: "));
    assert!(output.stdout.is_empty());
}
