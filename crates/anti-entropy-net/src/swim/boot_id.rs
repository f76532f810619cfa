/// Identifies one process, drawn at random when it joins. Nodes can share a cluster key because each process derives a
/// key of its own from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BootId(pub(super) [u8; 8]);

impl BootId {
    /// Takes the place of the receiver's boot id where the sender does not know it. No process has it.
    pub(super) const UNKNOWN: Self = Self([0; 8]);
}
