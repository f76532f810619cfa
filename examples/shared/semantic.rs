//! Lines of the files as patterns of engram.

use anti_entropy_engram::SemanticPattern;
use chrono::{DateTime, Utc};

use super::lines::Line;

/// A pattern of a line. Only what cannot be read is an error; what is not valid is for the space to refuse.
pub(crate) fn parse(line: Line) -> Result<SemanticPattern, String> {
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
