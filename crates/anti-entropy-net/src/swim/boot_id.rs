/// Names one run of one process, drawn at random when it joins. Nodes can share a cluster key because each run derives
/// a key of its own from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BootId(pub(super) [u8; 8]);

impl BootId {
    /// Stands for the receiver where its life is not known to the sender; nobody has it.
    pub(super) const UNKNOWN: Self = Self([0; 8]);
}
