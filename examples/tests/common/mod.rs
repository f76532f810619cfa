//! Running an example, and files for it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs an example. The examples are built before the tests are run, and lie beside them.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(program);
    if path.with_extension(std::env::consts::EXE_EXTENSION).exists() {
        return Command::new(path).args(arguments).output().unwrap();
    }
    // As where only this test was asked for.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.args(["--example", program, "--"]).args(arguments).output().unwrap()
}

/// A directory of its own for a test.
pub(crate) fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

pub(crate) fn line(id: &str, confidence: &str, embedding: &str) -> String {
    format!(
        r#"{{"id":"{id}","source_episodes":["ep_{id}"],"strength":0.5,"schema_confidence":{confidence},"last_consolidated":"2025-11-01T00:45:38+00:00","embedding":"{embedding}"}}"#
    )
}

/// Writes all ten files, each as `content` says for its node and generation.
pub(crate) fn write_files(directory: &Path, content: impl Fn(usize, usize) -> String) {
    for (node, generation) in (1..=5).flat_map(|node| [(node, 1), (node, 2)]) {
        let file = directory.join(format!("node{node}-gen{generation}.jsonl"));
        fs::write(file, content(node, generation)).unwrap();
    }
}
