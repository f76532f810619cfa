//! The connections over which peers send: who is let in, and what is read from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anti_entropy::gossip::PeerId;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::TcpConfig;
use crate::frame::{ReadError, read_frame};
use crate::handshake::{HelloError, Status, answer, read_hello};
use crate::peers::Peers;
use crate::stats::Stats;

/// How long accepting pauses after the operating system refused it, as it does when file descriptors run out: trying
/// again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// All that inbound connections share.
#[derive(Debug)]
pub(crate) struct Inbound {
    config: Arc<TcpConfig>,
    peers: Arc<Peers>,
    stats: Arc<Stats>,
    handshakes: Arc<Semaphore>,
    /// The connections past their handshake, and how to end each.
    open: Mutex<BTreeMap<PeerId, Arc<Notify>>>,
    pub(crate) closing: Notify,
}

impl Inbound {
    pub(crate) fn new(config: Arc<TcpConfig>, peers: Arc<Peers>, stats: Arc<Stats>) -> Self {
        let handshakes = Arc::new(Semaphore::new(config.limits.max_handshakes));
        Self { config, peers, stats, handshakes, open: Mutex::default(), closing: Notify::new() }
    }

    /// Accepts connections until `closing`, then ends all of them.
    pub(crate) async fn accept_all(self: Arc<Self>, listener: TcpListener, queue: ReceiveQueue) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = self.closing.notified() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.accept(stream, &queue, &mut connections),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                // Those that have ended are let go of.
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

    fn accept(self: &Arc<Self>, stream: TcpStream, queue: &ReceiveQueue, connections: &mut JoinSet<()>) {
        match Arc::clone(&self.handshakes).try_acquire_owned() {
            Ok(place) => drop(connections.spawn(Arc::clone(self).serve(stream, place, queue.clone()))),
            Err(_) => self.stats.count(|stats| stats.refused.too_many_handshakes += 1),
        }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, place: OwnedSemaphorePermit, queue: ReceiveQueue) {
        let admitted = timeout(self.config.limits.handshake_timeout, self.admit(&mut stream)).await;
        drop(place);
        let Ok(admitted) = admitted else {
            return self.stats.count(|stats| stats.refused.handshake_timeout += 1);
        };
        let Some(connection) = admitted else { return };
        tokio::select! {
            () = connection.end.notified() => {}
            () = self.read_all(&connection.from, stream, &queue) => {}
        }
    }

    /// Reads the hello and answers it. `None`: the connection was refused, and that is counted.
    async fn admit(&self, stream: &mut TcpStream) -> Option<Connection<'_>> {
        // The answer is one small packet that the other side waits for. If the option fails, it is only later.
        let _ = stream.set_nodelay(true);
        let admitted = match read_hello(stream).await {
            Ok(hello) if hello.to != self.config.name => Err(Status::WrongReceiver),
            Ok(hello) => self.register(hello.from),
            Err(HelloError::OtherVersion) => Err(Status::OtherVersion),
            Err(HelloError::Malformed) => {
                self.stats.count(|stats| stats.refused.malformed += 1);
                return None;
            }
        };
        let status = admitted.as_ref().err().copied().unwrap_or(Status::Accepted);
        self.stats.count(|stats| match status {
            Status::Accepted => stats.accepted += 1,
            Status::OtherVersion => stats.refused.version += 1,
            Status::UnknownSender => stats.refused.unknown_peer += 1,
            Status::WrongReceiver => stats.refused.wrong_receiver += 1,
            Status::TooManyConnections => stats.refused.too_many_connections += 1,
        });
        answer(stream, status).await.ok()?;
        admitted.ok()
    }

    /// Gives a peer its place, from which a newer connection drives an older one: the peer opens a second one only
    /// after the first has ended for it, which this side may not have noticed.
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

    async fn read_all(&self, from: &PeerId, stream: TcpStream, queue: &ReceiveQueue) {
        let limits = &self.config.limits;
        let patience = limits.idle_timeout.saturating_mul(2);
        let mut reader = BufReader::new(stream);
        loop {
            match read_frame(&mut reader, limits.max_frame_bytes, patience).await {
                Ok(frame) => queue.put(from, frame, &self.stats).await,
                Err(ReadError::Ended) => return,
                Err(ReadError::Stalled) => return self.stats.count(|stats| stats.inbound_idle += 1),
                Err(ReadError::TooLong) => return self.stats.count(|stats| stats.refused.frame_too_long += 1),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Arc<Notify>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the open ones, given back when dropped.
#[derive(Debug)]
struct Connection<'a> {
    inbound: &'a Inbound,
    from: PeerId,
    end: Arc<Notify>,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let mut open = self.inbound.lock();
        // A newer connection of the same peer keeps the place that it took.
        if open.get(&self.from).is_some_and(|end| Arc::ptr_eq(end, &self.end)) {
            open.remove(&self.from);
        }
    }
}

/// A frame that waits for `receive`, with the room that it takes in the queue.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) from: PeerId,
    pub(crate) frame: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Where the frames of all connections wait for `receive`; bounded in frames and in bytes.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveQueue {
    frames: mpsc::Sender<Received>,
    room: Arc<Semaphore>,
}

impl ReceiveQueue {
    pub(crate) fn new(max_frames: usize, max_bytes: usize) -> (Self, mpsc::Receiver<Received>) {
        let (frames, receiver) = mpsc::channel(max_frames);
        (Self { frames, room: Arc::new(Semaphore::new(max_bytes)) }, receiver)
    }

    /// Queues a frame, as soon as there is room. Waiting holds up its connection, and so in the end its sender, which
    /// drops frames where that costs least.
    async fn put(&self, from: &PeerId, frame: Vec<u8>, stats: &Stats) {
        let bytes = u32::try_from(frame.len()).expect("a frame is as long as four bytes could announce");
        let full = self.frames.capacity() == 0 || self.room.available_permits() < frame.len();
        if full {
            stats.count(|stats| stats.receive_waits += 1);
        }
        // Neither fails while the transport is open: the semaphore is never closed, and the receiver outlives this.
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return };
        if self.frames.send(Received { from: from.clone(), frame, _room: room }).await.is_ok() {
            stats.count(|stats| {
                stats.frames_received += 1;
                stats.bytes_received += u64::from(bytes);
            });
        }
    }
}
