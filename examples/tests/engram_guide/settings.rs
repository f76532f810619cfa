//! `cluster.toml`, and the transport that it asks for.

use std::time::Duration;

use anti_entropy_net::{BindError, TestAuthority};

use crate::consolidated::settings::ClusterFile;
use crate::nodes::{Node, cluster_toml, consolidate, directory, pattern, ping_until_equal, snapshot};

fn read(text: &str) -> Result<ClusterFile, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn a_file_sets_what_has_a_meaning_here() {
    let sections = "[gossip]\ninterval_seconds = 30\nfanout = 2\nmax_patterns_per_sync = 100\nenable_compression = true\n\
                    [merkle_tree]\ndepth = 12\nleaf_count = 4096\n[swim]\nping_interval = \"1s\"\n";
    let gossip = read(&(cluster_toml(None) + sections)).unwrap().gossiper().gossip;
    assert_eq!((gossip.interval, gossip.fanout), (Duration::from_secs(30), 2));
    for (section, key) in [("gossip", "fan_out"), ("merkle_tree", "levels"), ("consolidation.tls", "cert")] {
        let error = read(&format!("{}[{section}]\n{key} = 1\n", cluster_toml(None))).err().unwrap();
        assert!(error.to_string().contains(key), "{error}");
    }
    let error = read("[consolidation]\ncluster = \"two words\"\nlisten = \"127.0.0.1:0\"\n").err().unwrap();
    assert!(error.to_string().contains("visible ASCII"), "{error}");
}

#[test]
fn the_file_in_the_guide_is_read() {
    let guide = include_str!("../../../docs/engram.md");
    let block = guide.split("```toml\n").find(|block| block.starts_with("[consolidation]")).unwrap();
    let gossip = read(block.split("```").next().unwrap()).unwrap().gossiper().gossip;
    assert_eq!((gossip.interval, gossip.fanout), (Duration::from_secs(60), 3));
}

#[tokio::test]
async fn an_address_other_than_loopback_needs_certificates() {
    let file = read("[consolidation]\ncluster = \"engram\"\nlisten = \"192.0.2.1:7947\"\n").unwrap();
    let error = file.transport("alice").await.err().unwrap();
    assert!(matches!(error.downcast_ref(), Some(BindError::Config(error)) if error.field == "listen"), "{error}");
}

#[tokio::test]
async fn nodes_with_certificates_become_equal() {
    let (authority, directory) = (TestAuthority::new().unwrap(), directory("guide-certificates"));
    let certified = async |name: &str| {
        let files = authority.issue(name).unwrap().write(&directory).unwrap();
        Node::start(name, Some(&files)).await
    };
    let (alice, bob) = (certified("alice-tls").await, certified("bob-tls").await);
    consolidate(alice.default(), &snapshot(&[pattern("pattern_1", 0.9)]), &[]).await;
    alice.meet(&bob).await;
    ping_until_equal(&alice, &bob).await;
    assert!(bob.default().gossiper.read("pattern_1".to_owned()).await.unwrap().siblings().len() == 1);
}
