//! `engram_core::completion`: semantic patterns, and the engine that keeps them.

mod scheduler;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::consolidation::{EpisodicPattern, PatternDetector, cosine};
use super::{Confidence, EMBEDDING_DIM, Episode};

pub use scheduler::{CompletionConfig, ConsolidationScheduler, SchedulerConfig};

/// How many episodes the engine replays in a run.
const REPLAYED: usize = 5;

/// An episode that is closer than this to a pattern is no news.
const KNOWN: f32 = 0.7;

#[derive(Clone, Debug, PartialEq)]
pub struct SemanticPattern {
    pub id: String,
    pub embedding: [f32; EMBEDDING_DIM],
    pub source_episodes: Vec<String>,
    pub strength: f32,
    pub schema_confidence: Confidence,
    pub last_consolidated: DateTime<Utc>,
}

impl From<EpisodicPattern> for SemanticPattern {
    fn from(found: EpisodicPattern) -> Self {
        Self {
            id: found.id,
            embedding: found.embedding,
            source_episodes: found.source_episodes,
            strength: found.strength,
            schema_confidence: Confidence::exact(found.strength),
            last_consolidated: found.last_occurrence,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsolidationStats {
    pub total_replays: usize,
    pub successful_consolidations: usize,
    pub failed_consolidations: usize,
    pub average_replay_speed: f32,
    pub total_patterns_extracted: usize,
    pub avg_ripple_frequency: f32,
    pub avg_ripple_duration: f32,
    pub last_replay_timestamp: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub struct ConsolidationSnapshot {
    pub generated_at: DateTime<Utc>,
    pub patterns: Vec<SemanticPattern>,
    pub stats: ConsolidationStats,
}

/// Replays episodes, and remembers the patterns that it found: until the process ends, not longer.
#[derive(Debug, Default)]
pub struct ConsolidationEngine {
    semantic_patterns: BTreeMap<String, SemanticPattern>,
    stats: ConsolidationStats,
    detector: PatternDetector,
}

impl ConsolidationEngine {
    /// Everything found so far.
    pub fn snapshot(&self, now: DateTime<Utc>) -> ConsolidationSnapshot {
        let patterns = self.semantic_patterns.values().cloned().collect();
        ConsolidationSnapshot { generated_at: now, patterns, stats: self.stats.clone() }
    }

    /// One run: the five episodes that are most confident and newest to the engine, and what they have in common.
    pub fn ripple_replay(&mut self, episodes: &[Episode]) {
        let replayed = self.select(episodes);
        if replayed.is_empty() {
            return;
        }
        let found = self.detector.detect_patterns(&replayed);
        self.stats.total_replays += 1;
        self.stats.total_patterns_extracted += found.len();
        self.stats.successful_consolidations += found.len();
        self.stats.failed_consolidations += usize::from(found.is_empty());
        self.semantic_patterns.extend(found.into_iter().map(|found| (found.id.clone(), found.into())));
    }

    fn select(&self, episodes: &[Episode]) -> Vec<Episode> {
        let mut scored: Vec<(f32, &Episode)> = episodes
            .iter()
            .map(|episode| (self.surprise(episode) * episode.encoding_confidence.raw(), episode))
            .collect();
        scored.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.id.cmp(&second.id)));
        scored.into_iter().take(REPLAYED).map(|(_, episode)| episode.clone()).collect()
    }

    /// 1 for an episode that resembles no pattern, and next to nothing for another one.
    #[expect(clippy::cast_precision_loss, reason = "768 is exact")]
    fn surprise(&self, episode: &Episode) -> f32 {
        let known =
            self.semantic_patterns.values().map(|pattern| (cosine(&episode.embedding, &pattern.embedding), pattern));
        let best = known.filter(|(cosine, _)| *cosine > KNOWN).max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map_or(1.0, |(_, pattern)| {
            let squares = episode.embedding.iter().zip(&pattern.embedding).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f32>().sqrt() / EMBEDDING_DIM as f32
        })
    }
}
