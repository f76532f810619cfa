//! Where a node's snapshots are reported.

use std::path::PathBuf;
use std::sync::Arc;

use anti_entropy_engram::gossiper::SnapshotReporter;

use crate::completion::ConsolidationSnapshot;
use crate::consolidation::{BeliefUpdateRecord, ConsolidationCacheSource, ConsolidationService};

/// A consolidation service that also reports each snapshot to the cluster. `update_cache` stays synchronous and returns at
/// once, whatever the engine does.
pub struct ReplicatedConsolidation {
    inner: Arc<dyn ConsolidationService>,
    cluster: SnapshotReporter<ConsolidationSnapshot>,
}

impl ReplicatedConsolidation {
    /// Around the service that the store has.
    pub fn new(inner: Arc<dyn ConsolidationService>, cluster: SnapshotReporter<ConsolidationSnapshot>) -> Self {
        Self { inner, cluster }
    }
}

impl ConsolidationService for ReplicatedConsolidation {
    fn cached_snapshot(&self) -> Option<ConsolidationSnapshot> {
        self.inner.cached_snapshot()
    }

    fn update_cache(&self, snapshot: &ConsolidationSnapshot, source: ConsolidationCacheSource) {
        self.inner.update_cache(snapshot, source);
        // The updates of earlier snapshots among these are left out by the reporter.
        let updates = self.inner.recent_updates().iter().map(Into::into).collect();
        self.cluster.report(snapshot.clone(), updates);
    }

    fn set_alert_log_path(&self, path: PathBuf) {
        self.inner.set_alert_log_path(path);
    }

    fn alert_log_path(&self) -> PathBuf {
        self.inner.alert_log_path()
    }

    fn recent_updates(&self) -> Vec<BeliefUpdateRecord> {
        self.inner.recent_updates()
    }
}
