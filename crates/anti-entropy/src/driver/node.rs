//! The builder that most applications use to run a replica.

use std::boxed::Box;
use std::future::Future;
use std::string::String;
use std::vec::Vec;

use super::{Clock, DriverConfig, Handle, Pool, SystemClock, Transport, transport};
use crate::clock::{RandomnessUnavailable, Seed};
use crate::gossip::{Engine, GossipConfig};
use crate::replica::{Continuity, Error, Marker, Opening, Replica, ReplicaConfig, Replicated, Resolver, Store};
use crate::{ConfigError, PeerId};

/// Builds and starts a replica with its store, resolver, peers and transport, and returns a [`Handle`] to it.
///
/// It uses the clocks and the random generator of the operating system. To run a replica without threads, or on virtual
/// time, drive an [`Engine`] instead.
///
/// ```
/// use anti_entropy::{Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Node};
/// use futures::executor::block_on;
///
/// let network = MemoryNetwork::new(1);
/// let start = |name: &str, peer: &str| {
///     let node = Node::<Keyed<u32, String>>::new(MemoryStore::new(), LastWriterWins);
///     node.peer(peer).spawn(network.join(name.into()))
/// };
/// let (alice, bob) = (start("alice", "bob")?, start("bob", "alice")?);
/// block_on(alice.write(Keyed::new(1, "green".to_string())))?;
/// block_on(bob.wait_converged(["alice".into()]))?;
/// assert_eq!(block_on(bob.read(1))?.value().unwrap().value, "green");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Node<V: Replicated> {
    store: Box<dyn Store>,
    resolver: Box<dyn Resolver<V>>,
    seed: Option<Seed>,
    clock: Box<dyn Clock>,
    continuity: Continuity,
    peers: Vec<(PeerId, Option<String>)>,
    zone: Option<String>,
    space: String,
    replica: ReplicaConfig,
    gossip: GossipConfig,
    driver: DriverConfig,
    pool: Option<Pool>,
}

/// Why a node was not started. Nothing runs, and the store holds what it held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A setting is out of its range or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] Error),
    /// The operating system returned no random numbers.
    #[error(transparent)]
    Randomness(#[from] RandomnessUnavailable),
    /// The operating system could not start a thread.
    #[error("the operating system could not start a thread: {0}; nothing runs; raise the limit on threads")]
    Thread(std::io::Error),
}

impl<V: Replicated> Node<V> {
    /// A node without peers and with default settings.
    pub fn new(store: impl Store + 'static, resolver: impl Resolver<V> + 'static) -> Self {
        Self {
            store: Box::new(store),
            resolver: Box::new(resolver),
            seed: None,
            clock: Box::new(SystemClock::new()),
            continuity: Continuity::default(),
            peers: Vec::new(),
            zone: None,
            space: String::new(),
            replica: ReplicaConfig::default(),
            gossip: GossipConfig::default(),
            driver: DriverConfig::default(),
            pool: None,
        }
    }

    /// Adds a peer, by the name under which the transport knows it.
    pub fn peer(mut self, peer: impl Into<PeerId>) -> Self {
        self.peers.push((peer.into(), None));
        self
    }

    /// Adds a peer and the zone that it is in: a rack or a data centre.
    pub fn peer_in(mut self, peer: impl Into<PeerId>, zone: impl Into<String>) -> Self {
        self.peers.push((peer.into(), Some(zone.into())));
        self
    }

    /// Sets the zone of this node; some choices of a peer prefer other zones.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Names the data set, where a process runs several replicas: metrics and spans carry the name as `space`.
    pub fn space(mut self, space: impl Into<String>) -> Self {
        self.space = space.into();
        self
    }

    /// Passes on the marker that [`Handle::shutdown`] returned when the store was closed: it proves that the store was
    /// not rolled back since. Delete your copy of it before you start the node. See [`Continuity::Marker`].
    pub fn marker(self, marker: Marker) -> Self {
        self.continuity(Continuity::Marker(marker))
    }

    /// Sets the proof that the store was not rolled back. There is none by default, so that the replica takes a new id.
    pub fn continuity(mut self, continuity: Continuity) -> Self {
        self.continuity = continuity;
        self
    }

    /// Sets the limits and policies of the replica.
    pub fn replica(mut self, config: ReplicaConfig) -> Self {
        self.replica = config;
        self
    }

    /// Sets which peers to talk to, how often, and within which budget.
    pub fn gossip(mut self, config: GossipConfig) -> Self {
        self.gossip = config;
        self
    }

    /// Sets the limits of the queues between handles, engine and transport.
    pub fn driver(mut self, config: DriverConfig) -> Self {
        self.driver = config;
        self
    }

    /// Runs the engine on the threads of this pool. Without one it has a thread of its own.
    pub fn on(mut self, pool: &Pool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Sets another clock than the operating system's, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the seed of all random choices, for tests. Two nodes with the same seed lose writes.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Opens the store, starts the engine's thread, and moves frames on another thread; no async runtime is needed. On
    /// a pool, one thread moves the frames of all nodes that were started by this method.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn spawn(mut self, transport: impl Transport) -> Result<Handle<V>, NodeError> {
        let pool = self.pool.take().map_or_else(Pool::of_one, Ok).map_err(NodeError::Thread)?;
        let (handle, frames) = self.on(&pool).start(transport)?;
        pool.carry(frames).map_err(NodeError::Thread)?;
        Ok(handle)
    }

    /// Opens the store and starts the engine's thread. The returned future moves frames between engine and transport:
    /// spawn it on the transport's async runtime. It ends when the transport is closed or the engine has stopped.
    ///
    /// ```no_run
    /// # use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Node, Transport};
    /// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
    /// # fn example(transport: impl Transport) -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::<Keyed<u64, String>>::new(MemoryStore::new(), LastWriterWins);
    /// let (handle, frames) = node.peer("bob").start(transport)?;
    /// spawn(frames); // `tokio::spawn(frames)`, for example
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn start(
        self,
        transport: impl Transport,
    ) -> Result<(Handle<V>, impl Future<Output = ()> + Send + 'static), NodeError> {
        self.start_with(transport, |engine| engine)
    }

    /// Starts a type of yours that contains the engine: state that belongs to the replica then lives on the engine's
    /// thread, and [`Handle::with`] reaches both. See [`drive`](crate::engine::drive).
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn start_with<E>(
        self,
        transport: impl Transport,
        wrap: impl FnOnce(Engine<V>) -> E,
    ) -> Result<(Handle<V, E>, impl Future<Output = ()> + Send + 'static), NodeError>
    where
        E: AsMut<Engine<V>> + Into<Engine<V>> + Send + 'static,
    {
        // Before the store is opened: a marker is good for one opening.
        self.replica.validate().map_err(|error| error.within("replica"))?;
        self.gossip.validate_with(&self.replica)?;
        transport::check(&transport)?;
        let pool = self.pool.map_or_else(Pool::of_one, Ok).map_err(NodeError::Thread)?;
        let seed = self.seed.map_or_else(Seed::from_os, Ok)?;
        let opening = Opening { seed: seed.clone(), continuity: self.continuity, config: self.replica };
        let replica = Replica::open_boxed(self.store, self.resolver, opening)?;
        let mut engine = Engine::new(replica, self.gossip, seed.derive_u64("gossip"), self.clock.now())?;
        engine.set_zone(self.zone);
        engine.set_space(&self.space);
        for (peer, zone) in self.peers {
            engine.add_peer(peer, zone);
        }
        Ok(pool.drive(wrap(engine), transport, self.clock, self.driver)?)
    }
}

impl<V: Replicated> std::fmt::Debug for Node<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("peers", &self.peers).field("space", &self.space).finish_non_exhaustive()
    }
}
