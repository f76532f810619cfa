//! Production and staging share an authority, names and addresses, and stay two clusters.

mod common;

use anti_entropy_net::{ClusterName, ConnectionRefusal, ConnectionRefusalReason};
use common::{
    Node, authority, bind, bind_quic, config, deliver, in_time, introduce, peer, quic_config, tls_config, until,
};

fn production() -> ClusterName {
    "production".parse().expect("a short name")
}

fn staging() -> ClusterName {
    "staging".parse().expect("a short name")
}

fn names_both(refusals: &[ConnectionRefusal]) -> bool {
    refusals.iter().any(|refusal| {
        refusal.reason == ConnectionRefusalReason::OtherCluster
            && ["production", "staging", "give both one name"].iter().all(|word| refusal.detail.contains(word))
    })
}

/// Node "a" of production and node "b" of staging refuse each other by name, on both sides, and no frame arrives.
async fn stay_apart<T: Node>(a: &T, b: &T) {
    introduce(a, b);
    for _ in 0..3 {
        let before = a.counters().connect_failures;
        let _ = a.send(&peer("b"), b"of production".to_vec()).await;
        in_time(async {
            while a.counters().connect_failures == before {
                let _ = a.send(&peer("b"), b"of production".to_vec()).await;
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await;
    }
    for node in [a, b] {
        let stats = until(node, |stats| stats.refused.other_cluster > 0).await;
        assert_eq!((stats.connected, stats.accepted, stats.frames_received), (0, 0, 0), "{stats:?}");
        assert!(names_both(&node.refusals()), "{:?}", node.refusals());
    }
}

#[tokio::test]
async fn over_tcp() {
    let a = bind(config("a").with(|config| config.cluster = production())).await;
    let b = bind(config("b").with(|config| config.cluster = staging())).await;
    stay_apart(&a, &b).await;
}

#[tokio::test]
async fn over_tls() {
    let authority = authority();
    let a = bind(tls_config(&authority, "a").with(|config| config.cluster = production())).await;
    let b = bind(tls_config(&authority, "b").with(|config| config.cluster = staging())).await;
    stay_apart(&a, &b).await;
}

#[tokio::test]
async fn over_quic() {
    let authority = authority();
    let a = bind_quic(quic_config(&authority, "a").with(|config| config.cluster = production())).await;
    let b = bind_quic(quic_config(&authority, "b").with(|config| config.cluster = staging())).await;
    stay_apart(&a, &b).await;
}

#[tokio::test]
async fn a_node_that_is_given_the_right_name_is_let_in() {
    let authority = authority();
    let a = bind_quic(quic_config(&authority, "a").with(|config| config.cluster = production())).await;
    let b = bind_quic(quic_config(&authority, "b").with(|config| config.cluster = staging())).await;
    stay_apart(&a, &b).await;
    b.close().await;
    let b = bind_quic(quic_config(&authority, "b").with(|config| config.cluster = production())).await;
    introduce(&a, &b);
    deliver(&a, "b", &b, b"at last").await;
}
