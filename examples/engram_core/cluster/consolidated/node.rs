//! What engram-cli starts, holds and stops.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::GossiperConfig;
use anti_entropy_net::TcpTransport;
use anti_entropy_redb::{MarkerFile, RedbFile};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::durable;
use super::service::ReplicatedConsolidation;
use super::settings::{ClusterSections, Consolidation};
use super::space::{BoxError, ConsolidatedSpace};
use super::spaces::Spaces;
use super::swim::Trailers;
use super::warn;
use crate::cluster::{NodeInfo, SpaceAssignment, SpaceAssignmentManager, SwimTrailers};
use crate::completion::{CompletionConfig, ConsolidationScheduler, SchedulerConfig};
use crate::{MemorySpaceError, MemorySpaceId, MemoryStore};

/// How often assignments are looked at.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// A node's share in consolidating together with the others.
pub struct ConsolidationNode {
    spaces: Arc<Spaces>,
    trailers: Arc<Trailers>,
    transport: Arc<TcpTransport>,
    /// `None` once the node has shut down.
    file: Mutex<Option<RedbFile>>,
    markers: PathBuf,
    gossiper: GossiperConfig,
    scheduler: SchedulerConfig,
    attached: Mutex<HashMap<MemorySpaceId, Attached>>,
    following: Mutex<Option<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

/// Why a node did not start. What was created on disk is used by the next start.
#[derive(Debug, thiserror::Error)]
#[error("consolidation did not start, and nothing of it runs; correct what the cause names, and start again")]
pub struct StartError(#[source] BoxError);

/// What belongs to a space.
struct Attached {
    space: ConsolidatedSpace,
    marker: MarkerFile,
    scheduler: JoinHandle<()>,
}

impl ConsolidationNode {
    /// Opens the node's file in the directory `data`, and listens for other nodes. `None` if there is no section
    /// `[consolidation]`. `node` is the node's id, the same at each start.
    pub async fn start(sections: &ClusterSections, node: &str, data: &Path) -> Result<Option<Arc<Self>>, StartError> {
        let Some(settings) = &sections.consolidation else { return Ok(None) };
        Self::open(settings, sections.gossiper(), node, data).await.map(Some).map_err(StartError)
    }

    async fn open(
        settings: &Consolidation,
        gossiper: GossiperConfig,
        node: &str,
        data: &Path,
    ) -> Result<Arc<Self>, BoxError> {
        std::fs::create_dir_all(&settings.markers)?;
        let file = durable::open(data)?;
        let transport = settings.transport(node).await?;
        let spaces = Spaces::new(node, Arc::clone(&transport))?;
        Ok(Arc::new(Self {
            trailers: Arc::new(Trailers::new(node, Arc::clone(&spaces), Arc::clone(&transport))?),
            spaces,
            transport,
            file: Mutex::new(Some(file)),
            markers: settings.markers.clone(),
            gossiper,
            scheduler: SchedulerConfig {
                consolidation_interval_secs: settings.interval_seconds.get(),
                ..SchedulerConfig::default()
            },
            attached: Mutex::default(),
            following: Mutex::default(),
            stop: watch::Sender::new(false),
        }))
    }

    /// Has a space's store report to the cluster, and consolidates it in intervals. To be called once for each store, in a
    /// tokio runtime, before anything consolidates it.
    pub fn attach(&self, id: &MemorySpaceId, store: MemoryStore) -> Result<Arc<MemoryStore>, MemorySpaceError> {
        let (space, marker) =
            self.open_space(id).map_err(|source| MemorySpaceError::StoreInit { id: id.clone(), source })?;
        let service = ReplicatedConsolidation::new(store.consolidation_service(), space.reporter.clone());
        let store = Arc::new(store.with_consolidation_service(Arc::new(service)));
        let scheduler = ConsolidationScheduler::new(CompletionConfig::default(), self.scheduler.clone());
        let scheduler = Arc::new(scheduler).spawn(Arc::clone(&store), self.stop.subscribe());
        lock(&self.attached).insert(id.clone(), Attached { space, marker, scheduler });
        Ok(store)
    }

    fn open_space(&self, id: &MemorySpaceId) -> Result<(ConsolidatedSpace, MarkerFile), BoxError> {
        let held = lock(&self.file).as_ref().map(|file| durable::space(file, id.as_str(), &self.markers));
        let (held, opening, marker) = held.ok_or("the node has shut down")??;
        let space = self.spaces.start(MemorySpace::new(id.as_str()), self.gossiper.clone(), held, opening)?;
        Ok((space, marker))
    }

    /// For `SwimRuntime::spawn`.
    pub fn trailers(&self) -> Arc<dyn SwimTrailers> {
        Arc::clone(&self.trailers) as _
    }

    /// Makes the nodes on which a space is placed its peers, from now on.
    pub fn follow(self: &Arc<Self>, assignments: Arc<SpaceAssignmentManager>) {
        let following = tokio::spawn(Arc::clone(self).follow_assignments(assignments, self.stop.subscribe()));
        *lock(&self.following) = Some(following);
    }

    /// A space that was attached: for recall and the HTTP server.
    pub fn space(&self, id: &MemorySpaceId) -> Option<ConsolidatedSpace> {
        lock(&self.attached).get(id).map(|attached| attached.space.clone())
    }

    /// Drops the address of a node that has left for good.
    pub fn forget(&self, node: &str) {
        let peer = PeerId::from(node);
        self.trailers.forget(&peer);
        self.transport.remove_peer(&peer);
    }

    /// Stops everything, and closes the file. To be called once nothing asks for consolidation any more, and SWIM has
    /// stopped.
    pub async fn shut_down(&self) {
        self.stop.send_replace(true);
        let following = lock(&self.following).take();
        if let Some(following) = following {
            let _ = following.await;
        }
        let attached = std::mem::take(&mut *lock(&self.attached));
        let stopping: Vec<_> = attached.into_values().map(|attached| tokio::spawn(attached.shut_down())).collect();
        for stopped in stopping {
            let _ = stopped.await;
        }
        self.transport.close().await;
        drop(lock(&self.file).take());
    }

    async fn follow_assignments(
        self: Arc<Self>,
        assignments: Arc<SpaceAssignmentManager>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut placed: HashMap<MemorySpaceId, Vec<NodeInfo>> = HashMap::new();
        let mut ticks = tokio::time::interval(FOLLOW_EVERY);
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                _ = ticks.tick() => {}
            }
            let ids: Vec<MemorySpaceId> = lock(&self.attached).keys().cloned().collect();
            for id in ids {
                // Fails until enough nodes are alive.
                let Ok(assignment) = assignments.assign(&id) else { continue };
                let nodes = nodes_of(&assignment);
                if nodes.iter().any(is_seed) {
                    let _ = assignments.recompute(&id); // It would be kept otherwise.
                } else if placed.get(&id) != Some(&nodes) {
                    match self.spaces.place(&MemorySpace::new(id.as_str()), &nodes).await {
                        Ok(()) => drop(placed.insert(id, nodes)),
                        Err(error) => warn(format_args!("{id} is not placed: {error}")),
                    }
                }
            }
        }
    }
}

impl Attached {
    async fn shut_down(self) {
        let _ = self.scheduler.await;
        let kept = match self.space.shut_down().await {
            Ok(marker) => self.marker.keep(marker).map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = kept {
            warn(format_args!("a space goes on under a new id at its next start: {error}"));
        }
    }
}

/// The primary and the replicas.
fn nodes_of(assignment: &SpaceAssignment) -> Vec<NodeInfo> {
    [&assignment.primary].into_iter().chain(&assignment.replicas).cloned().collect()
}

/// Until a seed has said its name, its address is its name.
fn is_seed(node: &NodeInfo) -> bool {
    node.id == node.swim_addr.to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
