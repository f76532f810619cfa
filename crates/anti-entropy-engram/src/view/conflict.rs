//! What a view reports.

use serde::Serialize;

/// A conflict, by type. The ids of a pair are in ascending order.
///
/// There are these four types and no others: a `match` may rely on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    /// Type 1: mostly the same episodes and close meanings. The two were consolidated from the same core.
    SameCore {
        /// One id.
        a: String,
        /// The other.
        b: String,
        /// The Jaccard index of the episodes.
        overlap: f64,
        /// The cosine similarity of the embeddings.
        cosine: f64,
        /// Whether the two are merged into one item. If not, others of their component are not all of type 1 among each
        /// other: an operator decides.
        resolved: bool,
    },
    /// Type 2: close meanings, from mostly different episodes.
    Similar {
        /// One id.
        a: String,
        /// The other.
        b: String,
        /// The Jaccard index of the episodes.
        overlap: f64,
        /// The cosine similarity of the embeddings.
        cosine: f64,
    },
    /// Type 3: concurrent versions of one id.
    Siblings {
        /// The id.
        id: String,
        /// How many versions.
        siblings: usize,
        /// How much they [agree](crate::Vote::agreement), 0 to 1.
        agreement: f64,
    },
    /// Type 4: different meanings that claim the same episodes.
    Contested {
        /// One id.
        a: String,
        /// The other.
        b: String,
        /// How many episodes both hold; at least one.
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

/// How many conflicts of which type there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictCounts {
    /// Pairs of ids with the same core.
    pub type1: usize,
    /// Pairs of similar ids.
    pub type2: usize,
    /// Ids with several versions.
    pub type3: usize,
    /// Pairs of ids that contest episodes.
    pub type4: usize,
    /// Clusters of type 1 that were merged into one item each.
    pub merged: usize,
    /// Components of type 1 that were not, since not every pair in them is of type 1.
    pub unresolved: usize,
}
