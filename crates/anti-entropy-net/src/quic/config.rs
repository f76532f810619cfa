use std::collections::BTreeMap;
use std::net::SocketAddr;

use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::limits::Limits;
use crate::tls::TlsConfig;

/// What a [`QuicTransport`](crate::QuicTransport) is called, where it listens, whom it talks to, and what it believes.
///
/// ```
/// use anti_entropy_net::{QuicConfig, TlsConfig, Trust};
///
/// let written = r#"{
///     "name": "node-1",
///     "listen": "0.0.0.0:7001",
///     "peers": { "node-2": "node-2.example.net:7001", "node-3": "192.0.2.3:7001" },
///     "tls": {
///         "certificates": "certificates/node-1.pem",
///         "key": "certificates/node-1.key",
///         "trust": { "authorities": "certificates/authority.pem" }
///     }
/// }"#;
/// let config: QuicConfig = serde_json::from_str(written).unwrap();
/// let tls = TlsConfig {
///     certificates: "certificates/node-1.pem".into(),
///     key: "certificates/node-1.key".into(),
///     trust: Trust::Authorities("certificates/authority.pem".into()),
/// };
/// assert_eq!(config.tls, tls);
/// assert_eq!(config.peers.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuicConfig {
    /// This node's name, by which its peers know it: 1 to 255 bytes; with authorities, a DNS name.
    pub name: PeerId,
    /// Where to listen. Port 0 takes any that is free; see [`local_addr`](crate::QuicTransport::local_addr).
    pub listen: SocketAddr,
    /// The peers and their addresses. They may be changed later.
    #[serde(default)]
    pub peers: BTreeMap<PeerId, Address>,
    /// The certificates, and whose to believe.
    pub tls: TlsConfig,
    /// The limits of everything that takes memory or time.
    #[serde(default)]
    pub limits: Limits,
    /// Whether nodes that are not among the peers may connect and send, if their certificates prove their names. Off
    /// by default: an authority may have issued certificates for other purposes. Answering them needs
    /// [`set_peer`](crate::QuicTransport::set_peer).
    #[serde(default)]
    pub accept_unknown_peers: bool,
    /// Seed of the jitter. The names are mixed in, so that nodes with the same seed do not move in step; there is
    /// reason to set it only for repeating a test.
    #[serde(default)]
    pub seed: u64,
}

impl QuicConfig {
    /// A node without peers, with the default limits.
    pub fn new(name: PeerId, listen: SocketAddr, tls: TlsConfig) -> Self {
        Self {
            name,
            listen,
            peers: BTreeMap::new(),
            tls,
            limits: Limits::default(),
            accept_unknown_peers: false,
            seed: 0,
        }
    }
}
