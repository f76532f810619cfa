//! The settings of a replica.

use core::num::NonZeroUsize;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::clock::{RangeClocks, WriterPolicy};
use crate::summary::sketch::SketchConfig;

/// Limits and policies of a replica. All replicas of a store should have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The most bytes of an encoded value that is written locally, parts included. 8 MiB by default: a value is handled
    /// in memory, and is sent in one message with its siblings. At least 1, and in an engine at most
    /// [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes).
    pub max_value_bytes: usize,
    /// The most bytes of an encoded key that is written locally. 64 KiB by default; at least 1.
    pub max_key_bytes: usize,
    /// The most replica ids that a clock may name. 1,024 by default; at least 1. Every clock that is sent or stored
    /// grows with them. A batch or push that would add one more is refused and reported. Ids are never pruned, since
    /// that would bring deleted data back. At most
    /// [`RangeClocks::MAX_COUNTERS`](crate::clock::RangeClocks::MAX_COUNTERS).
    pub max_clock_replicas: usize,
    /// How many of a hundred places for ids are kept for peers: this replica does not begin to write under a new id
    /// once fewer than these are free, and its writes fail with [`Error::TooManyReplicas`](super::Error). Otherwise
    /// several replicas could take the last place at the same moment, and refuse each other's writes from then on. 10
    /// by default, for a hundred replicas that begin at once; at most 99. An id of the allow-list may take a kept
    /// place if there is one for each id of the list: then nobody can be left without.
    pub reserved_clock_percent: u8,
    /// The most pieces into which transfers cut the context. 256 by default; at most
    /// [`MAX_CONTEXT_PIECES`](Self::MAX_CONTEXT_PIECES). Interrupted transfers leave cuts until the
    /// next complete transfer. At the limit, transfers have to end at existing cuts. A batch may bring the cuts of a
    /// peer's context, up to [`PIECES_OF_PEERS`](Self::PIECES_OF_PEERS) times as many pieces.
    pub max_context_pieces: NonZeroUsize,
    /// The most versions at a key that a write leaves there. 1,024 by default; at least 1. Each write of a key takes work and
    /// room for all of them, and a message has to have room for all. A write that replaces none of them, as one on an old
    /// read does, fails with [`Error::TooManySiblings`](super::Error); resolve the versions first. Writes of several
    /// replicas may come to more together.
    pub max_siblings: usize,
    /// The most counters in all pieces of the context together, counted as replicas times pieces: sessions, opening and
    /// keeping the context take work and room for each of them. 16,384 by default, which are 256 pieces of 64 replicas, or
    /// 16 of 1,024. Where `max_clock_replicas` is greater, that counts instead, so that a single piece always has room. At
    /// the limit, transfers have to end at existing cuts. Peers' cuts and replicas may add up to
    /// [`PIECES_OF_PEERS`](Self::PIECES_OF_PEERS) times as many; a batch or push that would add more is refused. At
    /// most 2<sup>18</sup>.
    pub max_context_counters: usize,
    /// The most replicas that one peer may add to the clocks in an hour, and at once. 512 by default; at least 1. Where
    /// there are several peers, each has a share: [`max_clock_replicas`](Self::max_clock_replicas) by one more than there are
    /// peers, but at least one for each. A peer adds at most its share at once, and once it has brought that, a 32nd of this
    /// in an hour: 16 by default, for honest peers that hand on what another invents. A replica that two peers name counts
    /// for neither. What is refused stays out until the peer has saved up for it, or another one names it too. A replica
    /// that has seen nobody's writes waits ten minutes for a second peer, and then takes in what there is.
    pub new_replicas_per_hour: usize,
    /// The most pieces that one peer may add to the context in an hour, beyond those that have become one again. 512 by
    /// default; at least 1. A batch that brings more is refused until the peer has saved up for it.
    pub new_pieces_per_hour: usize,
    /// The least [`SessionConfig::max_message_bytes`](crate::SessionConfig::max_message_bytes) of a peer that limits the
    /// writes of this replica. 16 MiB by default: a value of the default length fits in. A peer that takes less does not
    /// keep others from writing; what is too long for it is missing there, as a hole.
    pub min_peer_message_bytes: usize,
    /// The most bytes of values that are loaded from the store, or written to it, at a time for a batch of a peer. 2 MiB by
    /// default, so that batches as sessions make them are joined in one commit; values take some twice as much in memory. A peer can name many values that are held
    /// here in few bytes, to delete or to keep them: such a batch is joined in several steps, as if it were several. One
    /// record may exceed this.
    pub max_loaded_bytes: usize,
    /// The most keys at which this replica may lack what it could not take in from a peer, while it takes in everything
    /// else: values of a newer release during an upgrade, and entries longer than a message may be. 128 by default, for
    /// an upgrade that begins to use its new values before the last node has it; each takes some 110 bytes in a session
    /// that finds differences. A batch that would leave one more is refused, as all were if this is 0. Peers' own may
    /// add [`PIECES_OF_PEERS`](Self::PIECES_OF_PEERS) times as many.
    pub max_holes: usize,
    /// How far a remote timestamp may be ahead of the local wall clock and still move the local hybrid clock. Five
    /// minutes by default, far more than synchronised clocks differ by. Versions with later timestamps are accepted all
    /// the same, since causality does not depend on clocks; the replica counts them.
    pub max_clock_skew: Duration,
    /// The writers whose writes are accepted. All by default.
    pub writers: WriterPolicy,
    /// How many cells of the sketch are kept up to date for sessions.
    pub sketch: SketchConfig,
    /// The most unread changes that are kept for a subscriber. 1,024 by default. If there are more, the oldest ones are
    /// replaced by [`Change::Missed`](super::Change::Missed).
    pub max_pending_changes: NonZeroUsize,
    /// How many writes and deletes an engine commits to the store together, at most: those that wait when it gets to
    /// them, from callers and in pushes of peers. One transaction or one batch of a session is always committed
    /// together. An engine stops earlier where more pushes would wait for the commit than
    /// [`max_queued_pushes`](crate::GossipConfig::max_queued_pushes) has room for. 4,096 by default: a commit takes about
    /// as long for them as for the syncs of a disk. At least 1, with which each has a commit of its own.
    pub max_commit_writes: NonZeroUsize,
    /// How many bytes of records are put into such a commit, at most, beside the last of the writes in it. 4 MiB by
    /// default, which the store holds in memory until they are committed. At least 1.
    pub max_commit_bytes: NonZeroUsize,
}

impl ReplicaConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range, and the relations between fields. What takes a configuration calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_value_bytes", self.max_value_bytes, 1)?;
        ConfigError::at_least("max_key_bytes", self.max_key_bytes, 1)?;
        ConfigError::at_least("new_replicas_per_hour", self.new_replicas_per_hour, 1)?;
        ConfigError::at_least("new_pieces_per_hour", self.new_pieces_per_hour, 1)?;
        ConfigError::at_least("max_siblings", self.max_siblings, 1)?;
        ConfigError::at_most("max_siblings", self.max_siblings, Self::MAX_VERSIONS)?;
        ConfigError::at_most("max_context_pieces", self.max_context_pieces.get(), Self::MAX_CONTEXT_PIECES)?;
        ConfigError::at_least("max_clock_replicas", self.max_clock_replicas, 1)?;
        ConfigError::at_most("max_clock_replicas", self.max_clock_replicas, RangeClocks::MAX_COUNTERS)?;
        let counters = RangeClocks::MAX_COUNTERS / Self::PIECES_OF_PEERS;
        ConfigError::at_most("max_context_counters", self.max_context_counters, counters)?;
        ConfigError::at_most("reserved_clock_percent", self.reserved_clock_percent, 99)?;
        self.sketch.validate().map_err(|error| error.within("sketch"))
    }

    /// How many replicas one of so many peers may bring before it has to go on slowly. If all but one of them are honest,
    /// what that one invents at each of them has room in one clock. But it is one for each peer at least, so that a cluster
    /// that begins is not kept waiting, and [`LEAST_SHARE`](Self::LEAST_SHARE).
    pub(crate) fn share_of_peer(&self, peers: usize) -> usize {
        let places = self.max_clock_replicas;
        if peers < 2 { places } else { (places / (peers + 1)).max(peers + 1).max(Self::LEAST_SHARE).min(places) }
    }

    /// What a peer may bring however many peers there are: one that crashes some times in a row takes so many ids.
    const LEAST_SHARE: usize = 16;

    /// How many replicas a peer may bring to a replica that has seen nobody's writes, if no other peer has come: the own id
    /// and one of each peer have room besides.
    pub(crate) fn share_of_only_peer(&self, peers: usize) -> usize {
        self.max_replicas_with_own().saturating_sub(1 + peers)
    }

    /// How many replicas a peer may bring in an hour once it has brought its share.
    pub(super) fn new_replicas_beyond_share_per_hour(&self) -> usize {
        (self.new_replicas_per_hour / 32).max(1)
    }

    /// How many replicas a clock may name once this replica has begun to write under a new id.
    pub(super) fn max_replicas_with_own(&self) -> usize {
        self.max_clock_replicas - self.max_clock_replicas * usize::from(self.reserved_clock_percent) / 100
    }

    /// The counters up to which this replica makes cuts of its own.
    pub(crate) fn counters_before_cuts_end(&self) -> usize {
        self.max_context_counters.max(self.max_clock_replicas)
    }

    /// The most counters that there may be with peers' cuts and replicas.
    pub(crate) fn counters_with_peers(&self) -> usize {
        self.counters_before_cuts_end().saturating_mul(Self::PIECES_OF_PEERS)
    }

    /// The greatest [`max_context_pieces`](Self::max_context_pieces): a session is opened with all cuts of a context that
    /// has no room for more, peers' cuts among them, and an opening is no longer than 64 KiB.
    pub const MAX_CONTEXT_PIECES: usize = 1000;

    /// The most keys that a batch names, unless its range cannot end before; four times as many are accepted. So many
    /// deletes fill a batch of the default length.
    pub const MAX_KEYS_OF_BATCH: usize = 1 << 14;

    /// The most versions of an entry that are taken in. Writes are refused long before, at
    /// [`max_siblings`](Self::max_siblings); an entry with more is left out, as one that is too long.
    pub const MAX_VERSIONS: usize = 1 << 16;

    /// The most parts of a value. A value with more is not written, and one that arrives is left out.
    pub const MAX_PARTS: usize = 1 << 16;

    /// How many times as many pieces as [`max_context_pieces`](Self::max_context_pieces), and holes as
    /// [`max_holes`](Self::max_holes), a context may have because of peers' cuts and holes.
    pub const PIECES_OF_PEERS: usize = 4;

    /// The most keys that are read for one batch which lists all entries of its sender in a range, because the batch
    /// does not list them. Four times as many as openers aim at, since keys are not spread evenly.
    pub const MAX_UNLISTED: u64 = 1 << 14;
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            max_value_bytes: 8 << 20,
            max_key_bytes: 64 << 10,
            max_clock_replicas: 1024,
            reserved_clock_percent: 10,
            max_context_pieces: NonZeroUsize::new(256).expect("256 is not zero"),
            max_siblings: 1024,
            max_context_counters: 1 << 14,
            new_replicas_per_hour: 512,
            new_pieces_per_hour: 512,
            min_peer_message_bytes: 16 << 20,
            max_loaded_bytes: 2 << 20,
            max_holes: 128,
            max_clock_skew: Duration::from_secs(300),
            writers: WriterPolicy::AllowAll,
            sketch: SketchConfig::default(),
            max_pending_changes: NonZeroUsize::new(1024).expect("1024 is not zero"),
            max_commit_writes: NonZeroUsize::new(4096).expect("4096 is not zero"),
            max_commit_bytes: NonZeroUsize::new(4 << 20).expect("4 MiB are not zero"),
        }
    }
}
