use ring::rand::{SecureRandom, SystemRandom};

/// Where random bytes come from that nobody else may know or get.
pub(super) trait Entropy: Send {
    /// Fills the buffer.
    ///
    /// # Errors
    /// [`NoEntropy`] if there are none.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// There are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoEntropy;

/// The operating system's generator. It is asked anew each time, and nothing of its state is kept in this process.
pub(super) struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    pub(super) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill(bytes).map_err(|_| NoEntropy)
    }
}

/// So many random bytes.
pub(super) fn draw<const N: usize>(entropy: &mut dyn Entropy) -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
