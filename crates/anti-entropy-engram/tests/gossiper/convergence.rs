//! Nodes that consolidate the same and different things, for long, over links that lose frames.

use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::GossipConfig;
use anti_entropy_engram::ConsolidationSnapshot;

use crate::cluster::{Cluster, MINUTE, counts, held, pattern, snapshot};

const NODES: usize = 5;

/// What a node's consolidation finds in a run: patterns that all find alike, patterns of which each is sure in its own way,
/// and patterns of its own; some of each change with the run.
fn consolidation(node: u8, run: u8) -> ConsolidationSnapshot {
    let alike = (0..10).map(|n| pattern(&format!("alike-{n}"), n + if n == run % 10 { 50 } else { 0 }));
    let apart = (0..10).map(|n| pattern(&format!("apart-{n}"), 10 * node + (n + run) % 7));
    let own = (0..5).map(|n| pattern(&format!("of-{node}-{n}"), (n * run) % 100));
    snapshot(alike.chain(apart).chain(own))
}

#[test]
fn nodes_that_consolidate_differently_come_to_rest() {
    let mut cluster = Cluster::new(NODES, GossipConfig::lan());
    cluster.lost_percent = 10;
    let last: u8 = 20;
    // 100 rebuilds, at times of the nodes' own.
    for run in 0..last {
        for node in 0..5 {
            cluster.rebuild(usize::from(node), &consolidation(node, run));
            cluster.run(MINUTE / 2, |_| false);
        }
    }
    cluster.converge();
    cluster.lost_percent = 0;
    cluster.run(10 * MINUTE, |_| false);

    let sent = cluster.value_bytes_sent();
    let generations: Vec<u64> = cluster.nodes.iter_mut().map(|node| node.root_announcement().generation).collect();
    for _ in 0..3 {
        for node in 0..5 {
            let rebuilt = cluster.rebuild(usize::from(node), &consolidation(node, last - 1));
            assert_eq!(counts(&rebuilt), [0, 25, 0, 0, 0]);
            assert_eq!(rebuilt.generation, generations[usize::from(node)]);
            cluster.run(MINUTE, |_| false);
        }
    }
    assert!(cluster.equal());
    assert_eq!(cluster.value_bytes_sent(), sent, "nothing is left to send");
    assert_eq!(cluster.nodes[0].engine().replica().conflicts(), 20);
    one_version_a_node(&cluster);
}

fn one_version_a_node(cluster: &Cluster) {
    let versions = held(&cluster.nodes[0]);
    let by_node: BTreeSet<_> = versions.iter().map(|(id, origin, _)| (id, origin)).collect();
    assert_eq!(by_node.len(), versions.len());
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, ..) in &versions {
        *count.entry(id).or_default() += 1;
    }
    assert_eq!(count["apart-0"], NODES);
    assert_eq!(count["alike-0"], NODES);
    assert_eq!(count["of-3-0"], 1);
    assert_eq!(count.len(), 20 + 5 * NODES);
}
