//! One space of a node.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};

use anti_entropy::engine::Pool;
use anti_entropy::{Clock, DriverConfig, Handle, HandleError, Opening, Store, SystemClock, Transport};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, GossiperConfig, SnapshotReporter, Task};
use anti_entropy_engram::view::{SemanticView, ViewConfig, ViewError};
use anti_entropy_engram::{MemorySpace, Pattern, SemanticPattern};
use tokio::sync::Mutex;

use super::recall::ClusterIndex;
use super::warn;
use crate::completion::ConsolidationSnapshot;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A memory space's share in the cluster: what the consolidation service, recall and the HTTP server hold. Cheap to clone.
#[derive(Clone)]
pub struct ConsolidatedSpace {
    /// For the HTTP server, and to delete patterns.
    pub gossiper: Handle<Pattern, ConsolidationGossiper>,
    /// For the consolidation service: see `ReplicatedConsolidation`.
    pub reporter: SnapshotReporter<ConsolidationSnapshot>,
    view: Arc<RwLock<Arc<SemanticView>>>,
    refreshing: Arc<Mutex<()>>,
    index: Arc<std::sync::Mutex<ClusterIndex>>,
}

impl ConsolidatedSpace {
    /// Opens the space on this node, and starts to gossip on the threads of `pool`. To be called in a tokio runtime.
    pub fn start(
        pool: &Pool,
        (space, node, config): (MemorySpace, &str, GossiperConfig),
        (store, opening): (impl Store + 'static, Opening),
        transport: impl Transport,
    ) -> Result<Self, BoxError> {
        let clock = SystemClock::new();
        let view = Arc::new(SemanticView::new(space.clone(), ViewConfig::default())?);
        let gossiper = ConsolidationGossiper::open(space, node, store, opening, config, clock.now())?;
        let preparer = gossiper.preparer();
        let (gossiper, driver) = pool.drive(gossiper, transport, clock, DriverConfig::default())?;
        tokio::spawn(driver);
        let runtime = tokio::runtime::Handle::current();
        let run = move |task: Task| drop(runtime.spawn_blocking(task));
        let reporter = SnapshotReporter::new(gossiper.clone(), preparer, run, |outcome| match outcome {
            Ok(rebuilt) => rebuilt.refused.iter().for_each(warn),
            Err(error) => warn(error),
        });
        let (view, refreshing, index) = (Arc::new(RwLock::new(view)), Arc::default(), Arc::default());
        Ok(Self { gossiper, reporter, view, refreshing, index })
    }

    /// What all nodes together know that is closest in meaning to a cue, the best first, with their cosines. If the view cannot
    /// be brought up to date, this is what they knew before.
    pub async fn closest(&self, cue: &[f32], count: usize) -> Vec<(f32, SemanticPattern)> {
        if let Err(error) = self.refresh_view().await {
            warn(error);
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(&self.view());
        index.closest(cue, count).into_iter().map(|(cosine, pattern)| (cosine, pattern.clone())).collect()
    }

    /// What all nodes together said at the last refresh. Never waits for one, and stays as it is.
    pub fn view(&self) -> Arc<SemanticView> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings the view up to date with what all nodes hold by now, as far as this one knows. The first time takes seconds where there are many patterns, and so does not run on the runtime's threads.
    pub async fn refresh_view(&self) -> Result<(), BoxError> {
        // One at a time: of two, the one that was asked first could be done last, and put an older view in place.
        let turn = Arc::clone(&self.refreshing).lock_owned().await;
        let before = self.view();
        let until = before.until().clone();
        let changed = self.gossiper.with(move |gossiper, _| gossiper.changed_since(&until)).await??;
        let (counts, _turn) = if changed.entries.is_empty() {
            (before.counts(), turn)
        } else {
            let this = self.clone();
            let refreshed = tokio::task::spawn_blocking(move || {
                let mut view = SemanticView::clone(&before);
                view.apply(changed)?;
                let counts = view.counts();
                *this.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
                Ok::<_, ViewError>((counts, turn)) // The turn ends here even if nobody waits for the result any more.
            });
            refreshed.await??
        };
        Ok(self.gossiper.with(move |gossiper, _| gossiper.note_view(counts)).await?)
    }

    /// Stops gossiping. What it returns proves at the next start that the store was not rolled back.
    pub async fn shut_down(&self) -> Result<anti_entropy::Marker, HandleError> {
        self.gossiper.shutdown(std::time::Duration::from_secs(5)).await
    }
}
