//! docs/engram.md shows what there is.

use std::path::{Path, PathBuf};

/// The lines of a text without their indentation, and without those that are empty.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A link leads to every file that is copied; and the lines of every block of code are in the module that stands for
/// engram-core, or in what stands for engram-cli.
#[test]
fn the_guide_shows_this_code() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(here.join("../docs/engram.md")).unwrap();
    for file in files(&here.join("engram_core/cluster/consolidated")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let link = format!("[`{name}`](../examples/engram_core/cluster/consolidated/{name})");
        assert!(guide.contains(&link), "docs/engram.md does not link to {name}");
    }

    let mut sources = files(&here.join("engram_core"));
    sources.push(here.join("tests/engram_guide/server.rs"));
    let sources: Vec<String> = sources.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let blocks: Vec<&str> = guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let block = lines(block);
        let is_in = |source: &String| lines(source).windows(block.len()).any(|window| window == block);
        assert!(sources.iter().any(is_in), "this code is nowhere: {block:#?}");
    }
}
