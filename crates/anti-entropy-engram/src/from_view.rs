//! The mark of what came out of a view, by which it is known when it comes back as consolidation's.

/// What the id of an item of a view contains, in the form in which it is handed to recall.
///
/// A node that put what its cluster says into its own memory, and consolidated it again as if it had lived through it,
/// would confirm the cluster with itself: confidences would drift at each round. So ids that contain this mark are refused
/// where a snapshot comes in, those of patterns and those of their episodes. Both have to be recognised, because
/// engram's `store_semantic_pattern` keeps the id of a pattern for the memory that it stores, and hands that memory to the next
/// consolidation as an episode of the same id; and ids that engram derives from others, such as `consolidated_` and the id,
/// contain these.
pub const VIEW_MARK: &str = "cluster-view:";

/// Whether this is the id of an item of a view, or was derived from one: whether it contains [`VIEW_MARK`].
///
/// ```
/// use anti_entropy_engram::is_from_view;
///
/// assert!(is_from_view("cluster-view:pattern_1f"));
/// assert!(is_from_view("consolidated_cluster-view:pattern_1f"));
/// assert!(!is_from_view("pattern_1f"));
/// ```
pub fn is_from_view(id: &str) -> bool {
    id.contains(VIEW_MARK)
}
