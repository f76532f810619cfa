//! engram's own types, as plain data to convert from and to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Pattern;

/// A pattern with engram's fields, under engram's names: what engram-core's own `SemanticPattern` converts from and to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SemanticPattern {
    /// `pattern_` and a 64-bit hash of the sorted source episodes.
    pub id: String,
    /// What it means; as many components as the space has dimensions.
    pub embedding: Vec<f32>,
    /// The episodes behind it, in ascending order, each once.
    pub source_episodes: Vec<String>,
    /// How strong it is.
    pub strength: f32,
    /// How sure the node is of it, 0 to 1.
    pub schema_confidence: f32,
    /// When it was last consolidated.
    pub last_consolidated: DateTime<Utc>,
}

/// What a run of consolidation left behind: all patterns that the node holds by its own means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsolidationSnapshot {
    /// When the snapshot was made.
    pub generated_at: DateTime<Utc>,
    /// The patterns, each id once.
    pub patterns: Vec<SemanticPattern>,
}

impl From<&Pattern> for SemanticPattern {
    fn from(pattern: &Pattern) -> Self {
        Self {
            id: pattern.id.clone(),
            embedding: pattern.embedding.to_vec(),
            source_episodes: pattern.episodes.iter().map(str::to_owned).collect(),
            strength: pattern.strength,
            schema_confidence: pattern.confidence,
            last_consolidated: pattern.last_consolidated,
        }
    }
}
