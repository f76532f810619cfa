//! Pushes of both directions: what waits to be sent and to whom, and what has arrived and is not ready.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::causal_buffer::{Arrived, CausalBuffer};
use super::config::GossipConfig;
use super::event::EngineStats;
use super::peer::Peer;
use super::push_queue::{PushQueue, QueuedPush};
use super::tree::{PushRoute, neighbours};
use crate::PeerId;
use crate::clock::{Dot, ReplicaId};
use crate::replica::ValueBytes;
use crate::sync::session::{encode_push, encode_push_frame, max_push_bytes};
use crate::sync::wire::Push;

type Peers = BTreeMap<PeerId, Peer>;

/// The state that pushing needs beside the peers. The engine says what has happened; this decides who is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Pushing {
    /// The name by which peers know this replica: its place in the tree.
    own_name: Option<PeerId>,
    queue: PushQueue,
    /// Pushes of peers that wait for the writes before them.
    buffer: CausalBuffer,
    /// The last write of each writer that was relayed.
    relayed: BTreeMap<ReplicaId, u64>,
    /// The peers that get local writes where they go along no tree.
    targets: Vec<PeerId>,
    /// The neighbours in the tree; `None` after what the tree is made of has changed.
    neighbours: Option<Vec<PeerId>>,
    sent: Sent,
}

/// What has been counted of sending.
#[derive(Clone, Debug, Default)]
struct Sent {
    pushes: u64,
    relayed: u64,
    dropped: u64,
    frame_bytes: u64,
}

/// A push that is sent to several peers: encoded once, and shared.
#[derive(Debug)]
struct Encoded {
    bytes: Arc<[u8]>,
    value_bytes: ValueBytes,
    from: Option<PeerId>,
}

/// A frame of pushes to one peer.
#[derive(Debug)]
pub(super) struct PushFrame {
    pub(super) frame: Vec<u8>,
    pub(super) value_bytes: ValueBytes,
}

/// What became of a push that arrived before what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffered {
    /// It waits, and this many older ones have given way.
    Waits {
        /// How many are left to the rounds.
        gave_way: u64,
    },
    /// A copy of it waits already.
    Duplicate,
    /// It has waited long enough, and is left to the rounds.
    Overdue,
}

/// Who is pushed to.
impl Pushing {
    pub(super) fn name(&self) -> Option<&PeerId> {
        self.own_name.as_ref()
    }

    pub(super) fn set_name(&mut self, name: Option<PeerId>) {
        self.own_name = name;
        self.peers_changed();
    }

    /// A peer came, went, fell silent or was heard again: the tree may be another one.
    pub(super) fn peers_changed(&mut self) {
        self.neighbours = None;
    }

    /// Drops what waits for a peer, and what it sent that waits.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.queue.forget(peer);
        self.buffer.forget(peer);
        self.peers_changed();
    }

    /// Keeps pushing to the same peers as long as they are healthy: a push is taken in only by those that have the
    /// writer's previous one, and peers that are chosen anew for each write would have gaps.
    fn sticky_targets(
        &mut self,
        peers: &Peers,
        config: &GossipConfig,
        random: &mut fastrand::Rng,
        now: Duration,
    ) -> Vec<PeerId> {
        let is_healthy = |id: &PeerId| peers.get(id).is_some_and(|peer| !peer.is_backing_off(now));
        self.targets.retain(is_healthy);
        let mut others: Vec<&PeerId> = peers.keys().filter(|id| is_healthy(id) && !self.targets.contains(id)).collect();
        random.shuffle(&mut others);
        let missing = config.push_fanout.saturating_sub(self.targets.len());
        let others: Vec<PeerId> = others.into_iter().take(missing).cloned().collect();
        self.targets.extend(others);
        self.targets.clone()
    }

    /// The neighbours in the tree of the peers that answer, if writes go along one. Worked out once for many pushes.
    fn tree_neighbours(&mut self, peers: &Peers, config: &GossipConfig) -> Option<Vec<PeerId>> {
        let own = self.own_name.as_ref().filter(|_| config.push_route == PushRoute::Tree)?;
        let answering = peers.iter().filter(|(_, peer)| !peer.is_silent()).map(|(id, _)| id);
        let work_out = || neighbours(own, answering, config.push_fanout);
        Some(self.neighbours.get_or_insert_with(work_out).clone())
    }
}

/// Pushes that leave.
impl Pushing {
    /// Queues a local write for those who get it.
    pub(super) fn push(
        &mut self,
        push: &Push,
        peers: &Peers,
        config: &GossipConfig,
        random: &mut fastrand::Rng,
        now: Duration,
    ) {
        let Some(bytes) = encode_push(push, &config.session) else { return };
        let encoded = Encoded { bytes: bytes.into(), value_bytes: push.value_bytes(), from: None };
        let along_tree = self.tree_neighbours(peers, config);
        let targets = along_tree.unwrap_or_else(|| self.sticky_targets(peers, config, random, now));
        for to in targets {
            self.enqueue(to, &encoded, config, now);
        }
    }

    /// Hands on a push as it came, to the neighbours in the tree but for the one that sent it.
    pub(super) fn relay(&mut self, arrived: &Arrived, peers: &Peers, config: &GossipConfig, now: Duration) {
        let fits = arrived.bytes.len() <= max_push_bytes(&config.session);
        let Some(neighbours) = self.tree_neighbours(peers, config).filter(|_| config.push && fits) else { return };
        let relayed = self.relayed.entry(arrived.dot.replica).or_default();
        *relayed = arrived.dot.counter.max(*relayed);
        let (bytes, from) = (Arc::clone(&arrived.bytes), Some(arrived.from.clone()));
        let encoded = Encoded { bytes, value_bytes: arrived.value_bytes, from };
        for to in neighbours.into_iter().filter(|to| *to != arrived.from) {
            self.enqueue(to, &encoded, config, now);
        }
    }

    /// Whether this write, or a later one of the same writer, was relayed.
    pub(super) fn has_relayed(&self, dot: Dot) -> bool {
        dot.counter <= self.relayed.get(&dot.replica).copied().unwrap_or_default()
    }

    fn enqueue(&mut self, to: PeerId, push: &Encoded, config: &GossipConfig, now: Duration) {
        let is_full = self.queue.len() >= config.max_queued_pushes;
        plant!(let is_full = queue_is_full(is_full));
        if is_full {
            self.sent.dropped += 1;
            if !self.queue.make_room_for(push.from.as_ref()) {
                return;
            }
        }
        let Encoded { bytes, value_bytes, from } = push;
        let send_at = now.saturating_add(config.push_delay);
        let (bytes, value_bytes, from) = (Arc::clone(bytes), *value_bytes, from.clone());
        self.queue.add(QueuedPush { to, bytes, value_bytes, from, send_at });
    }

    /// The peers to which a push is to leave by this time.
    pub(super) fn due(&self, until: Duration) -> impl Iterator<Item = &PeerId> {
        self.queue.due(until)
    }

    /// A frame of the pushes that wait for this peer, as many as fit. `None` if none waits.
    pub(super) fn take_frame(&mut self, to: &PeerId, config: &GossipConfig) -> Option<PushFrame> {
        let pushes = self.queue.take_frame(to, max_push_bytes(&config.session));
        if pushes.is_empty() {
            return None;
        }
        let (mut payload, mut value_bytes) = (Vec::new(), ValueBytes::default());
        for push in pushes {
            payload.extend_from_slice(&push.bytes);
            value_bytes += push.value_bytes;
            self.sent.pushes += 1;
            self.sent.relayed += u64::from(push.from.is_some());
        }
        let frame = encode_push_frame(&payload, &config.session);
        self.sent.frame_bytes += frame.len() as u64;
        Some(PushFrame { frame, value_bytes })
    }

    /// How many pushes wait to be sent.
    pub(super) fn queued_len(&self) -> usize {
        self.queue.len()
    }

    /// When the next push that waits to be sent leaves.
    pub(super) fn next_send_at(&self) -> Option<Duration> {
        self.queue.next_send_at()
    }

    /// Adds what has been counted of sending to the engine's counts.
    pub(super) fn count_in(&self, stats: &mut EngineStats) {
        stats.pushes_sent = self.sent.pushes;
        stats.pushes_relayed = self.sent.relayed;
        stats.pushes_dropped = self.sent.dropped;
        stats.push_bytes_sent = self.sent.frame_bytes;
    }
}

/// Pushes that have arrived.
impl Pushing {
    /// Has a push wait for the writes before it, if its time is not up.
    pub(super) fn buffer(&mut self, arrived: Arrived, config: &GossipConfig, now: Duration) -> Buffered {
        if arrived.until <= now {
            Buffered::Overdue
        } else if self.buffer.holds(arrived.dot) {
            Buffered::Duplicate
        } else {
            Buffered::Waits { gave_way: self.buffer.keep(arrived, config) }
        }
    }

    /// Takes out the pushes that may be ready now that this write is known.
    pub(super) fn take_waiting_for(&mut self, dot: Dot) -> VecDeque<Arrived> {
        self.buffer.take_waiting_for(dot)
    }

    /// Takes out the pushes that have waited long enough.
    pub(super) fn take_overdue(&mut self, now: Duration) -> VecDeque<Arrived> {
        self.buffer.take_overdue(now)
    }

    /// When the next push that waits for others has waited long enough.
    pub(super) fn next_overdue_at(&self) -> Option<Duration> {
        self.buffer.overdue_at()
    }
}
