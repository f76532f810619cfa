//! A connected component of the type 1 relation.

use super::numbers::Slot;

/// Two or more patterns that pairs of type 1 connect.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// In ascending order of their ids.
    pub(super) members: Vec<Slot>,
    /// Whether every pair of members is of type 1, so that the view merges them into one item.
    pub(super) complete: bool,
}
