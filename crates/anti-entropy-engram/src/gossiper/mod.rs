//! The gossiper: takes in what a node's consolidation found, and keeps it equal among all nodes of a space.
//!
//! A [`ConsolidationGossiper`] contains an [`Engine`] and is driven like one: by hand, sans-IO, or by
//! [`drive`](anti_entropy::engine::drive).
//!
//! ```
//! use anti_entropy::clock::Seed;
//! use anti_entropy::{Clock, GossipConfig, MemoryNetwork, MemoryStore, PeerId, SystemClock};
//! use anti_entropy::engine::drive;
//! use anti_entropy_engram::gossiper::ConsolidationGossiper;
//! use anti_entropy_engram::{ConsolidationSnapshot, SemanticPattern, Space};
//! use chrono::DateTime;
//! use futures::executor::block_on;
//!
//! let network = MemoryNetwork::new(1);
//! let start = |node: &str, peer: &str, seed: u8| {
//!     let (clock, opening) = (SystemClock::new(), Seed::from_bytes([seed; 32])); // or `Seed::from_os()?`
//!     let space = Space::new("default");
//!     let mut gossiper =
//!         ConsolidationGossiper::open(space, node, MemoryStore::new(), opening, GossipConfig::test(), clock.now())?;
//!     gossiper.engine_mut().add_peer(PeerId::from(peer), None);
//!     let (handle, driver) = drive(gossiper, network.join(PeerId::from(node)), clock, Default::default());
//!     std::thread::spawn(|| block_on(driver)); // or `tokio::spawn(driver)`, for example
//!     Ok::<_, anti_entropy_engram::OpenError>(handle)
//! };
//! let (alice, bob) = (start("alice", "bob", 1)?, start("bob", "alice", 2)?);
//! let consolidated = SemanticPattern {
//!     id: "pattern_1f".to_string(),
//!     embedding: vec![0.5; 768],
//!     source_episodes: vec!["episode_1".to_string()],
//!     strength: 0.8,
//!     schema_confidence: 0.6,
//!     last_consolidated: DateTime::UNIX_EPOCH,
//! };
//! let snapshot = ConsolidationSnapshot { generated_at: DateTime::UNIX_EPOCH, patterns: vec![consolidated] };
//! block_on(async {
//!     let rebuilt = alice.with(move |gossiper, now| gossiper.rebuild_from_snapshot(&snapshot, now)).await??;
//!     assert_eq!(rebuilt.written, 1);
//!     bob.wait_converged([PeerId::from("alice")]).await?;
//!     let read = bob.read("pattern_1f".to_string()).await?;
//!     assert_eq!(read.value().unwrap().origin(), "alice");
//!     Ok::<_, anti_entropy::HandleError>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod announced;
mod announcement;
mod config;
mod hints;
mod own;
mod rebuild;
mod status;

use anti_entropy::clock::Now;
use anti_entropy::engine::Engine;
use anti_entropy::summary::Snapshot;
use anti_entropy::{ChangedEntries, Error, Opening, PeerId, Replica, Store};
use chrono::{DateTime, Utc};

pub use self::announced::Announced;
pub use self::announcement::{Announcement, MalformedAnnouncement};
pub use self::config::GossiperConfig;
pub use self::hints::BeliefUpdate;
use self::hints::Hints;
use self::own::OwnPatterns;
pub use self::rebuild::{Rebuilt, Vanished};
pub use self::status::{ConflictStatus, ConsolidationStatus, PeerConsolidationStatus};
use crate::view::ConflictCounts;
use crate::{OpenError, Pattern, Space};

/// One node's replica of a space, its gossip, and what its consolidation said last. See the [module](self).
///
/// The node's name is the [origin](Pattern::origin) of what it writes: it has to be the same after a restart, and no other
/// node's. Two nodes with one name would overwrite each other's patterns with each rebuild.
pub struct ConsolidationGossiper {
    space: Space,
    node: PeerId,
    engine: Engine<Pattern>,
    own: OwnPatterns,
    hints: Hints,
    /// How many rebuilds were begun.
    rebuilds: u64,
    /// How many of them changed something.
    generation: u64,
    last_snapshot: Option<DateTime<Utc>>,
    refused_patterns: usize,
    view: Option<ConflictCounts>,
}

impl ConsolidationGossiper {
    /// Opens a node's replica of a space, without peers.
    ///
    /// `opening` is a [`Seed`](anti_entropy::clock::Seed) where the defaults fit, `config` a
    /// [`GossipConfig`](anti_entropy::GossipConfig). All nodes are to have the same space: those whose settings
    /// differ exchange nothing, and say so by [`Event::Refused`](anti_entropy::Event::Refused) with
    /// [`Refusal::SchemaId`](anti_entropy::session::Refusal::SchemaId) until they are opened with the same
    /// dimension, encoding, resolution and thresholds. Reads the store twice, O(n).
    ///
    /// # Errors
    /// If the space's settings make no sense, the name is empty, or the store fails or is damaged.
    pub fn open(
        space: Space,
        node: impl Into<PeerId>,
        store: impl Store + 'static,
        opening: impl Into<Opening>,
        config: impl Into<GossiperConfig>,
        now: Now,
    ) -> Result<Self, OpenError> {
        space.check()?;
        let (node, opening, GossiperConfig { mut gossip, max_hints }) = (node.into(), opening.into(), config.into());
        if node.as_str().is_empty() {
            return Err(OpenError::NoName);
        }
        gossip.session.schema_id = space.agreement();
        let seed = opening.seed.derive_u64("engine");
        let mut replica = Replica::open(store, space.resolution, opening)?;
        let own = OwnPatterns::read(node.as_str(), &mut replica)?;
        let mut engine = Engine::new(replica, gossip, seed, now);
        engine.set_name(Some(node.clone()));
        Ok(Self {
            space,
            node,
            engine,
            own,
            hints: Hints::new(max_hints),
            rebuilds: 0,
            generation: 0,
            last_snapshot: None,
            refused_patterns: 0,
            view: None,
        })
    }

    /// Says which patterns have changed most: they come first in the next rebuild, and so are pushed first. Updates for
    /// patterns that do not change then do nothing.
    pub fn hint(&mut self, updates: &[BeliefUpdate]) {
        self.hints.add(updates);
    }

    /// What changed in the space since an earlier moment, for a view that is kept elsewhere; see
    /// [`Replica::changed_since`].
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn changed_since(&mut self, earlier: &Snapshot) -> Result<ChangedEntries<Pattern>, Error> {
        self.engine.replica_mut().changed_since(earlier)
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The node's name.
    pub fn node(&self) -> &PeerId {
        &self.node
    }

    /// The engine, for reading.
    pub fn engine(&self) -> &Engine<Pattern> {
        &self.engine
    }

    /// The engine: for peers, frames, and what an operator writes or deletes. Rebuilds notice what is done here.
    pub fn engine_mut(&mut self) -> &mut Engine<Pattern> {
        &mut self.engine
    }
}

impl AsMut<Engine<Pattern>> for ConsolidationGossiper {
    fn as_mut(&mut self) -> &mut Engine<Pattern> {
        &mut self.engine
    }
}

impl From<ConsolidationGossiper> for Engine<Pattern> {
    fn from(gossiper: ConsolidationGossiper) -> Self {
        gossiper.engine
    }
}

impl std::fmt::Debug for ConsolidationGossiper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsolidationGossiper")
            .field("space", &self.space.id)
            .field("node", &self.node)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
