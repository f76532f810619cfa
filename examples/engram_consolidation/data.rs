//! What the five nodes consolidated, as engram hands it over.

use std::num::NonZeroUsize;
use std::path::Path;

use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace, SemanticPattern};
use chrono::{DateTime, Utc};

use crate::shared::lines::{self, DataError, Line};

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// The space, and what each node consolidated: from the first part of its episodes, and from all.
pub(crate) struct Data {
    pub(crate) space: MemorySpace,
    pub(crate) generations: [[ConsolidationSnapshot; NODES]; 2],
}

/// Reads all ten files, up to the first that is missing or malformed.
pub(crate) fn load(directory: &Path) -> Result<Data, DataError> {
    let empty = || ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: Vec::new() };
    let mut generations = [(); 2].map(|()| [(); NODES].map(|()| empty()));
    for (generation, nodes) in (1..).zip(&mut generations) {
        for (node, snapshot) in (1..).zip(nodes) {
            snapshot.patterns = lines::load(directory, node, generation, parse)?;
            let times = snapshot.patterns.iter().map(|pattern| pattern.last_consolidated);
            snapshot.generated_at = times.max().unwrap_or_default();
        }
    }
    // Other files may come from another model. What is of other dimensions than the first pattern is refused by name.
    let first = generations.iter().flatten().flat_map(|snapshot| &snapshot.patterns).next();
    let mut space = MemorySpace::new("default");
    let dimension = first.and_then(|pattern| NonZeroUsize::new(pattern.embedding.len()));
    space.dimension = dimension.unwrap_or(space.dimension);
    Ok(Data { space, generations })
}

/// Only what cannot be read ends it here; what is read and makes no sense is for the space to refuse.
fn parse(line: Line) -> Result<SemanticPattern, String> {
    let bytes = line.embedding()?;
    let (components, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err("embedding is no whole number of 32-bit floats".into());
    }
    let time: Result<DateTime<Utc>, _> = line.last_consolidated.parse();
    #[expect(clippy::cast_possible_truncation, reason = "they were written from 32-bit floats")]
    let [strength, schema_confidence] = [line.strength, line.schema_confidence].map(|number| number as f32);
    Ok(SemanticPattern {
        id: line.id,
        embedding: components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        source_episodes: line.source_episodes,
        strength,
        schema_confidence,
        last_consolidated: time.map_err(|_| "last_consolidated is no RFC 3339 time")?,
    })
}
