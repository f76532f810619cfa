//! `engram_core::consolidation`: what turns episodes into patterns, and what keeps the last snapshot.

mod detector;
mod service;

pub use detector::{EpisodicPattern, PatternDetector, cosine, pattern_id};
pub use service::{BeliefUpdateRecord, ConsolidationCacheSource, ConsolidationService, InMemoryConsolidationService};
