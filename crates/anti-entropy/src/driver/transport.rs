use std::sync::Arc;

use async_trait::async_trait;

use crate::{ConfigError, PeerId, SessionConfig};

/// Carries frames between peers.
///
/// A frame is a datagram: it arrives whole or not at all, and may arrive late, twice or out of order. Sessions tolerate
/// all of that. Ordering and retries in a transport save time; correctness does not depend on them.
///
/// # Implementer notes
///
/// - A frame that arrives is byte for byte one that was sent to this node, and comes with its sender's name. Whether
///   that name is proven is what [`authenticated`](Self::authenticated) says.
/// - [`send`](Self::send) may queue. Its queues are bounded: when one is full, the frame is dropped and an error
///   returned. It never waits for a slow or unreachable peer.
/// - [`receive`](Self::receive) is cancellation-safe: a future dropped before it was ready has consumed no frame. So is
///   [`receive_with_room`](Self::receive_with_room), and both return the same frames.
/// - Frames longer than [`max_frame_bytes`](Self::max_frame_bytes) are refused by `send`, and so are frames to an unknown
///   peer.
/// - Once the transport is closed, `receive` returns `None`, also where it was waiting, and `send` fails.
///
/// The crate [`anti-entropy-conformance`](https://docs.rs/anti-entropy-conformance) checks these laws.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a frame, or queues it. An error means that this frame is lost, and nothing else.
    ///
    /// # Errors
    /// [`SendError`], with the reason why the frame will not arrive.
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError>;

    /// Waits for the next frame from any peer. `None` means that the transport is closed for good.
    async fn receive(&self) -> Option<(PeerId, Vec<u8>)>;

    /// Waits for the next frame as [`receive`](Self::receive) does, and returns with it the room that it takes in this
    /// transport's queues. The caller drops the room when the frame has been handled. So a transport that has so much room
    /// for each peer, and does not read a peer that has used up its own, can push back to those whose frames are not
    /// handled as fast as they arrive, while the frames of others go on.
    ///
    /// By default the room is nothing, and what is not handled in time is dropped by the caller.
    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        let (from, frame) = self.receive().await?;
        Some((from, frame, Box::new(())))
    }

    /// The longest frame that can be sent, in bytes; at least 1,024. A driver refuses a transport with less than
    /// [`SessionConfig::MIN_FRAME_BYTES`].
    fn max_frame_bytes(&self) -> usize;

    /// Whether the transport protects frames against modification and authenticates their senders, by mutual TLS for
    /// example. Frames then carry no checksum of their own.
    fn authenticated(&self) -> bool {
        false
    }

    /// The name under which peers know this node, if the transport knows it. The driver passes it on to the engine,
    /// which needs it for [`PushRoute::Tree`](crate::PushRoute::Tree).
    fn local_name(&self) -> Option<PeerId> {
        None
    }
}

/// Checks that a transport carries the frames that sessions cannot do without.
pub(super) fn check(transport: &impl Transport) -> Result<(), ConfigError> {
    ConfigError::at_least("transport.max_frame_bytes", transport.max_frame_bytes(), SessionConfig::MIN_FRAME_BYTES)
}

/// Why a frame was not sent. The layers above treat it as a lost frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The transport does not know this peer; the frame was dropped. Add the peer's address to the transport.
    #[error("peer {0} is unknown to the transport; the frame was dropped; add the peer's address")]
    UnknownPeer(PeerId),
    /// There is no connection to the peer; the frame was dropped, and the transport keeps trying to connect.
    #[error("peer {0} is not connected; the frame was dropped; the transport keeps trying")]
    NotConnected(PeerId),
    /// The queue to the peer is full, since it takes frames more slowly than they are sent; the frame was dropped.
    #[error("the queue to peer {0} is full; the frame was dropped; anti-entropy will make up for it")]
    QueueFull(PeerId),
    /// The frame is longer than the transport carries; it was dropped. Lower the frame limit of the sessions.
    #[error(
        "a frame of {bytes} bytes is longer than the transport's {max} bytes; it was dropped; lower the frame limit"
    )]
    TooLong {
        /// Length of the frame.
        bytes: usize,
        /// The longest frame that the transport carries.
        max: usize,
    },
    /// The transport is closed; the frame was dropped.
    #[error("the transport is closed; the frame was dropped")]
    Closed,
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        (**self).send(to, frame).await
    }
    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        (**self).receive().await
    }
    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        (**self).receive_with_room().await
    }
    fn max_frame_bytes(&self) -> usize {
        (**self).max_frame_bytes()
    }
    fn authenticated(&self) -> bool {
        (**self).authenticated()
    }
    fn local_name(&self) -> Option<PeerId> {
        (**self).local_name()
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Box<T> {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        (**self).send(to, frame).await
    }
    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        (**self).receive().await
    }
    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        (**self).receive_with_room().await
    }
    fn max_frame_bytes(&self) -> usize {
        (**self).max_frame_bytes()
    }
    fn authenticated(&self) -> bool {
        (**self).authenticated()
    }
    fn local_name(&self) -> Option<PeerId> {
        (**self).local_name()
    }
}
