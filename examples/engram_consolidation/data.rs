//! What the five nodes consolidated, as engram hands it over.

use std::num::NonZeroUsize;
use std::path::Path;

use anti_entropy_engram::{ConsolidationSnapshot, MemorySpace, SemanticPattern};

use crate::shared::five::{self, NODES};
use crate::shared::lines::DataError;
use crate::shared::semantic;

/// The space, and what each node consolidated: from the first part of its episodes, and from all.
pub(crate) struct Data {
    pub(crate) space: MemorySpace,
    pub(crate) generations: [[ConsolidationSnapshot; NODES]; 2],
}

/// Reads all ten files, up to the first that is missing or malformed.
pub(crate) fn load(directory: &Path) -> Result<Data, DataError> {
    let generations = five::load(directory, semantic::parse)?.map(|nodes| nodes.map(snapshot));
    // Other files may come from another model. Patterns of another dimension than the first one's are refused by name.
    let first = generations.iter().flatten().flat_map(|snapshot| &snapshot.patterns).next();
    let dimension = first.and_then(|pattern| NonZeroUsize::new(pattern.embedding.len()));
    let space = MemorySpace::new("default").with(|space| space.dimension = dimension.unwrap_or(space.dimension));
    Ok(Data { space, generations })
}

fn snapshot(patterns: Vec<SemanticPattern>) -> ConsolidationSnapshot {
    let times = patterns.iter().map(|pattern| pattern.last_consolidated);
    ConsolidationSnapshot { generated_at: times.max().unwrap_or_default(), patterns }
}
