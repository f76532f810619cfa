//! The settings of a gossiper.

use std::num::NonZeroUsize;

use anti_entropy::{ConfigError, GossipConfig};
use serde::{Deserialize, Serialize};

use crate::{InputPolicy, MemorySpace};

/// Settings of a [`ConsolidationGossiper`](super::ConsolidationGossiper). Every node may have its own.
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
#[non_exhaustive]
pub struct GossiperConfig {
    /// The engine's settings. `session.schema_id` is set from the space when the gossiper opens; until then it has to be 0,
    /// the default, or the space's [`schema_id`](MemorySpace::schema_id).
    pub gossip: GossipConfig,
    /// What happens to patterns of a snapshot that are not in the form that a space holds: [`InputPolicy::Normalise`] by
    /// default.
    pub input: InputPolicy,
    /// How many patterns the gossiper remembers from [hints](super::ConsolidationGossiper::hint) until the next rebuild; at
    /// least 1. Of more it forgets the least important. 4,096 by default, far more than the
    /// [`max_pushes`](GossipConfig::max_pushes) that are pushed at once.
    pub max_hints: NonZeroUsize,
    /// Of how many ids the gossiper remembers that it told of their refusal; at least 1. 4,096 by default, less than a megabyte
    /// with ids of usual length. Refusals of further ids are counted and not told, until there is room.
    pub max_refusals: NonZeroUsize,
    /// How many changed patterns a step of a rebuild reads and writes; at least 1. 256 by default: some 5 ms over a store in
    /// memory, so that whoever waits for the engine meanwhile, a ping for example, does not notice. A step looks at up to 16
    /// times as many patterns that have not changed.
    pub max_step: NonZeroUsize,
}

impl Default for GossiperConfig {
    fn default() -> Self {
        let count = |count| NonZeroUsize::new(count).expect("no default is zero");
        Self {
            gossip: GossipConfig::default(),
            input: InputPolicy::default(),
            max_hints: count(4096),
            max_refusals: count(4096),
            max_step: count(256),
        }
    }
}

impl From<GossipConfig> for GossiperConfig {
    fn from(gossip: GossipConfig) -> Self {
        Self { gossip, ..Self::default() }
    }
}

impl GossiperConfig {
    /// These settings with some of them changed.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    ///
    /// use anti_entropy_engram::gossiper::GossiperConfig;
    ///
    /// let config = GossiperConfig::default().with(|config| config.max_hints = NonZeroUsize::MIN);
    /// assert_eq!(config.max_hints.get(), 1);
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every setting is in its range, and that none contradicts another one or the space.
    ///
    /// # Errors
    /// The first setting that is out of its range, or contradicts another one.
    pub fn validate_for(&self, space: &MemorySpace) -> Result<(), ConfigError> {
        self.gossip.validate().map_err(|error| error.within("gossip"))?;
        match self.gossip.session.schema_id {
            0 => Ok(()),
            same if same == space.schema_id() => Ok(()),
            other => {
                let bound = format!("0, or {}, the space's schema id", space.schema_id());
                Err(ConfigError::new("gossip.session.schema_id", other, &bound))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spaces_schema_id_is_refused() {
        let space = MemorySpace::new("default");
        let config = |schema_id| GossiperConfig::default().with(|config| config.gossip.session.schema_id = schema_id);
        for other in [1, u64::MAX, space.schema_id() ^ 1, MemorySpace::new("other").schema_id()] {
            let error = config(other).validate_for(&space).unwrap_err();
            assert_eq!((error.field.as_str(), error.value), ("gossip.session.schema_id", other.to_string()));
        }
        for fits in [0, space.schema_id()] {
            assert_eq!(config(fits).validate_for(&space), Ok(()));
        }
    }

    #[test]
    fn settings_of_the_engine_out_of_range_are_refused_by_name() {
        let config = GossiperConfig::default().with(|config| config.gossip.random_percent = 200);
        let error = config.validate_for(&MemorySpace::new("default")).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("gossip.random_percent", "200"));
    }
}
