//! The engine: one replica, its peers, and the sessions and pushes between them.

mod announce;
mod conversation;
mod fork;
mod group;
mod growth;
mod life;
mod output;
mod receive;
mod rounds;
mod sessions;
mod status;
#[cfg(test)]
pub(super) mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use self::conversation::Conversation;
use self::group::Group;
pub use self::output::EngineOutput;
pub use self::status::Status;
use super::bucket::TokenBucket;
use super::config::GossipConfig;
use super::event::{EngineStats, Event, EventQueue};
use super::new_ids::NewIds;
use super::peer::Peer;
use super::pushing::Pushing;
use super::round_robin::RoundRobin;
use super::span::scaled;
use super::transfer_queue::TransferQueue;
use crate::clock::Now;
use crate::replica::{Adopted, Error, Missing, Replica, ReplicaConfig, Replicated, Seen, Transaction, Written};
use crate::sync::wire::Push;
use crate::{ConfigError, PeerId};

/// Keeps a replica equal to its peers: compares roots in rounds, opens and answers sessions, pushes writes.
///
/// The engine does no I/O and reads no clock. Frames and time come in through [`handle_frame`](Self::handle_frame) and
/// [`handle_timeout`](Self::handle_timeout). After every call, call [`poll_output`](Self::poll_output) until it returns
/// [`EngineOutput::Wait`]: it returns the frames to send, the events, and the time at which to call `handle_timeout`.
///
/// ```
/// use anti_entropy::clock::{Now, Seed};
/// use anti_entropy::engine::{Engine, EngineOutput};
/// use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, PeerId, Replica};
///
/// let seed = Seed::from_os()?;
/// let number = seed.derive_u64("engine");
/// let replica = Replica::open(MemoryStore::new(), LastWriterWins, seed)?;
/// let mut now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
/// let mut engine = Engine::new(replica, GossipConfig::default(), number, now)?;
/// engine.add_peer(PeerId::from("node-2"), None);
/// engine.write(Keyed::new(1u32, "one".to_string()), now)?;
/// let EngineOutput::Send { to, .. } = engine.poll_output(now) else { panic!("the write is pushed") };
/// assert_eq!(to, PeerId::from("node-2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine<V: Replicated> {
    replica: Replica<V>,
    config: GossipConfig,
    zone: Option<String>,
    space: Arc<str>,
    peers: BTreeMap<PeerId, Peer>,
    sessions: Vec<Conversation>,
    /// Who waits for room for a transfer.
    waiting: TransferQueue,
    group: Group,
    pushing: Pushing,
    random: fastrand::Rng,
    bucket: TokenBucket,
    /// Shares what the bucket allows among the peers.
    turns: RoundRobin,
    /// Whether the last frame was one of pushes.
    pushed_last: bool,
    /// Frames that refuse a session or a version.
    refusals: VecDeque<(PeerId, Vec<u8>)>,
    events: EventQueue<V::Key>,
    /// The present interval between rounds, between `min_interval` and `interval`.
    pace: Duration,
    next_round: Duration,
    stats: EngineStats,
    /// Since when this replica, which has seen nobody's writes, waits for a second peer to name the same replicas.
    waits_for_second_peer: Option<Duration>,
    new_ids: NewIds,
    /// When a session or a push last changed something here.
    last_joined: Option<Duration>,
    is_shutting_down: bool,
    /// What the transport carries, if one was said.
    transport: Option<TransportFit>,
}

/// What sessions have to respect of the transport, whatever the settings are.
#[derive(Clone, Copy, Debug)]
struct TransportFit {
    max_frame_bytes: usize,
    authenticated: bool,
}

impl<V: Replicated> Engine<V> {
    /// An engine without peers, whose random choices follow from `seed`.
    ///
    /// Use a fresh random number for `seed` each time that the process starts: the numbers that tell sessions apart
    /// come from it. Tests use a fixed one, so that a run can be repeated.
    ///
    /// # Errors
    /// [`ConfigError`] if a setting is out of its range or contradicts another one. The field is named with the prefix
    /// `gossip.`. `replica.max_value_bytes` above `gossip.session.max_message_bytes` is refused too: such a value would
    /// be accepted from the application and could never be sent.
    pub fn new(mut replica: Replica<V>, config: GossipConfig, seed: u64, now: Now) -> Result<Self, ConfigError> {
        config.validate_with(replica.config())?;
        replica.fit_messages(config.session.max_message_bytes);
        let mut random = fastrand::Rng::with_seed(seed);
        let first_round = scaled(config.min_interval, random.u32(0..1000));
        Ok(Self {
            replica,
            zone: None,
            space: Arc::default(),
            peers: BTreeMap::new(),
            sessions: Vec::new(),
            waiting: TransferQueue::default(),
            group: Group::default(),
            pushing: Pushing::default(),
            bucket: TokenBucket::full(&config, now.elapsed),
            turns: RoundRobin::default(),
            pushed_last: false,
            refusals: VecDeque::new(),
            events: EventQueue::new(&config),
            pace: config.interval,
            next_round: now.elapsed.saturating_add(first_round),
            stats: EngineStats::default(),
            waits_for_second_peer: None,
            new_ids: NewIds::default(),
            last_joined: None,
            is_shutting_down: false,
            transport: None,
            random,
            config,
        })
    }

    /// Sets the name by which the peers know this replica. Its place in the tree of [`PushRoute::Tree`] follows from
    /// it.
    ///
    /// If the application sets none, the driver takes the one that the transport knows.
    ///
    /// [`PushRoute::Tree`]: crate::PushRoute::Tree
    pub fn set_name(&mut self, name: Option<PeerId>) {
        self.pushing.set_name(name);
    }

    /// Sets the zone of this replica. Some choices of a peer prefer other zones than this one.
    pub fn set_zone(&mut self, zone: Option<String>) {
        self.zone = zone;
    }

    /// Names the data set that this replica is one of, where a process runs several replicas: metrics and spans carry
    /// the name as `space`. Set it before the engine is driven; it is empty by default.
    pub fn set_space(&mut self, space: &str) {
        self.space = space.into();
    }

    /// The name that [`set_space`](Self::set_space) set.
    pub fn space(&self) -> &Arc<str> {
        &self.space
    }

    /// Adds a peer, or changes the zone of a known one. O(log n) in the number of peers.
    pub fn add_peer(&mut self, peer: PeerId, zone: Option<String>) {
        self.peers.entry(peer).or_default().set_zone(zone);
        self.pushing.peers_changed();
    }

    /// Removes a peer and gives up the sessions with it; its frames are refused from now on, and the length of the
    /// messages that it takes limits no writes any more. O(n) in what is queued.
    pub fn remove_peer(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.replica.forget_peer(peer);
        self.pushing.forget(peer);
        self.waiting.remove(peer);
        self.give_up_sessions(|conversation| conversation.peer == *peer);
    }

    /// Makes these the peers, each with its zone: adds those that are missing, removes all others, and leaves the
    /// sessions, pushes and back-off of those that stay as they are. For a replica that is placed on some nodes of a
    /// cluster, this follows the assignment.
    ///
    /// This replica's own [name](Self::set_name) may be among them: it becomes no peer. O(n log n) in the number of peers,
    /// and as [`remove_peer`](Self::remove_peer) for each that is removed.
    ///
    /// ```
    /// # use anti_entropy::clock::{Now, Seed};
    /// # use anti_entropy::engine::Engine;
    /// # use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, Replica};
    /// use anti_entropy::PeerId;
    ///
    /// # let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
    /// # let replica = Replica::<Keyed<u32, String>>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([7; 32]))?;
    /// # let mut engine = Engine::new(replica, GossipConfig::default(), 42, now)?;
    /// engine.set_name(Some(PeerId::from("alice")));
    /// let assignment = ["alice", "bob", "carol"].map(|name| (PeerId::from(name), None));
    /// engine.set_members(&assignment.into());
    /// assert_eq!(engine.status(now).peers.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_members(&mut self, members: &BTreeMap<PeerId, Option<String>>) {
        let gone: Vec<PeerId> = self.peers.keys().filter(|peer| !members.contains_key(*peer)).cloned().collect();
        for peer in &gone {
            self.remove_peer(peer);
        }
        for (member, zone) in members {
            if self.pushing.name() == Some(member) {
                continue;
            }
            let is_as_it_was = self.peers.get(member).is_some_and(|peer| peer.zone() == zone.as_deref());
            if !is_as_it_was {
                self.add_peer(member.clone(), zone.clone());
            }
        }
    }

    /// The replica, for reading.
    pub fn replica(&self) -> &Replica<V> {
        &self.replica
    }

    /// The replica, for auditing, subscribing and admitting writers. Write through the engine, which pushes what is
    /// written.
    pub fn replica_mut(&mut self) -> &mut Replica<V> {
        &mut self.replica
    }

    /// Gives up all sessions and returns the replica. What sessions have joined stays.
    pub fn into_replica(self) -> Replica<V> {
        self.replica
    }

    /// Starts a session with a peer at once, without waiting for a round and in spite of a back-off.
    ///
    /// Returns whether the peer is known; nothing is done otherwise. O(n) in the number of peers.
    pub fn sync_now(&mut self, peer: &PeerId, now: Now) -> bool {
        let Some(known) = self.peers.get_mut(peer) else { return false };
        known.sync_now(now.elapsed);
        self.open_due_sessions(now);
        true
    }

    /// Starts a session with a peer at once, and further ones until the two have converged.
    ///
    /// Returns whether the peer is known; nothing is done otherwise. O(n) in the number of peers.
    pub fn sync_until_converged(&mut self, peer: &PeerId, now: Now) -> bool {
        let Some(known) = self.peers.get_mut(peer) else { return false };
        known.pursue(now.elapsed);
        self.open_due_sessions(now);
        true
    }

    /// Opens and answers no further sessions. Open sessions come to their end, and queued pushes leave without delay.
    pub fn begin_shutdown(&mut self) {
        self.is_shutting_down = true;
    }

    /// Changes the settings of the replica and of the engine while they run: to raise a limit that was reached, or the
    /// budget. Sessions under way go on with the settings that they began with.
    ///
    /// ```
    /// # use anti_entropy::clock::{Now, Seed};
    /// # use anti_entropy::engine::Engine;
    /// # use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, Replica};
    /// # type Item = Keyed<u32, String>;
    /// # let replica = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([7; 32]))?;
    /// # let mut engine = Engine::new(replica, GossipConfig::default(), 42, Now::default())?;
    /// let replica = engine.replica().config().clone().with(|config| config.max_clock_replicas = 4096);
    /// let gossip = engine.config().clone().with(|config| config.fanout = 4);
    /// engine.set_limits(replica, gossip)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`new`](Self::new). Nothing is changed then.
    pub fn set_limits(&mut self, replica: ReplicaConfig, gossip: GossipConfig) -> Result<(), ConfigError> {
        gossip.validate_with(&replica)?;
        self.replica.set_config(replica)?;
        self.replica.fit_messages(gossip.session.max_message_bytes);
        self.events.set_limits(&gossip);
        self.pace = self.pace.clamp(gossip.min_interval, gossip.interval);
        self.config = gossip;
        self.respect_transport();
        self.pushing.peers_changed();
        Ok(())
    }

    /// The settings of the engine, with frames as the transport carries them.
    pub fn config(&self) -> &GossipConfig {
        &self.config
    }

    /// Limits frames to what the transport carries, and omits the checksum if the transport authenticates frames.
    #[cfg(feature = "std")]
    pub(crate) fn fit_transport(&mut self, max_frame_bytes: usize, authenticated: bool) {
        self.transport = Some(TransportFit { max_frame_bytes, authenticated });
        self.respect_transport();
    }

    fn respect_transport(&mut self) {
        let Some(TransportFit { max_frame_bytes, authenticated }) = self.transport else { return };
        let session = &mut self.config.session;
        session.max_frame_bytes = session.max_frame_bytes.min(max_frame_bytes);
        session.checksum &= !authenticated;
    }

    /// Takes the transport's name for this replica, unless the application has set one.
    #[cfg(feature = "std")]
    pub(crate) fn suggest_name(&mut self, name: Option<PeerId>) {
        if self.pushing.name().is_none() {
            self.set_name(name);
        }
    }

    fn report_store(&mut self, error: &impl ToString) {
        self.stats.store_failures += 1;
        self.events.push(Event::StoreFailed { message: error.to_string() });
    }
}

/// Local writes.
impl<V: Replicated> Engine<V> {
    /// Writes a value in place of everything held at its key, and pushes it; see [`Replica::write`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn write(&mut self, value: V, now: Now) -> Result<Written, Error> {
        let written = self.replica.write(value, now)?;
        self.push(core::slice::from_ref(&written), now);
        Ok(written)
    }

    /// Writes a value in place of what an earlier read saw, and pushes it; see [`Replica::write_seen`].
    ///
    /// # Errors
    /// As for [`Replica::commit`].
    pub fn write_seen(&mut self, value: V, seen: &Seen, now: Now) -> Result<Written, Error> {
        let written = self.replica.write_seen(value, seen, now)?;
        self.push(core::slice::from_ref(&written), now);
        Ok(written)
    }

    /// Deletes everything held at a key, and pushes the delete; see [`Replica::delete`].
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

    /// Adopts a snapshot from outside, and pushes what it changed; see [`Replica::adopt`].
    ///
    /// # Errors
    /// As for [`Replica::adopt`].
    pub fn adopt(&mut self, values: impl IntoIterator<Item = V>, missing: Missing, now: Now) -> Result<Adopted, Error> {
        let adopted = self.replica.adopt(values, missing, now)?;
        self.push(&adopted.written, now);
        Ok(adopted)
    }

    /// Pushes the first of what was just written. The first, since a push is taken in only after those before it: the
    /// order of a transaction is that of importance.
    fn push(&mut self, written: &[Written], now: Now) {
        if !written.is_empty() {
            self.speed_up(now);
        }
        if !self.config.push {
            return;
        }
        for written in written.iter().take(self.config.max_pushes) {
            match self.replica.push_of(written) {
                Ok(Some(push)) if self.replica.is_grouping() => self.group.pushes.push(push),
                Ok(Some(push)) => self.push_to_some(&push, now),
                Ok(None) => {}
                Err(error) => self.report_store(&error),
            }
        }
    }

    pub(crate) fn push_to_some(&mut self, push: &Push, now: Now) {
        self.pushing.push(push, &self.peers, &self.config, &mut self.random, now.elapsed);
    }
}

/// So that what drives an engine takes one as well as what contains one.
impl<V: Replicated> AsMut<Self> for Engine<V> {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}
