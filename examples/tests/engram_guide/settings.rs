//! The configuration, and the transport that it asks for.

use std::time::Duration;

use anti_entropy_net::{BindError, TestAuthority};
use engram_core::cluster::consolidated::settings::ClusterSections;

use crate::nodes::{Node, cluster_toml, consolidate, directory, pattern, ping_until_equal, snapshot};
use crate::server::CliConfig;

/// Beside the other sections of engram's configuration.
fn read(text: &str) -> Result<ClusterSections, toml::de::Error> {
    toml::from_str(text).map(|config: CliConfig| config.consolidated)
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
    let error =
        read("[consolidation]\ncluster = \"two words\"\nlisten = \"127.0.0.1:0\"\nmarkers = \"m\"\n").err().unwrap();
    assert!(error.to_string().contains("visible ASCII"), "{error}");
}

#[test]
fn the_file_in_the_guide_is_read() {
    let guide = include_str!("../../../docs/engram.md");
    let block = guide.split("```toml\n").find(|block| block.starts_with("[consolidation]")).unwrap();
    let sections = read(block.split("```").next().unwrap()).unwrap();
    let gossip = sections.gossiper().gossip;
    assert_eq!((gossip.interval, gossip.fanout), (Duration::from_secs(60), 3));
    let consolidation = sections.consolidation.unwrap();
    assert_eq!(consolidation.interval_seconds.get(), 300);
    assert!(consolidation.tls.is_some());
}

#[test]
fn without_the_section_a_node_is_alone() {
    assert!(read("[router]\nretries = 3\n").unwrap().consolidation.is_none());
    let error = read("[consolidation]\nlisten = \"127.0.0.1:0\"\n").err().unwrap();
    assert!(error.to_string().contains("cluster"), "a section with a mistake is not taken for none: {error}");
}

/// `engram config set` writes the whole configuration.
#[test]
fn a_configuration_that_is_written_is_read_as_it_was() {
    let text = cluster_toml(None) + "[gossip]\nfanout = 2\n";
    let config: CliConfig = toml::from_str(&text).unwrap();
    let again: CliConfig = toml::from_str(&toml::to_string_pretty(&config).unwrap()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
}

#[tokio::test]
async fn an_address_other_than_loopback_needs_certificates() {
    let text = cluster_toml(None).replace("127.0.0.1:0", "192.0.2.1:7947");
    let error = read(&text).unwrap().consolidation.unwrap().transport("alice").await.err().unwrap();
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
