//! Two nodes that are started and stopped as engram-cli does it, over UDP and TCP on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anti_entropy_engram::view::ViewItem;
use engram_core::cluster::config::{ReplicationConfig, SwimConfig};
use engram_core::cluster::consolidated::endpoint::cluster_consolidation;
use engram_core::cluster::consolidated::node::ConsolidationNode;
use engram_core::cluster::consolidated::space::ConsolidatedSpace;
use engram_core::cluster::{NodeInfo, SpaceAssignmentManager, SpaceAssignmentPlanner, SwimMembership};
use engram_core::{MemorySpaceId, MemoryStore};
use serde_json::Value;

use crate::nodes::directory;
use crate::pipeline::episode;
use crate::server::{CliConfig, DistributedContext, Server, start_server, stop_server};

/// Consolidates each second. Rounds are far away: what differs is found by pings.
pub(crate) fn config(directory: &Path) -> CliConfig {
    let markers = directory.join("markers");
    let text = format!(
        "[consolidation]\ncluster = \"engram\"\nlisten = \"127.0.0.1:0\"\nmarkers = '{}'\ninterval_seconds = 1\n\
         [gossip]\ninterval_seconds = 3600\n",
        markers.display()
    );
    toml::from_str(&text).unwrap()
}

/// As engram's `initialize_cluster` makes it: a seed is a member whose name is its address.
fn context(name: &str, swim_addr: SocketAddr, seed: Option<SocketAddr>) -> DistributedContext {
    let local = NodeInfo::new(name, swim_addr, swim_addr, None, None);
    let swim = SwimConfig { ping_interval: Duration::from_millis(50) };
    let membership = Arc::new(SwimMembership::new(local, swim));
    if let Some(seed) = seed {
        membership.upsert_member(NodeInfo::new(seed.to_string(), seed, seed, None, None), 0, Instant::now());
    }
    let replication = ReplicationConfig { factor: 1 };
    let planner = Arc::new(SpaceAssignmentPlanner::new(Arc::clone(&membership), &replication));
    let assignments = Arc::new(SpaceAssignmentManager::new(planner, &replication));
    DistributedContext { node_id: name.to_owned(), membership, assignments, swim_addr }
}

fn node(server: &Server) -> &ConsolidationNode {
    server.consolidation.as_ref().unwrap()
}

fn space(server: &Server) -> ConsolidatedSpace {
    node(server).space(&MemorySpaceId::default()).unwrap()
}

async fn store(server: &Server) -> Arc<MemoryStore> {
    server.registry.create_or_get(&MemorySpaceId::default()).await.unwrap().store()
}

/// What `GET /cluster/consolidation` answers.
async fn status(server: &Server) -> Value {
    let body = cluster_consolidation(node(server), &MemorySpaceId::default()).await.unwrap();
    serde_json::from_str(&body.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_come_to_one_view_and_go_on_after_a_restart() {
    let home = directory("guide-started");
    let homes = ["alice", "bob"].map(|name| home.join(name));
    // Both are held until both are known, so that they differ.
    let [alice_swim, bob_swim] = {
        let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        sockets.map(|socket| socket.local_addr().unwrap())
    };
    for home in &homes {
        std::fs::create_dir_all(home.join("data")).unwrap();
    }
    let start = async |index: usize, context| {
        start_server(Some(context), homes[index].join("data"), &config(&homes[index])).await.unwrap()
    };
    let alice = start(0, context("alice", alice_swim, None)).await;
    let bob = start(1, context("bob", bob_swim, Some(alice_swim))).await;
    for (server, topics) in [(&alice, 0..2), (&bob, 1..3)] {
        let store = store(server).await;
        for (topic, number) in topics.flat_map(|topic| (0..5).map(move |number| (topic, number))) {
            store.store(episode(topic, number));
        }
    }

    let held = async |server: &Server| {
        let space = space(server);
        space.refresh_view().await.unwrap();
        let view = space.view();
        (view.hash(), view.items().flat_map(ViewItem::patterns).count())
    };
    let one_view = async {
        loop {
            let views = [held(&alice).await, held(&bob).await];
            if views[0] == views[1] && views[0].1 >= 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), one_view).await.unwrap();
    for (server, other) in [(&alice, "bob"), (&bob, "alice")] {
        let status = status(server).await;
        let peers: Vec<&Value> = status["peers"].as_array().unwrap().iter().map(|peer| &peer["peer"]).collect();
        assert_eq!(peers, [other], "not by the address by which it was a seed: {status}");
        assert_eq!(status["refused_patterns"], 0, "{status}");
    }
    assert!(cluster_consolidation(node(&alice), &MemorySpaceId::new("other").unwrap()).await.unwrap().is_none());

    // A request that has not ended holds the node.
    let held = alice.consolidation.clone();
    stop_server(alice).await;
    stop_server(bob).await;
    for home in &homes {
        assert!(home.join("markers/default.marker").exists(), "nothing proves that the store was not rolled back");
    }
    // Nobody else is there, and nothing is consolidated: what it holds, it has kept. The file was closed, or it could not be
    // opened.
    let alice = start(0, context("alice", alice_swim, None)).await;
    store(&alice).await;
    assert!(status(&alice).await["patterns"].as_u64() >= Some(3));
    assert!(!homes[0].join("markers/default.marker").exists(), "a marker is good for once");
    stop_server(alice).await;
    drop(held);
}

#[tokio::test]
async fn without_its_section_a_server_is_as_it_was() {
    let home = directory("guide-alone");
    let context = context("carol", "127.0.0.1:0".parse().unwrap(), None);
    let server = start_server(Some(context), home.clone(), &toml::from_str("").unwrap()).await.unwrap();
    assert!(server.consolidation.is_none());
    assert!(store(&server).await.consolidation_snapshot(0).patterns.is_empty());
    assert!(!home.join("consolidation.redb").exists());
    stop_server(server).await;
}
