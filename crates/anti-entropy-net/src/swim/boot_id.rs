use super::entropy::{Entropy, NoEntropy, draw};

/// Identifies one process, drawn at random when it joins and when it comes back. Datagrams are meant for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BootId(pub(super) [u8; 8]);

impl BootId {
    /// Takes the place of the receiver's boot id where the sender does not know it. No process has it.
    pub(super) const UNKNOWN: Self = Self([0; 8]);

    /// One that no other process has.
    pub(super) fn draw(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        let drawn = Self(draw(entropy)?);
        // Of working generators, one in 2⁶⁴ draws.
        if drawn == Self::UNKNOWN { Err(NoEntropy) } else { Ok(drawn) }
    }
}
