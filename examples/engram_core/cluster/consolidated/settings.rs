//! The settings.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use anti_entropy_engram::gossiper::{ClusterToml, GossipSection, GossiperConfig, MerkleTreeSection};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport, TlsConfig};
use serde::{Deserialize, Serialize};

use super::space::BoxError;
use super::warn;

/// The sections of the configuration that consolidation reads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSections {
    /// Without it, the node consolidates alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consolidation: Option<Consolidation>,
    /// How often nodes compare, and with how many.
    pub gossip: GossipSection,
    /// Nothing in it has an effect.
    pub merkle_tree: MerkleTreeSection,
}

/// The section `[consolidation]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consolidation {
    /// Nodes of clusters with different names refuse each other.
    pub cluster: ClusterName,
    /// Where other nodes connect.
    pub listen: SocketAddr,
    /// A directory for markers, which prove at a start that no store was rolled back: so it must not be in a backup. Not in
    /// the data directory either, since engram takes each directory there for a space.
    pub markers: PathBuf,
    /// How often each space is consolidated; 300 by default, as the scheduler has it.
    #[serde(default = "five_minutes")]
    pub interval_seconds: NonZeroU64,
    /// Needed wherever `listen` is not a loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

impl ClusterSections {
    /// The gossiper's settings. Those that have no effect are logged.
    pub fn gossiper(&self) -> GossiperConfig {
        let sections = ClusterToml::new(self.gossip.clone(), self.merkle_tree.clone());
        let (config, ignored) = sections.apply_to(GossiperConfig::default());
        ignored.iter().for_each(warn);
        config
    }
}

impl Consolidation {
    /// Plain TCP on loopback, mutual TLS elsewhere: each side proves its name by a certificate. Without a section `tls`, an
    /// address other than loopback is refused.
    pub async fn transport(&self, node: &str) -> Result<Arc<TcpTransport>, BoxError> {
        let config = TcpConfig::new(self.cluster.clone(), node.into(), self.listen);
        let config = config.with(|config| config.tls.clone_from(&self.tls));
        Ok(Arc::new(TcpTransport::bind(config).await?))
    }
}

fn five_minutes() -> NonZeroU64 {
    NonZeroU64::new(300).expect("not zero")
}
