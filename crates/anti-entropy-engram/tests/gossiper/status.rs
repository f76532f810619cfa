//! What an operator sees.

use anti_entropy::GossipConfig;
use anti_entropy_engram::view::ConflictCounts;
use serde_json::{Value, json};

use crate::cluster::{Cluster, MINUTE, name, pattern, snapshot};

#[test]
fn a_status_is_json_for_an_endpoint() {
    let mut cluster = Cluster::new(2, GossipConfig::lan());
    let now = cluster.now;
    let fresh = serde_json::to_value(cluster.nodes[0].status(now)).unwrap();
    assert_eq!(fresh["last_merge"], Value::Null);
    assert_eq!(fresh["conflicts"], json!({"type3": 0, "view": null}));
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
        "conflicts": {"type3": 1, "view": status.conflicts.view},
        "last_merge": shown["last_merge"],
        "bytes_sent": status.bytes_sent,
        "bytes_received": status.bytes_received,
        "value_bytes_sent": status.value_bytes_sent,
        "peers": [{
            "peer": name(1).as_str(),
            "lag_seconds": peer["lag_seconds"],
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
