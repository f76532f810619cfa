//! The conflicts that a view reports.

use serde::Serialize;

/// A conflict between patterns, or between versions of one. The ids of a pair are in ascending order.
///
/// The enum is exhaustive on purpose: the definition of the view has these four types.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    /// Type 1: most episodes in common, and close meanings. The two patterns were consolidated from the same core.
    SameCore {
        /// The smaller id.
        a: String,
        /// The greater id.
        b: String,
        /// The Jaccard index of the episodes.
        overlap: f64,
        /// The cosine similarity of the embeddings.
        cosine: f64,
        /// Whether the two are merged into one item. If not, some pair of their component is not of type 1, and an operator
        /// has to decide.
        resolved: bool,
    },
    /// Type 2: close meanings, but few or no episodes in common.
    Similar {
        /// The smaller id.
        a: String,
        /// The greater id.
        b: String,
        /// The Jaccard index of the episodes.
        overlap: f64,
        /// The cosine similarity of the embeddings.
        cosine: f64,
    },
    /// Type 3: concurrent versions of one id that do not all [say the same](crate::Pattern::says_same).
    Siblings {
        /// The id.
        id: String,
        /// How many versions there are, equal ones included.
        siblings: usize,
        /// How much they [agree](crate::Vote::agreement), 0 to 1.
        agreement: f64,
    },
    /// Type 4: different meanings, but episodes in common.
    Contested {
        /// The smaller id.
        a: String,
        /// The greater id.
        b: String,
        /// How many episodes the two have in common; at least one.
        shared: usize,
        /// The Jaccard index of the episodes.
        overlap: f64,
        /// The cosine similarity of the embeddings.
        cosine: f64,
    },
}

impl Conflict {
    /// The number of its type, 1 to 4.
    pub fn kind(&self) -> u8 {
        match self {
            Self::SameCore { .. } => 1,
            Self::Similar { .. } => 2,
            Self::Siblings { .. } => 3,
            Self::Contested { .. } => 4,
        }
    }
}

/// How many conflicts there are, by type, and what is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictCounts {
    /// Pairs with the same core.
    pub type1: usize,
    /// Pairs with similar meanings.
    pub type2: usize,
    /// Patterns with several versions that say different things.
    pub type3: usize,
    /// Patterns with several versions that all say the same: replicas of one pattern, and no conflicts.
    pub replicated: usize,
    /// Pairs that contest episodes.
    pub type4: usize,
    /// Components of type 1 that are merged into one item each.
    pub merged: usize,
    /// Components of type 1 that are not merged, since not every pair in them is of type 1.
    pub unresolved: usize,
}
