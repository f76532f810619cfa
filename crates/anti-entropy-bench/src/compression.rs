//! How much compression would save.

mod lossy;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use anti_entropy::clock::Seed;
use anti_entropy::{MemoryStore, Replica, Replicated, Transaction};
use anti_entropy_bench::{RealPatterns, now, real_patterns, synchronise};
use anti_entropy_engram::{MemorySpace, Pattern, Resolution};
use serde::Serialize;

use crate::measure::{Progress, Samples, float, processor_time};
pub(crate) use lossy::LossyRow;

/// The result of an algorithm that compresses each piece by itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    input: &'static str,
    pieces: usize,
    algorithm: String,
    raw_bytes: usize,
    compressed_bytes: usize,
    /// The compressed bytes divided by the raw bytes.
    ratio: f64,
    compress_ns_per_kib: f64,
    decompress_ns_per_kib: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 8] =
        ["input", "pieces", "algorithm", "raw", "compressed", "saved", "compress, a KiB", "decompress, a KiB"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.input.to_string(),
            self.pieces.to_string(),
            self.algorithm.clone(),
            self.raw_bytes.to_string(),
            self.compressed_bytes.to_string(),
            format!("{:.1} %", (1.0 - self.ratio) * 100.0),
            format!("{:.0} ns", self.compress_ns_per_kib),
            format!("{:.0} ns", self.decompress_ns_per_kib),
        ]
    }
}

/// Data to be compressed, in pieces.
struct Input {
    name: &'static str,
    pieces: Vec<Vec<u8>>,
}

/// Measures the patterns of a directory. Calls `each` and `each_lossy` with each result.
///
/// # Errors
/// If the patterns cannot be read, or the tool `zstd` cannot be run.
pub(crate) fn measure(
    directory: &Path,
    progress: &Progress,
    mut each: impl FnMut(Row),
    each_lossy: impl FnMut(LossyRow),
) -> Result<(), Box<dyn Error>> {
    let patterns = real_patterns(directory)?;
    for input in inputs(&patterns)? {
        progress.show(&format!("{}: lz4", input.name));
        each(lz4(&input));
        for level in [1, 3, 9] {
            progress.show(&format!("{}: zstd, level {level}", input.name));
            each(zstd(&input, level)?);
        }
    }
    lossy::measure(&patterns, each_lossy)
}

fn inputs(patterns: &RealPatterns) -> Result<Vec<Input>, Box<dyn Error>> {
    let space = MemorySpace::new("default");
    let replicated: Vec<Pattern> =
        patterns.values().map(|(node, pattern)| Pattern::new(pattern, node, &space)).collect::<Result<_, _>>()?;
    let parts = |pattern: &Pattern, part: usize| pattern.encode().parts[part].as_bytes().to_vec();
    let embeddings: Vec<Vec<u8>> = replicated.iter().map(|pattern| parts(pattern, 0)).collect();
    let metadata = replicated.iter().map(|pattern| [pattern.encode().body, parts(pattern, 1)].concat()).collect();
    let [all, only_metadata] = frames(&replicated, patterns)?;
    Ok(vec![
        Input { name: "byte planes of embeddings", pieces: embeddings.iter().map(|bytes| planes(bytes)).collect() },
        Input { name: "embeddings", pieces: embeddings },
        Input { name: "metadata and episodes", pieces: metadata },
        Input { name: "frames, all patterns", pieces: all },
        Input { name: "frames, metadata changed", pieces: only_metadata },
    ])
}

/// The first bytes of all components, then the second ones, and so on.
fn planes(bytes: &[u8]) -> Vec<u8> {
    (0..4).flat_map(|plane| bytes.iter().skip(plane).step_by(4).copied()).collect()
}

/// The frames in both directions of two sessions: one that brings all patterns to an empty replica, and one that brings
/// it new metadata of all of them.
fn frames(replicated: &[Pattern], patterns: &RealPatterns) -> Result<[Vec<Vec<u8>>; 2], Box<dyn Error>> {
    let space = MemorySpace::new("default");
    let open = |seed| Replica::open(MemoryStore::new(), Resolution::ConfidenceVoting, Seed::from_bytes([seed; 32]));
    let (mut ours, mut theirs) = (open(1)?, open(2)?);
    let changed = patterns.values().map(|(node, pattern)| {
        let mut pattern = pattern.clone();
        pattern.schema_confidence *= 0.99;
        Pattern::new(&pattern, node, &space)
    });
    let changed: Vec<Pattern> = changed.collect::<Result<_, _>>()?;
    let mut frames = [Vec::new(), Vec::new()];
    for (frames, values) in frames.iter_mut().zip([replicated, &changed]) {
        ours.commit(values.iter().cloned().fold(Transaction::new(), Transaction::write), now())?;
        synchronise(&mut ours, &mut theirs, |frame| frames.push(frame.to_vec()))?;
    }
    Ok(frames)
}

/// Measures LZ4 by the processor time of this thread, as the median of many runs.
fn lz4(input: &Input) -> Row {
    let mut compressed = Vec::new();
    let [mut compress, mut decompress] = [(); 2].map(|()| Samples::default());
    for _ in 0..51 {
        let compress_all = || input.pieces.iter().map(|piece| lz4_flex::block::compress_prepend_size(piece)).collect();
        let (time, pieces): (f64, Vec<Vec<u8>>) = processor_time(compress_all);
        compress.add(time);
        let decompressed = processor_time(|| {
            let each = pieces.iter().map(|piece| lz4_flex::block::decompress_size_prepended(piece));
            each.collect::<Result<Vec<_>, _>>().expect("it was just compressed")
        });
        decompress.add(decompressed.0);
        assert_eq!(decompressed.1, input.pieces);
        compressed = pieces;
    }
    let compressed_bytes = compressed.iter().map(Vec::len).sum();
    let kib = float(raw_bytes(input) as u64) / 1024.0;
    row(input, "lz4".to_string(), compressed_bytes, [compress.median() / kib, decompress.median() / kib])
}

/// Has the tool `zstd` measure itself, with each piece as a file. The crates that bind the library have a licence that
/// this workspace does not accept.
fn zstd(input: &Input, level: u32) -> Result<Row, Box<dyn Error>> {
    let directory = Directory::new()?;
    let mut tool = Command::new("zstd");
    tool.args([&format!("-b{level}"), "-i1", "-q", "--"]);
    for (number, piece) in input.pieces.iter().enumerate() {
        let file = directory.0.join(number.to_string());
        std::fs::write(&file, piece)?;
        tool.arg(file);
    }
    let output = tool.output().map_err(|error| format!("the tool `zstd` has to be installed: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (compressed, speeds) = parse(&text).ok_or_else(|| format!("`zstd -b -q` said something else: {text}"))?;
    // The tool gives 10^6 bytes a second.
    let times = speeds.map(|speed| 1024.0 * 1e3 / speed);
    Ok(row(input, format!("zstd -{level}"), compressed, times))
}

/// Reads `-1   948 (3.797) 274.16 MB/s  628.8 MB/s   2 files`: the bytes, and the speeds of both directions.
fn parse(text: &str) -> Option<(usize, [f64; 2])> {
    let line = text.lines().find(|line| line.contains("MB/s"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut before_unit = words.windows(2).filter(|pair| pair[1] == "MB/s").map(|pair| pair[0].parse());
    let speeds = [before_unit.next()?.ok()?, before_unit.next()?.ok()?];
    Some((words.get(1)?.parse().ok()?, speeds))
}

fn row(input: &Input, algorithm: String, compressed_bytes: usize, [compress, decompress]: [f64; 2]) -> Row {
    Row {
        input: input.name,
        pieces: input.pieces.len(),
        algorithm,
        raw_bytes: raw_bytes(input),
        compressed_bytes,
        ratio: float(compressed_bytes as u64) / float(raw_bytes(input) as u64),
        compress_ns_per_kib: compress,
        decompress_ns_per_kib: decompress,
    }
}

fn raw_bytes(input: &Input) -> usize {
    input.pieces.iter().map(Vec::len).sum()
}

/// A directory of its own, which is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> std::io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("anti-entropy-bench-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Self(directory))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays is a few files in a temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_says_is_read() {
        let text = "bench 1.5.4 : input 3600 bytes, 1 seconds, 0 KB blocks\n\
                    -1          948 (3.797) 274.16 MB/s  628.8 MB/s   2 files\n";
        assert_eq!(parse(text), Some((948, [274.16, 628.8])));
        assert_eq!(parse("zstd: error"), None);
    }

    #[test]
    fn planes_are_apart() {
        assert_eq!(planes(&[1, 2, 3, 4, 5, 6, 7, 8]), [1, 5, 2, 6, 3, 7, 4, 8]);
    }
}
