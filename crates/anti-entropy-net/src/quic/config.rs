use std::collections::BTreeMap;
use std::net::SocketAddr;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::checks::{name_fits, peers_fit};
use crate::cluster_name::ClusterName;
use crate::limits::TransportLimits;
use crate::tls::TlsConfig;

/// The configuration of a [`QuicTransport`](crate::QuicTransport): its name, its address, its peers, its certificates
/// and its limits.
///
/// ```
/// use anti_entropy_net::{QuicConfig, TlsConfig, Trust};
///
/// let written = r#"{
///     "cluster": "production",
///     "name": "node-1",
///     "listen": "0.0.0.0:7001",
///     "peers": { "node-2": "node-2.example.net:7001", "node-3": "192.0.2.3:7001" },
///     "tls": {
///         "certificates": "certificates/node-1.pem",
///         "key": "certificates/node-1.key",
///         "trust": { "authorities": "certificates/authority.pem" }
///     }
/// }"#;
/// let read: QuicConfig = serde_json::from_str(written)?;
///
/// let trust = Trust::Authorities("certificates/authority.pem".into());
/// let tls = TlsConfig::new("certificates/node-1.pem", "certificates/node-1.key", trust);
/// let peers = [("node-2".into(), "node-2.example.net:7001".parse()?), ("node-3".into(), "192.0.2.3:7001".parse()?)];
/// let config = QuicConfig::new("production".parse()?, "node-1".into(), "0.0.0.0:7001".parse()?, tls)
///     .with(|config| config.peers = peers.into());
/// assert_eq!(read, config);
/// assert!(config.validate().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QuicConfig {
    /// The name of the cluster. Connections between nodes of clusters with different names are refused, whatever
    /// certificates they show.
    pub cluster: ClusterName,
    /// This node's name, by which its peers know it: 1 to 255 bytes. With authorities, a DNS name.
    pub name: PeerId,
    /// The address to listen on. Port 0 takes any that is free; see [`local_addr`](crate::QuicTransport::local_addr).
    pub listen: SocketAddr,
    /// The peers and their addresses: at most [`max_peers`](TransportLimits::max_peers), and this node is not among
    /// them. Peers may be changed later.
    #[serde(default)]
    pub peers: BTreeMap<PeerId, Address>,
    /// This node's certificate, and which certificates it trusts.
    pub tls: TlsConfig,
    /// Limits of memory, connections and time.
    #[serde(default)]
    pub limits: TransportLimits,
    /// Whether nodes that are not among the peers may connect and send, if their certificates prove their names. Off by
    /// default: an authority may have issued certificates for other purposes. To answer such a node, its address must
    /// be given to [`set_peer`](crate::QuicTransport::set_peer).
    #[serde(default)]
    pub accept_unknown_peers: bool,
    /// The seed of random delays. The names of both sides are mixed in, so that nodes with the same seed do not act at
    /// the same moment. The only reason to set it is to repeat a test.
    #[serde(default)]
    pub seed: u64,
}

impl QuicConfig {
    /// A node without peers, with the default limits.
    pub fn new(cluster: ClusterName, name: PeerId, listen: SocketAddr, tls: TlsConfig) -> Self {
        Self {
            cluster,
            name,
            listen,
            peers: BTreeMap::new(),
            tls,
            limits: TransportLimits::default(),
            accept_unknown_peers: false,
            seed: 0,
        }
    }

    /// The same configuration with some fields changed: `config.with(|config| config.accept_unknown_peers = true)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks all that can be checked without opening a socket or reading a file.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range, or that contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate().map_err(|error| error.within("limits"))?;
        self.tls.validate().map_err(|error| error.within("tls"))?;
        name_fits("name", &self.name)?;
        peers_fit(&self.name, &self.peers, self.limits.max_peers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Trust;

    fn address() -> Address {
        ([192, 0, 2, 1], 7_000).into()
    }

    fn cluster() -> ClusterName {
        ClusterName::new("test").unwrap()
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut QuicConfig);
        let spoils: [(&str, Spoil); 11] = [
            ("limits.window_bytes", |config| config.limits.window_bytes = 0),
            ("tls.certificates", |config| config.tls.certificates = "".into()),
            ("name", |config| config.name = "".into()),
            ("name", |config| config.name = "x".repeat(256).as_str().into()),
            ("peers", |config| config.limits.max_peers = 1),
            ("peers", |config| drop(config.peers.insert("".into(), address()))),
            ("peers", |config| drop(config.peers.insert("x".repeat(256).as_str().into(), address()))),
            ("peers", |config| drop(config.peers.insert("a".into(), address()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), ([192, 0, 2, 1], 0).into()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), "0.0.0.0:7000".parse().unwrap()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), "[fe80::1]:7000".parse().unwrap()))),
        ];
        let tls = TlsConfig::new("a.pem", "a.key", Trust::Authorities("authority.pem".into()));
        let good = QuicConfig::new(cluster(), "a".into(), ([0, 0, 0, 0], 0).into(), tls).with(|config| {
            config.peers = ["b", "c"].map(|name| (name.into(), address())).into();
        });
        assert_eq!(good.validate(), Ok(()));
        for (field, spoil) in spoils {
            assert_eq!(good.clone().with(spoil).validate().unwrap_err().field, field);
        }
    }
}
