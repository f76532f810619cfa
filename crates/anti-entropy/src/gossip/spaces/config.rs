use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// What a peer can cost a [`SharedSpaces`](super::SharedSpaces), and how often its engines are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SharedSpacesConfig {
    /// The longest frame to send or to take, in bytes; at most what the transport carries. At least
    /// [`MIN_FRAME_BYTES`](Self::MIN_FRAME_BYTES); 16 KiB by default, in which a few hundred spaces are listed.
    pub max_frame_bytes: usize,
    /// How many prefixes a question has. At least 1; 64 by default, the parts of a first answer. A frame holds fewer if
    /// it is short. What a peer can make a comparison remember is 64 times as many stretches, for each round trip.
    pub max_prefixes: NonZeroUsize,
    /// How many round trips a comparison has; then it ends with what it has found. At least 1; 32 by default: ten
    /// thousand spaces that all differ take about as many.
    pub max_round_trips: NonZeroUsize,
    /// How many differing spaces a comparison reports; then it ends. At least 1; 1,024 by default. The others are found
    /// by the next one, or by the rounds of their engines.
    pub max_differences: NonZeroUsize,
    /// How many questions of a peer are answered in a second. At least 1; 32 by default, a comparison.
    pub answers_per_second: NonZeroU32,
    /// The shortest time between the beginnings of two comparisons with a peer. It doubles with each further one while
    /// neither node's digest changes, as where a space has stopped on one of them. At most
    /// [`longest_pause`](Self::longest_pause); one second by default, about the period of a failure detector's pings.
    pub pause: Duration,
    /// The longest time between two comparisons with a peer whose digest goes on differing. Five minutes by default, as
    /// long as engines leave alone a peer that fails: what is equal meanwhile is reported all the same, and what changes is
    /// compared at once.
    pub longest_pause: Duration,
    /// How long to wait for an answer before another digest may begin a new comparison. Five seconds by default.
    pub answer_timeout: Duration,
    /// After what time it is reported again that a space is equal. Smaller than
    /// [`announcement_lifetime`](crate::GossipConfig::announcement_lifetime) of the engines, or their rounds compare with
    /// peers that are known to be equal; 20 seconds by default, a third of that.
    pub equal_again: Duration,
}

impl SharedSpacesConfig {
    /// The least [`max_frame_bytes`](Self::max_frame_bytes): a question with one prefix, or the shortest answer to it.
    pub const MIN_FRAME_BYTES: usize = 256;

    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range. [`SharedSpaces::new`](super::SharedSpaces::new) calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_frame_bytes", self.max_frame_bytes, Self::MIN_FRAME_BYTES)?;
        ConfigError::at_most_field("pause", self.pause, "longest_pause", self.longest_pause)
    }
}

impl Default for SharedSpacesConfig {
    fn default() -> Self {
        let limit = |limit| NonZeroUsize::new(limit).expect("not zero");
        Self {
            max_frame_bytes: 16 << 10,
            max_prefixes: limit(64),
            max_round_trips: limit(32),
            max_differences: limit(1024),
            answers_per_second: NonZeroU32::new(32).expect("not zero"),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(5),
            equal_again: Duration::from_secs(20),
        }
    }
}
