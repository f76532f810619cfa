//! The values and the names of nodes.

use anti_entropy::{Keyed, PeerId};
use anti_entropy_sim::history::NodeIndex;

/// What nodes keep.
pub type Item = Keyed<u32, String>;

/// The name of a node, from which its place can be read.
pub fn name_of(node: NodeIndex) -> PeerId {
    PeerId::from(format!("n{node}").as_str())
}

pub(super) fn index_of(name: &PeerId) -> Option<NodeIndex> {
    name.as_str().strip_prefix('n')?.parse().ok()
}
