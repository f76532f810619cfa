//! Engram answers from its cache: who consolidates a second time?

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anti_entropy::clock::Seed;
use anti_entropy::engine::{Pool, PoolConfig};
use anti_entropy::{GossipConfig, MemoryNetwork, MemoryStore as Records};
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::{ConsolidationGossiper, ConsolidationStatus};
use chrono::DateTime;
use engram_core::cluster::consolidated::node::ConsolidationNode;
use engram_core::cluster::consolidated::service::ReplicatedConsolidation;
use engram_core::cluster::consolidated::space::ConsolidatedSpace;
use engram_core::completion::ConsolidationSnapshot;
use engram_core::consolidation::{
    BeliefUpdateRecord, ConsolidationCacheSource, ConsolidationService, InMemoryConsolidationService,
};
use engram_core::{MemorySpaceError, MemorySpaceId, MemoryStore};

use crate::nodes::directory;
use crate::pipeline::episode;
use crate::started::config;

/// Counts the snapshots that it is handed.
#[derive(Default)]
struct Counting {
    inner: InMemoryConsolidationService,
    snapshots: AtomicUsize,
}

impl ConsolidationService for Counting {
    fn cached_snapshot(&self) -> Option<ConsolidationSnapshot> {
        self.inner.cached_snapshot()
    }

    fn update_cache(&self, snapshot: &ConsolidationSnapshot, source: ConsolidationCacheSource) {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        self.inner.update_cache(snapshot, source);
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

fn fill(store: &MemoryStore) {
    for number in 0..5 {
        store.store(episode(0, number));
    }
}

async fn status(space: &ConsolidatedSpace) -> ConsolidationStatus {
    space.gossiper.with(ConsolidationGossiper::status).await.unwrap()
}

/// Waits until the space's status is so.
async fn until(space: &ConsolidatedSpace, is_so: impl Fn(&ConsolidationStatus) -> bool) {
    let waiting = async {
        while !is_so(&status(space).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

#[tokio::test]
async fn without_a_scheduler_the_cluster_gets_the_first_snapshot_and_no_other() {
    let (network, pool) = (MemoryNetwork::new(1), Pool::new(PoolConfig::default()).unwrap());
    let settings = (MemorySpace::new("default"), "alice", GossipConfig::lan().into());
    let held = (Records::new(), Seed::from_bytes([1; 32]).into());
    let space = ConsolidatedSpace::start(&pool, settings, held, network.join("alice".into())).unwrap();
    let counting = Arc::new(Counting::default());
    let service = ReplicatedConsolidation::new(Arc::clone(&counting) as _, space.reporter.clone());
    let store = MemoryStore::new(1_000).with_consolidation_service(Arc::new(service));

    // Somebody asks before there is an episode: the answer is empty, and stays.
    assert!(store.consolidation_snapshot(0).patterns.is_empty());
    until(&space, |status| status.snapshot_generated_at == Some(DateTime::UNIX_EPOCH)).await;
    fill(&store);
    assert!(store.consolidation_snapshot(0).patterns.is_empty());
    assert_eq!(counting.snapshots.load(Ordering::SeqCst), 1);
    assert_eq!(status(&space).await.patterns, 0);
    space.shut_down().await.unwrap();
}

#[tokio::test]
async fn a_node_consolidates_its_spaces_again_and_again() {
    let home = directory("guide-scheduler");
    let node = ConsolidationNode::start(&config(&home).consolidated, "alice", &home).await.unwrap().unwrap();
    let (id, counting) = (MemorySpaceId::default(), Arc::new(Counting::default()));
    let store = MemoryStore::new(1_000).with_consolidation_service(Arc::clone(&counting) as _);
    let store = node.attach(&id, store).unwrap();
    let space = node.space(&id).unwrap();

    assert!(store.consolidation_snapshot(0).patterns.is_empty());
    fill(&store);
    until(&space, |status| status.patterns == 1).await;
    for number in 0..5 {
        store.store(episode(1, number));
    }
    until(&space, |status| status.patterns >= 2).await;
    assert!(!store.consolidation_snapshot(0).patterns.is_empty(), "the server answers by the last run");

    node.shut_down().await;
    let after = counting.snapshots.load(Ordering::SeqCst);
    assert!(after >= 3, "{after}");
    let error = node.attach(&id, MemoryStore::new(1)).err().unwrap();
    assert!(matches!(&error, MemorySpaceError::StoreInit { source, .. } if source.to_string().contains("shut down")));
}
