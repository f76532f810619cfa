//! A stand-in of what the guide's code uses of engram-core: its public types, with the fields that they have there.

use chrono::{DateTime, Utc};

/// A confidence, clamped to 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Confidence(f32);

impl Confidence {
    pub(crate) fn exact(value: f32) -> Self {
        Self(value.clamp(0.0, 1.0))
    }

    pub(crate) fn raw(self) -> f32 {
        self.0
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SemanticPattern {
    pub(crate) id: String,
    pub(crate) embedding: [f32; 768],
    pub(crate) source_episodes: Vec<String>,
    pub(crate) strength: f32,
    pub(crate) schema_confidence: Confidence,
    pub(crate) last_consolidated: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub(crate) struct ConsolidationSnapshot {
    pub(crate) generated_at: DateTime<Utc>,
    pub(crate) patterns: Vec<SemanticPattern>,
    #[expect(dead_code, reason = "statistics are engram's own, and not replicated")]
    pub(crate) stats: ConsolidationStats,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConsolidationStats;

#[derive(Clone, Debug)]
pub(crate) struct BeliefUpdateRecord {
    pub(crate) pattern_id: String,
    pub(crate) confidence_delta: f32,
    pub(crate) citation_delta: i64,
    pub(crate) novelty: f32,
    pub(crate) generated_at: DateTime<Utc>,
    pub(crate) snapshot_generated_at: DateTime<Utc>,
    pub(crate) source: String,
}
