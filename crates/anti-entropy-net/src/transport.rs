use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anti_entropy::driver::{SendError, Transport};
use anti_entropy::gossip::PeerId;
use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::config::TcpConfig;
use crate::error::{BindError, PeerError};
use crate::inbound::{Inbound, ReceiveQueue, Received};
use crate::peers::Peers;
use crate::stats::{Stats, TcpStats};
use crate::task::Task;

/// Carries frames over plain TCP; runs on tokio.
///
/// One connection a peer is opened when there is something to send to it, and is used for sending only; frames arrive
/// over the connections that peers open. A frame is lost if its connection breaks, and while there is none: in the
/// time between two attempts to connect, [`send`](Transport::send) returns [`SendError::NotConnected`].
///
/// It is not [`authenticated`](Transport::authenticated): a peer's name is what it says. A newer connection of a name
/// ends the older one, as is right for a peer that has restarted.
///
/// The crate's documentation has an example, and the bytes on the wire.
#[derive(Debug)]
pub struct TcpTransport {
    name: PeerId,
    local_addr: SocketAddr,
    max_frame_bytes: usize,
    peers: Arc<Peers>,
    inbound: Arc<Inbound>,
    stats: Arc<Stats>,
    /// `None` once the transport is closed.
    accepting: Mutex<Option<Task>>,
    /// Ends when all connections have, since each has a sender to it.
    received: tokio::sync::Mutex<mpsc::Receiver<Received>>,
}

impl TcpTransport {
    /// Listens for peers, and makes ready to send to those that the configuration names.
    ///
    /// # Errors
    /// [`BindError`] if the configuration makes no sense or the address cannot be listened on.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    pub async fn bind(config: TcpConfig) -> Result<Self, BindError> {
        config.validate()?;
        let failed = |source| BindError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let config = Arc::new(config);
        let (stats, limits) = (Arc::new(Stats::default()), &config.limits);
        let peers = Arc::new(Peers::new(Arc::clone(&config), Arc::clone(&stats), Handle::current()));
        for (peer, address) in &config.peers {
            peers.set(peer.clone(), *address)?;
        }
        let (queue, received) = ReceiveQueue::new(limits.receive_queue_frames, limits.receive_queue_bytes);
        let inbound = Arc::new(Inbound::new(Arc::clone(&config), Arc::clone(&peers), Arc::clone(&stats)));
        let accepting = Task::spawn(&Handle::current(), Arc::clone(&inbound).accept_all(listener, queue));
        Ok(Self {
            name: config.name.clone(),
            local_addr,
            max_frame_bytes: limits.max_frame_bytes,
            peers,
            inbound,
            stats,
            accepting: Mutex::new(Some(accepting)),
            received: tokio::sync::Mutex::new(received),
        })
    }

    /// The address that peers connect to, with the port that was taken if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Adds a peer, or moves it to another address: its connection is then ended, with what waits for it.
    ///
    /// # Errors
    /// [`PeerError`] if the peer is refused; the peers are as they were.
    pub fn set_peer(&self, peer: PeerId, address: SocketAddr) -> Result<(), PeerError> {
        self.peers.set(peer, address)
    }

    /// Removes a peer and ends its connections both ways; `false` if it was not known.
    pub fn remove_peer(&self, peer: &PeerId) -> bool {
        let known = self.peers.remove(peer);
        self.inbound.disconnect(peer);
        known
    }

    /// The counters as they are now.
    pub fn stats(&self) -> TcpStats {
        self.stats.snapshot()
    }

    /// Ends all connections, drops what waits to be sent, and frees the port, all before this completes. What was
    /// received before can still be taken; then receiving ends. Dropping the transport does the same, without waiting.
    pub async fn close(&self) {
        let senders = self.peers.close();
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.inbound.closing.notify_one();
        for sender in senders {
            sender.stop().await;
        }
        if let Some(accepting) = accepting {
            accepting.ended().await;
        }
    }
}

#[async_trait]
impl Transport for TcpTransport {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        self.peers.push(to, frame)
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        // Both awaits are cancellation-safe: a frame leaves the queue in the poll that returns it.
        let received = self.received.lock().await.recv().await?;
        Some((received.from, received.frame))
    }

    fn max_frame_bytes(&self) -> usize {
        self.max_frame_bytes
    }

    fn local_name(&self) -> Option<PeerId> {
        Some(self.name.clone())
    }
}
