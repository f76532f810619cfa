//! Patterns: the real ones of `examples/data`, and generated ones, the same in every run.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use anti_entropy_engram::SemanticPattern;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// Patterns by id, each with the name of the node that it comes from.
pub type RealPatterns = BTreeMap<String, (String, SemanticPattern)>;

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

/// The patterns of all files `NODE-*.jsonl` in a directory. The README of `examples/data` describes their format.
///
/// # Errors
/// If a file cannot be read, or a line of it is no pattern.
pub fn real_patterns(directory: &Path) -> Result<RealPatterns, Box<dyn Error>> {
    let in_directory = |error: &dyn fmt::Display| format!("{}: {error}", directory.display());
    let mut patterns = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(|error| in_directory(&error))? {
        let file = entry?.path();
        let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_ours = file.extension().is_some_and(|extension| extension == "jsonl");
        let (Some((node, _)), true) = (name.split_once('-'), is_ours) else { continue };
        for (number, line) in (1..).zip(std::fs::read_to_string(&file)?.lines()) {
            let pattern = pattern_of(line).map_err(|error| format!("{}:{number}: {error}", file.display()))?;
            patterns.insert(pattern.id.clone(), (node.to_owned(), pattern));
        }
    }
    if patterns.is_empty() { Err(in_directory(&"there are no patterns").into()) } else { Ok(patterns) }
}

fn pattern_of(line: &str) -> Result<SemanticPattern, Box<dyn Error>> {
    let line: Line = serde_json::from_str(line)?;
    let (digits, _) = line.embedding.as_bytes().as_chunks::<8>();
    let embedding = digits.iter().copied().map(component_of).collect::<Result<_, _>>()?;
    Ok(SemanticPattern {
        id: line.id,
        embedding,
        source_episodes: line.source_episodes,
        strength: line.strength,
        schema_confidence: line.schema_confidence,
        last_consolidated: line.last_consolidated,
    })
}

/// A component whose bytes, little-endian, are written in hexadecimal.
fn component_of(digits: [u8; 8]) -> Result<f32, Box<dyn Error>> {
    let bits = u32::from_str_radix(std::str::from_utf8(&digits)?, 16)?;
    Ok(f32::from_bits(bits.swap_bytes()))
}

/// The revisions of a generated pattern's fields. Another revision has other values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Of the embedding.
    pub embedding: u64,
    /// Of confidence, strength and time.
    pub metadata: u64,
}

/// The number of patterns in a group; the first one's number is a multiple of it.
const GROUP: u64 = 6;
const DIMENSION: usize = 768;
/// The range of the squared spread of a group. The cosine of two of its patterns is 1 / (1 + spread²): 0.98 to 0.67.
const SPREAD: std::ops::Range<f32> = 0.02..0.5;

/// The generated pattern with a number: a unit embedding of 768 components, and 3 to 12 episodes.
///
/// Patterns come in groups of six. How similar the embeddings of a group are, and how many episodes they share, differs
/// from group to group, so that patterns conflict in all ways, each with up to five others.
pub fn made_up_pattern(number: u64, revision: Revision) -> SemanticPattern {
    let group = number / GROUP;
    let mut of_group = random(1, group, 0);
    let spread = (SPREAD.start + of_group.f32() * (SPREAD.end - SPREAD.start)).sqrt();
    let episodes_of_group = if of_group.bool() { 13 } else { 40 };
    let mut of_embedding = random(2, number, revision.embedding);
    let mut of_metadata = random(3, number, revision.metadata);
    let confidence = of_metadata.f32();
    SemanticPattern {
        id: format!("pattern_{}", random(4, number, 0).u64(..)),
        embedding: unit((0..DIMENSION).map(|_| component(&mut of_group) + spread * component(&mut of_embedding))),
        source_episodes: episodes(group, episodes_of_group, &mut random(5, number, 0)),
        strength: of_metadata.f32(),
        schema_confidence: confidence,
        last_consolidated: DateTime::UNIX_EPOCH + TimeDelta::seconds(of_metadata.i64(1_700_000_000..1_800_000_000)),
    }
}

/// A random generator whose seed is the purpose, the number and the revision.
fn random(purpose: u64, number: u64, revision: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(number ^ purpose.rotate_left(56) ^ revision.rotate_left(32))
}

fn component(random: &mut fastrand::Rng) -> f32 {
    random.f32() * 2.0 - 1.0
}

fn unit(components: impl Iterator<Item = f32>) -> Vec<f32> {
    let components: Vec<f32> = components.collect();
    let length = components.iter().map(|component| component * component).sum::<f32>().sqrt();
    components.into_iter().map(|component| component / length).collect()
}

/// Three to twelve of a group's episodes.
fn episodes(group: u64, of_group: usize, random: &mut fastrand::Rng) -> Vec<String> {
    let mut chosen: Vec<usize> = (0..of_group).collect();
    random.shuffle(&mut chosen);
    chosen.truncate(random.usize(3..=12));
    chosen.sort_unstable();
    chosen.into_iter().map(|episode| format!("episode_{group:05}_{episode:02}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn revisions_change_what_they_name() {
        let pattern = |embedding, metadata| made_up_pattern(7, Revision { embedding, metadata });
        let (first, embedding, metadata) = (pattern(0, 0), pattern(1, 0), pattern(0, 1));
        assert_eq!(first, pattern(0, 0));
        assert_eq!(first.source_episodes, embedding.source_episodes);
        assert_eq!(first.schema_confidence.to_bits(), embedding.schema_confidence.to_bits());
        assert_eq!(first.embedding, metadata.embedding);
        assert_ne!(first.embedding, embedding.embedding);
        assert_ne!(first.schema_confidence.to_bits(), metadata.schema_confidence.to_bits());
    }

    #[test]
    fn made_up_patterns_are_valid_and_have_ids_of_their_own() {
        let patterns: Vec<SemanticPattern> =
            (0..1000).map(|number| made_up_pattern(number, Revision::default())).collect();
        assert_eq!(patterns.iter().map(|pattern| &pattern.id).collect::<BTreeSet<_>>().len(), 1000);
        for pattern in patterns {
            let length: f32 = pattern.embedding.iter().map(|component| component * component).sum();
            assert!((length - 1.0).abs() < 1e-4);
            assert!((3..=12).contains(&pattern.source_episodes.len()));
            assert!(pattern.source_episodes.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn the_files_hold_169_patterns() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
        let patterns = real_patterns(&directory).unwrap();
        assert_eq!(patterns.len(), 169);
        assert!(patterns.values().all(|(node, pattern)| node.starts_with("node") && pattern.embedding.len() == 768));
    }
}
