//! The transport of SWIM's messages.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::error::ClusterError;
use super::membership::SwimMessage;

/// No datagram is longer, and none that is longer is received whole.
const DEFAULT_MAX_PACKET_SIZE: usize = 1_400;

// Guide: this trait, the field `trailers`, the second parameter of `bind`, and the two calls.
/// What goes behind the messages of SWIM, whose decoder ignores it.
pub trait SwimTrailers: Send + Sync {
    /// Appends to a message that is about to be sent.
    fn append(&self, payload: &mut Vec<u8>, to: SocketAddr);

    /// Reads what was behind a message, from the whole datagram.
    fn receive(&self, datagram: &[u8], from: SocketAddr);
}

pub struct SwimTransport {
    socket: Arc<UdpSocket>,
    max_packet_size: usize,
    trailers: Option<Arc<dyn SwimTrailers>>,
}

impl SwimTransport {
    pub async fn bind(bind_addr: SocketAddr, trailers: Option<Arc<dyn SwimTrailers>>) -> Result<Self, ClusterError> {
        let socket = UdpSocket::bind(bind_addr).await?;
        Ok(Self { socket: Arc::new(socket), max_packet_size: DEFAULT_MAX_PACKET_SIZE, trailers })
    }

    pub fn local_addr(&self) -> Result<SocketAddr, ClusterError> {
        Ok(self.socket.local_addr()?)
    }

    pub async fn send(&self, message: &SwimMessage, addr: SocketAddr) -> Result<(), ClusterError> {
        let mut payload = serialize(message)?;
        if payload.len() > self.max_packet_size {
            return Err(ClusterError::MessageTooLarge(payload.len()));
        }
        if let Some(trailers) = &self.trailers {
            trailers.append(&mut payload, addr);
        }
        self.socket.send_to(&payload, addr).await?;
        Ok(())
    }

    pub async fn recv(&self) -> Result<(SwimMessage, SocketAddr), ClusterError> {
        let mut buf = vec![0u8; self.max_packet_size];
        let (len, addr) = self.socket.recv_from(&mut buf).await?;
        if let Some(trailers) = &self.trailers {
            trailers.receive(&buf[..len], addr);
        }
        let message = deserialize(&buf[..len])?;
        Ok((message, addr))
    }
}

/// By postcard; by bincode 1.3 there.
fn serialize(message: &SwimMessage) -> Result<Vec<u8>, ClusterError> {
    postcard::to_allocvec(message).map_err(|error| ClusterError::Serialization(error.to_string()))
}

/// As bincode 1.3's `deserialize`, takes a message from the front and ignores what follows.
fn deserialize(datagram: &[u8]) -> Result<SwimMessage, ClusterError> {
    let taken = postcard::take_from_bytes(datagram);
    taken.map(|(message, _)| message).map_err(|error| ClusterError::Serialization(error.to_string()))
}
