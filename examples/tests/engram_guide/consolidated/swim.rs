use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anti_entropy_engram::swim::PingTrailers;
use anti_entropy_net::TcpTransport;

use super::spaces::Spaces;

/// What `SwimTransport` puts behind its messages, and reads there. Neither side waits for an engine.
pub(crate) struct Trailers {
    pub(crate) pings: Mutex<PingTrailers>,
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) transport: Arc<TcpTransport>,
}

impl Trailers {
    /// In `send`, between `serialize` and `send_to`.
    pub(crate) fn append(&self, payload: &mut Vec<u8>, to: SocketAddr) {
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        pings.append_shared(payload, to, |peer| self.spaces.digest(peer));
    }

    /// In `recv`, after `recv_from`, with the whole datagram; `deserialize` then reads the message at its front.
    pub(crate) fn receive(&self, datagram: &[u8], from: SocketAddr) {
        let received = self.pings.lock().unwrap_or_else(PoisonError::into_inner).receive(datagram, from);
        let Some(peer) = received.peer else { return };
        if let Some(address) = received.new_address
            && let Err(error) = self.transport.set_peer(peer.clone(), address)
        {
            eprintln!("consolidation: {peer} at {address}: {error}");
        }
        if let Some(digest) = received.shared {
            self.spaces.handle_digest(&peer, digest);
        }
    }
}
