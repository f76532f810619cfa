//! The real patterns of `examples/data`, and what tests make of patterns.
#![allow(dead_code, reason = "each test uses a part of this")]
#![allow(clippy::unwrap_used, reason = "what does not hold here ends the test")]

use std::collections::BTreeMap;
use std::path::Path;

use anti_entropy::Version;
use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy_engram::{Encoding, MemorySpace, Pattern, SemanticPattern, Thresholds};
use chrono::DateTime;

use self::shared::{lines, semantic};

/// The same code as in the examples reads the patterns.
#[path = "../../../../examples/shared"]
mod shared {
    pub(crate) mod lines;
    pub(crate) mod semantic;
}

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// What node `node`, from 1, consolidated in generation 1 or 2.
pub(crate) fn real_patterns(node: usize, generation: usize) -> Vec<SemanticPattern> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    lines::load(&directory, node, generation, semantic::parse).unwrap()
}

/// Every pattern of the ten files by its id; an id's pattern is the same wherever it occurs.
pub(crate) fn all_real_patterns() -> BTreeMap<String, SemanticPattern> {
    let files = (1..=NODES).flat_map(|node| [1, 2].map(|generation| (node, generation)));
    let patterns = files.flat_map(|(node, generation)| real_patterns(node, generation));
    patterns.map(|pattern| (pattern.id.clone(), pattern)).collect()
}

/// A space of few dimensions.
pub(crate) fn space(dimension: usize) -> MemorySpace {
    MemorySpace::new("test").with(|space| space.dimension = dimension.try_into().unwrap())
}

/// The same with another encoding.
pub(crate) fn encoded_space(dimension: usize, encoding: Encoding) -> MemorySpace {
    space(dimension).with(|space| space.encoding = encoding)
}

/// Thresholds in the order of their fields.
pub(crate) fn thresholds([merge_overlap, merge_cosine, link_cosine]: [f64; 3]) -> Thresholds {
    let mut thresholds = Thresholds::default();
    (thresholds.merge_overlap, thresholds.merge_cosine, thresholds.link_cosine) =
        (merge_overlap, merge_cosine, link_cosine);
    thresholds
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
