//! On real data.

use anti_entropy_engram::view::ConflictCounts;
use anti_entropy_engram::{Pattern, Space};

use crate::common::all_real_patterns;
use crate::reference::assert_defined;
use crate::{Set, set, view_of};

/// All patterns that any node consolidated.
pub(crate) fn all() -> (Space, Set) {
    let space = Space::new("default");
    let patterns = all_real_patterns().into_values().map(|pattern| Pattern::new(&pattern, "node", &space).unwrap());
    let set = set(patterns);
    (space, set)
}

#[test]
fn the_conflicts_of_five_nodes_are_what_was_measured() {
    let (space, set) = all();
    let view = view_of(&space, &set);
    let expected = ConflictCounts { type1: 92, type2: 233, type3: 0, type4: 117, merged: 22, unresolved: 11 };
    assert_eq!((set.len(), view.counts()), (169, expected));
    assert_defined(&view, &space, &set);
}
