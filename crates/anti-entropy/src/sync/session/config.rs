//! What can be set of a session.

use core::num::NonZeroUsize;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::summary::sketch::MAX_CELLS;

/// Limits of a session. Each side keeps its own, for what it sends and takes; [`schema_id`](Self::schema_id) and
/// [`checksum`](Self::checksum) have to be the same on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The longest frame, in bytes; at least [`MIN_FRAME_BYTES`](Self::MIN_FRAME_BYTES). 64 KiB by default. The driver
    /// lowers it to what the transport carries. Longer messages go in several frames.
    pub max_frame_bytes: usize,
    /// The longest message, in bytes: what a session holds of its peer at most before it looks at it. 64 MiB by default,
    /// for one entry with seven concurrent values of the longest kind.
    pub max_message_bytes: usize,
    /// How many entries a batch has at most. 100 by default: a small step at a time, while gossip goes on.
    pub batch_entries: NonZeroUsize,
    /// How many bytes of entries a batch has, unless a single entry has more. 256 KiB by default.
    pub batch_bytes: usize,
    /// After how many differing keys a session is a bulk transfer, whose batches are bounded by bytes alone. 1,000 by
    /// default.
    pub bulk_after: u64,
    /// How many bytes an answer of a comparison takes. 32 KiB by default.
    pub answer_bytes: usize,
    /// How many cells of a sketch a session makes and takes in, at 19 bytes each, before it compares trees instead. 2^16 by
    /// default, which find 24,000 changed keys. With 0, trees are compared whatever differs.
    pub max_sketch_cells: usize,
    /// How many of them come with the first answer at most, before it is known whether they are wanted: writes are counted
    /// for it, and all of them may have been of one key. 2,900 by default, 55 KB, which find a thousand changed keys. The
    /// gossip engine wants few while it talks to somebody else, for it goes on with one peer at a time.
    pub max_first_cells: usize,
    /// Up to how many entries a replica may hold for cells to be made beyond those that it keeps: each doubling is a pass
    /// over all of them. 2^18 by default, for which a pass takes 40 ms; above, trees are compared instead.
    pub max_sketch_pass: u64,
    /// How many bytes a session may move in all before it ends, to be continued by another. 1 GiB by default.
    pub max_session_bytes: u64,
    /// How long to wait for an answer before a request is repeated; doubled each time. One second by default.
    pub resend_after: Duration,
    /// How long a peer may be silent before the session is given up. 20 seconds by default.
    pub idle_timeout: Duration,
    /// A number that stands for settings that both sides must have in common: a schema, a resolver. Sides with different
    /// numbers refuse each other. 0 by default.
    pub schema_id: u64,
    /// Whether frames carry a checksum; a transport that authenticates frames makes it unneeded. `true` by default.
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
        ConfigError::at_least("resend_after", self.resend_after, Duration::from_millis(1))?;
        ConfigError::at_most_field("resend_after", self.resend_after, "idle_timeout", self.idle_timeout)
    }

    /// The shortest limit for frames: a root, some digests and a header fit.
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
            max_session_bytes: 1 << 30,
            resend_after: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(20),
            schema_id: 0,
            checksum: true,
        }
    }
}
