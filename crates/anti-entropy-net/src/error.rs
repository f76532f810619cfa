use std::io;
use std::net::SocketAddr;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;

use crate::address::Address;

/// Why a transport could not be bound. Nothing is left open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A setting is out of its range, or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificates cannot be used.
    #[cfg(feature = "tls")]
    #[error("{0} (nothing was opened)")]
    Tls(#[from] crate::tls::TlsError),
    /// The operating system refused the address.
    #[error("cannot listen on {address}: {source}; nothing was opened; choose an address that is this node's and free")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system reported.
        source: io::Error,
    },
}

/// Why a peer was not added or moved. The peers are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer's address is on another machine, and plain TCP protects nothing.
    #[error(
        "the address {address} of peer {peer} was refused: plain TCP proves no sender and protects no frame, so it \
         stays on loopback; use TLS or a loopback address, or set allow_non_loopback if the network itself is private"
    )]
    NotLoopback {
        /// The peer.
        peer: PeerId,
        /// Its address.
        address: SocketAddr,
    },
    /// No peer can have this address.
    #[error("the address {address} of peer {peer} was refused: it must be {bound}")]
    Unreachable {
        /// The peer.
        peer: PeerId,
        /// Its address.
        address: Address,
        /// What it must be, and why this one is not.
        bound: &'static str,
    },
    /// The peer has this node's own name. A node does not send to itself.
    #[error("peer {0} was refused: it is this node's own name; remove it from the peers, or rename one of the two")]
    OwnName(PeerId),
    /// The name is empty, or longer than the handshake can carry.
    #[error("a name of {bytes} bytes was refused; names have 1 to 255")]
    NameLength {
        /// The name's length.
        bytes: usize,
    },
    /// There are as many peers as allowed.
    #[error("the peer was refused: there are {max} already; remove one, or raise max_peers")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The transport is closed.
    #[error("the transport is closed; bind a new one")]
    Closed,
}
