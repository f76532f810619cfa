//! The limits of a view, and its errors.

use std::num::NonZeroUsize;

use anti_entropy::ConfigError;

/// Limits of a [`SemanticView`](super::SemanticView).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewConfig {
    /// How many related pairs the view keeps, of types 1, 2 and 4 together; at least 1. 4,000,000 by default.
    ///
    /// A pair takes 48 bytes, and up to twice that while its lists grow: some 200 to 400 MB at the default limit. That is 800
    /// relations of each of 10,000 patterns; the patterns in `examples/data` have five each. A space with more usually has
    /// thresholds under which everything resembles everything, or an episode that all patterns claim.
    pub max_pairs: usize,
    /// On how many threads the view searches for neighbours of many new patterns at once, as when it is built; at least 1. The
    /// result is the same with any number, bit for bit. By default as many as the machine has processors, at most 4: a view is
    /// built beside other work. With 1 it starts no thread.
    pub search_threads: NonZeroUsize,
}

impl Default for ViewConfig {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let search_threads = NonZeroUsize::new(processors.min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN);
        Self { max_pairs: 4_000_000, search_threads }
    }
}

/// How many threads search by default at most.
const MOST_THREADS: usize = 4;

impl ViewConfig {
    /// These limits with some of them changed.
    ///
    /// ```
    /// use anti_entropy_engram::view::ViewConfig;
    ///
    /// assert!(ViewConfig::default().with(|config| config.max_pairs = 100_000).validate().is_ok());
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every limit is in its range.
    ///
    /// # Errors
    /// The first limit that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::at_least("max_pairs", self.max_pairs, 1)
    }
}

/// Why a view did not take in a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// More pairs of patterns are related than the limit allows. The view is empty and starts over: the next change that it
    /// takes in has to be everything since the beginning.
    #[error(
        "more than {limit} pairs of patterns are related; the view was emptied and starts over; raise max_pairs, or the \
         thresholds of the space on all replicas"
    )]
    TooManyPairs {
        /// [`ViewConfig::max_pairs`].
        limit: usize,
    },
    /// The changes were read since another snapshot of the replica than the one that the view is at. The view is unchanged.
    #[error(
        "the changes were read since another moment than the view is at; the view is as it was; read them since `until`, and \
         apply them before reading again"
    )]
    OtherMoment,
}

/// Why a view did not follow a replica.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The replica could not be read. The view is unchanged.
    #[error("the replica could not be read; the view is as it was: {0}")]
    Replica(#[from] anti_entropy::Error),
    /// The view did not take in the changes.
    #[error(transparent)]
    View(#[from] ViewError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_without_room_for_a_pair_is_refused() {
        let config = |max_pairs| ViewConfig::default().with(|config| config.max_pairs = max_pairs);
        let error = config(0).validate().unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("max_pairs", "0"));
        assert_eq!(config(1).validate(), Ok(()));
    }
}
