//! What the cluster reports while it runs.

use anti_entropy_sim::history::{FaultChange, NodeIndex, Opened, Traffic};

use crate::wire::Report;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A node's process was started; the store that it finds is this.
    Started(NodeIndex, Opened),
    /// A node's process is gone.
    Ended(NodeIndex),
    /// A node said something.
    Said(NodeIndex, Report),
    /// A fault began or ended.
    Fault(FaultChange),
    /// All is whole, all nodes are up, and clients have stopped. These have to become equal.
    Healed(Vec<NodeIndex>),
    /// What was sent in a stretch of time.
    Traffic(Traffic),
}
