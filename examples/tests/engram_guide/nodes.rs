//! Nodes of engram in parts, without its server, and what they consolidate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy_engram::MemorySpace;
use anti_entropy_engram::gossiper::GossiperConfig;
use anti_entropy_net::TestFiles;
use anti_entropy_redb::MarkerFile;
use chrono::DateTime;
use engram_core::Confidence;
use engram_core::cluster::consolidated::durable;
use engram_core::cluster::consolidated::settings::ClusterSections;
use engram_core::cluster::consolidated::space::ConsolidatedSpace;
use engram_core::cluster::consolidated::spaces::Spaces;
use engram_core::cluster::consolidated::swim::Trailers;
use engram_core::cluster::{NodeInfo, SwimTrailers as _};
use engram_core::completion::{ConsolidationSnapshot, ConsolidationStats, SemanticPattern};
use engram_core::consolidation::{BeliefUpdateRecord, ConsolidationCacheSource};

/// A node with two spaces.
pub(crate) struct Node {
    pub(crate) info: NodeInfo,
    replicas: [ConsolidatedSpace; 2],
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) trailers: Trailers,
    pub(crate) markers: [MarkerFile; 2],
}

const SPACES: [&str; 2] = ["default", "dreams"];

/// The configuration of a node on loopback.
pub(crate) fn cluster_toml(tls: Option<&TestFiles>) -> String {
    let mut text =
        "[consolidation]\ncluster = \"engram\"\nlisten = \"127.0.0.1:0\"\nmarkers = \"markers\"\n".to_owned();
    if let Some(TestFiles { certificate, key, authority, .. }) = tls {
        let [certificate, key, authority] = [certificate, key, authority].map(|path| path.display());
        let tls = format!("certificates = '{certificate}'\nkey = '{key}'\ntrust = {{ authorities = '{authority}' }}\n");
        text = format!("{text}[consolidation.tls]\n{tls}");
    }
    text
}

impl Node {
    /// The directories are named after the node: no two tests have one of a name.
    pub(crate) async fn start(name: &str, tls: Option<&TestFiles>) -> Self {
        let sections: ClusterSections = toml::from_str(&cluster_toml(tls)).unwrap();
        let transport = sections.consolidation.as_ref().unwrap().transport(name).await.unwrap();
        let spaces = Spaces::new(name, Arc::clone(&transport)).unwrap();
        let directory = directory(&format!("guide-{name}"));
        let stores = durable::open(&directory).unwrap();
        // Rounds are far away: what was written before nodes met is found by pings alone.
        let by_pings = |config: &mut GossiperConfig| {
            config.gossip.min_interval = Duration::from_secs(3_600);
            config.gossip.interval = Duration::from_secs(3_600);
        };
        let start = |space: &str| {
            let (store, opening, marker) = durable::space(&stores, space, &directory).unwrap();
            let config = sections.gossiper().with(by_pings);
            (spaces.start(MemorySpace::new(space), config, store, opening).unwrap(), marker)
        };
        let [(default, first), (dreams, second)] = SPACES.map(start);
        // Where SWIM would listen: an address of each node, from which the datagrams of this test come.
        let swim_addr = SocketAddr::new(transport.local_addr().ip(), transport.local_addr().port() ^ 1);
        let info = NodeInfo {
            id: name.to_owned(),
            swim_addr,
            api_addr: transport.local_addr(),
            rack: None,
            zone: Some("zone".to_owned()),
        };
        let trailers = Trailers::new(name, Arc::clone(&spaces), transport).unwrap();
        Self { info, replicas: [default, dreams], spaces, trailers, markers: [first, second] }
    }

    pub(crate) fn default(&self) -> &ConsolidatedSpace {
        &self.replicas[0]
    }

    pub(crate) fn dreams(&self) -> &ConsolidatedSpace {
        &self.replicas[1]
    }

    /// A datagram to another node, received there.
    pub(crate) fn ping(&self, other: &Self) {
        let mut datagram = b"what SWIM encoded".to_vec();
        self.trailers.append(&mut datagram, other.info.swim_addr);
        other.trailers.receive(&datagram, self.info.swim_addr);
    }

    /// Places both spaces on these two nodes.
    pub(crate) async fn meet(&self, other: &Self) {
        let nodes = [self.info.clone(), other.info.clone()];
        for space in SPACES.map(MemorySpace::new) {
            self.spaces.place(&space, &nodes).await.unwrap();
            other.spaces.place(&space, &nodes).await.unwrap();
        }
    }
}

/// The nodes ping each other, until the engines of both hold the same in both spaces.
pub(crate) async fn ping_until_equal(alice: &Node, bob: &Node) {
    let states = async |node: &Node| {
        let [default, dreams] = [node.default(), node.dreams()].map(|space| space.gossiper.announcement());
        (default.await.unwrap(), dreams.await.unwrap())
    };
    let equal = async {
        while states(alice).await != states(bob).await {
            alice.ping(bob);
            bob.ping(alice);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), equal).await.unwrap();
}

/// Consolidation has found this. Returns when it is written.
pub(crate) async fn consolidate(
    replica: &ConsolidatedSpace,
    snapshot: &ConsolidationSnapshot,
    updates: &[BeliefUpdateRecord],
) {
    let snapshot = snapshot.clone();
    let updates: Vec<_> = updates.iter().map(Into::into).collect();
    let writing = replica.gossiper.with(move |gossiper, now| {
        gossiper.hint_for(snapshot.generated_at, &updates);
        gossiper.rebuild_from_snapshot(&snapshot, now)
    });
    let rebuilt = writing.await.unwrap().unwrap();
    assert_eq!(rebuilt.refused, []);
}

pub(crate) fn pattern(id: &str, confidence: f32) -> SemanticPattern {
    SemanticPattern {
        id: id.to_owned(),
        embedding: [0.5; 768],
        source_episodes: vec!["episode_1".to_owned(), "episode_2".to_owned()],
        strength: 0.7,
        schema_confidence: Confidence::exact(confidence),
        last_consolidated: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    }
}

pub(crate) fn snapshot(patterns: &[SemanticPattern]) -> ConsolidationSnapshot {
    let generated_at = DateTime::from_timestamp(1_700_000_300, 0).unwrap();
    ConsolidationSnapshot { generated_at, patterns: patterns.to_vec(), stats: ConsolidationStats::default() }
}

pub(crate) fn update(id: &str) -> BeliefUpdateRecord {
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

pub(crate) fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
