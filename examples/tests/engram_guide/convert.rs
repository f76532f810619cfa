use anti_entropy_engram as replicated;
use anti_entropy_engram::gossiper::BeliefUpdate;

use crate::Confidence;
use crate::completion::{ConsolidationSnapshot, SemanticPattern};
use crate::consolidation::BeliefUpdateRecord;

impl From<&SemanticPattern> for replicated::SemanticPattern {
    fn from(pattern: &SemanticPattern) -> Self {
        Self {
            id: pattern.id.clone(),
            embedding: pattern.embedding.to_vec(),
            source_episodes: pattern.source_episodes.clone(),
            strength: pattern.strength,
            schema_confidence: pattern.schema_confidence.raw(),
            last_consolidated: pattern.last_consolidated,
        }
    }
}

impl TryFrom<replicated::SemanticPattern> for SemanticPattern {
    type Error = Vec<f32>;

    /// Fails, and gives the embedding back, if that has not engram's 768 dimensions: never for a pattern of a space that has.
    fn try_from(pattern: replicated::SemanticPattern) -> Result<Self, Vec<f32>> {
        Ok(Self {
            id: pattern.id,
            embedding: pattern.embedding.try_into()?,
            source_episodes: pattern.source_episodes,
            strength: pattern.strength,
            schema_confidence: Confidence::exact(pattern.schema_confidence),
            last_consolidated: pattern.last_consolidated,
        })
    }
}

impl From<&ConsolidationSnapshot> for replicated::ConsolidationSnapshot {
    fn from(snapshot: &ConsolidationSnapshot) -> Self {
        Self { generated_at: snapshot.generated_at, patterns: snapshot.patterns.iter().map(Into::into).collect() }
    }
}

impl From<&BeliefUpdateRecord> for BeliefUpdate {
    fn from(record: &BeliefUpdateRecord) -> Self {
        Self {
            pattern_id: record.pattern_id.clone(),
            confidence_delta: record.confidence_delta,
            citation_delta: record.citation_delta.into(),
            novelty: record.novelty,
            generated_at: record.generated_at,
            snapshot_generated_at: record.snapshot_generated_at,
            source: format!("{:?}", record.source),
        }
    }
}
