//! The code of docs/engram.md, compiled against engram-core's types, and run.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod cluster;
mod convert;
mod durable;
mod endpoint;
#[path = "../../engram_core/mod.rs"]
mod engram_core;
mod membership;
mod pipeline;
mod recall;
mod service;
mod spaces;
mod swim;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anti_entropy::{Continuity, PeerId};
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::swim::{Pings, PingsConfig};
use anti_entropy_engram::view::ViewItem;
use anti_entropy_net::{TcpConfig, TcpTransport};
use anti_entropy_redb::MarkerFile;
use chrono::DateTime;

use crate::cluster::SpaceReplica;
use crate::completion::{ConsolidationSnapshot, ConsolidationStats, SemanticPattern};
use crate::consolidation::{BeliefUpdateRecord, ConsolidationCacheSource};
// As at the root of engram-core, so that the guide's code says `crate::completion` and the like, as it does there.
use crate::engram_core::{Confidence, completion, consolidation};
use crate::spaces::Spaces;
use crate::swim::Trailers;

/// Every block of code in the guide is one of the files here, whole.
#[test]
fn the_guide_shows_this_code() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(here.join("../docs/engram.md")).unwrap();
    let blocks: Vec<&str> = guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let files = ["convert", "service", "cluster", "recall", "spaces", "swim", "membership", "durable", "endpoint"];
    for (block, file) in blocks.iter().zip(files) {
        let code = std::fs::read_to_string(here.join(format!("tests/engram_guide/{file}.rs"))).unwrap();
        assert!(code == *block, "docs/engram.md shows other code than examples/tests/engram_guide/{file}.rs has");
    }
    assert_eq!(blocks.len(), files.len());
}

fn pattern(id: &str, confidence: f32) -> SemanticPattern {
    SemanticPattern {
        id: id.to_owned(),
        embedding: [0.5; 768],
        source_episodes: vec!["episode_1".to_owned(), "episode_2".to_owned()],
        strength: 0.7,
        schema_confidence: Confidence::exact(confidence),
        last_consolidated: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    }
}

fn snapshot(patterns: &[SemanticPattern]) -> ConsolidationSnapshot {
    let generated_at = DateTime::from_timestamp(1_700_000_300, 0).unwrap();
    ConsolidationSnapshot { generated_at, patterns: patterns.to_vec(), stats: ConsolidationStats::default() }
}

fn update(id: &str) -> BeliefUpdateRecord {
    BeliefUpdateRecord {
        pattern_id: id.to_owned(),
        confidence_delta: 0.1,
        citation_delta: 1,
        novelty: 0.0,
        generated_at: DateTime::from_timestamp(1_700_000_300, 0).unwrap(),
        snapshot_generated_at: DateTime::from_timestamp(1_700_000_300, 0).unwrap(),
        source: ConsolidationCacheSource::Scheduler,
    }
}

/// A node's two spaces, and their transport.
async fn start(name: &str, directory: &Path) -> ([SpaceReplica; 2], Arc<TcpTransport>, [MarkerFile; 2]) {
    let loopback = ([127, 0, 0, 1], 0).into();
    let config = TcpConfig::new("engram".parse().unwrap(), PeerId::from(name), loopback);
    let transport = Arc::new(TcpTransport::bind(config).await.unwrap());
    let spaces = Spaces::new(Arc::clone(&transport)).unwrap();
    let file = durable::open(directory).unwrap();
    let start = |space: &str| {
        let (store, opening, marker) = durable::space(&file, space, directory).unwrap();
        (spaces.start(MemorySpace::new(space), name, store, opening).unwrap(), marker)
    };
    let [(default, first), (dreams, second)] = ["default", "dreams"].map(start);
    ([default, dreams], transport, [first, second])
}

fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[tokio::test]
async fn two_nodes_of_engram_become_equal() {
    let (first, second) = (directory("guide-first"), directory("guide-second"));
    let (([alice, alices_dreams], alices, [marker, _]), ([bob, bobs_dreams], bobs, _)) =
        (start("alice", &first).await, start("bob", &second).await);
    for (alice, bob) in [(&alice, &bob), (&alices_dreams, &bobs_dreams)] {
        alice.member_up(&alices, "bob", bobs.local_addr(), None).await.unwrap();
        bob.member_up(&bobs, "alice", alices.local_addr(), None).await.unwrap();
    }

    let snapshots = [
        snapshot(&[pattern("pattern_1", 0.9), pattern("pattern_2", 0.4)]),
        snapshot(&[pattern("pattern_1", 0.3), pattern("pattern_3", 0.5)]),
    ];
    alice.after_consolidation(&snapshots[0], &[update("pattern_2")]).await.unwrap();
    bob.after_consolidation(&snapshots[1], &[]).await.unwrap();
    alices_dreams.after_consolidation(&snapshot(&[pattern("pattern_4", 0.5)]), &[]).await.unwrap();

    // A ping tells of a root, and the two need not wait for a round.
    let trailers = |name: &str, transport: &TcpTransport, replica: &SpaceReplica| Trailers {
        pings: Mutex::new(Pings::new(name, transport.local_addr(), PingsConfig::default()).unwrap()),
        spaces: vec![(MemorySpace::new("default"), replica.clone())],
    };
    let (alices_pings, bobs_pings) = (trailers("alice", &alices, &alice), trailers("bob", &bobs, &bob));
    let mut datagram = b"what SWIM encoded".to_vec();
    alices_pings.append(&mut datagram);
    bobs_pings.receive(&datagram, ([127, 0, 0, 1], 7946).into(), &bobs);
    assert_eq!(bobs_pings.pings.lock().unwrap().stats().received, 1);
    for (node, peer) in [(&alice, "bob"), (&bob, "alice"), (&bobs_dreams, "alice")] {
        tokio::time::timeout(Duration::from_secs(30), node.gossiper.wait_converged([peer.into()]))
            .await
            .unwrap()
            .unwrap();
        node.refresh_view().await.unwrap();
    }
    let views = [&alice, &bob].map(|node| node.view().hash());
    assert_eq!(views[0], views[1]);
    let dreams: Vec<String> = bobs_dreams.view().items().flat_map(ViewItem::patterns).cloned().collect();
    assert_eq!(dreams, ["pattern_4"]);

    let status: serde_json::Value =
        serde_json::from_str(&endpoint::cluster_consolidation(&alice).await.unwrap()).unwrap();
    assert_eq!((&status["patterns"], &status["conflicts"]["type3"]), (&3.into(), &1.into()), "{status}");
    assert_eq!(status["conflicts"]["view"]["type3"], 1, "{status}");

    let mut index = recall::ClusterIndex::default();
    index.follow(&bob.view());
    // The three are alike in meaning and episodes, so that the view has merged them.
    assert_eq!(index.closest(&[0.5; 768], 2).len(), 1);

    marker.keep(alice.shut_down().await.unwrap()).unwrap();
    assert!(matches!(marker.take().unwrap(), Continuity::Marker(_)));
    assert_eq!(marker.take().unwrap(), Continuity::Unproven, "a marker is good for once");
    bob.member_left(&bobs, "alice").await.unwrap();
    bob.shut_down().await.unwrap();
}

/// Patterns come and go while views are refreshed, several at once, and some of them given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshes_at_the_same_time_leave_nothing_out_of_date() {
    let ([node, _], _transport, _markers) = start("carol", &directory("guide-third")).await;
    for round in 0..100 {
        let refresh = |after_us| {
            let node = node.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(after_us)).await;
                let given_up = Duration::from_micros(if after_us == 0 { 300 } else { 1_000_000 });
                let _ = tokio::time::timeout(given_up, node.refresh_view()).await;
            })
        };
        let refreshes = [0, 100, 200, 400, 800].map(refresh);
        let id = format!("pattern_{round}");
        node.after_consolidation(&snapshot(&[pattern("pattern", 0.5), pattern(&id, 0.5)]), &[]).await.unwrap();
        tokio::time::sleep(Duration::from_micros(round * 10)).await;
        node.gossiper.delete(id).await.unwrap();
        for refresh in refreshes {
            refresh.await.unwrap();
        }
        node.refresh_view().await.unwrap();
        let view = node.view();
        let held: Vec<_> = view.items().flat_map(ViewItem::patterns).collect();
        assert_eq!(held, ["pattern"], "round {round}");
    }
    node.shut_down().await.unwrap();
}
