use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anti_entropy::transport::SendError;
use anti_entropy::{PeerId, Transport};
use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::channel::Security;
use super::config::TcpConfig;
use super::inbound::Inbound;
use super::outbound::Link;
use crate::address::Address;
use crate::error::{BindError, PeerError};
use crate::peers::{Destination, Peers};
use crate::receive_queue::{ReceiveQueue, Received};
use crate::refusal::ConnectionRefusal;
use crate::stats::{Stats, TransportStats};
use crate::task::Task;

/// Carries frames over TCP, inside TLS if the configuration has certificates. It runs on tokio.
///
/// It opens a connection to a peer when there is something to send to it, and only sends over it; frames arrive over
/// the connections that peers open. A frame is lost if its connection breaks, and while there is no connection: between
/// two attempts to connect, [`send`](Transport::send) returns [`SendError::NotConnected`].
///
/// Without TLS it is not [`authenticated`](Transport::authenticated): a peer may claim any name. A newer connection of
/// a name ends the older one, since a peer that has restarted opens one.
///
/// The crate's documentation has an example, and the bytes on the wire.
#[derive(Debug)]
pub struct TcpTransport {
    config: Arc<TcpConfig>,
    local_addr: SocketAddr,
    security: Arc<Security>,
    runtime: Handle,
    peers: Arc<Peers>,
    inbound: Arc<Inbound>,
    stats: Arc<Stats>,
    /// `None` once the transport is closed.
    accepting: Mutex<Option<Task>>,
    /// Ends when all connections have ended, since each has a sender to it.
    received: tokio::sync::Mutex<mpsc::Receiver<Received>>,
}

impl TcpTransport {
    /// Listens for peers, and gets ready to send to those that the configuration names.
    ///
    /// # Errors
    /// [`BindError`] if the configuration is invalid, the certificates cannot be used, or the operating system refuses
    /// the address.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    pub async fn bind(config: TcpConfig) -> Result<Self, BindError> {
        config.validate()?;
        let security = Arc::new(security(&config)?);
        let failed = |source| BindError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let config = Arc::new(config);
        let limits = &config.limits;
        let stats = Arc::new(Stats::new(limits.refusals_logged_per_second));
        let peers = Arc::new(Peers::new(config.name.clone(), limits.clone(), config.seed, Arc::clone(&stats)));
        let (queue, received) = ReceiveQueue::new(limits);
        let inbound = Inbound::new(Arc::clone(&config), Arc::clone(&peers), Arc::clone(&security), Arc::clone(&stats));
        let inbound = Arc::new(inbound);
        let runtime = Handle::current();
        let accepting = Task::spawn(&runtime, Arc::clone(&inbound).accept_all(listener, queue));
        let transport = Self {
            local_addr,
            security,
            runtime,
            peers,
            inbound,
            stats,
            accepting: Mutex::new(Some(accepting)),
            received: tokio::sync::Mutex::new(received),
            config,
        };
        transport.peers.add_configured(&transport.config.peers, |to| transport.start(to));
        Ok(transport)
    }

    /// The address that this node listens on, with the port that was taken if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Adds a peer, or moves it to another address. If the peer moves, its connection ends, and frames that wait for it
    /// are dropped.
    ///
    /// # Errors
    /// [`PeerError`] if the peer is refused; the peers are as they were.
    pub fn set_peer(&self, peer: PeerId, address: impl Into<Address>) -> Result<(), PeerError> {
        let address = address.into();
        self.config.check_address(&peer, &address)?;
        self.peers.set(peer, address, |to| self.start(to)).map(drop)
    }

    /// Removes a peer and ends its connections in both directions. Returns `false` if it was unknown.
    pub fn remove_peer(&self, peer: &PeerId) -> bool {
        let known = self.peers.remove(peer);
        self.inbound.disconnect(peer);
        known
    }

    fn start(&self, to: Destination) -> Task {
        let (config, security) = (Arc::clone(&self.config), Arc::clone(&self.security));
        Task::spawn(&self.runtime, Link { to, config, security, stats: Arc::clone(&self.stats) }.run())
    }

    /// Uses other certificates from now on, for new connections in both directions. Open connections whose peer is no
    /// longer trusted are closed; the others stay open.
    ///
    /// It reads files, and blocks for as long as that takes.
    ///
    /// # Errors
    /// [`TlsError`](crate::TlsError) if they cannot be used, or the transport was bound without TLS; nothing has
    /// changed.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, config: crate::tls::TlsConfig) -> Result<(), crate::tls::TlsError> {
        self.load_tls(Some(config))
    }

    /// Reads the files of the certificates again, and uses what they contain now, as [`set_tls`](Self::set_tls) does.
    ///
    /// # Errors
    /// As `set_tls`.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), crate::tls::TlsError> {
        self.load_tls(None)
    }

    #[cfg(feature = "tls")]
    fn load_tls(&self, config: Option<crate::tls::TlsConfig>) -> Result<(), crate::tls::TlsError> {
        match &*self.security {
            Security::Plain => Err(crate::tls::TlsError::NoTls),
            Security::Tls(tls) => tls.load(config, &self.config.name, |_| Ok(())),
        }
    }

    /// The last 32 refusals, the latest at the end.
    pub fn last_refusals(&self) -> Vec<ConnectionRefusal> {
        self.stats.last_refusals()
    }

    /// The counters as they are now.
    pub fn stats(&self) -> TransportStats {
        self.stats.snapshot()
    }

    /// Ends all connections, drops the frames that wait to be sent, and frees the port; when this completes, all of it
    /// is done. Frames that were received before can still be taken; after them, `receive` returns `None`. Dropping the
    /// transport does the same without waiting.
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
        self.received.lock().await.recv().await.map(Received::into_frame)
    }

    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        self.received.lock().await.recv().await.map(Received::into_parts)
    }

    fn max_frame_bytes(&self) -> usize {
        self.config.limits.max_frame_bytes
    }

    fn authenticated(&self) -> bool {
        self.security.authenticates()
    }

    fn local_name(&self) -> Option<PeerId> {
        Some(self.config.name.clone())
    }
}

#[cfg(feature = "tls")]
fn security(config: &TcpConfig) -> Result<Security, BindError> {
    match &config.tls {
        None => Ok(Security::Plain),
        Some(tls) => Ok(Security::Tls(crate::tls::TlsHandle::new(tls.clone(), &config.name)?)),
    }
}

#[cfg(not(feature = "tls"))]
#[allow(clippy::unnecessary_wraps, reason = "with TLS it may fail")]
fn security(_: &TcpConfig) -> Result<Security, BindError> {
    Ok(Security::Plain)
}
