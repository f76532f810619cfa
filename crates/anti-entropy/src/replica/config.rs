//! What can be set of a replica.

use core::num::NonZeroUsize;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::clock::WriterPolicy;
use crate::summary::sketch::SketchConfig;

/// Limits and policies of a replica; all replicas of a store should have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The longest encoded value that a local write may have, in bytes, parts included. 8 MiB by default: a value is
    /// handled in memory, and sent in one message with its siblings.
    pub max_value_bytes: usize,
    /// The longest encoded key that a local write may have, in bytes. 64 KiB by default: keys are names.
    pub max_key_bytes: usize,
    /// How many replica ids a clock may name. 1,024 by default: every clock that is sent or stored grows with them.
    /// What would add one more is refused and reported; ids are never pruned, since that brings deleted data back.
    pub max_clock_replicas: usize,
    /// Into how many pieces the context may be cut. 256 by default: interrupted transfers leave cuts behind until the
    /// next complete one; at the limit, transfers have to end at existing cuts. Cuts that a peer's context has are taken in up
    /// to [`PIECES_OF_PEERS`](Self::PIECES_OF_PEERS) times as many pieces.
    pub max_context_pieces: NonZeroUsize,
    /// How far a remote timestamp may be ahead of the local wall clock and still move the local hybrid clock. Five
    /// minutes by default, far above what synchronised clocks differ by. Versions beyond it are taken in all the same,
    /// since causality does not depend on clocks; that the clock did not follow is counted.
    pub max_clock_skew: Duration,
    /// Whose writes are accepted. Everybody's by default.
    pub writers: WriterPolicy,
    /// How many cells of the sketch are kept up to date, by which peers find what differs.
    pub sketch: SketchConfig,
    /// How many unread changes are kept for a subscriber before it gets a lag notice instead. 1,024 by default.
    pub max_pending_changes: NonZeroUsize,
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
        ConfigError::at_least("max_clock_replicas", self.max_clock_replicas, 1)?;
        self.sketch.validate().map_err(|error| error.within("sketch"))
    }

    /// How many times [`max_context_pieces`](Self::max_context_pieces) a context may have where peers bring the cuts.
    pub const PIECES_OF_PEERS: usize = 4;

    /// How many keys of one batch are read at most that a peer with few entries does not list, though it may have seen
    /// them: four times as many as openers aim at, for keys are not spread evenly.
    pub const MAX_UNLISTED: u64 = 1 << 14;
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            max_value_bytes: 8 << 20,
            max_key_bytes: 64 << 10,
            max_clock_replicas: 1024,
            max_context_pieces: NonZeroUsize::new(256).expect("256 is not zero"),
            max_clock_skew: Duration::from_secs(300),
            writers: WriterPolicy::AllowAll,
            sketch: SketchConfig::default(),
            max_pending_changes: NonZeroUsize::new(1024).expect("1024 is not zero"),
        }
    }
}
