//! Limits and what happens at them.

/// Limits of a [`SemanticView`](super::SemanticView).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewConfig {
    /// How many related pairs it keeps, of types 1, 2 and 4 together. 4,000,000 by default.
    ///
    /// A pair takes 48 bytes, and up to twice that while its lists grow: some 200 to 400 MB at the default limit. That is 800
    /// relations of each of 10,000 patterns; of those in `examples/data` each has five. More usually means thresholds under
    /// which everything resembles everything, or an episode that all patterns claim.
    pub max_pairs: usize,
}

impl Default for ViewConfig {
    fn default() -> Self {
        Self { max_pairs: 4_000_000 }
    }
}

/// A view that could not take in a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// More pairs of patterns are related than the limit allows. The view was emptied, and starts over: the next change to
    /// apply is all there is, since the beginning.
    #[error(
        "more than {limit} pairs of patterns are related; the view was emptied and starts over; raise max_pairs, or the \
         thresholds of the space on all replicas"
    )]
    TooManyPairs {
        /// [`ViewConfig::max_pairs`].
        limit: usize,
    },
    /// The changes were read since another moment than the one that the view is at. It is as it was.
    #[error(
        "the changes were read since another moment than the view is at; the view is as it was; read them since `until`, and \
         apply them before reading again"
    )]
    OtherMoment,
}

/// A view that could not follow a replica.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The replica could not be read. The view is as it was.
    #[error("the replica could not be read; the view is as it was: {0}")]
    Replica(#[from] anti_entropy::Error),
    /// The view could not take in what changed.
    #[error(transparent)]
    View(#[from] ViewError),
}
