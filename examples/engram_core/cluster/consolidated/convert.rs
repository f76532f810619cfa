//! Engram's types, as the adapter reads them.

use anti_entropy_engram::gossiper::{BeliefUpdate, UpdateSource};
use anti_entropy_engram::{PatternRef, SnapshotSource};
use chrono::{DateTime, Utc};

use crate::completion::{ConsolidationSnapshot, SemanticPattern};
use crate::consolidation::{BeliefUpdateRecord, ConsolidationCacheSource};

impl SnapshotSource for ConsolidationSnapshot {
    fn generated_at(&self) -> DateTime<Utc> {
        self.generated_at
    }

    fn patterns(&self) -> impl Iterator<Item = PatternRef<'_>> {
        self.patterns.iter().map(PatternRef::from)
    }
}

impl<'a> From<&'a SemanticPattern> for PatternRef<'a> {
    fn from(pattern: &'a SemanticPattern) -> Self {
        Self {
            id: &pattern.id,
            embedding: &pattern.embedding,
            source_episodes: &pattern.source_episodes,
            strength: pattern.strength,
            schema_confidence: pattern.schema_confidence.raw(),
            last_consolidated: pattern.last_consolidated,
        }
    }
}

impl From<&BeliefUpdateRecord> for BeliefUpdate {
    fn from(record: &BeliefUpdateRecord) -> Self {
        Self {
            pattern_id: record.pattern_id.clone(),
            confidence_delta: record.confidence_delta,
            citation_delta: record.citation_delta,
            novelty: record.novelty,
            generated_at: record.generated_at,
            snapshot_generated_at: record.snapshot_generated_at,
            source: match record.source {
                ConsolidationCacheSource::Scheduler => UpdateSource::Scheduler,
                ConsolidationCacheSource::OnDemand => UpdateSource::OnDemand,
            },
        }
    }
}
