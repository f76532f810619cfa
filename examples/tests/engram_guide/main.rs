//! The code of docs/engram.md, used as engram-cli would: from another crate.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod guide;
mod nodes;
mod pings;
mod pipeline;
mod scheduler;
mod server;
mod settings;
mod started;

use std::time::Duration;

use anti_entropy::Continuity;
use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::ConsolidationGossiper;
use anti_entropy_engram::view::ViewItem;
use engram_core::cluster::consolidated::space::ConsolidatedSpace;

use crate::nodes::{Node, consolidate, pattern, ping_until_equal, snapshot, update};

#[tokio::test]
async fn two_nodes_of_engram_become_equal() {
    let (alice, bob) = (Node::start("alice", None).await, Node::start("bob", None).await);
    let snapshots = [
        snapshot(&[pattern("pattern_1", 0.9), pattern("pattern_2", 0.4)]),
        snapshot(&[pattern("pattern_1", 0.3), pattern("pattern_3", 0.5)]),
    ];
    consolidate(alice.default(), &snapshots[0], &[update("pattern_2")]).await;
    consolidate(bob.default(), &snapshots[1], &[]).await;
    consolidate(alice.dreams(), &snapshot(&[pattern("pattern_4", 0.5)]), &[]).await;

    alice.meet(&bob).await;
    // Pings tell that something differs, and the nodes find in which of their spaces.
    ping_until_equal(&alice, &bob).await;
    for replica in [alice.default(), bob.default(), bob.dreams()] {
        replica.refresh_view().await.unwrap();
    }
    let views = [&alice, &bob].map(|node| node.default().view().hash());
    assert_eq!(views[0], views[1]);
    let dreams: Vec<String> = bob.dreams().view().items().flat_map(ViewItem::patterns).cloned().collect();
    assert_eq!(dreams, ["pattern_4"]);

    let status = alice.default().gossiper.with(ConsolidationGossiper::status).await.unwrap();
    assert_eq!((status.patterns, status.conflicts.type3), (3, 1));
    assert_eq!(status.conflicts.view.unwrap().type3, 1);

    // The three are alike in meaning and episodes, so that the view has merged them.
    let closest = bob.default().closest(&[0.5; 768], 2).await;
    assert_eq!(closest.len(), 1);
    assert!(closest[0].0 > 0.99);

    let [marker, _] = &alice.markers;
    marker.keep(alice.default().shut_down().await.unwrap()).unwrap();
    assert!(matches!(marker.take().unwrap(), Continuity::Marker(_)));
    assert_eq!(marker.take().unwrap(), Continuity::Unproven, "a marker is good for once");
    bob.default().shut_down().await.unwrap();
}

/// Patterns come and go while views are refreshed, several at once, and some of them given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshes_at_the_same_time_leave_nothing_out_of_date() {
    let carol = Node::start("carol", None).await;
    let node = carol.default();
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
        consolidate(node, &snapshot(&[pattern("pattern", 0.5), pattern(&id, 0.5)]), &[]).await;
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

/// A space that a node is not placed on any more has no peers, and no share in the digest.
#[tokio::test]
async fn a_space_follows_its_assignment() {
    let (alice, bob) = (Node::start("alice-placed", None).await, Node::start("bob-placed", None).await);
    alice.meet(&bob).await;
    let (both, bobs) = (alice.spaces.digest(&"bob-placed".into()), bob.spaces.digest(&"alice-placed".into()));
    assert!(both.is_some() && both == bobs);
    let peers = async |replica: &ConsolidatedSpace| replica.gossiper.status().await.unwrap().peers.len();
    assert_eq!((peers(alice.default()).await, peers(alice.dreams()).await), (1, 1));

    let alone = [alice.info.clone()];
    alice.spaces.place(&MemorySpace::new("dreams"), &alone).await.unwrap();
    assert_eq!((peers(alice.default()).await, peers(alice.dreams()).await), (1, 0));
    let one = alice.spaces.digest(&"bob-placed".into());
    assert!(one.is_some() && one != both);
    // It is on bob's node only, so that alice's has nothing to do with it.
    alice.spaces.place(&MemorySpace::new("default"), std::slice::from_ref(&bob.info)).await.unwrap();
    assert_eq!(peers(alice.default()).await, 0);
    assert_eq!(alice.spaces.digest(&"bob-placed".into()), None);

    alice.default().shut_down().await.unwrap();
    assert!(alice.spaces.place(&MemorySpace::new("default"), &alone).await.is_err(), "it has stopped");
}
