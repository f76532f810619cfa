//! The service that keeps the last snapshot.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::completion::{ConsolidationSnapshot, SemanticPattern};

/// How many updates are kept, of all runs together.
const MAX_UPDATES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsolidationCacheSource {
    Scheduler,
    OnDemand,
}

#[derive(Clone, Debug, Serialize)]
pub struct BeliefUpdateRecord {
    pub pattern_id: String,
    pub confidence_delta: f32,
    pub citation_delta: i32,
    pub novelty: f32,
    pub generated_at: DateTime<Utc>,
    pub snapshot_generated_at: DateTime<Utc>,
    pub source: ConsolidationCacheSource,
}

pub trait ConsolidationService: Send + Sync {
    fn cached_snapshot(&self) -> Option<ConsolidationSnapshot>;
    fn update_cache(&self, snapshot: &ConsolidationSnapshot, source: ConsolidationCacheSource);
    fn set_alert_log_path(&self, path: PathBuf);
    fn alert_log_path(&self) -> PathBuf;
    fn recent_updates(&self) -> Vec<BeliefUpdateRecord>;
}

/// The service that engram comes with; this one writes no log file.
#[derive(Debug, Default)]
pub struct InMemoryConsolidationService(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    snapshot: Option<ConsolidationSnapshot>,
    updates: VecDeque<BeliefUpdateRecord>,
    alert_log_path: PathBuf,
}

impl InMemoryConsolidationService {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsolidationService for InMemoryConsolidationService {
    fn cached_snapshot(&self) -> Option<ConsolidationSnapshot> {
        self.state().snapshot.clone()
    }

    fn update_cache(&self, snapshot: &ConsolidationSnapshot, source: ConsolidationCacheSource) {
        let mut state = self.state();
        let before = state.snapshot.replace(snapshot.clone());
        state.updates.extend(updates(before.as_ref(), snapshot, source));
        let surplus = state.updates.len().saturating_sub(MAX_UPDATES);
        state.updates.drain(..surplus);
    }

    fn set_alert_log_path(&self, path: PathBuf) {
        self.state().alert_log_path = path;
    }

    fn alert_log_path(&self) -> PathBuf {
        self.state().alert_log_path.clone()
    }

    fn recent_updates(&self) -> Vec<BeliefUpdateRecord> {
        self.state().updates.iter().cloned().collect()
    }
}

/// One record for each pattern that is there now or was there before.
fn updates(
    before: Option<&ConsolidationSnapshot>,
    after: &ConsolidationSnapshot,
    source: ConsolidationCacheSource,
) -> Vec<BeliefUpdateRecord> {
    let mut gone: BTreeMap<&str, &SemanticPattern> =
        before.into_iter().flat_map(|before| &before.patterns).map(|pattern| (pattern.id.as_str(), pattern)).collect();
    let measures = |pattern: Option<&SemanticPattern>| {
        pattern.map_or((0.0, 0, 0.0), |pattern| {
            let citations = i32::try_from(pattern.source_episodes.len()).unwrap_or(i32::MAX);
            (pattern.schema_confidence.raw(), citations, pattern.strength)
        })
    };
    let record = |id: &str, before: Option<&SemanticPattern>, now: Option<&SemanticPattern>| {
        let (before, now) = (measures(before), measures(now));
        BeliefUpdateRecord {
            pattern_id: id.to_owned(),
            confidence_delta: now.0 - before.0,
            citation_delta: now.1 - before.1,
            novelty: now.2 - before.2,
            generated_at: after.generated_at,
            snapshot_generated_at: after.generated_at,
            source,
        }
    };
    let mut updates: Vec<_> = after
        .patterns
        .iter()
        .map(|pattern| record(&pattern.id, gone.remove(pattern.id.as_str()), Some(pattern)))
        .collect();
    updates.extend(gone.iter().map(|(id, pattern)| record(id, Some(pattern), None)));
    updates
}
