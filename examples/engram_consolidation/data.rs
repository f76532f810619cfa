//! What the five nodes consolidated, as engram hands it over.

use std::num::NonZeroUsize;

use anti_entropy_engram::{ConsolidationSnapshot, InputPolicy, MemorySpace, SemanticPattern};
use engram_core::consolidation::pattern_id;

use crate::shared::arguments::Arguments;
use crate::shared::five::{self, NODES};
use crate::shared::lines::DataError;
use crate::shared::semantic;

/// The flag that has patterns refused unless they are in order.
pub(crate) const STRICT: &str = "--strict";

/// The space, and what each node consolidated: from the first part of its episodes, and from all.
pub(crate) struct Data {
    pub(crate) space: MemorySpace,
    pub(crate) generations: [[ConsolidationSnapshot; NODES]; 2],
    /// What happens to patterns that are not in order.
    pub(crate) input: InputPolicy,
}

/// Reads all ten files, up to the first that is missing or malformed.
pub(crate) fn load(arguments: &Arguments) -> Result<Data, DataError> {
    let generations = five::load(&arguments.data, semantic::parse)?.map(|nodes| nodes.map(snapshot));
    // Other files may come from another model. Patterns of another dimension than the first one's are refused by name.
    let first = generations.iter().flatten().flat_map(|snapshot| &snapshot.patterns).next();
    let dimension = first.and_then(|pattern| NonZeroUsize::new(pattern.embedding.len()));
    let space = MemorySpace::new("default").with(|space| space.dimension = dimension.unwrap_or(space.dimension));
    let input = if arguments.flags.contains(&STRICT) { InputPolicy::Strict } else { InputPolicy::Normalise };
    Ok(Data { space, generations, input })
}

fn snapshot(patterns: Vec<SemanticPattern>) -> ConsolidationSnapshot {
    let times = patterns.iter().map(|pattern| pattern.last_consolidated);
    let generated_at = times.max().unwrap_or_default();
    ConsolidationSnapshot { generated_at, patterns: patterns.into_iter().map(as_engram_has_it).collect() }
}

/// The files name each episode of a pattern once. Engram's store yields each twice, so that its patterns name each twice, in
/// order; and where an id is a hash of the episodes, it is one of that list.
fn as_engram_has_it(pattern: SemanticPattern) -> SemanticPattern {
    let source_episodes: Vec<String> =
        pattern.source_episodes.iter().flat_map(|episode| [episode.clone(), episode.clone()]).collect();
    let is_hash = pattern.id == pattern_id(&pattern.source_episodes);
    let id = if is_hash { pattern_id(&source_episodes) } else { pattern.id };
    SemanticPattern { id, source_episodes, ..pattern }
}
