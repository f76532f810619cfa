//! The engine: one replica, its peers, and the sessions between them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::bucket::TokenBucket;
use super::causal_buffer::CausalBuffer;
use super::event::EventQueue;
use super::peers::{self, Peer};
use super::push_queue::PushQueue;
use super::trace::SessionSpan;
use super::{EngineStats, Event, GossipConfig, PeerId, PeerStatus};
use crate::ConfigError;
use crate::clock::{Now, ReplicaId};
use crate::replica::{Adopted, Error, Missing, Replica, Replicated, Seen, Transaction, ValueBytes, Written};
use crate::summary::Root;
use crate::sync::Session;

/// Keeps a replica equal to its peers: compares roots in rounds, opens and answers sessions, pushes writes.
///
/// Sans-IO: frames and time come in by [`handle_frame`](Self::handle_frame) and [`handle_timeout`](Self::handle_timeout);
/// what to send, what happened and until when to wait come out by [`poll_output`](Self::poll_output), which is to be
/// called after every other call until it says [`EngineOutput::Wait`].
///
/// ```
/// use anti_entropy::clock::{Now, Seed};
/// use anti_entropy::engine::{Engine, EngineOutput};
/// use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, PeerId, Replica};
///
/// let seed = Seed::from_bytes([7; 32]);
/// let replica = Replica::open(MemoryStore::new(), LastWriterWins, seed)?;
/// let mut now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
/// let mut engine = Engine::new(replica, GossipConfig::default(), 42, now);
/// engine.add_peer(PeerId::from("node-2"), None);
/// engine.write(Keyed::new(1u32, "one".to_string()), now)?;
/// let EngineOutput::Send { to, .. } = engine.poll_output(now) else { panic!("the write is pushed") };
/// assert_eq!(to, PeerId::from("node-2"));
/// # Ok::<(), anti_entropy::Error>(())
/// ```
pub struct Engine<V: Replicated> {
    pub(super) replica: Replica<V>,
    pub(super) config: GossipConfig,
    pub(super) name: Option<PeerId>,
    pub(super) zone: Option<String>,
    space: Arc<str>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    /// Who is to be talked to, and when, whatever the rounds say.
    pub(super) due: BTreeMap<PeerId, Duration>,
    pub(super) sessions: Vec<Conversation>,
    pub(super) random: fastrand::Rng,
    pub(super) bucket: TokenBucket,
    /// Frames that refuse another version.
    pub(super) refusals: VecDeque<(PeerId, Vec<u8>)>,
    pub(super) pushes: PushQueue,
    /// Pushes of peers that wait for what comes before them.
    pub(super) early: CausalBuffer,
    /// The last write of each writer that was relayed.
    pub(super) relayed: BTreeMap<ReplicaId, u64>,
    /// The peers to which local writes are pushed.
    pub(super) push_targets: Vec<PeerId>,
    /// The neighbours in the tree of pushes; `None` after what it is made of has changed.
    pub(super) tree: Option<Vec<PeerId>>,
    pub(super) events: EventQueue<V::Key>,
    /// The present pace of the rounds, between `min_interval` and `interval`.
    pub(super) pace: Duration,
    pub(super) next_round: Duration,
    pub(super) stats: EngineStats,
    /// When something of a peer was last taken in.
    pub(super) last_joined: Option<Duration>,
    /// Whether no further session is opened or answered.
    pub(super) draining: bool,
}

/// A session and whom it is with.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) peer: PeerId,
    pub(super) session: Session,
    pub(super) span: SessionSpan,
    /// Whether it was opened from here.
    pub(super) opened: bool,
    /// The number by which the session's opener named it.
    pub(super) nonce: u64,
    pub(super) since: Duration,
    /// A session that is over stays for a while, to repeat its last reply; until then.
    pub(super) over_at: Option<Duration>,
    pub(super) diverged: bool,
    /// The values that it sent, as far as they are in the engine's count.
    pub(super) values_counted: ValueBytes,
}

/// What the engine wants from its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineOutput<K> {
    /// Send this frame. A frame that cannot be sent is a lost one.
    Send {
        /// The peer.
        to: PeerId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Something happened.
    Event(Event<K>),
    /// Nothing to do until a frame arrives, or [`Now::elapsed`] reaches this and [`Engine::handle_timeout`] is due.
    Wait(Duration),
}

/// The engine's state, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The Merkle root over all entries.
    pub root: Root,
    /// How many keys hold something.
    pub entries: u64,
    /// How many of them hold concurrent versions.
    pub conflicts: usize,
    /// How many sessions are open.
    pub sessions: usize,
    /// How long ago this replica last took in something of a peer, by a session or a push; `None` if it did not since the
    /// engine was made.
    pub last_joined: Option<Duration>,
    /// What is known of each peer.
    pub peers: Vec<PeerStatus>,
    /// What the engine has counted.
    pub engine: EngineStats,
    /// What the replica has counted.
    pub replica: crate::replica::ReplicaStats,
}

impl<V: Replicated> Engine<V> {
    /// An engine without peers. `seed` makes its choices at random, and reproducible; it is to be a fresh random number
    /// each time, since sessions are told apart by numbers that come from it.
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one, of the replica's among them.
    pub fn new(replica: Replica<V>, config: GossipConfig, seed: u64, now: Now) -> Result<Self, ConfigError> {
        config.validate().map_err(|error| error.within("gossip"))?;
        let (value_bytes, message_bytes) = (replica.config().max_value_bytes, config.session.max_message_bytes);
        let limit = "gossip.session.max_message_bytes";
        ConfigError::at_most_field("replica.max_value_bytes", value_bytes, limit, message_bytes)?;
        let mut random = fastrand::Rng::with_seed(seed);
        let first = scaled(config.min_interval, random.u32(0..1000));
        Ok(Self {
            replica,
            name: None,
            zone: None,
            space: Arc::default(),
            peers: BTreeMap::new(),
            due: BTreeMap::new(),
            sessions: Vec::new(),
            bucket: TokenBucket::full(&config, now.elapsed),
            refusals: VecDeque::new(),
            pushes: PushQueue::default(),
            early: CausalBuffer::default(),
            relayed: BTreeMap::new(),
            push_targets: Vec::new(),
            tree: None,
            events: EventQueue::new(config.max_events.get()),
            pace: config.interval,
            next_round: now.elapsed.saturating_add(first),
            stats: EngineStats::default(),
            last_joined: None,
            draining: false,
            random,
            config,
        })
    }

    /// Tells the engine the name by which its peers know it: its place in a [`PushRoute::Tree`] follows from it. The driver
    /// does so if the transport knows the name and the application has told none.
    ///
    /// [`PushRoute::Tree`]: super::PushRoute::Tree
    pub fn set_name(&mut self, name: Option<PeerId>) {
        self.name = name;
        self.tree = None;
    }

    /// Names the zone in which this replica is, for the preference for other zones.
    pub fn set_zone(&mut self, zone: Option<String>) {
        self.zone = zone;
    }

    /// Says what this replica is of, for telling it from others of the same process: metrics and spans bear it as `space`.
    /// Set it before the engine is driven; empty until then.
    pub fn set_space(&mut self, space: &str) {
        self.space = space.into();
    }

    /// What this replica is of, as [`set_space`](Self::set_space) said.
    pub fn space(&self) -> &Arc<str> {
        &self.space
    }

    /// Adds a peer, or gives a known one another zone.
    pub fn add_peer(&mut self, peer: PeerId, zone: Option<String>) {
        self.peers.entry(peer).or_default().zone = zone;
        self.tree = None;
    }

    /// Forgets a peer; its frames are refused from now on.
    pub fn remove_peer(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.due.remove(peer);
        self.pushes.forget(peer);
        self.early.forget(peer);
        self.tree = None;
        self.give_up_sessions(|conversation| conversation.peer == *peer);
    }

    /// The replica, for reading.
    pub fn replica(&self) -> &Replica<V> {
        &self.replica
    }

    /// The replica, for what changes nothing that peers should hear of at once: auditing, subscribing, admitting writers.
    pub fn replica_mut(&mut self) -> &mut Replica<V> {
        &mut self.replica
    }

    /// The replica by value; sessions are given up, what was joined stays.
    pub fn into_replica(self) -> Replica<V> {
        self.replica
    }

    /// Writes a value in place of everything held at its key, and pushes it; see [`Replica::write`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn write(&mut self, value: V, now: Now) -> Result<Written, Error> {
        let written = self.replica.write(value, now)?;
        self.push(core::slice::from_ref(&written), now);
        Ok(written)
    }

    /// Writes a value in place of what was seen by an earlier read, and pushes it; see [`Replica::write_seen`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn write_seen(&mut self, value: V, seen: &Seen, now: Now) -> Result<Written, Error> {
        let written = self.replica.write_seen(value, seen, now)?;
        self.push(core::slice::from_ref(&written), now);
        Ok(written)
    }

    /// Deletes everything held at a key, and pushes that; see [`Replica::delete`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn delete(&mut self, key: &V::Key, now: Now) -> Result<Option<Written>, Error> {
        Ok(self.commit(Transaction::new().delete(key.clone()), now)?.pop())
    }

    /// Makes all changes of a transaction, and pushes them; see [`Replica::commit`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn commit(&mut self, transaction: Transaction<V>, now: Now) -> Result<Vec<Written>, Error> {
        let written = self.replica.commit(transaction, now)?;
        self.push(&written, now);
        Ok(written)
    }

    /// Takes over a snapshot from outside, and pushes what it changed; see [`Replica::adopt`].
    ///
    /// # Errors
    /// As for [`Replica::adopt`].
    pub fn adopt(&mut self, values: impl IntoIterator<Item = V>, missing: Missing, now: Now) -> Result<Adopted, Error> {
        let adopted = self.replica.adopt(values, missing, now)?;
        self.push(&adopted.written, now);
        Ok(adopted)
    }

    /// Compares with a peer at once, whatever the rounds say; and again, until the two have converged, if `pursue`.
    ///
    /// Returns whether the peer is known; nothing is done otherwise.
    pub fn sync_now(&mut self, peer: &PeerId, pursue: bool, now: Now) -> bool {
        let Some(known) = self.peers.get_mut(peer) else { return false };
        // If it is pursued already, that goes on at the pace that its health allows.
        if !(known.pursued && pursue) {
            known.not_before = Duration::ZERO;
            known.pursued |= pursue;
            self.make_due(peer.clone(), now.elapsed);
        }
        self.open_due(now);
        true
    }

    /// What the engine knows and has counted.
    pub fn status(&mut self, now: Now) -> Status {
        Status {
            root: self.replica.root(),
            entries: self.replica.len(),
            conflicts: self.replica.conflicts(),
            sessions: self.sessions.iter().filter(|conversation| conversation.over_at.is_none()).count(),
            last_joined: self.last_joined.map(|at| now.elapsed.saturating_sub(at)),
            peers: self.peers.iter().map(|(id, peer)| peer.status(id, now.elapsed)).collect(),
            engine: self.stats,
            replica: self.replica.stats(),
        }
    }

    /// What the engine has counted.
    pub fn stats(&self) -> EngineStats {
        self.stats
    }

    /// How many sessions are held: those that are open, and those that are over and stay to repeat their last reply.
    pub fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// How long the oldest session that is open has been so; nothing if none is. A session is over at the latest when its
    /// peer has been silent for [`SessionConfig::idle_timeout`](crate::sync::SessionConfig::idle_timeout).
    pub fn oldest_session(&self, now: Now) -> Option<Duration> {
        let open = self.sessions.iter().filter(|conversation| conversation.over_at.is_none());
        open.map(|conversation| now.elapsed.saturating_sub(conversation.since)).max()
    }

    /// How many frames outside of sessions, pushes above all, wait to be sent.
    pub fn queued_len(&self) -> usize {
        self.refusals.len() + self.pushes.len()
    }

    /// Opens and answers no further sessions; those that are open come to their end. Pushes wait for no others any more.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no session is open and nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        let quiet = self.refusals.is_empty() && self.pushes.is_empty();
        quiet && self.sessions.iter().all(|conversation| conversation.over_at.is_some())
    }

    /// Whether a session that was opened from here at `since` or later certified the root that this replica has now.
    pub fn is_converged_with(&mut self, peer: &PeerId, since: Duration) -> bool {
        let root = self.replica.root();
        let certified = self.peers.get(peer).and_then(|peer| peer.asked);
        certified.is_some_and(|(at, certified)| at >= since && certified == root)
    }

    /// Fits frames to what the transport carries, and leaves the checksum to it if it authenticates them.
    #[cfg(feature = "std")]
    pub(crate) fn fit_transport(&mut self, max_frame_bytes: usize, authenticated: bool) {
        let session = &mut self.config.session;
        session.max_frame_bytes = session.max_frame_bytes.min(max_frame_bytes);
        session.checksum &= !authenticated;
    }

    /// Takes over the transport's name for this replica, unless the application has said otherwise.
    #[cfg(feature = "std")]
    pub(crate) fn suggest_name(&mut self, name: Option<PeerId>) {
        if self.name.is_none() {
            self.set_name(name);
        }
    }

    /// Does what is due: a round, repetitions, giving up.
    pub fn handle_timeout(&mut self, now: Now) {
        for conversation in &mut self.sessions {
            conversation.session.handle_timeout(now);
        }
        self.handle_overdue_pushes(now);
        self.sessions.retain(|conversation| conversation.over_at.is_none_or(|at| now.elapsed < at));
        if now.elapsed >= self.next_round && !self.draining {
            self.start_round(now);
        }
        self.open_due(now);
    }

    /// What to do next; to be called until it says [`EngineOutput::Wait`].
    pub fn poll_output(&mut self, now: Now) -> EngineOutput<V::Key> {
        while let Some(notice) = self.replica.poll_notice() {
            self.events.push(Event::Notice(notice));
        }
        if self.bucket.allows(&self.config, now.elapsed)
            && let Some((to, frame)) = self.next_frame(now)
        {
            self.bucket.take(frame.len());
            self.stats.frames_sent += 1;
            self.stats.bytes_sent += frame.len() as u64;
            return EngineOutput::Send { to, frame };
        }
        match self.events.pop() {
            Some(event) => EngineOutput::Event(event),
            None => EngineOutput::Wait(self.next_deadline(now)),
        }
    }

    fn next_frame(&mut self, now: Now) -> Option<(PeerId, Vec<u8>)> {
        let refusal = self.refusals.pop_front();
        refusal.or_else(|| self.next_push_frame(now)).or_else(|| self.next_session_frame(now))
    }

    fn next_deadline(&mut self, now: Now) -> Duration {
        let sessions = self.sessions.iter().map(Conversation::deadline);
        // Without room for another session, the end of one is what to wait for.
        let may_open = !self.draining && self.has_room_to_open();
        let due = self.due.iter().filter(|_| may_open).map(|(peer, due)| self.due_at(peer, *due));
        let round = if self.draining { Duration::MAX } else { self.next_round };
        let mut deadline = sessions.chain(due).chain(self.early.overdue_at()).fold(round, Duration::min);
        let has_room = self.bucket.allows(&self.config, now.elapsed);
        if !has_room {
            deadline = deadline.min(self.bucket.allows_at(&self.config));
        }
        // What is due and waits for room must not make the caller spin.
        let deadline = deadline.max(now.elapsed.saturating_add(Duration::from_millis(1)));
        // With room a push that is due has left, so that the next one lies ahead.
        self.pushes.due().filter(|_| has_room).map_or(deadline, |due| deadline.min(due))
    }

    /// One round: some peers are due now, and resolved conflicts are written back where the resolver asks for it.
    fn start_round(&mut self, now: Now) {
        plant!(start_round(self.sessions.iter().any(|open| open.opened && open.over_at.is_none())));
        self.stats.rounds += 1;
        let own = self.announcement();
        let (zone, lifetime) = (self.zone.as_deref(), self.config.announcement_lifetime);
        let busy = |peer: &PeerId| self.sessions.iter().any(|open| open.peer == *peer && open.over_at.is_none());
        let is_equal =
            |peer: &PeerId| self.peers.get(peer).is_some_and(|peer| peer.announces(own, lifetime, now.elapsed));
        let excluded = |peer: &PeerId| busy(peer) || is_equal(peer);
        let chosen =
            peers::choose(&self.peers, zone, self.config.fanout, &self.config, &mut self.random, now.elapsed, excluded);
        for peer in chosen {
            self.make_due(peer, now.elapsed);
        }
        self.compact(now);
        plant!(push_again(self, now));
        let pace = self.pace;
        self.pace = self.slower(pace);
        self.next_round = now.elapsed.saturating_add(self.jittered(pace));
    }

    /// The time to the next round but one, while nothing changes.
    fn slower(&self, pace: Duration) -> Duration {
        plant!(slower(self.config.min_interval));
        pace.saturating_mul(2).min(self.config.interval)
    }

    /// Something changes: rounds come faster for a while.
    pub(super) fn speed_up(&mut self, now: Now) {
        self.pace = self.config.min_interval;
        let soon = now.elapsed.saturating_add(self.jittered(self.config.min_interval));
        self.next_round = self.next_round.min(soon);
    }

    pub(super) fn jittered(&mut self, span: Duration) -> Duration {
        let jitter = 10 * u32::from(self.config.jitter_percent.min(100));
        scaled(span, self.random.u32(1000 - jitter..=1000 + jitter))
    }

    pub(super) fn report_store(&mut self, error: &Error) {
        self.stats.store_failures += 1;
        self.events.push(Event::StoreFailed { message: error.to_string() });
    }
}

/// So that what drives an engine takes one as well as what contains one.
impl<V: Replicated> AsMut<Self> for Engine<V> {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// So many thousandths of a span.
pub(super) fn scaled(span: Duration, thousandths: u32) -> Duration {
    match span.checked_mul(thousandths) {
        Some(product) => product / 1000,
        None => (span / 1000).saturating_mul(thousandths),
    }
}
