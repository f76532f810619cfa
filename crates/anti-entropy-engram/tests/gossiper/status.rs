//! What an operator sees.

use anti_entropy::GossipConfig;
use anti_entropy_engram::SemanticPattern;
use anti_entropy_engram::gossiper::{ConsolidationGossiper, Vanished};
use anti_entropy_engram::view::{ConflictCounts, SemanticView, ViewConfig};
use serde_json::{Value, json};

use crate::cluster::{Cluster, MINUTE, name, pattern, snapshot, space};

#[test]
fn a_status_is_json_for_an_endpoint() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    let now = cluster.now;
    let fresh = serde_json::to_value(cluster.nodes[0].status(now)).unwrap();
    assert_eq!(fresh["last_merge"], Value::Null);
    assert_eq!(fresh["conflicts"], json!({"type3": 0, "replicated": 0, "view": null}));
    assert_eq!(fresh["peers"][0]["lag_seconds"], Value::Null);
    assert_eq!(fresh["snapshot_generated_at"], Value::Null);

    let mut refused = pattern("c", 10);
    refused.strength = f32::NAN;
    cluster.rebuild(0, &snapshot([pattern("a", 10), refused]));
    cluster.rebuild(1, &snapshot([pattern("a", 20)]));
    cluster.converge();
    cluster.run(MINUTE, |_| false);
    cluster.nodes[0].note_view(ConflictCounts { type1: 4, ..ConflictCounts::default() });
    let now = cluster.now;
    let status = cluster.nodes[0].status(now);
    assert!(status.last_merge.unwrap().timestamp_millis() < i64::try_from(now.unix_ms).unwrap());
    assert!(status.bytes_received > 0 && status.value_bytes_sent > 0 && status.bytes_sent > status.value_bytes_sent);
    let shown = serde_json::to_value(&status).unwrap();
    let root = shown["root"].as_str().unwrap();
    assert!(root.len() == 64 && root.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let peer = &shown["peers"][0];
    assert!(peer["lag_seconds"].as_f64().unwrap() < 60.0 && peer["silent_seconds"].as_f64().unwrap() < 60.0);
    let expected = json!({
        "space": "test",
        "node": name(0).as_str(),
        "root": root,
        "generation": 1,
        "snapshot_generated_at": "1970-01-01T00:00:00Z",
        "patterns": 1,
        "refused_patterns": 1,
        "conflicts": {"type3": 1, "replicated": 0, "view": status.conflicts.view},
        "last_merge": shown["last_merge"],
        "bytes_sent": status.bytes_sent,
        "bytes_received": status.bytes_received,
        "value_bytes_sent": status.value_bytes_sent,
        "peers": [{
            "peer": name(1).as_str(),
            "lag_seconds": peer["lag_seconds"],
            "certified_lag_seconds": peer["lag_seconds"],
            "silent_seconds": peer["silent_seconds"],
            "failures": 0,
            "backoff_seconds": 0.0,
            "differences": peer["differences"],
            "root": root,
        }],
    });
    assert_eq!(shown, expected);
    assert_eq!(shown["conflicts"]["view"]["type1"], 4);
}

/// Replicas of the same episodes make the same patterns on each node.
#[test]
fn what_several_nodes_say_alike_is_replicated_and_no_conflict() {
    let mut cluster = Cluster::new(3, GossipConfig::lan());
    let alike = ["a", "b", "c"].map(|id| pattern(id, 50));
    for node in 0..3 {
        cluster.rebuild(node, &snapshot(alike.clone()));
    }
    cluster.converge();
    let conflicts = |cluster: &mut Cluster| -> Vec<[usize; 2]> {
        let now = cluster.now;
        let status = |node: &mut ConsolidationGossiper| node.status(now).conflicts;
        cluster.nodes.iter_mut().map(status).map(|conflicts| [conflicts.type3, conflicts.replicated]).collect()
    };
    assert_eq!(conflicts(&mut cluster), [[0, 3]; 3]);
    let mut view = SemanticView::new(space(), ViewConfig::default()).unwrap();
    view.follow(cluster.nodes[0].engine_mut().replica_mut()).unwrap();
    assert_eq!((view.counts().type3, view.counts().replicated), (0, 3));
    assert_eq!(view.replicated().collect::<Vec<_>>(), [("a", 3), ("b", 3), ("c", 3)]);
    assert!(view.items().all(|item| item.base_confidence() == 0.5), "nothing is lowered");

    // One node differs in one pattern, by one field each time; then agrees again; then deletes its version.
    let changes: [fn(&mut SemanticPattern); 5] = [
        |pattern| pattern.embedding[3] = 9.0,
        |pattern| drop(pattern.source_episodes.pop()),
        |pattern| pattern.strength = 0.25,
        |pattern| pattern.schema_confidence = 0.25,
        |pattern| pattern.last_consolidated = chrono::DateTime::from_timestamp(1, 1).unwrap(),
    ];
    for change in changes {
        let mut differing = alike.clone();
        change(&mut differing[1]);
        cluster.rebuild(1, &snapshot(differing));
        // The node that wrote it knows at once.
        let now = cluster.now;
        assert_eq!(cluster.nodes[1].status(now).conflicts.type3, 1);
        cluster.converge();
        assert_eq!(conflicts(&mut cluster), [[1, 2]; 3]);
        view.follow(cluster.nodes[0].engine_mut().replica_mut()).unwrap();
        assert_eq!((view.counts().type3, view.counts().replicated), (1, 2));
        cluster.rebuild(1, &snapshot(alike.clone()));
        cluster.converge();
        assert_eq!(conflicts(&mut cluster), [[0, 3]; 3]);
    }
    let now = cluster.now;
    for node in [1, 2] {
        cluster.nodes[node].rebuild_with(&snapshot(alike[1..].to_vec()), Vanished::Delete, now).unwrap();
    }
    cluster.converge();
    assert_eq!(conflicts(&mut cluster), [[0, 2]; 3]);
    // After a restart it is known as before.
    let (disk, opening) = (cluster.disks[0].clone(), cluster.fresh_seed());
    cluster.restart(0, disk, opening);
    assert_eq!(conflicts(&mut cluster)[0], [0, 2]);
}
