//! The connections that peers open: the handshake, and reading frames.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anti_entropy::PeerId;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::channel::{Channel, Security, refusal_reason};
use super::config::TcpConfig;
use crate::frame::{ReadError, read_frame};
use crate::handshake::{HelloError, Status, answer, read_hello};
use crate::handshake_slots::{HandshakeSlot, HandshakeSlots};
use crate::peers::Peers;
use crate::receive_queue::ReceiveQueue;
use crate::refusal::ConnectionRefusalReason;
use crate::stats::Stats;

/// How long to pause after the operating system could not accept a connection, for example because file descriptors ran
/// out. Without the pause the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What inbound connections share.
#[derive(Debug)]
pub(crate) struct Inbound {
    config: Arc<TcpConfig>,
    peers: Arc<Peers>,
    security: Arc<Security>,
    stats: Arc<Stats>,
    handshakes: Arc<HandshakeSlots>,
    /// The connections after their handshake, and how to end each.
    open: Mutex<BTreeMap<PeerId, Arc<Notify>>>,
    pub(crate) closing: Notify,
}

impl Inbound {
    pub(crate) fn new(config: Arc<TcpConfig>, peers: Arc<Peers>, security: Arc<Security>, stats: Arc<Stats>) -> Self {
        let handshakes = HandshakeSlots::new(&config.limits);
        Self { config, peers, security, stats, handshakes, open: Mutex::default(), closing: Notify::new() }
    }

    /// Accepts connections until `closing`, then ends all of them.
    pub(crate) async fn accept_all(self: Arc<Self>, listener: TcpListener, queue: ReceiveQueue) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = self.closing.notified() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => self.accept(stream, remote, &queue, &mut connections),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                // Frees the connections that have ended.
                Some(_) = connections.join_next() => {}
            }
        }
        connections.shutdown().await;
    }

    /// Ends the connection of a peer.
    pub(crate) fn disconnect(&self, peer: &PeerId) {
        if let Some(end) = self.lock().get(peer) {
            end.notify_one();
        }
    }

    fn accept(
        self: &Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        queue: &ReceiveQueue,
        connections: &mut JoinSet<()>,
    ) {
        match self.handshakes.take(remote) {
            Some(place) => drop(connections.spawn(Arc::clone(self).serve(stream, remote, place, queue.clone()))),
            None => self.stats.refuse(ConnectionRefusalReason::TooManyHandshakes, remote, ""),
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, place: HandshakeSlot, queue: ReceiveQueue) {
        let admitted = timeout(self.config.limits.handshake_timeout, self.admit(stream, remote)).await;
        drop(place);
        let Ok(admitted) = admitted else {
            return self.stats.refuse(ConnectionRefusalReason::HandshakeTimeout, remote, "");
        };
        let Some((connection, channel)) = admitted else { return };
        let distrusted = self.security.distrusted(&channel, &connection.from);
        tokio::select! {
            // First, so that no frame is read if the certificate is no longer trusted since the handshake.
            biased;
            () = distrusted => {
                self.stats.refuse(ConnectionRefusalReason::NoLongerTrusted, remote, connection.from.as_str());
            }
            () = connection.end.notified() => {}
            () = self.read_all(&connection.from, remote, channel, &queue) => {}
        }
    }

    /// Secures the connection, reads the hello and answers it. Returns `None` if the connection was refused, which is
    /// counted.
    async fn admit(&self, stream: TcpStream, remote: SocketAddr) -> Option<(Connection<'_>, Channel)> {
        // The other side waits for the answer, which is one small packet. If the option cannot be set, the packet is
        // only delayed.
        let _ = stream.set_nodelay(true);
        let mut channel = match self.security.accept(stream).await {
            Ok(channel) => channel,
            Err(error) => {
                let reason = refusal_reason(&error).unwrap_or(ConnectionRefusalReason::NotTls);
                self.stats.refuse(reason, remote, error.to_string());
                return None;
            }
        };
        let mut detail = String::new();
        let admitted = match read_hello(&mut channel.stream).await {
            Ok(hello) if hello.cluster != self.config.cluster => {
                detail = self.config.cluster.refuses(&hello.cluster);
                Err(Status::OtherCluster)
            }
            Ok(hello) => {
                detail = hello.from.to_string();
                self.check(&channel, hello.from, &hello.to)
            }
            Err(HelloError::OtherVersion) => Err(Status::OtherVersion),
            Err(HelloError::Malformed) => {
                self.stats.refuse(ConnectionRefusalReason::Malformed, remote, "");
                return None;
            }
        };
        let status = admitted.as_ref().err().copied().unwrap_or(Status::Accepted);
        match status.refusal() {
            None => self.stats.count(|stats| stats.accepted += 1),
            Some(reason) => self.stats.refuse(reason, remote, detail),
        }
        answer(&mut channel.stream, status, &self.config.cluster).await.ok()?;
        Some((admitted.ok()?, channel))
    }

    fn check(&self, channel: &Channel, from: PeerId, to: &PeerId) -> Result<Connection<'_>, Status> {
        if *to != self.config.name {
            return Err(Status::WrongReceiver);
        }
        if !self.security.proves(channel, &from) {
            return Err(Status::WrongName);
        }
        self.register(from)
    }

    /// Registers the connection of a peer, and ends an older one: the peer opens a second connection only after the
    /// first has ended on its side, which this side may not have noticed.
    fn register(&self, from: PeerId) -> Result<Connection<'_>, Status> {
        let mut open = self.lock();
        // Asked under the lock: if the peer is being removed, either this sees it, or `disconnect` sees this.
        if !self.config.accept_unknown_peers && !self.peers.knows(&from) {
            return Err(Status::UnknownSender);
        }
        if open.len() >= self.config.limits.max_connections && !open.contains_key(&from) {
            return Err(Status::TooManyConnections);
        }
        let end = Arc::new(Notify::new());
        if let Some(older) = open.insert(from.clone(), Arc::clone(&end)) {
            older.notify_one();
            self.stats.count(|stats| stats.superseded += 1);
        }
        drop(open);
        Ok(Connection { inbound: self, from, end })
    }

    async fn read_all(&self, from: &PeerId, remote: SocketAddr, channel: Channel, queue: &ReceiveQueue) {
        let limits = &self.config.limits;
        let patience = [limits.idle_timeout.saturating_mul(2); 2];
        let queue = queue.of(from);
        let mut reader = BufReader::new(channel.stream);
        loop {
            match read_frame(&mut reader, limits.max_frame_bytes, patience).await {
                Ok(frame) => queue.put(frame, &self.stats).await,
                Err(ReadError::Finished | ReadError::Broken) => return,
                Err(ReadError::Stalled) => return self.stats.count(|stats| stats.inbound_idle += 1),
                Err(ReadError::TooLong) => {
                    return self.stats.refuse(ConnectionRefusalReason::FrameTooLong, remote, from.as_str());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Arc<Notify>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered connection. It is removed when this is dropped.
#[derive(Debug)]
struct Connection<'a> {
    inbound: &'a Inbound,
    from: PeerId,
    end: Arc<Notify>,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let mut open = self.inbound.lock();
        // Not if a newer connection of the peer has replaced it.
        if open.get(&self.from).is_some_and(|end| Arc::ptr_eq(end, &self.end)) {
            open.remove(&self.from);
        }
    }
}
