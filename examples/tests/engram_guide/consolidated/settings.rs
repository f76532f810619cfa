use std::net::SocketAddr;
use std::sync::Arc;

use anti_entropy_engram::gossiper::{ClusterToml, GossipSection, GossiperConfig, MerkleTreeSection};
use anti_entropy_net::{ClusterName, TcpConfig, TcpTransport, TlsConfig};
use serde::Deserialize;

use super::replica::BoxError;

/// `cluster.toml`, as far as consolidation reads it.
#[derive(Deserialize)]
pub(crate) struct ClusterFile {
    consolidation: Consolidation,
    #[serde(default)]
    gossip: GossipSection,
    #[serde(default)]
    merkle_tree: MerkleTreeSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consolidation {
    /// Nodes of clusters with different names refuse each other.
    cluster: ClusterName,
    listen: SocketAddr,
    /// Needed wherever `listen` is not a loopback address.
    tls: Option<TlsConfig>,
}

impl ClusterFile {
    pub(crate) fn gossiper(&self) -> GossiperConfig {
        let sections = ClusterToml::new(self.gossip.clone(), self.merkle_tree.clone());
        let (config, ignored) = sections.apply_to(GossiperConfig::default());
        for setting in ignored {
            eprintln!("consolidation: {setting}"); // or `tracing::warn!`
        }
        config
    }

    /// Plain TCP on loopback, mutual TLS elsewhere: each side proves its name by a certificate. Without a section `tls`, an
    /// address other than loopback is refused.
    pub(crate) async fn transport(&self, node: &str) -> Result<Arc<TcpTransport>, BoxError> {
        let Consolidation { cluster, listen, tls } = &self.consolidation;
        let config = TcpConfig::new(cluster.clone(), node.into(), *listen);
        let config = config.with(|config| config.tls.clone_from(tls));
        Ok(Arc::new(TcpTransport::bind(config).await?))
    }
}
