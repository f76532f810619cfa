//! One node's replica of a space, with its gossip.

use std::num::NonZeroUsize;

use anti_entropy::clock::Now;
use anti_entropy::engine::Engine;
use anti_entropy::summary::Snapshot;
use anti_entropy::{ChangedEntries, Error, Opening, PeerId, Replica, Store};
use chrono::{DateTime, Utc};

use super::config::GossiperConfig;
use super::hints::{BeliefUpdate, Hints};
use super::own::OwnPatterns;
use super::prepare::{Rules, SnapshotPreparer};
use super::rebuild::Ongoing;
use super::refusals::Refusals;
use crate::view::ConflictCounts;
use crate::{MemorySpace, OpenError, Pattern};

/// One node's replica of a space, its gossip, and its last snapshot. See the [module](super).
///
/// The node's name is the [origin](Pattern::origin) of the patterns that it writes. A node must keep its name over restarts,
/// and no other node may have it: two nodes with one name would overwrite each other's patterns with each rebuild.
pub struct ConsolidationGossiper {
    pub(super) rules: Rules,
    pub(super) node: PeerId,
    pub(super) engine: Engine<Pattern>,
    pub(super) own: OwnPatterns,
    pub(super) hints: Hints,
    pub(super) refusals: Refusals,
    pub(super) ongoing: Option<Ongoing>,
    /// How many rebuilds were begun.
    pub(super) rebuilds: u64,
    /// How many of them changed something.
    pub(super) generation: u64,
    pub(super) last_snapshot: Option<DateTime<Utc>>,
    pub(super) view: Option<ConflictCounts>,
    pub(super) max_hints: NonZeroUsize,
    pub(super) max_step: NonZeroUsize,
    pub(super) max_pushes: usize,
}

impl ConsolidationGossiper {
    /// Opens a node's replica of a space, without peers.
    ///
    /// `opening` is a [`Seed`](anti_entropy::clock::Seed) where the defaults fit, `config` a
    /// [`GossipConfig`](anti_entropy::GossipConfig). All nodes have to open the space with the same settings. Nodes
    /// whose settings differ exchange nothing; each reports [`Event::Refused`](anti_entropy::Event::Refused) with
    /// [`Refusal::SchemaId`](anti_entropy::Refusal::SchemaId) until they are opened with the same
    /// dimension, encoding, resolution and thresholds. Reads the store twice, O(n).
    ///
    /// # Errors
    /// If a setting is out of its range or contradicts another one, the name is empty, or the store fails or is damaged.
    pub fn open(
        space: MemorySpace,
        node: impl Into<PeerId>,
        store: impl Store + 'static,
        opening: impl Into<Opening>,
        config: impl Into<GossiperConfig>,
        now: Now,
    ) -> Result<Self, OpenError> {
        let (node, opening, config) = (node.into(), opening.into(), config.into());
        space.validate().map_err(|error| error.within("space"))?;
        config.validate_for(&space)?;
        if node.as_str().is_empty() {
            return Err(OpenError::NoName);
        }
        let GossiperConfig { mut gossip, input, max_hints, max_refusals, max_step } = config;
        let max_pushes = gossip.max_pushes;
        gossip.session.schema_id = space.schema_id();
        let seed = opening.seed.derive_u64("engine");
        let mut replica = Replica::open(store, space.resolution, opening)?;
        let own = OwnPatterns::read(node.as_str(), &mut replica)?;
        let mut engine = Engine::new(replica, gossip, seed, now)?;
        engine.set_name(Some(node.clone()));
        let limits = engine.replica().config().clone();
        Ok(Self {
            rules: Rules { space, node: node.as_str().to_owned(), limits, input },
            node,
            engine,
            own,
            hints: Hints::new(max_hints),
            refusals: Refusals::new(max_refusals),
            ongoing: None,
            rebuilds: 0,
            generation: 0,
            last_snapshot: None,
            view: None,
            max_hints,
            max_step,
            max_pushes,
        })
    }

    /// Notes which patterns have changed most. The next rebuild writes these first, so that they are pushed first. An update
    /// of a pattern that the next rebuild does not write has no effect.
    pub fn hint(&mut self, updates: &[BeliefUpdate]) {
        self.hints.add(updates);
    }

    /// Notes which patterns have changed most, as [`hint`](Self::hint) does, and leaves out updates that are not of the snapshot
    /// that was made at this time: engram's `recent_updates` returns the last 512 of all snapshots.
    pub fn hint_for(&mut self, snapshot_generated_at: DateTime<Utc>, updates: &[BeliefUpdate]) {
        self.hints.add(updates.iter().filter(|update| update.snapshot_generated_at == snapshot_generated_at));
    }

    /// Prepares snapshots for [`begin_rebuild`](Self::begin_rebuild) on another thread than the engine's.
    pub fn preparer(&self) -> SnapshotPreparer {
        SnapshotPreparer::new(self.rules.clone())
    }

    /// The entries that changed since an earlier snapshot of the replica, for a view that is kept elsewhere; see
    /// [`Replica::changed_since`].
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn changed_since(&mut self, earlier: &Snapshot) -> Result<ChangedEntries<Pattern>, Error> {
        self.engine.replica_mut().changed_since(earlier)
    }

    /// The space.
    pub fn space(&self) -> &MemorySpace {
        &self.rules.space
    }

    /// The node's name.
    pub fn node(&self) -> &PeerId {
        &self.node
    }

    /// The engine, for reading.
    pub fn engine(&self) -> &Engine<Pattern> {
        &self.engine
    }

    /// The engine, for peers, frames, and for what an operator writes or deletes. The next rebuild takes such changes into
    /// account.
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
            .field("space", &self.rules.space.id)
            .field("node", &self.node)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
