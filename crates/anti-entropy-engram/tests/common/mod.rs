//! The real patterns of `examples/data`, and what tests make of patterns.
#![allow(dead_code, reason = "each test uses a part of this")]
#![allow(clippy::unwrap_used, reason = "what does not hold here ends the test")]

use std::collections::BTreeMap;
use std::path::Path;

use anti_entropy::Version;
use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy_engram::{Pattern, SemanticPattern, Space};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// A line of a file.
#[derive(Deserialize)]
struct Line {
    id: String,
    source_episodes: Vec<String>,
    strength: f32,
    schema_confidence: f32,
    last_consolidated: DateTime<Utc>,
    embedding: String,
}

/// What node `node`, from 1, consolidated in generation 1 or 2.
pub(crate) fn real_patterns(node: usize, generation: usize) -> Vec<SemanticPattern> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    let text = std::fs::read_to_string(directory.join(format!("node{node}-gen{generation}.jsonl"))).unwrap();
    text.lines().map(pattern_of).collect()
}

/// Every pattern of the ten files by its id; an id's pattern is the same wherever it occurs.
pub(crate) fn all_real_patterns() -> BTreeMap<String, SemanticPattern> {
    let files = (1..=NODES).flat_map(|node| [1, 2].map(|generation| (node, generation)));
    let patterns = files.flat_map(|(node, generation)| real_patterns(node, generation));
    patterns.map(|pattern| (pattern.id.clone(), pattern)).collect()
}

fn pattern_of(line: &str) -> SemanticPattern {
    let line: Line = serde_json::from_str(line).unwrap();
    let bytes: Vec<u8> = (0..line.embedding.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&line.embedding[at..at + 2], 16).unwrap())
        .collect();
    SemanticPattern {
        id: line.id,
        embedding: bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect(),
        source_episodes: line.source_episodes,
        strength: line.strength,
        schema_confidence: line.schema_confidence,
        last_consolidated: line.last_consolidated,
    }
}

/// A space of few dimensions.
pub(crate) fn space(dimension: usize) -> Space {
    Space { dimension: dimension.try_into().unwrap(), ..Space::new("test") }
}

/// A pattern as plain data.
pub(crate) fn semantic(id: &str, embedding: &[f32], episodes: &[&str], confidence: f32) -> SemanticPattern {
    SemanticPattern {
        id: id.to_owned(),
        embedding: embedding.to_vec(),
        source_episodes: episodes.iter().map(ToString::to_string).collect(),
        strength: 0.5,
        schema_confidence: confidence,
        last_consolidated: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    }
}

/// The same as `node` consolidated it.
pub(crate) fn pattern(node: &str, pattern: &SemanticPattern) -> Pattern {
    Pattern::new(pattern, node, &space(pattern.embedding.len())).unwrap()
}

/// A version that the replica `writer` wrote.
pub(crate) fn version(writer: u128, value: Pattern) -> Version<Pattern> {
    let dot = Dot { replica: ReplicaId::from_u128(writer), counter: 1 };
    Version { dot, timestamp: Timestamp { wall_ms: 1_700_000_000_000, logical: 0 }, value }
}
