//! What can be set of a gossiper.

use std::num::NonZeroUsize;

use anti_entropy::GossipConfig;
use serde::{Deserialize, Serialize};

/// Settings of a [`ConsolidationGossiper`](super::ConsolidationGossiper). Plain data; every node may have its own.
///
/// ```
/// use anti_entropy::GossipConfig;
/// use anti_entropy_engram::gossiper::GossiperConfig;
///
/// let config = GossiperConfig::from(GossipConfig::lan());
/// assert_eq!(config.max_hints, GossiperConfig::default().max_hints);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GossiperConfig {
    /// Whom to talk to, how often, and within which budget. Its `session.schema_id` is set from the space.
    pub gossip: GossipConfig,
    /// How many patterns that were hinted at are remembered until the next rebuild; the least important give way. 4,096 by
    /// default, far more than are [pushed](GossipConfig::max_pushes) at once.
    pub max_hints: NonZeroUsize,
}

impl Default for GossiperConfig {
    fn default() -> Self {
        Self { gossip: GossipConfig::default(), max_hints: NonZeroUsize::new(4096).expect("4096 is not zero") }
    }
}

impl From<GossipConfig> for GossiperConfig {
    fn from(gossip: GossipConfig) -> Self {
        Self { gossip, ..Self::default() }
    }
}
