//! `engram_core::completion::scheduler`: consolidates a space again and again. In engram only the soak binary starts one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::super::MemoryStore;
use super::ConsolidationEngine;

/// None of its fields is read here.
#[derive(Debug, Clone, Default)]
pub struct CompletionConfig {}

#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    pub consolidation_interval_secs: u64,
    pub min_episodes_threshold: usize,
    pub max_episodes_per_run: usize,
    pub enabled: bool,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { consolidation_interval_secs: 300, min_episodes_threshold: 10, max_episodes_per_run: 100, enabled: true }
    }
}

pub struct ConsolidationScheduler {
    engine: Mutex<ConsolidationEngine>,
    config: SchedulerConfig,
}

impl ConsolidationScheduler {
    pub fn new(_completion_config: CompletionConfig, scheduler_config: SchedulerConfig) -> Self {
        Self { engine: Mutex::default(), config: scheduler_config }
    }

    /// Runs at once, then in the interval.
    pub fn spawn(self: Arc<Self>, store: Arc<MemoryStore>, mut shutdown_rx: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_secs(self.config.consolidation_interval_secs));
            loop {
                tokio::select! {
                    _ = shutdown_rx.changed() => break,
                    _ = interval.tick(), if self.config.enabled => {
                        store.run_scheduler(&mut *self.engine.lock().await, &self.config, now());
                    }
                }
            }
        })
    }
}

fn now() -> DateTime<Utc> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DateTime::UNIX_EPOCH + since
}
