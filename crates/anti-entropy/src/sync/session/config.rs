//! The settings of a session.

use core::num::NonZeroUsize;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::clock::RangeClocks;
use crate::summary::sketch::MAX_CELLS;

/// Limits of a session. Each side applies its own to what it sends and accepts. [`schema_id`](Self::schema_id) and
/// [`checksum`](Self::checksum) must be the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The most bytes of a frame. 64 KiB by default; at least [`MIN_FRAME_BYTES`](Self::MIN_FRAME_BYTES). The driver
    /// lowers it to what the transport carries. Longer messages are sent in several frames.
    pub max_frame_bytes: usize,
    /// The most bytes of a message, which is also what a session buffers for its peer. 64 MiB by default, for one entry
    /// with seven concurrent values of the greatest length. At least `batch_bytes` and `answer_bytes`, and in an engine
    /// at least [`ReplicaConfig::max_value_bytes`](crate::ReplicaConfig::max_value_bytes).
    pub max_message_bytes: usize,
    /// The most entries of a batch. 100 by default, so that gossip continues between short batches.
    pub batch_entries: NonZeroUsize,
    /// The most bytes of entries of a batch, unless it has a single entry. 256 KiB by default; at most
    /// `max_message_bytes`.
    pub batch_bytes: usize,
    /// The number of differing keys above which batches are limited by `batch_bytes` alone. 1,000 by default.
    pub bulk_after: u64,
    /// The most bytes of an answer while trees are compared. 32 KiB by default; at most `max_message_bytes`.
    pub answer_bytes: usize,
    /// The most cells of a sketch that a session sends and accepts, at 19 bytes each, before it compares trees instead.
    /// 2^16 by default, which find 24,000 changed keys. From 0, with which trees are always compared, to 2^20. Cells
    /// take at most a quarter of `max_message_bytes` and of `max_session_bytes`.
    pub max_sketch_cells: usize,
    /// The most cells that the first answer has, before it is known whether they are needed; never more than
    /// `max_sketch_cells`. 2,900 by default, which take 55 KB and find a thousand changed keys. The first answer is
    /// sized by the number of writes that one side lacks, which may all be of one key. While the gossip engine
    /// exchanges data with a peer, it asks other peers for few cells.
    pub max_first_cells: usize,
    /// The most entries of a replica that computes more cells than it keeps: each doubling of the cells is a pass over
    /// all entries. 2^18 by default, for which a pass takes 40 ms. Larger replicas compare trees instead.
    pub max_sketch_pass: u64,
    /// The most counters of an answerer's clocks that it tells an opener one by one, at 17 bytes each. 64 by default,
    /// at most [`RangeClocks::MAX_COUNTERS`](crate::clock::RangeClocks::MAX_COUNTERS). Longer clocks go as cells, which
    /// take less if the opener has seen nearly the same.
    pub max_clock_counters: usize,
    /// The most cells, at 19 bytes each, that a session sends or reads of clocks. 128 by default, which find 30 writers
    /// at which the clocks differ. If that is not enough, the opener sends its clocks whole. From 0, with which it
    /// always does so for long clocks, to 2^20.
    pub max_clock_cells: usize,
    /// The most bytes that a session sends and receives before it ends. 1 GiB by default. Another session continues
    /// where it ended.
    pub max_session_bytes: u64,
    /// How often the answerer sends a reply again to a peer that asks again for it; then the session is refused. Asking
    /// again while the reply is still leaving does not count, and changes nothing. 16 by default: an honest peer waits
    /// twice as long each time, so that it asks 15 times within 20 seconds even if it began with a millisecond, and 4
    /// times if it began with a second.
    pub max_repeats: u32,
    /// How long to wait for a reply before a request is sent again; doubled each time. One second by default. From one
    /// millisecond to `idle_timeout`.
    pub resend_after: Duration,
    /// How long a peer may be silent before the session ends. 20 seconds by default; at least `resend_after`.
    pub idle_timeout: Duration,
    /// A number for the settings that both sides must have in common, such as schema and resolver. Replicas with
    /// different numbers refuse each other. 0 by default.
    pub schema_id: u64,
    /// Whether frames have a checksum. `true` by default. The driver turns it off if the transport authenticates
    /// frames.
    pub checksum: bool,
}

impl SessionConfig {
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
        ConfigError::at_least("max_frame_bytes", self.max_frame_bytes, Self::MIN_FRAME_BYTES)?;
        ConfigError::at_most_field("batch_bytes", self.batch_bytes, "max_message_bytes", self.max_message_bytes)?;
        ConfigError::at_most_field("answer_bytes", self.answer_bytes, "max_message_bytes", self.max_message_bytes)?;
        ConfigError::at_most("max_sketch_cells", self.max_sketch_cells, MAX_CELLS)?;
        ConfigError::at_most("max_clock_counters", self.max_clock_counters, RangeClocks::MAX_COUNTERS)?;
        ConfigError::at_most("max_clock_cells", self.max_clock_cells, MAX_CELLS)?;
        ConfigError::at_least("resend_after", self.resend_after, Duration::from_millis(1))?;
        ConfigError::at_most_field("resend_after", self.resend_after, "idle_timeout", self.idle_timeout)
    }

    /// The least value of [`max_frame_bytes`](Self::max_frame_bytes): a header, a root and some digests fit.
    pub const MIN_FRAME_BYTES: usize = 512;
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: 64 << 10,
            max_message_bytes: 64 << 20,
            batch_entries: NonZeroUsize::new(100).expect("100 is not zero"),
            batch_bytes: 256 << 10,
            bulk_after: 1000,
            answer_bytes: 32 << 10,
            max_sketch_cells: 1 << 16,
            max_first_cells: 2900,
            max_sketch_pass: 1 << 18,
            max_clock_counters: 64,
            max_clock_cells: 128,
            max_session_bytes: 1 << 30,
            max_repeats: 16,
            resend_after: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(20),
            schema_id: 0,
            checksum: true,
        }
    }
}
