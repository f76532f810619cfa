use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anti_entropy::gossip::PeerId;
use serde::{Deserialize, Serialize};

use crate::error::{BindError, PeerError};
use crate::handshake::MAX_NAME_BYTES;

/// What a [`TcpTransport`](crate::TcpTransport) is called, where it listens, and whom it talks to.
///
/// ```
/// use anti_entropy_net::{TcpConfig, TcpLimits};
///
/// let config = TcpConfig {
///     peers: [("node-2".into(), "127.0.0.1:7002".parse().unwrap())].into(),
///     limits: TcpLimits { max_frame_bytes: 256 << 10, ..TcpLimits::default() },
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
    pub peers: BTreeMap<PeerId, SocketAddr>,
    /// The limits of everything that takes memory or time.
    #[serde(default)]
    pub limits: TcpLimits,
    /// Whether addresses other than loopback are allowed. Off by default, because plain TCP neither proves who sends
    /// nor hides or protects what is sent: turn it on only where the network itself does, as a VPN or a private
    /// segment between the nodes.
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
            limits: TcpLimits::default(),
            allow_non_loopback: false,
            accept_unknown_peers: false,
            seed: 0,
        }
    }

    /// Checks everything that can be checked without opening a socket.
    pub(crate) fn validate(&self) -> Result<(), BindError> {
        self.limits.validate()?;
        check_name(&self.name)?;
        if !self.allow_non_loopback && !is_loopback(self.listen) {
            return Err(BindError::ListenNotLoopback { address: self.listen });
        }
        if self.peers.len() > self.limits.max_peers {
            return Err(PeerError::TooMany { max: self.limits.max_peers }.into());
        }
        for (peer, address) in &self.peers {
            self.check_peer(peer, *address)?;
        }
        Ok(())
    }

    pub(crate) fn check_peer(&self, peer: &PeerId, address: SocketAddr) -> Result<(), PeerError> {
        check_name(peer)?;
        if *peer == self.name {
            return Err(PeerError::OwnName(peer.clone()));
        }
        if !self.allow_non_loopback && !is_loopback(address) {
            return Err(PeerError::NotLoopback { peer: peer.clone(), address });
        }
        Ok(())
    }
}

/// The limits of a [`TcpTransport`](crate::TcpTransport). Each has a default for a few dozen peers in one data centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TcpLimits {
    /// The longest frame, either way; at least 1,024. Default 1 MiB: long against the cost of a frame, short against
    /// the time and memory that one frame may take.
    pub max_frame_bytes: usize,
    /// How many frames wait for one peer. Default 1,024: many small frames of one round, and no more, since frames
    /// that waited for long answer a question that nobody asks any more.
    pub send_queue_frames: usize,
    /// How many bytes of frames wait for one peer; at least `max_frame_bytes`. Default 4 MiB: a few of the longest
    /// frames keep the connection busy.
    pub send_queue_bytes: usize,
    /// How many received frames wait for `receive`, from all peers together. Default 1,024. When they are as many,
    /// connections are read no further, and their senders' queues fill.
    pub receive_queue_frames: usize,
    /// How many bytes of received frames wait for `receive`; at least `max_frame_bytes`. Default 16 MiB. On top of it
    /// each connection may hold the one frame that it is receiving.
    pub receive_queue_bytes: usize,
    /// How many peers may be configured, each with a queue and a task. Default 1,024.
    pub max_peers: usize,
    /// How many inbound connections are open after their handshake. Default 1,024: one a peer.
    pub max_connections: usize,
    /// How many inbound connections are in their handshake; further ones are closed at once. Default 128: strangers
    /// that connect and say nothing take few places, and those are not the peers'.
    pub max_handshakes: usize,
    /// How long connecting, or being connected to, may take until the handshake is through. Default 5 seconds: a few
    /// lost packets.
    pub handshake_timeout: Duration,
    /// After how long without a frame a connection is closed by the side that sends; the receiving side waits twice as
    /// long, so that it does not close one that is about to be used. Default 60 seconds: longer than between two
    /// gossip rounds with the same peer in a small cluster, and a peer that vanished is forgotten soon.
    pub idle_timeout: Duration,
    /// How long one frame may take to be written until the connection counts as broken. Default 30 seconds: a peer
    /// that is busy may pause, one that is gone must not be waited for.
    pub write_timeout: Duration,
    /// How long to wait before connecting again, the first time; it doubles until `reconnect_max`, and each time
    /// between half of it and all of it is waited. Default 100 milliseconds: a restarted process is back about then.
    pub reconnect_min: Duration,
    /// How long to wait before connecting again at most. Default 10 seconds: what an attempt costs hardly counts any
    /// more, and a peer that comes back is found soon.
    pub reconnect_max: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            max_frame_bytes: 1 << 20,
            send_queue_frames: 1_024,
            send_queue_bytes: 4 << 20,
            receive_queue_frames: 1_024,
            receive_queue_bytes: 16 << 20,
            max_peers: 1_024,
            max_connections: 1_024,
            max_handshakes: 128,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
        }
    }
}

impl TcpLimits {
    /// What the queues' counters, and a frame's length of four bytes, can express.
    const MOST: usize = u32::MAX as usize >> 3;

    fn validate(&self) -> Result<(), BindError> {
        let rules = [
            (self.max_frame_bytes >= 1_024, "max_frame_bytes", "must be at least 1,024"),
            (self.send_queue_frames >= 1, "send_queue_frames", "must be at least 1"),
            (self.send_queue_bytes >= self.max_frame_bytes, "send_queue_bytes", "must hold the longest frame"),
            (self.receive_queue_frames >= 1, "receive_queue_frames", "must be at least 1"),
            (self.receive_queue_frames <= Self::MOST, "receive_queue_frames", "must be less than 2^29"),
            (self.receive_queue_bytes >= self.max_frame_bytes, "receive_queue_bytes", "must hold the longest frame"),
            (self.receive_queue_bytes <= Self::MOST, "receive_queue_bytes", "must be less than 2^29"),
            (self.max_connections >= 1, "max_connections", "must be at least 1"),
            (self.max_handshakes >= 1, "max_handshakes", "must be at least 1"),
            (self.max_handshakes <= Self::MOST, "max_handshakes", "must be less than 2^29"),
            (!self.handshake_timeout.is_zero(), "handshake_timeout", "must not be zero"),
            (!self.idle_timeout.is_zero(), "idle_timeout", "must not be zero"),
            (!self.write_timeout.is_zero(), "write_timeout", "must not be zero"),
            (!self.reconnect_min.is_zero(), "reconnect_min", "must not be zero"),
            (self.reconnect_min <= self.reconnect_max, "reconnect_max", "must not be less than reconnect_min"),
        ];
        match rules.into_iter().find(|(kept, ..)| !kept) {
            Some((_, limit, rule)) => Err(BindError::Limit { limit, rule }),
            None => Ok(()),
        }
    }
}

fn check_name(name: &PeerId) -> Result<(), PeerError> {
    match name.as_str().len() {
        1..=MAX_NAME_BYTES => Ok(()),
        bytes => Err(PeerError::NameLength { bytes }),
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
        assert_eq!(config.limits, TcpLimits { max_peers: 7, ..TcpLimits::default() });
        assert!(!config.allow_non_loopback && !config.accept_unknown_peers && config.peers.is_empty());
        assert!(serde_json::from_str::<TcpConfig>(&written.replace("max_peers", "max_piers")).is_err());
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut TcpLimits);
        let spoils: [(&str, Spoil); 15] = [
            ("max_frame_bytes", |limits| limits.max_frame_bytes = 1_023),
            ("send_queue_frames", |limits| limits.send_queue_frames = 0),
            ("send_queue_bytes", |limits| limits.send_queue_bytes = limits.max_frame_bytes - 1),
            ("receive_queue_frames", |limits| limits.receive_queue_frames = 0),
            ("receive_queue_frames", |limits| limits.receive_queue_frames = usize::MAX),
            ("receive_queue_bytes", |limits| limits.receive_queue_bytes = limits.max_frame_bytes - 1),
            ("receive_queue_bytes", |limits| limits.receive_queue_bytes = usize::MAX),
            ("max_connections", |limits| limits.max_connections = 0),
            ("max_handshakes", |limits| limits.max_handshakes = 0),
            ("max_handshakes", |limits| limits.max_handshakes = usize::MAX),
            ("handshake_timeout", |limits| limits.handshake_timeout = Duration::ZERO),
            ("idle_timeout", |limits| limits.idle_timeout = Duration::ZERO),
            ("write_timeout", |limits| limits.write_timeout = Duration::ZERO),
            ("reconnect_min", |limits| limits.reconnect_min = Duration::ZERO),
            ("reconnect_max", |limits| limits.reconnect_max = limits.reconnect_min / 2),
        ];
        for (name, spoil) in spoils {
            let mut limits = TcpLimits::default();
            spoil(&mut limits);
            let refused = limits.validate();
            assert!(matches!(refused, Err(BindError::Limit { limit, .. }) if limit == name), "{name}: {refused:?}");
        }
    }
}
