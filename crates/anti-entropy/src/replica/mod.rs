//! Layer 3, replica: a store, its context, and the rules by which both change.
//!
//! All changes of a store go through its [`Replica`]: writes and deletes of the application, and data from peers. The
//! replica keeps the store, the Merkle tree over it and the causal context consistent at every instant.
//!
//! ```
//! use anti_entropy::clock::{Now, Seed};
//! use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica};
//!
//! let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
//! let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
//! replica.write(Keyed::new("colour".to_string(), "green".to_string()), now)?;
//! let read = replica.read(&"colour".to_string())?;
//! assert_eq!(read.value().unwrap().value, "green");
//! replica.delete(&"colour".to_string(), now)?;
//! assert!(replica.read(&"colour".to_string())?.value().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adopt;
#[cfg(any(test, feature = "proptest", feature = "quickcheck"))]
mod arbitrary;
mod audit;
mod bounded;
mod change_log;
mod changes_since;
mod claims;
mod config;
mod confirmed;
mod contents;
mod encoding;
mod error;
mod fence;
mod format;
mod group;
mod growth;
mod holes;
mod item;
mod join;
mod lives;
mod notices;
mod open;
mod peer_limits;
mod read;
mod resolver;
mod sizes;
mod store;
mod summaries;
mod take_in;
mod value_bytes;
mod version;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::OnceCell;

pub use adopt::{Adopted, Missing};
pub use audit::{Audit, Discrepancy};
pub use bounded::{MAX_EMPTY_ELEMENTS, MAX_NESTING};
pub use change_log::Change;
use change_log::ChangeLog;
pub use changes_since::ChangedEntries;
pub(crate) use claims::Claim;
use claims::Tags;
pub use config::ReplicaConfig;
use confirmed::Confirmed;
use contents::Contents;
pub(crate) use encoding::canonical_from_bytes;
pub use encoding::{DecodeError, EncodeError, encode_for_write, serde_decode, serde_encode, try_serde_encode};
pub use error::Error;
use format::{FormatError, StoredRecord};
use group::Group;
pub(crate) use group::Staged;
use growth::Offers;
pub(crate) use growth::{Brings, Growth, GrowthAccount};
pub(crate) use holes::Filled;
use holes::Holes;
pub(crate) use item::bytes;
pub use item::{Digest, Encoded, Keyed, Part, PartHash, Replicated};
pub(crate) use join::{join, join_clocks};
use lives::Lives;
pub(crate) use lives::{Life, Speaker};
pub use notices::Notice;
use notices::Notices;
pub use open::{Continuity, Marker, Opening};
use peer_limits::PeerLimits;
pub use read::{Read, Seen};
pub use resolver::{KeepAll, LastWriterWins, Resolver, Semilattice, SemilatticeJoin};
use sizes::Sizes;
pub use store::{Commit, MemoryStore, MetaSlot, Store, StoreError};
use take_in::Disputed;
pub(crate) use value_bytes::ValueBytes;
pub use version::{ContentHash, Entry, Version};
pub(crate) use version::{Record, Sibling, fingerprint};
pub use write::{Transaction, Written};

use crate::clock::{Base, Context, ContextHash, Dot, HybridClock, ReplicaId, Seed, Tally};
use crate::summary::sketch::Sketch;
use crate::summary::{MerkleTree, Root, Snapshot};
use crate::{ConfigError, KeyHash};

/// A replica of a keyed store, which reads, writes and deletes at once, and is made equal to other replicas later.
///
/// It is plain state without threads or locks. Sessions and the gossip engine borrow it to exchange data with peers.
pub struct Replica<V: Replicated> {
    store: Box<dyn Store>,
    /// How much what comes in now may add to the context; `None` for as much as there is room for.
    growth: Option<Growth>,
    /// Replicas that peers named and that did not get in.
    offers: Offers,
    /// The limits of the messages of peers.
    peer_limits: PeerLimits,
    /// Changes that wait for one commit.
    group: Option<Group<V::Key>>,
    resolver: Box<dyn Resolver<V>>,
    pub(crate) config: ReplicaConfig,
    /// The most bytes of an entry for which a message has room, if an engine has said so.
    max_entry_bytes: Option<usize>,
    pub(crate) tree: MerkleTree,
    /// Of the same entries as the tree, always.
    sketch: Sketch,
    pub(crate) context: Context,
    /// What the store has of the context, but for what was pushed since. `None` if that is not known.
    stored: Option<Base>,
    /// The context's hash, once it was asked for: every session starts with it, and most find nothing new.
    context_hash: OnceCell<ContextHash>,
    /// The context's tally, likewise.
    tally: OnceCell<Tally>,
    pub(crate) clock: HybridClock,
    seed: Seed,
    /// How many ids the seed has given so far.
    ids_made: u64,
    marker: Marker,
    /// How many commits were made since the store was opened.
    commits: u64,
    /// The slot Identity as the last commit left it; `None` before the first one.
    left_as: Option<Vec<u8>>,
    /// Keys with more than one sibling.
    conflicts: BTreeSet<KeyHash>,
    contents: Contents,
    sizes: Sizes,
    pub(crate) changes: ChangeLog<V::Key>,
    pub(crate) notices: Notices<V::Key>,
    /// What is known of the entries that this replica could not take in.
    holes: Holes<V::Key>,
    confirmed: Confirmed,
    life: Life,
    /// The peer whose frame is handled.
    speaker: Option<Speaker>,
    /// Of peers.
    lives: Lives,
    tags: Tags,
    /// Names that may have been used twice, by ids that this replica had since it was opened. The latest.
    disputed: VecDeque<Disputed>,
    pub(crate) stopped: bool,
    /// What the store said when the replica stopped, if that is why.
    stop_cause: Option<String>,
    pub(crate) stats: ReplicaStats,
}

/// Counters of a replica since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStats {
    /// Bytes of versions from peers that this replica did not hold, without the parts that it did hold.
    pub value_bytes_needed: u64,
    /// Bytes of parts among `value_bytes_needed`.
    pub part_bytes_needed: u64,
    /// Versions whose dot this replica holds with other content. A store is damaged, or a dot was used twice.
    pub content_clashes: u64,
    /// How often a peer had seen the same writes at a key but held other versions.
    pub histories_differ: u64,
    /// Remote timestamps too far ahead for the local clock to follow.
    pub clock_skews: u64,
    /// How often this replica took a new id: a peer knew more of its own writes than it had made, or had its id.
    pub renamings: u64,
}

impl<V: Replicated> Replica<V> {
    /// The id of this replica, under which the next write is made. It changes if the replica finds that its store was
    /// rolled back.
    pub fn id(&self) -> ReplicaId {
        self.context.own_id()
    }

    /// A copy of this replica over `store`, which must be a copy of this replica's store. Only for checkers that try
    /// every order of events: two replicas in use with one id would make two writes with one name.
    #[doc(hidden)]
    #[must_use]
    pub fn fork(&self, store: impl Store + 'static, resolver: impl Resolver<V> + 'static) -> Self {
        Self {
            store: Box::new(store),
            group: None,
            growth: None,
            offers: self.offers.clone(),
            peer_limits: self.peer_limits.clone(),
            resolver: Box::new(resolver),
            config: self.config.clone(),
            max_entry_bytes: self.max_entry_bytes,
            tree: self.tree.clone(),
            sketch: self.sketch.clone(),
            context: self.context.clone(),
            stored: self.stored.clone(),
            context_hash: self.context_hash.clone(),
            tally: self.tally.clone(),
            clock: self.clock.clone(),
            seed: self.seed.clone(),
            ids_made: self.ids_made,
            marker: self.marker,
            commits: self.commits,
            left_as: self.left_as.clone(),
            conflicts: self.conflicts.clone(),
            contents: self.contents.clone(),
            sizes: self.sizes.clone(),
            changes: ChangeLog::new(self.config.max_pending_changes),
            notices: Notices::default(),
            holes: self.holes.clone(),
            confirmed: self.confirmed.clone(),
            life: self.life,
            speaker: None,
            lives: self.lives.clone(),
            tags: self.tags.clone(),
            disputed: self.disputed.clone(),
            stopped: self.stopped,
            stop_cause: self.stop_cause.clone(),
            stats: self.stats,
        }
    }

    /// The number of keys that have a value.
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The number of keys that have more than one version.
    pub fn conflicts(&self) -> usize {
        self.conflicts.len()
    }

    /// The longest entry: the hash of its key, and at least as many bytes as it takes in a message, as
    /// [`Error::EntryTooLong`] counts them. `None` if nothing is held.
    ///
    /// O(1): the 64 largest ones are kept up to date. If all of them have shrunk or gone since the replica was opened, it
    /// is the largest of those that were changed since.
    pub fn largest_entry(&self) -> Option<(KeyHash, usize)> {
        self.sizes.bytes.get()
    }

    /// The entry with the most concurrent versions: the hash of its key, and how many there are. `None` if no key has
    /// several. As for [`largest_entry`](Self::largest_entry).
    pub fn most_siblings(&self) -> Option<(KeyHash, usize)> {
        self.sizes.siblings.get()
    }

    /// The Merkle root over all entries: equal roots mean equal stores.
    ///
    /// Hashes what changed since the last call: O(changes · log n).
    pub fn root(&mut self) -> Root {
        self.tree.root()
    }

    /// A snapshot of the Merkle tree over all entries. O(1) if nothing changed since the last call.
    pub fn summary(&mut self) -> Snapshot {
        self.tree.snapshot()
    }

    /// The writes that this replica has seen, of every writer.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The hash of the context. It is equal for replicas that have seen the same writes. O(1) while nothing changes.
    pub fn context_hash(&self) -> ContextHash {
        *self.context_hash.get_or_init(|| self.context.hash())
    }

    /// What this replica has seen, in sixteen bytes: by how much others have seen more or less.
    pub(crate) fn tally(&self) -> Tally {
        *self.tally.get_or_init(|| self.context.tally())
    }

    /// The settings of this replica.
    pub fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    /// Changes the settings of a replica that is in use. Everything from the next call on goes by them.
    ///
    /// Where an engine runs the replica, call [`Engine::set_limits`](crate::engine::Engine::set_limits) instead, which
    /// checks these settings against the engine's. A limit that is lowered takes nothing away that is there: clocks
    /// keep the ids that they name, and values stay as long as they are. O(n) if the sketch's settings change.
    ///
    /// ```
    /// # use anti_entropy::clock::Seed;
    /// # use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica};
    /// # type Item = Keyed<u32, String>;
    /// # let mut replica = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_os()?)?;
    /// replica.set_config(replica.config().clone().with(|config| config.max_clock_replicas = 4096))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first field that is out of its range. Nothing is changed then.
    pub fn set_config(&mut self, config: ReplicaConfig) -> Result<(), ConfigError> {
        config.validate()?;
        if config.sketch != self.config.sketch {
            self.sketch = Sketch::from_entries(&self.tree.snapshot(), config.sketch.clone())?;
        }
        self.clock.set_max_ahead(config.max_clock_skew);
        self.changes.set_limit(config.max_pending_changes);
        self.config = config;
        Ok(())
    }

    /// Limits entries to what fits into a message of this length, besides the clock of a single piece.
    pub(crate) fn fit_messages(&mut self, max_message_bytes: usize) {
        self.max_entry_bytes = Some(self.entry_bytes_of(max_message_bytes));
    }

    /// The most bytes of an entry that everybody takes who limits the writes of this replica; `None` if nobody does.
    pub(crate) fn max_written_bytes(&self) -> Option<usize> {
        let least = self.least_peer_limit().map(|limit| self.entry_bytes_of(limit));
        [self.max_entry_bytes, least].into_iter().flatten().min()
    }

    fn entry_bytes_of(&self, max_message_bytes: usize) -> usize {
        // An id and a counter; what a batch has besides: range, digest, and the state at its end.
        const COUNTER: usize = 26;
        const BATCH: usize = 256;
        let clocks = self.config.max_clock_replicas.saturating_mul(COUNTER).saturating_add(BATCH);
        max_message_bytes - clocks.min(max_message_bytes / 2)
    }

    /// The most bytes of an entry for which a message has room; of one by default settings, if no engine has said so.
    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes.unwrap_or(64 << 20)
    }

    /// Adds a writer to the allow-list, if the policy is one: a new node, or one that got a new id.
    pub fn admit(&mut self, writer: ReplicaId) {
        if let crate::clock::WriterPolicy::AllowList(writers) = &mut self.config.writers {
            writers.insert(writer);
        }
    }

    /// The counters since the replica was opened.
    pub fn stats(&self) -> ReplicaStats {
        ReplicaStats { clock_skews: self.clock.refused(), ..self.stats }
    }

    /// Starts recording changes for [`poll_change`](Self::poll_change).
    pub fn watch(&mut self) {
        self.changes.watch();
    }

    /// The oldest change that has not been read yet, if [`watch`](Self::watch) was called.
    pub fn poll_change(&mut self) -> Option<Change<V::Key>> {
        self.changes.pop()
    }

    /// The oldest notice that has not been read yet.
    pub fn poll_notice(&mut self) -> Option<Notice<V::Key>> {
        self.notices.pop()
    }

    /// The record at a key, decoded and with its hashes computed from its bytes.
    pub(crate) fn load(&self, hash: KeyHash) -> Result<Option<Record<V>>, Error> {
        let Some(bytes) = self.load_bytes(hash)? else { return Ok(None) };
        let record: Record<V> = format::decode_record(&bytes).map_err(|error| Error::of_record(hash, error))?;
        if record.key_hash() != hash {
            return Err(Error::of_record(hash, FormatError::OtherKey));
        }
        Ok(Some(record))
    }

    /// The record at a key with one of its versions alone. The others are not decoded.
    pub(crate) fn load_version(&self, hash: KeyHash, dot: Dot) -> Result<Option<Record<V>>, Error> {
        let Some(bytes) = self.load_bytes(hash)? else { return Ok(None) };
        let stored = Self::read_stored(hash, &bytes)?;
        let Some(version) = stored.siblings.iter().find(|held| held.dot == dot) else { return Ok(None) };
        let alone = StoredRecord { key: stored.key, siblings: alloc::vec![version.clone()] };
        alone.decode().map(Some).map_err(|error| Error::of_record(hash, error))
    }

    /// The bytes of the record at a key, as it was changed last.
    fn load_bytes(&self, hash: KeyHash) -> Result<Option<Cow<'_, [u8]>>, Error> {
        Ok(match self.group.as_ref().and_then(|group| group.record(hash)) {
            Some(changed) => changed.bytes.as_deref().map(Cow::Borrowed),
            None => self.store.load(hash)?.map(Cow::Owned),
        })
    }

    /// The record that bytes of the store are, with its values as bytes.
    fn read_stored(hash: KeyHash, bytes: &[u8]) -> Result<StoredRecord<'_>, Error> {
        let stored = StoredRecord::read(bytes).map_err(|error| Error::of_record(hash, error))?;
        if KeyHash::of_encoded(stored.key) != hash {
            return Err(Error::of_record(hash, FormatError::OtherKey));
        }
        Ok(stored)
    }

    /// As after a store lost a record without anybody's noticing.
    #[cfg(test)]
    pub(crate) fn lose_record_for_test(&mut self, key: KeyHash) {
        let mut commit = Commit::default();
        commit.records.insert(key, None);
        self.store.commit(commit).expect("the store takes it");
        self.summarise(key, None);
    }

    /// The error of everything that is asked of a replica that has stopped.
    pub(crate) fn stopped_error(&self) -> Error {
        Error::Stopped { cause: self.stop_cause.as_deref().unwrap_or("it was closed").to_string() }
    }

    /// As after a commit whose end is not known.
    #[cfg(test)]
    pub(crate) fn stop_for_test(&mut self) {
        self.stopped = true;
        self.stop_cause = Some("a test stopped it".to_string());
    }
}

impl<V: Replicated> core::fmt::Debug for Replica<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replica")
            .field("id", &self.id())
            .field("entries", &self.len())
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
