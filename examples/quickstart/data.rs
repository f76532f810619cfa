//! What the five nodes consolidated.

use std::path::Path;

use crate::pattern::{Meta, Pattern};
use crate::shared::five::{self, NODES};
use crate::shared::lines::{DataError, Line};

/// What each node consolidated: from the first part of its episodes, and from all.
pub(crate) struct Data {
    pub(crate) generations: [[Vec<Pattern>; NODES]; 2],
}

/// Reads all ten files, up to the first that is missing or malformed.
pub(crate) fn load(directory: &Path) -> Result<Data, DataError> {
    Ok(Data { generations: five::load(directory, parse)? })
}

fn parse(line: Line) -> Result<Pattern, String> {
    let embedding = line.embedding()?;
    let Line { strength, schema_confidence: confidence, last_consolidated, .. } = line;
    let meta = Meta { strength, confidence, last_consolidated };
    Pattern::new(line.id, meta, embedding, &line.source_episodes).map_err(str::to_owned)
}
