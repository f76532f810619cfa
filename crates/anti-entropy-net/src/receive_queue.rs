use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anti_entropy::PeerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limits::TransportLimits;
use crate::stats::Stats;

/// A frame that waits for `receive`, and the room that it takes in the queue.
#[derive(Debug)]
pub(crate) struct Received {
    from: PeerId,
    frame: Vec<u8>,
    room: Room,
    /// In what all peers share.
    _shared: OwnedSemaphorePermit,
}

/// The room that a frame takes in its peer's part of the queue, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _permits: [OwnedSemaphorePermit; 2],
    _peer: Arc<PeerRoom>,
}

impl Received {
    pub(crate) fn into_frame(self) -> (PeerId, Vec<u8>) {
        (self.from, self.frame)
    }

    /// With the frame's room, as long as its receiver keeps that. What all peers share is free from here on, so that those
    /// whose frames are not handled keep nobody else from being read.
    pub(crate) fn into_parts(self) -> (PeerId, Vec<u8>, Box<dyn Send>) {
        (self.from, self.frame, Box::new(self.room))
    }
}

/// The frames of all connections that wait for `receive`. The queue is bounded in frames and in bytes, for all peers
/// together and for each of them.
///
/// The bounds are semaphores because these are fair: a long frame that waits for room gets it before shorter ones that
/// came later.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveQueue {
    frames: mpsc::Sender<Received>,
    room: Arc<Semaphore>,
    peers: Arc<Mutex<BTreeMap<PeerId, Weak<PeerRoom>>>>,
    limits: (usize, usize),
}

/// The room for one peer's frames. It outlives the peer's connections as long as frames of it wait, here or at who took
/// them.
#[derive(Debug)]
pub(crate) struct PeerRoom {
    frames: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl ReceiveQueue {
    pub(crate) fn new(limits: &TransportLimits) -> (Self, mpsc::Receiver<Received>) {
        let (frames, receiver) = mpsc::channel(limits.receive_queue_frames);
        let room = Arc::new(Semaphore::new(limits.receive_queue_bytes));
        let limits = (limits.peer_queue_frames, limits.peer_queue_bytes);
        (Self { frames, room, peers: Arc::default(), limits }, receiver)
    }

    /// The part of the queue that takes a peer's frames.
    pub(crate) fn of(&self, peer: &PeerId) -> PeerQueue {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        // So there are never more entries than connections and frames.
        peers.retain(|_, room| room.strong_count() > 0);
        let room = peers.get(peer).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (frames, bytes) = self.limits;
            Arc::new(PeerRoom { frames: Arc::new(Semaphore::new(frames)), bytes: Arc::new(Semaphore::new(bytes)) })
        });
        peers.insert(peer.clone(), Arc::downgrade(&room));
        PeerQueue { peer: peer.clone(), room, all: self.clone() }
    }
}

/// The part of the queue for one peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerQueue {
    peer: PeerId,
    room: Arc<PeerRoom>,
    all: ReceiveQueue,
}

impl PeerQueue {
    /// Queues a frame as soon as there is room. Meanwhile its connection is not read, so in the end its sender has to
    /// drop frames, where that costs least.
    pub(crate) async fn put(&self, frame: Vec<u8>, stats: &Stats) {
        let bytes = u32::try_from(frame.len()).expect("a frame is as long as four bytes could announce");
        let full = self.all.frames.capacity() == 0
            || self.room.frames.available_permits() == 0
            || [&self.room.bytes, &self.all.room].iter().any(|room| room.available_permits() < frame.len());
        if full {
            stats.count(|stats| stats.receive_waits += 1);
        }
        // None of these fails while the transport is open: no semaphore is ever closed, and the receiver outlives this.
        // The peer's own room comes first, so that a peer without any does not take room from others.
        let Ok(place) = Arc::clone(&self.room.frames).acquire_owned().await else { return };
        let Ok(own) = Arc::clone(&self.room.bytes).acquire_many_owned(bytes).await else { return };
        let Ok(shared) = Arc::clone(&self.all.room).acquire_many_owned(bytes).await else { return };
        let room = Room { _permits: [place, own], _peer: Arc::clone(&self.room) };
        let received = Received { from: self.peer.clone(), frame, room, _shared: shared };
        if self.all.frames.send(received).await.is_ok() {
            stats.count(|stats| {
                stats.frames_received += 1;
                stats.bytes_received += u64::from(bytes);
            });
        }
    }
}
