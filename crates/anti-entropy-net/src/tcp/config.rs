use std::collections::BTreeMap;
use std::net::SocketAddr;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::checks::{is_loopback, name_fits, peers_fit};
use crate::cluster_name::ClusterName;
use crate::error::PeerError;
use crate::limits::TransportLimits;
#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// The configuration of a [`TcpTransport`](crate::TcpTransport): its name, its address, its peers and its limits.
///
/// ```
/// use anti_entropy_net::TcpConfig;
///
/// let (listen, other) = ("127.0.0.1:7001".parse()?, "127.0.0.1:7002".parse()?);
/// let config = TcpConfig::new("production".parse()?, "node-1".into(), listen).with(|config| {
///     config.peers = [("node-2".into(), other)].into();
///     config.limits.max_frame_bytes = 256 << 10;
/// });
/// assert!(config.validate().is_ok());
/// let same: TcpConfig = serde_json::from_str(&serde_json::to_string(&config)?)?;
/// assert_eq!(same, config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TcpConfig {
    /// The name of the cluster. Connections between nodes of clusters with different names are refused, whatever
    /// certificates they show.
    pub cluster: ClusterName,
    /// This node's name, by which its peers know it: 1 to 255 bytes. With TLS and authorities, a DNS name.
    pub name: PeerId,
    /// The address to listen on: a loopback address, unless `tls` or `allow_non_loopback` is set. Port 0 takes any that
    /// is free; see [`local_addr`](crate::TcpTransport::local_addr).
    pub listen: SocketAddr,
    /// The peers and their addresses: at most [`max_peers`](TransportLimits::max_peers), and this node is not among
    /// them. IP addresses are loopback addresses, unless `tls` or `allow_non_loopback` is set. Names are resolved at
    /// each attempt to connect, and then the same holds of what they stand for. Peers may be changed later.
    #[serde(default)]
    pub peers: BTreeMap<PeerId, Address>,
    /// Limits of memory, connections and time.
    #[serde(default)]
    pub limits: TransportLimits,
    /// This node's certificate, and which certificates it trusts. Without it nothing is protected.
    #[cfg(feature = "tls")]
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Whether addresses other than loopback are allowed without TLS. Off by default, because plain TCP neither proves
    /// who sends nor hides or protects what is sent. Turn it on only where the network itself does, such as a VPN or a
    /// private segment between the nodes.
    #[serde(default)]
    pub allow_non_loopback: bool,
    /// Whether nodes that are not among the peers may connect and send. Off by default, since plain TCP does not prove
    /// names. To answer such a node, its address must be given to [`set_peer`](crate::TcpTransport::set_peer).
    #[serde(default)]
    pub accept_unknown_peers: bool,
    /// The seed of random delays. The names of both sides are mixed in, so that nodes with the same seed do not act at
    /// the same moment. The only reason to set it is to repeat a test.
    #[serde(default)]
    pub seed: u64,
}

impl TcpConfig {
    /// A node without peers, with the default limits.
    pub fn new(cluster: ClusterName, name: PeerId, listen: SocketAddr) -> Self {
        Self {
            cluster,
            name,
            listen,
            peers: BTreeMap::new(),
            limits: TransportLimits::default(),
            #[cfg(feature = "tls")]
            tls: None,
            allow_non_loopback: false,
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
        const LOOPBACK: &str = "a loopback address, because plain TCP proves no sender and protects no frame; use TLS, or \
                                set allow_non_loopback if the network itself is private";
        self.limits.validate().map_err(|error| error.within("limits"))?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.validate().map_err(|error| error.within("tls"))?;
        }
        name_fits("name", &self.name)?;
        if !self.may_reach(self.listen) {
            return Err(ConfigError::new("listen", self.listen, LOOPBACK));
        }
        peers_fit(&self.name, &self.peers, self.limits.max_peers)?;
        let refused = self.peers.iter().find_map(|(peer, address)| Some((peer, self.out_of_reach(address)?)));
        refused.map_or(Ok(()), |(peer, address)| Err(ConfigError::new(&format!("peers.{peer}"), address, LOOPBACK)))
    }

    /// Refuses a peer's address to which no frames may go. A name is checked when it is resolved.
    pub(crate) fn check_address(&self, peer: &PeerId, address: &Address) -> Result<(), PeerError> {
        let refused = self.out_of_reach(address);
        refused.map_or(Ok(()), |address| Err(PeerError::NotLoopback { peer: peer.clone(), address }))
    }

    fn out_of_reach(&self, address: &Address) -> Option<SocketAddr> {
        match address {
            Address::Socket(address) => (!self.may_reach(*address)).then_some(*address),
            Address::Name { .. } => None,
        }
    }

    /// Whether this node may listen on an address, or connect to it.
    pub(crate) fn may_reach(&self, address: SocketAddr) -> bool {
        self.allow_non_loopback || self.is_protected() || is_loopback(address)
    }

    #[cfg(feature = "tls")]
    fn is_protected(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "with TLS it is used")]
    fn is_protected(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> ClusterName {
        ClusterName::new("test").unwrap()
    }

    #[test]
    fn the_defaults_are_valid_and_fill_a_short_file() {
        let written = r#"{ "cluster": "test", "name": "a", "listen": "127.0.0.1:0", "limits": { "max_peers": 7 } }"#;
        let config: TcpConfig = serde_json::from_str(written).unwrap();
        assert!(config.validate().is_ok());
        assert_eq!(config.limits, TransportLimits { max_peers: 7, ..TransportLimits::default() });
        assert!(!config.allow_non_loopback && !config.accept_unknown_peers && config.peers.is_empty());
        for (what, instead) in [("max_peers", "max_piers"), (r#""cluster": "test", "#, ""), ("test", "a cluster")] {
            assert!(serde_json::from_str::<TcpConfig>(&written.replace(what, instead)).is_err(), "{what}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut TcpConfig);
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let spoils: [(&str, Spoil); 11] = [
            ("limits.max_frame_bytes", |config| config.limits.max_frame_bytes = 0),
            ("name", |config| config.name = "".into()),
            ("name", |config| config.name = "x".repeat(256).as_str().into()),
            ("listen", |config| config.listen = ([0, 0, 0, 0], 0).into()),
            ("peers", |config| config.limits.max_peers = 1),
            ("peers", |config| drop(config.peers.insert("".into(), ([127, 0, 0, 1], 7_000).into()))),
            ("peers", |config| drop(config.peers.insert("a".into(), ([127, 0, 0, 1], 7_000).into()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), ([127, 0, 0, 1], 0).into()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), "[::]:7000".parse().unwrap()))),
            ("peers.d", |config| drop(config.peers.insert("d".into(), "[fe80::1]:7000".parse().unwrap()))),
            ("peers.b", |config| drop(config.peers.insert("b".into(), "192.0.2.1:1".parse().unwrap()))),
        ];
        let peers: BTreeMap<_, _> = ["b", "c"].map(|name| (name.into(), ([127, 0, 0, 1], 7_000).into())).into();
        let good = TcpConfig::new(cluster(), "a".into(), loopback).with(|config| config.peers = peers);
        assert_eq!(good.validate(), Ok(()));
        for (field, spoil) in spoils {
            assert_eq!(good.clone().with(spoil).validate().unwrap_err().field, field);
        }
        for accepted in ["x".repeat(255).as_str(), "x"] {
            assert_eq!(good.clone().with(|config| config.name = accepted.into()).validate(), Ok(()));
        }
        let open = |config: &mut TcpConfig| config.allow_non_loopback = true;
        for (field, spoil) in spoils.into_iter().filter(|(field, _)| ["listen", "peers.b"].contains(field)) {
            assert_eq!(good.clone().with(spoil).with(open).validate(), Ok(()), "{field}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn with_tls_any_address_will_do_but_the_settings_of_tls_count() {
        let tls = TlsConfig::new("a.pem", "a.key", crate::tls::Trust::Authorities("authority.pem".into()));
        let everywhere = TcpConfig::new(cluster(), "a".into(), ([0, 0, 0, 0], 0).into());
        let config = everywhere.with(|config| config.tls = Some(tls.clone()));
        assert_eq!(config.validate(), Ok(()));
        let config = config.with(|config| config.tls = Some(tls.with(|tls| tls.key = "".into())));
        assert_eq!(config.validate().unwrap_err().field, "tls.key");
    }
}
