//! Counts of conflicts between patterns.

use serde::Serialize;

/// How many conflicts of each type a view found. A placeholder until there is the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConflictCounts {
    /// Type 1.
    pub type1: usize,
    /// Type 2.
    pub type2: usize,
    /// Type 3.
    pub type3: usize,
    /// Type 4.
    pub type4: usize,
    /// How many patterns were merged.
    pub merged: usize,
    /// How many conflicts are left to decide.
    pub unresolved: usize,
}
