//! `engram_core::store`: where episodes and stored patterns are.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::completion::{
    ConsolidationEngine, ConsolidationSnapshot, ConsolidationStats, SchedulerConfig, SemanticPattern,
};
use super::consolidation::{ConsolidationCacheSource, ConsolidationService, InMemoryConsolidationService};
use super::{Confidence, EMBEDDING_DIM, Episode, MemorySpaceId};

/// How sure the store is that what it was handed can be found.
#[derive(Clone, Copy, Debug)]
pub struct StoreResult;

/// A memory in the hot tier: of its fields, those that become an episode's again.
#[derive(Clone, Debug)]
struct Memory {
    created_at: DateTime<Utc>,
    content: Option<String>,
    embedding: [f32; EMBEDDING_DIM],
    confidence: Confidence,
}

/// The memories of one space.
pub struct MemoryStore {
    tiers: Mutex<Tiers>,
    consolidation_service: Arc<dyn ConsolidationService>,
}

#[derive(Default)]
struct Tiers {
    wal_buffer: BTreeMap<String, Episode>,
    hot_memories: BTreeMap<String, Memory>,
}

impl MemoryStore {
    pub fn new(max_memories: usize) -> Self {
        Self::for_space(MemorySpaceId::default(), max_memories)
    }

    pub fn for_space(_memory_space_id: MemorySpaceId, _max_memories: usize) -> Self {
        Self { tiers: Mutex::default(), consolidation_service: Arc::new(InMemoryConsolidationService::default()) }
    }

    // Guide: this method.
    /// Replaces the consolidation service, which is otherwise built in.
    #[must_use]
    pub fn with_consolidation_service(mut self, service: Arc<dyn ConsolidationService>) -> Self {
        self.consolidation_service = service;
        self
    }

    pub(crate) fn consolidation_service(&self) -> Arc<dyn ConsolidationService> {
        Arc::clone(&self.consolidation_service)
    }

    /// An episode goes into both places that [`get_all_episodes`](Self::get_all_episodes) reads.
    pub fn store(&self, episode: Episode) -> StoreResult {
        let memory = Memory {
            created_at: episode.when,
            content: Some(episode.what.clone()),
            embedding: episode.embedding,
            confidence: episode.encoding_confidence,
        };
        let mut tiers = self.tiers();
        tiers.hot_memories.insert(episode.id.clone(), memory);
        tiers.wal_buffer.insert(episode.id.clone(), episode);
        StoreResult
    }

    /// A pattern becomes a memory whose id is the pattern's, and so comes back as an episode.
    pub fn store_semantic_pattern(&self, pattern: &SemanticPattern) -> StoreResult {
        let memory = Memory {
            created_at: pattern.last_consolidated, // The clock's time there.
            content: None,
            embedding: pattern.embedding,
            confidence: pattern.schema_confidence,
        };
        self.tiers().hot_memories.insert(pattern.id.clone(), memory);
        StoreResult
    }

    /// Every episode twice, and every stored pattern once, as an episode.
    pub fn get_all_episodes(&self) -> impl Iterator<Item = (String, Episode)> + '_ {
        let tiers = self.tiers();
        let logged: Vec<_> = tiers.wal_buffer.iter().map(|(id, episode)| (id.clone(), episode.clone())).collect();
        let hot: Vec<_> = tiers.hot_memories.iter().map(|(id, memory)| (id.clone(), memory.as_episode(id))).collect();
        logged.into_iter().chain(hot)
    }

    /// The last snapshot of the service, also if it is empty. Only if there is none are episodes consolidated, by an engine
    /// that knows nothing; so of a store that nothing else consolidates, the first snapshot is the last.
    pub fn consolidation_snapshot(&self, max_episodes: usize) -> ConsolidationSnapshot {
        if let Some(snapshot) = self.consolidation_service.cached_snapshot() {
            return snapshot;
        }
        let snapshot = self.build_consolidation_snapshot(max_episodes);
        self.consolidation_service.update_cache(&snapshot, ConsolidationCacheSource::OnDemand);
        snapshot
    }

    fn build_consolidation_snapshot(&self, max_episodes: usize) -> ConsolidationSnapshot {
        let limit = if max_episodes == 0 { usize::MAX } else { max_episodes };
        let mut episodes: Vec<Episode> = self.get_all_episodes().take(limit).map(|(_, episode)| episode).collect();
        let Some(now) = episodes.iter().map(|episode| episode.when).max() else {
            let (generated_at, stats) = (DateTime::UNIX_EPOCH, ConsolidationStats::default());
            return ConsolidationSnapshot { generated_at, patterns: Vec::new(), stats };
        };
        episodes.sort_by_key(|episode| episode.when);
        let mut engine = ConsolidationEngine::default();
        engine.ripple_replay(&episodes);
        engine.snapshot(now)
    }

    /// What a run of the scheduler does: the latest of all episodes go to an engine that remembers what it found.
    pub fn run_scheduler(&self, engine: &mut ConsolidationEngine, config: &SchedulerConfig, now: DateTime<Utc>) {
        let mut episodes: Vec<Episode> = self.get_all_episodes().map(|(_, episode)| episode).collect();
        if episodes.len() < config.min_episodes_threshold {
            return;
        }
        episodes.sort_by_key(|episode| Reverse(episode.when));
        episodes.truncate(config.max_episodes_per_run);
        engine.ripple_replay(&episodes);
        self.consolidation_service.update_cache(&engine.snapshot(now), ConsolidationCacheSource::Scheduler);
    }

    fn tiers(&self) -> MutexGuard<'_, Tiers> {
        self.tiers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn as_episode(&self, id: &str) -> Episode {
        let what = self.content.clone().unwrap_or_else(|| format!("Memory {id}"));
        Episode::new(id.to_owned(), self.created_at, what, self.embedding, self.confidence)
    }
}
