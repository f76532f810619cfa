use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use anti_entropy::driver::{Clock, DriverConfig, Handle, HandleError, SystemClock, Transport, drive};
use anti_entropy::gossip::GossipConfig;
use anti_entropy::replica::{Opening, Store};
use anti_entropy_engram::gossiper::{ConsolidationGossiper, Rebuilt};
use anti_entropy_engram::view::{SemanticView, ViewConfig};
use anti_entropy_engram::{Pattern, Space};

use crate::engram_core::{BeliefUpdateRecord, ConsolidationSnapshot};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A memory space's share in the cluster: what the scheduler, the membership and the HTTP server hold. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SpaceReplica {
    pub(crate) gossiper: Handle<Pattern, ConsolidationGossiper>,
    pub(crate) view: Arc<Mutex<SemanticView>>,
}

impl SpaceReplica {
    /// Opens the space on this node, and starts to gossip. To be called in a tokio runtime.
    pub(crate) fn start(
        space: Space,
        node: &str,
        store: impl Store + 'static,
        opening: Opening,
        transport: impl Transport,
    ) -> Result<Self, BoxError> {
        let clock = SystemClock::new();
        let view = SemanticView::new(space.clone(), ViewConfig::default())?;
        let gossiper = ConsolidationGossiper::open(space, node, store, opening, GossipConfig::lan(), clock.now())?;
        let (gossiper, driver) = drive(gossiper, transport, clock, DriverConfig::default());
        tokio::spawn(driver);
        Ok(Self { gossiper, view: Arc::new(Mutex::new(view)) })
    }

    /// The scheduler calls this after each run of consolidation, where it updates its cache.
    pub(crate) async fn after_consolidation(
        &self,
        snapshot: &ConsolidationSnapshot,
        updates: &[BeliefUpdateRecord],
    ) -> Result<Rebuilt, BoxError> {
        let snapshot = snapshot.into();
        let updates: Vec<_> = updates.iter().map(Into::into).collect();
        let on_engine_thread = self.gossiper.with(move |gossiper, now| {
            gossiper.hint(&updates);
            gossiper.rebuild_from_snapshot(&snapshot, now)
        });
        let rebuilt = on_engine_thread.await??;
        for refused in &rebuilt.refused {
            eprintln!("consolidation: {refused}"); // or `tracing::warn!`
        }
        Ok(rebuilt)
    }

    /// Brings the view up to date with what all nodes hold by now. To be called every few seconds, and before recall reads
    /// the view. The first time takes seconds where there are many patterns, and so does not run on the runtime's threads.
    pub(crate) async fn refresh_view(&self) -> Result<(), BoxError> {
        let until = self.lock_view().until().clone();
        let changed = self.gossiper.with(move |gossiper, _| gossiper.changed_since(&until)).await??;
        let this = self.clone();
        let counts = tokio::task::spawn_blocking(move || {
            let mut view = this.lock_view();
            view.apply(changed).map(|()| view.counts())
        });
        let counts = counts.await??;
        Ok(self.gossiper.with(move |gossiper, _| gossiper.note_view(counts)).await?)
    }

    fn lock_view(&self) -> std::sync::MutexGuard<'_, SemanticView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops gossiping. What it returns goes into a file beside the store; see "Durable state".
    pub(crate) async fn shut_down(&self) -> Result<anti_entropy::replica::Marker, HandleError> {
        self.gossiper.shutdown(std::time::Duration::from_secs(5)).await
    }
}
