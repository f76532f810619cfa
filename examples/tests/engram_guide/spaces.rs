use anti_entropy::transport::{Channels, ChannelsConfig};
use anti_entropy::{ConfigError, Opening, Store, Transport};
use anti_entropy_engram::MemorySpace;

use crate::cluster::{BoxError, SpaceReplica};

/// The memory spaces of a node, all over one transport.
pub(crate) struct Spaces(Channels);

impl Spaces {
    /// To be called in a tokio runtime.
    pub(crate) fn new(transport: impl Transport) -> Result<Self, ConfigError> {
        let (channels, carry) = Channels::new(transport, ChannelsConfig::default())?;
        tokio::spawn(carry);
        Ok(Self(channels))
    }

    pub(crate) fn start(
        &self,
        space: MemorySpace,
        node: &str,
        store: impl Store + 'static,
        opening: Opening,
    ) -> Result<SpaceReplica, BoxError> {
        let channel = self.0.open(space.channel())?;
        SpaceReplica::start(space, node, store, opening, channel)
    }
}
