//! The settings of quinn that follow from the limits.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AsyncTimer, AsyncUdpSocket, ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    IdleTimeout, Runtime, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::JoinSet;

use super::streams::STREAMS;
use crate::limits::TransportLimits;
use crate::tls::{Identity, TlsError};

/// Opens the socket.
pub(super) fn open(
    listen: SocketAddr,
    identity: &Identity,
    limits: &TransportLimits,
) -> io::Result<(Endpoint, Arc<TrackedRuntime>)> {
    let socket = UdpSocket::bind(listen)?;
    // After a restart, packets that peers still send to the previous process are answered with a token that the peers
    // know, so that they notice at once. For that the key must be the same as before.
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &identity.secret)));
    // Only the process that has made quinn's own identifiers knows them.
    config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
    let server = server(identity, limits).map_err(io::Error::other)?;
    let runtime = Arc::new(TrackedRuntime::default());
    let endpoint = Endpoint::new(config, Some(server), socket, Arc::<TrackedRuntime>::clone(&runtime))?;
    Ok((endpoint, runtime))
}

/// Draws connection ids at random.
#[derive(Debug)]
struct RandomIds(SystemRandom);

impl RandomIds {
    const BYTES: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; Self::BYTES];
        self.0.fill(&mut id).expect("the system has had random numbers for the handshake's keys");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        Self::BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

pub(super) fn server(identity: &Identity, limits: &TransportLimits) -> Result<ServerConfig, TlsError> {
    let crypto = QuicServerConfig::try_from(Arc::clone(&identity.server)).map_err(setup)?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(transport(limits)));
    server.max_incoming(limits.max_handshakes);
    // A peer whose address changes connects again.
    server.migration(false);
    // Data that arrives before a connection is accepted. It is accepted at once, so that is one first flight at most.
    server.incoming_buffer_size(16 << 10).incoming_buffer_size_total(1 << 20);
    Ok(server)
}

pub(super) fn client(identity: &Identity, limits: &TransportLimits) -> Result<ClientConfig, TlsError> {
    let crypto = QuicClientConfig::try_from(Arc::clone(&identity.client)).map_err(setup)?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(Arc::new(transport(limits)));
    Ok(client)
}

fn setup(error: impl std::error::Error) -> TlsError {
    TlsError::Setup(error.to_string())
}

fn transport(limits: &TransportLimits) -> TransportConfig {
    let window = VarInt::from_u32(limits.window_bytes);
    let mut transport = TransportConfig::default();
    transport
        // The stream of the hello. The accepting side opens no bidirectional stream.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(window)
        .receive_window(window)
        .send_window(limits.window_bytes.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(limits.lost_after).ok())
        .keep_alive_interval(Some(limits.lost_after / 3));
    transport
}

/// Tokio's runtime, with a list of quinn's tasks, so that closing can wait until they have freed the socket.
#[derive(Debug, Default)]
pub(super) struct TrackedRuntime(Mutex<JoinSet<()>>);

impl TrackedRuntime {
    /// Ends all tasks, and waits for that.
    pub(super) async fn shutdown(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl Drop for TrackedRuntime {
    fn drop(&mut self) {
        // The tasks still tell the peers that the connections are closed.
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).detach_all();
    }
}

impl Runtime for TrackedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
