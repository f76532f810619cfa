mod golden;
#[cfg(feature = "tracing")]
pub(super) mod log;

use super::entropy::{Entropy, NoEntropy};

/// Random bytes that are the same for the same seed.
pub(super) struct SeededEntropy(fastrand::Rng);

impl SeededEntropy {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill(bytes);
        Ok(())
    }
}
