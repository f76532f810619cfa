//! Plain data that engram's own types convert from and to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A pattern with engram's fields and names. engram-core's own `SemanticPattern` converts from and to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SemanticPattern {
    /// `pattern_` and a 64-bit hash of the sorted source episodes.
    pub id: String,
    /// The vector that stands for its meaning, with as many components as the space has dimensions.
    pub embedding: Vec<f32>,
    /// The episodes from which it was consolidated, in ascending order, each once.
    pub source_episodes: Vec<String>,
    /// How strong it is; a finite number.
    pub strength: f32,
    /// How sure the node is of it, 0 to 1.
    pub schema_confidence: f32,
    /// When it was last consolidated.
    pub last_consolidated: DateTime<Utc>,
}

/// The result of a node's consolidation: all patterns that it derived from its own episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsolidationSnapshot {
    /// When the snapshot was made.
    pub generated_at: DateTime<Utc>,
    /// The patterns, each id once.
    pub patterns: Vec<SemanticPattern>,
}
