//! What goes behind the messages of SWIM.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::PeerId;
use anti_entropy_engram::swim::{PingStats, PingTrailers, PingTrailersConfig};
use anti_entropy_net::TcpTransport;

use super::space::BoxError;
use super::spaces::Spaces;
use super::warn;
use crate::cluster::SwimTrailers;

/// What a node puts behind its messages, and reads there. Neither waits for an engine.
pub struct Trailers {
    pings: Mutex<PingTrailers>,
    spaces: Arc<Spaces>,
    transport: Arc<TcpTransport>,
}

impl Trailers {
    /// For a node that listens where its transport does.
    pub fn new(node: &str, spaces: Arc<Spaces>, transport: Arc<TcpTransport>) -> Result<Self, BoxError> {
        let pings = Mutex::new(PingTrailers::new(node, transport.local_addr(), PingTrailersConfig::default())?);
        Ok(Self { pings, spaces, transport })
    }

    /// What was sent and received.
    pub fn stats(&self) -> PingStats {
        self.pings().stats()
    }

    /// Forgets where a peer listens.
    pub fn forget(&self, peer: &PeerId) {
        self.pings().forget(peer);
    }

    fn pings(&self) -> MutexGuard<'_, PingTrailers> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SwimTrailers for Trailers {
    fn append(&self, payload: &mut Vec<u8>, to: SocketAddr) {
        self.pings().append_shared(payload, to, |peer| self.spaces.digest(peer));
    }

    fn receive(&self, datagram: &[u8], from: SocketAddr) {
        let received = self.pings().receive(datagram, from);
        let Some(peer) = received.peer else { return };
        if let Some(address) = received.new_address
            && let Err(error) = self.transport.set_peer(peer.clone(), address)
        {
            warn(format_args!("{peer} at {address}: {error}"));
        }
        if let Some(digest) = received.shared {
            self.spaces.handle_digest(&peer, digest);
        }
    }
}
