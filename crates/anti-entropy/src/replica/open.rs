//! Opening a store: the replica's identity, and its summary.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::ops::ControlFlow;

use super::change_log::ChangeLog;
use super::claims::Tags;
use super::confirmed::Confirmed;
use super::contents::Contents;
use super::format::{self, FormatError, Identity};
use super::growth::Offers;
use super::holes::Holes;
use super::lives::{Life, Lives};
use super::notices::Notices;
use super::peer_limits::PeerLimits;
use super::sizes::{Size, Sizes};
use super::version::Record;
use super::{Error, MetaSlot, Replica, ReplicaConfig, ReplicaStats, Replicated, Resolver, Staged, Store};
use crate::clock::{Context, HybridClock, ReplicaId, Seed, Timestamp};
use crate::summary::sketch::Sketch;
use crate::summary::{Fingerprint, MerkleTree};
use crate::{KeyHash, KeyRange};

/// The proof that a store was not rolled back since it was last open.
///
/// A replica id names one unbroken life of a store. If an old backup were opened under its old id, new writes would get
/// the same names as writes that were made after the backup, and replicas would lose data without noticing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuity {
    /// There is no proof: the replica takes a new id. This is always safe. Each opening that is written to adds an id
    /// to the clocks.
    #[default]
    Unproven,
    /// The marker that [`Replica::close`] returned. It must be kept outside of the store and its backups, in a file on
    /// the machine for example, and **be deleted there before this opening**. If it matches the store, the replica
    /// keeps its id. Otherwise, as after a crash, it takes a new one.
    Marker(Marker),
    /// The caller guarantees that this store is the latest state of its replica.
    Vouched,
}

/// A nonce that is written to a store when it is closed, and removed when it is opened. A copy of it outside of the
/// store proves that the store was not opened since it was closed. It is good for one opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker([u8; 16]);

impl Marker {
    /// The marker with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the marker, to be kept in a file.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// How a store is opened: randomness, proof of continuity, and settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opening {
    /// Fresh randomness, which was not used for another opening before.
    pub seed: Seed,
    /// The proof that the store was not rolled back. None by default.
    pub continuity: Continuity,
    /// Limits and policies.
    pub config: ReplicaConfig,
}

impl Opening {
    /// The same opening with some fields changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl From<Seed> for Opening {
    fn from(seed: Seed) -> Self {
        Self { seed, continuity: Continuity::default(), config: ReplicaConfig::default() }
    }
}

impl<V: Replicated> Replica<V> {
    /// Opens a store, and reads all of it to build the Merkle tree. O(n).
    ///
    /// `opening` is a [`Seed`] if the defaults fit, and an [`Opening`] otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of its range, [`Error::Store`] if the store fails,
    /// [`Error::DamagedRecord`] or [`Error::DamagedMeta`] if the store holds something that the replica did not write,
    /// [`Error::TypeCannotRead`] if it holds a value that the type does not read.
    pub fn open(
        store: impl Store + 'static,
        resolver: impl Resolver<V> + 'static,
        opening: impl Into<Opening>,
    ) -> Result<Self, Error> {
        Self::open_boxed(Box::new(store), Box::new(resolver), opening.into())
    }

    pub(crate) fn open_boxed(
        store: Box<dyn Store>,
        resolver: Box<dyn Resolver<V>>,
        opening: Opening,
    ) -> Result<Self, Error> {
        let Opening { seed, continuity, config } = opening;
        config.validate()?;
        let identity = read_identity(&store)?;
        let (context, ids_made) = open_context(&store, identity.as_ref(), continuity, &seed)?;
        // Nobody is told this one: a backup of the open store must not pass for the closed one.
        let marker = Marker(seed.replica_id(u64::MAX).to_bytes());
        plant!(let marker = marker_while_open(marker, identity.as_ref().map(|identity| identity.marker)));
        let last_timestamp = identity.map_or(Timestamp::MIN, |identity| identity.last_timestamp);
        plant!(let last_timestamp = last_timestamp(last_timestamp));
        let clock = HybridClock::resume(config.max_clock_skew, last_timestamp);
        let (mut tree, conflicts, sizes) = scan_all::<V>(&store, &context)?;
        let sketch = Sketch::from_entries(&tree.snapshot(), config.sketch.clone())?;
        let life = Life { opening: 0, began_at: context.own_counter() };
        let mut replica = Self {
            store,
            group: None,
            growth: None,
            offers: Offers::default(),
            peer_limits: PeerLimits::default(),
            resolver,
            tree,
            sketch,
            clock,
            marker,
            commits: 0,
            left_as: None,
            seed,
            ids_made,
            conflicts,
            contents: Contents::default(),
            sizes,
            changes: ChangeLog::new(config.max_pending_changes),
            notices: Notices::default(),
            holes: Holes::default(),
            config,
            max_entry_bytes: None,
            confirmed: Confirmed::new(context.own_counter()),
            life,
            speaker: None,
            lives: Lives::default(),
            tags: Tags::default(),
            disputed: VecDeque::new(),
            stopped: false,
            stop_cause: None,
            stats: ReplicaStats::default(),
            context: context.clone(),
            stored: None,
            context_hash: OnceCell::new(),
            tally: OnceCell::new(),
        };
        replica.persist(Staged { records: BTreeMap::new(), context, context_changed: true })?;
        Ok(replica)
    }

    /// Closes the replica, and returns the proof for the next opening that its store was not rolled back in between;
    /// see [`Continuity::Marker`].
    ///
    /// A replica need not be closed. If it was dropped, or crashed, it gets a new id when it is opened again.
    ///
    /// # Errors
    /// If the store fails. There is no proof then. Everything that was written stays durable.
    pub fn close(mut self) -> Result<Marker, Error> {
        self.seal()
    }

    /// Leaves a marker in the store; nothing can be written after it.
    pub(crate) fn seal(&mut self) -> Result<Marker, Error> {
        self.marker = Marker(self.seed.replica_id(u64::MAX - 1).to_bytes());
        let context = self.context.clone();
        self.persist(Staged { records: BTreeMap::new(), context, context_changed: false })?;
        self.stopped = true;
        Ok(self.marker)
    }

    /// Gives `context` a new own id, from this opening's randomness. Of the writes under the old one, those up to `kept`
    /// count as seen.
    pub(super) fn fresh_id(&mut self, context: &mut Context, kept: u64) -> ReplicaId {
        self.ids_made = rename(context, &self.seed, self.ids_made, kept);
        context.own_id()
    }

    /// The timestamp that the next local write goes on from. At least as late as every timestamp that was accepted since
    /// the wall clock was last put right.
    pub fn last_timestamp(&self) -> Timestamp {
        self.clock.last()
    }
}

fn read_identity(store: &impl Store) -> Result<Option<Identity>, Error> {
    let Some(bytes) = store.meta(MetaSlot::Identity)? else { return Ok(None) };
    let identity = format::decode_identity(&bytes).map_err(|error| Error::DamagedMeta { reason: error.to_string() })?;
    Ok(Some(identity))
}

/// The context as the store knows it, under the old id if its continuity is proven, and how many ids that used up.
fn open_context(
    store: &impl Store,
    identity: Option<&Identity>,
    continuity: Continuity,
    seed: &Seed,
) -> Result<(Context, u64), Error> {
    let damaged = |reason: &dyn ToString| Error::DamagedMeta { reason: reason.to_string() };
    let Some(identity) = identity else { return Ok((Context::new(seed.replica_id(0)), 1)) };
    let bytes = store.meta(MetaSlot::Context)?.ok_or_else(|| damaged(&"the context is missing"))?;
    let mut context = format::decode_context(&bytes).map_err(|error| damaged(&error))?;
    if context.own_id() != identity.id {
        return Err(damaged(&"the context is another replica's"));
    }
    context.resume(identity.counter);
    if let Some(bytes) = store.meta(MetaSlot::Pushed)? {
        let raised = format::decode_raised(&bytes).map_err(|error| damaged(&error))?;
        if !context.resume_raised(raised) {
            return Err(damaged(&"a write of the replica itself was pushed to it"));
        }
    }
    plant!(let continuity = open_context(continuity));
    let proven = match continuity {
        Continuity::Unproven => false,
        Continuity::Marker(marker) => marker.0 == identity.marker,
        Continuity::Vouched => true,
    };
    let made = context.own_counter();
    let ids_made = if proven { 0 } else { rename(&mut context, seed, 0, made) };
    Ok((context, ids_made))
}

/// Gives the context the seed's next id that it does not know yet; returns how many ids the seed has given then.
fn rename(context: &mut Context, seed: &Seed, mut ids_made: u64, kept: u64) -> u64 {
    loop {
        let renamed = context.renounce(seed.replica_id(ids_made), kept);
        ids_made += 1;
        // A seed that was used before gives ids that are known already: the next one is not.
        if renamed.is_ok() {
            return ids_made;
        }
    }
}

/// What is known of all records: the tree over them, the keys with several versions, and which are the largest.
type Scanned = (MerkleTree, BTreeSet<KeyHash>, Sizes);

/// Reads every record once.
fn scan_all<V: Replicated>(store: &impl Store, context: &Context) -> Result<Scanned, Error> {
    let mut entries: Vec<(KeyHash, Fingerprint)> = Vec::new();
    let (mut conflicts, mut sizes) = (BTreeSet::new(), Sizes::default());
    let mut failure = None;
    store.scan(KeyRange::ALL, &mut |hash, bytes| match check_record::<V>(hash, bytes, context) {
        Ok(record) => {
            entries.push((hash, record.fingerprint()));
            sizes.note(hash, Size { bytes: record.max_len_bytes(), siblings: record.siblings.len() });
            if record.siblings.len() > 1 {
                conflicts.insert(hash);
            }
            ControlFlow::Continue(())
        }
        Err(error) => {
            failure = Some(Error::of_record(hash, error));
            ControlFlow::Break(())
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok((MerkleTree::from_entries(entries), conflicts, sizes)),
    }
}

/// A record from the store, if it is one that this replica can have put there.
pub(super) fn check_record<V: Replicated>(
    hash: KeyHash,
    bytes: &[u8],
    context: &Context,
) -> Result<Record<V>, FormatError> {
    let record: Record<V> = format::decode_record(bytes)?;
    if record.key_hash() != hash {
        return Err(FormatError::OtherKey);
    }
    if let Some(dot) = record.dots().find(|dot| !context.covers(hash, *dot)) {
        return Err(FormatError::UnknownWrite(dot));
    }
    Ok(record)
}
