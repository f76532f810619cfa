//! `engram_core::consolidation`: what turns episodes into patterns, and what keeps the last snapshot.

mod detector;
mod service;

#[allow(unused_imports, reason = "each program uses a part of this")]
pub(crate) use detector::{EpisodicPattern, PatternDetector, cosine, pattern_id};
pub(crate) use service::{
    BeliefUpdateRecord, ConsolidationCacheSource, ConsolidationService, InMemoryConsolidationService,
};
