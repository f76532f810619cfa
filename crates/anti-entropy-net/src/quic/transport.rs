use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anti_entropy::transport::SendError;
use anti_entropy::{PeerId, Transport};
use async_trait::async_trait;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::admit::accept_all;
use super::config::QuicConfig;
use super::dial::Link;
use super::endpoint::{self, TrackedRuntime};
use super::hub::Hub;
use crate::address::Address;
use crate::error::{BindError, PeerError};
use crate::handshake::Incarnation;
use crate::peers::Set;
use crate::receive_queue::{ReceiveQueue, Received};
use crate::refusal::ConnectionRefusal;
use crate::stats::{Stats, TransportStats};
use crate::task::Task;
use crate::tls::{TlsConfig, TlsError, TlsHandle};

/// How long closing waits for the peers to learn that their connections are closed.
const GOODBYE: Duration = Duration::from_secs(1);

/// Carries frames over QUIC, with mutual TLS. It runs on tokio.
///
/// There is one connection between two nodes, used in both directions. The node that has something to send opens it;
/// after [`idle_timeout`](crate::TransportLimits::idle_timeout) without a frame it is closed, and no frame is lost by
/// that. Short frames arrive in the order in which they were sent. Those longer than
/// [`short_frame_bytes`](crate::TransportLimits::short_frame_bytes) have a stream of their own, so that they do not
/// delay short ones. A frame is lost if its connection breaks, and while there is no connection: between two attempts
/// to connect, [`send`](Transport::send) returns [`SendError::NotConnected`].
///
/// It is [`authenticated`](Transport::authenticated): both sides prove their names by certificates before either reads
/// anything else. The crate's documentation has an example, and the bytes on the wire.
#[derive(Debug)]
pub struct QuicTransport {
    local_addr: SocketAddr,
    runtime: Handle,
    drivers: Arc<TrackedRuntime>,
    hub: Arc<Hub>,
    /// Ends when all connections have ended, since each has a sender to it.
    received: tokio::sync::Mutex<mpsc::Receiver<Received>>,
}

impl QuicTransport {
    /// Listens for peers, and gets ready to send to those that the configuration names.
    ///
    /// # Errors
    /// [`BindError`] if the configuration is invalid, the certificates cannot be used, or the operating system refuses
    /// the address.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    #[allow(clippy::unused_async, reason = "it needs a runtime, and may come to wait")]
    pub async fn bind(config: QuicConfig) -> Result<Self, BindError> {
        config.validate()?;
        let tls = TlsHandle::new(config.tls.clone(), &config.name)?;
        let failed = |source| BindError::Listen { address: config.listen, source };
        let (endpoint, drivers) = endpoint::open(config.listen, &tls.current(), &config.limits).map_err(failed)?;
        let local_addr = endpoint.local_addr().map_err(failed)?;
        let (queue, received) = ReceiveQueue::new(&config.limits);
        let stats = Arc::new(Stats::new(config.limits.refusals_logged_per_second));
        let hub = Arc::new(Hub::new(config, tls, stats, endpoint.clone(), queue, incarnation()?));
        hub.spawn(accept_all(Arc::clone(&hub), endpoint));
        let received = tokio::sync::Mutex::new(received);
        let transport = Self { local_addr, runtime: Handle::current(), drivers, hub, received };
        let hub = &transport.hub;
        hub.peers.add_configured(&hub.config.peers, |to| {
            Task::spawn(&transport.runtime, Link { to, hub: Arc::clone(hub) }.run())
        });
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
        // The new link starts when the old connection is gone, so that it neither uses that nor loses its own.
        let (name, (go, wait)) = (peer.clone(), oneshot::channel());
        let set = self.hub.peers.set(peer, address.into(), |to| {
            let link = Link { to, hub: Arc::clone(&self.hub) };
            Task::spawn(&self.runtime, async {
                if wait.await.is_ok() {
                    link.run().await;
                }
            })
        })?;
        if set == Set::Moved {
            self.hub.disconnect(&name);
        }
        // Nobody waits if nothing has changed.
        let _ = go.send(());
        Ok(())
    }

    /// Removes a peer and ends its connection. Returns `false` if it was unknown.
    pub fn remove_peer(&self, peer: &PeerId) -> bool {
        let known = self.hub.peers.remove(peer);
        self.hub.disconnect(peer);
        known
    }

    /// Uses other certificates from now on, for new connections in both directions. Open connections whose peer is no
    /// longer trusted are closed; the others stay open.
    ///
    /// It reads files, and blocks for as long as that takes.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used; nothing has changed.
    pub fn set_tls(&self, config: TlsConfig) -> Result<(), TlsError> {
        self.load_tls(Some(config))
    }

    /// Reads the files of the certificates again, and uses what they contain now, as [`set_tls`](Self::set_tls) does.
    ///
    /// # Errors
    /// As `set_tls`.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.load_tls(None)
    }

    fn load_tls(&self, config: Option<TlsConfig>) -> Result<(), TlsError> {
        let hub = &self.hub;
        hub.tls.load(config, &hub.config.name, |identity| {
            let server = endpoint::server(identity, &hub.config.limits)?;
            if let Some(endpoint) = hub.endpoint() {
                endpoint.set_server_config(Some(server));
            }
            Ok(())
        })
    }

    /// The counters as they are now.
    pub fn stats(&self) -> TransportStats {
        self.hub.stats.snapshot()
    }

    /// The last 32 refusals, the latest at the end.
    pub fn last_refusals(&self) -> Vec<ConnectionRefusal> {
        self.hub.stats.last_refusals()
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.hub.connections()
    }

    /// Ends all connections, drops the frames that wait to be sent, and frees the port; when this completes, all of it
    /// is done. Frames that were received before can still be taken; after them, `receive` returns `None`. Dropping the
    /// transport does the same without waiting.
    pub async fn close(&self) {
        for sender in self.hub.peers.close() {
            sender.stop().await;
        }
        let Some(mut closed) = self.hub.close() else { return };
        closed.tasks.shutdown().await;
        // A peer that cannot be told notices by itself.
        let _ = timeout(GOODBYE, closed.endpoint.wait_idle()).await;
        drop(closed);
        self.drivers.shutdown().await;
    }
}

/// Drawn, not counted: the earlier process may have been on another machine.
fn incarnation() -> Result<Incarnation, TlsError> {
    let mut drawn = Incarnation::default();
    let filled = SystemRandom::new().fill(&mut drawn);
    filled.map_err(|_| TlsError::Setup("the system has no random numbers".into()))?;
    Ok(drawn)
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.hub.peers.close();
        self.hub.close();
    }
}

#[async_trait]
impl Transport for QuicTransport {
    async fn send(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        self.hub.peers.push(to, frame)
    }

    async fn receive(&self) -> Option<(PeerId, Vec<u8>)> {
        // Both awaits are cancellation-safe: a frame leaves the queue in the poll that returns it.
        self.received.lock().await.recv().await.map(Received::into_frame)
    }

    async fn receive_with_room(&self) -> Option<(PeerId, Vec<u8>, Box<dyn Send>)> {
        self.received.lock().await.recv().await.map(Received::into_parts)
    }

    fn max_frame_bytes(&self) -> usize {
        self.hub.config.limits.max_frame_bytes
    }

    fn authenticated(&self) -> bool {
        true
    }

    fn local_name(&self) -> Option<PeerId> {
        Some(self.hub.config.name.clone())
    }
}

#[cfg(all(test, feature = "test-ca"))]
mod tests {
    use super::*;
    use crate::test_ca::TestAuthority;

    #[tokio::test]
    async fn a_peer_is_dialled_until_the_last_who_does_has_stopped() {
        let tls = TestAuthority::new().unwrap().issue("a").unwrap().config();
        let config = QuicConfig::new("test".parse().unwrap(), "a".into(), ([127, 0, 0, 1], 0).into(), tls);
        let transport = QuicTransport::bind(config).await.unwrap();
        let (hub, peer) = (&transport.hub, PeerId::from("b"));
        let (older, newer) = (hub.dialling(&peer), hub.dialling(&peer));
        drop(older);
        assert!(hub.is_dialling(&peer));
        drop(newer);
        assert!(!hub.is_dialling(&peer));
    }
}
