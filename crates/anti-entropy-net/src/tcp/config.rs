use std::collections::BTreeMap;
use std::net::SocketAddr;

use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::error::{BindError, PeerError};
use crate::limits::Limits;
use crate::peers::check_name;
#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// What a [`TcpTransport`](crate::TcpTransport) is called, where it listens, and whom it talks to.
///
/// ```
/// use anti_entropy_net::{TcpConfig, Limits};
///
/// let config = TcpConfig {
///     peers: [("node-2".into(), "127.0.0.1:7002".parse().unwrap())].into(),
///     limits: Limits { max_frame_bytes: 256 << 10, ..Limits::default() },
///     ..TcpConfig::new("node-1".into(), "127.0.0.1:7001".parse().unwrap())
/// };
/// let same: TcpConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
/// assert_eq!(same, config);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpConfig {
    /// This node's name, by which its peers know it: 1 to 255 bytes.
    pub name: PeerId,
    /// Where to listen. Port 0 takes any that is free; see [`local_addr`](crate::TcpTransport::local_addr).
    pub listen: SocketAddr,
    /// The peers and their addresses. They may be changed later.
    #[serde(default)]
    pub peers: BTreeMap<PeerId, Address>,
    /// The limits of everything that takes memory or time.
    #[serde(default)]
    pub limits: Limits,
    /// Certificates, and whose to believe; without them nothing is protected.
    #[cfg(feature = "tls")]
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Whether addresses other than loopback are allowed without TLS. Off by default, because plain TCP neither proves
    /// who sends nor hides or protects what is sent: turn it on only where the network itself does, as a VPN or a
    /// private segment between the nodes.
    #[serde(default)]
    pub allow_non_loopback: bool,
    /// Whether nodes that are not among the peers may connect and send. Off by default, since names are not proven;
    /// answering them needs their address, with [`set_peer`](crate::TcpTransport::set_peer).
    #[serde(default)]
    pub accept_unknown_peers: bool,
    /// Seed of the jitter. The names are mixed in, so that nodes with the same seed do not move in step; there is
    /// reason to set it only for repeating a test.
    #[serde(default)]
    pub seed: u64,
}

impl TcpConfig {
    /// A node without peers, with the default limits.
    pub fn new(name: PeerId, listen: SocketAddr) -> Self {
        Self {
            name,
            listen,
            peers: BTreeMap::new(),
            limits: Limits::default(),
            #[cfg(feature = "tls")]
            tls: None,
            allow_non_loopback: false,
            accept_unknown_peers: false,
            seed: 0,
        }
    }

    /// Checks everything that can be checked without opening a socket.
    pub(crate) fn validate(&self) -> Result<(), BindError> {
        self.limits.validate()?;
        check_name(&self.name)?;
        if !self.may_reach(self.listen) {
            return Err(BindError::ListenNotLoopback { address: self.listen });
        }
        self.peers.iter().try_for_each(|(peer, address)| self.check_address(peer, address))?;
        Ok(())
    }

    /// Whether frames may go to an address; if it is a name, that is asked again of what it stands for.
    pub(crate) fn check_address(&self, peer: &PeerId, address: &Address) -> Result<(), PeerError> {
        match address {
            Address::Socket(socket) if !self.may_reach(*socket) => {
                Err(PeerError::NotLoopback { peer: peer.clone(), address: *socket })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn may_reach(&self, address: SocketAddr) -> bool {
        self.allow_non_loopback || self.protected() || is_loopback(address)
    }

    #[cfg(feature = "tls")]
    fn protected(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "with TLS it is used")]
    fn protected(&self) -> bool {
        false
    }
}

/// Also if the address is an IPv4 one in IPv6's clothes.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_fill_a_short_file() {
        let written = r#"{ "name": "a", "listen": "127.0.0.1:0", "limits": { "max_peers": 7 } }"#;
        let config: TcpConfig = serde_json::from_str(written).unwrap();
        assert!(config.validate().is_ok());
        assert_eq!(config.limits, Limits { max_peers: 7, ..Limits::default() });
        assert!(!config.allow_non_loopback && !config.accept_unknown_peers && config.peers.is_empty());
        assert!(serde_json::from_str::<TcpConfig>(&written.replace("max_peers", "max_piers")).is_err());
    }
}
