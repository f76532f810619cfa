use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anti_entropy::PeerId;
use anti_entropy::transport::SendError;

use crate::address::Address;
use crate::error::PeerError;
use crate::handshake::MAX_NAME_BYTES;
use crate::limits::TransportLimits;
use crate::send_queue::{PushError, SendQueue};
use crate::stats::Stats;
use crate::task::Task;

/// The peers. Each has an address, a queue of frames, and a task that sends them.
#[derive(Debug)]
pub(crate) struct Peers {
    own_name: PeerId,
    limits: TransportLimits,
    seed: u64,
    stats: Arc<Stats>,
    /// `None` once the transport is closed.
    known: Mutex<Option<BTreeMap<PeerId, Peer>>>,
}

#[derive(Debug)]
struct Peer {
    address: Address,
    queue: Arc<SendQueue>,
    task: Task,
}

/// What the task that sends to a peer is given.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) peer: PeerId,
    pub(crate) address: Address,
    pub(crate) queue: Arc<SendQueue>,
    /// Different for each pair of names, so that nodes do not act at the same moment.
    pub(crate) seed: u64,
}

/// How setting a peer has changed the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Kept,
    Added,
    Moved,
}

impl Peers {
    /// No peers yet.
    pub(crate) fn new(own_name: PeerId, limits: TransportLimits, seed: u64, stats: Arc<Stats>) -> Self {
        Self { own_name, limits, seed, stats, known: Mutex::new(Some(BTreeMap::new())) }
    }

    /// Adds a peer or moves it to another address, which ends the task that sends to it.
    pub(crate) fn set(
        &self,
        peer: PeerId,
        address: Address,
        start: impl FnOnce(Destination) -> Task,
    ) -> Result<Set, PeerError> {
        check_name(&peer)?;
        if peer == self.own_name {
            return Err(PeerError::OwnName(peer));
        }
        if let Some(bound) = address.why_unreachable() {
            return Err(PeerError::Unreachable { peer, address, bound });
        }
        let mut guard = self.lock();
        let peers = guard.as_mut().ok_or(PeerError::Closed)?;
        let (max, count) = (self.limits.max_peers, peers.len());
        match peers.entry(peer) {
            Entry::Occupied(known) if known.get().address == address => Ok(Set::Kept),
            Entry::Occupied(mut known) => {
                let moved = self.start(known.key().clone(), address, start);
                known.insert(moved);
                Ok(Set::Moved)
            }
            Entry::Vacant(_) if count >= max => Err(PeerError::TooMany { max }),
            Entry::Vacant(place) => {
                let added = self.start(place.key().clone(), address, start);
                place.insert(added);
                Ok(Set::Added)
            }
        }
    }

    /// Adds the peers of a configuration, which has been validated.
    pub(crate) fn add_configured(&self, configured: &BTreeMap<PeerId, Address>, start: impl Fn(Destination) -> Task) {
        if let Some(peers) = self.lock().as_mut() {
            for (peer, address) in configured {
                peers.insert(peer.clone(), self.start(peer.clone(), address.clone(), &start));
            }
        }
    }

    /// Removes a peer. Returns `false` if it was unknown.
    pub(crate) fn remove(&self, peer: &PeerId) -> bool {
        self.lock().as_mut().is_some_and(|peers| peers.remove(peer).is_some())
    }

    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.lock().as_ref().is_some_and(|peers| peers.contains_key(peer))
    }

    /// Queues a frame for a peer.
    pub(crate) fn push(&self, to: &PeerId, frame: Vec<u8>) -> Result<(), SendError> {
        let (bytes, max) = (frame.len(), self.limits.max_frame_bytes);
        let guard = self.lock();
        let peers = guard.as_ref().ok_or(SendError::Closed)?;
        if bytes > max {
            self.stats.count(|stats| stats.dropped.too_long += 1);
            return Err(SendError::TooLong { bytes, max });
        }
        let Some(peer) = peers.get(to) else {
            self.stats.count(|stats| stats.dropped.unknown_peer += 1);
            return Err(SendError::UnknownPeer(to.clone()));
        };
        peer.queue.push(frame).map_err(|error| match error {
            PushError::Full => {
                self.stats.count(|stats| stats.dropped.queue_full += 1);
                SendError::QueueFull(to.clone())
            }
            PushError::Shut => {
                self.stats.count(|stats| stats.dropped.not_connected += 1);
                SendError::NotConnected(to.clone())
            }
        })
    }

    /// Removes all peers and refuses others from now on. Returns the tasks, which the caller ends.
    pub(crate) fn close(&self) -> Vec<Task> {
        let peers = self.lock().take();
        peers.unwrap_or_default().into_values().map(|peer| peer.task).collect()
    }

    fn start(&self, peer: PeerId, address: Address, start: impl FnOnce(Destination) -> Task) -> Peer {
        let queue = Arc::new(SendQueue::new(&self.limits));
        let seed = self.seed_for(&peer);
        let task = start(Destination { peer, address: address.clone(), queue: Arc::clone(&queue), seed });
        Peer { address, queue, task }
    }

    fn seed_for(&self, peer: &PeerId) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, &self.own_name, peer).hash(&mut hasher);
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<PeerId, Peer>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a name that the handshake cannot carry.
fn check_name(name: &PeerId) -> Result<(), PeerError> {
    match name.as_str().len() {
        1..=MAX_NAME_BYTES => Ok(()),
        bytes => Err(PeerError::NameLength { bytes }),
    }
}
