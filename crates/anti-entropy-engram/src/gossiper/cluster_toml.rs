//! The sections of engram's `cluster.toml` that speak of consolidation.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::GossiperConfig;

/// The section `[gossip]` of engram's `cluster.toml`. A key that it does not know is refused by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GossipSection {
    /// Seconds between rounds while nothing changes: [`GossipConfig::interval`](anti_entropy::GossipConfig::interval).
    pub interval_seconds: Option<NonZeroU64>,
    /// Peers a round: [`GossipConfig::fanout`](anti_entropy::GossipConfig::fanout).
    pub fanout: Option<NonZeroUsize>,
    /// Has no meaning here: transfers are limited in bytes.
    pub max_patterns_per_sync: Option<u64>,
    /// Has no meaning here if it is `true`: nothing is compressed.
    pub enable_compression: Option<bool>,
}

/// The section `[merkle_tree]` of engram's `cluster.toml`. Nothing in it has a meaning here: the tree grows and shrinks with
/// the number of patterns. A key that it does not know is refused by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MerkleTreeSection {
    /// Levels of a tree of a fixed shape.
    pub depth: Option<u64>,
    /// Leaves of a tree of a fixed shape.
    pub leaf_count: Option<u64>,
}

/// Engram's settings of the gossip of consolidated patterns: the two sections of its `cluster.toml`, by their names.
///
/// A file that has other sections too is read into a type of the application that has the fields `gossip` and
/// `merkle_tree`; this type refuses other sections.
///
/// ```
/// use std::time::Duration;
///
/// use anti_entropy_engram::gossiper::{ClusterToml, GossiperConfig};
///
/// // From a file: `toml::from_str(&text)?`.
/// let cluster: ClusterToml = serde_json::from_str(
///     r#"{"gossip": {"interval_seconds": 30, "fanout": 2}, "merkle_tree": {"depth": 12}}"#,
/// )?;
/// let (config, ignored) = cluster.apply_to(GossiperConfig::default());
/// assert_eq!((config.gossip.interval, config.gossip.fanout), (Duration::from_secs(30), 2));
/// assert_eq!(ignored[0].key, "merkle_tree.depth");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterToml {
    /// `[gossip]`.
    pub gossip: GossipSection,
    /// `[merkle_tree]`.
    pub merkle_tree: MerkleTreeSection,
}

/// A setting that was given and has no effect. Its text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} has no effect: {why}")]
#[non_exhaustive]
pub struct IgnoredSetting {
    /// The section and the key.
    pub key: &'static str,
    /// Why, and what to set instead.
    pub why: &'static str,
}

const MAX_PATTERNS: IgnoredSetting = IgnoredSetting {
    key: "gossip.max_patterns_per_sync",
    why: "transfers are limited in bytes, so that large embeddings count as much as they weigh; set gossip.bytes_per_second \
          and gossip.session.max_frame_bytes of GossiperConfig",
};
const COMPRESSION: IgnoredSetting = IgnoredSetting {
    key: "gossip.enable_compression",
    why: "frames are not compressed, since embeddings do not shrink; MemorySpace::encoding halves or quarters them",
};
const TREE: &str = "the Merkle tree takes its shape from the patterns, and needs no setting";
const DEPTH: IgnoredSetting = IgnoredSetting { key: "merkle_tree.depth", why: TREE };
const LEAF_COUNT: IgnoredSetting = IgnoredSetting { key: "merkle_tree.leaf_count", why: TREE };

impl ClusterToml {
    /// These sections, as an application has read them together with others.
    pub fn new(gossip: GossipSection, merkle_tree: MerkleTreeSection) -> Self {
        Self { gossip, merkle_tree }
    }

    /// `config` with what the file sets, and the settings of the file that have no effect.
    ///
    /// An interval below [`min_interval`](anti_entropy::GossipConfig::min_interval) lowers that too.
    pub fn apply_to(&self, config: GossiperConfig) -> (GossiperConfig, Vec<IgnoredSetting>) {
        let config = config.with(|config| {
            let gossip = &mut config.gossip;
            if let Some(seconds) = self.gossip.interval_seconds {
                gossip.interval = Duration::from_secs(seconds.get());
                gossip.min_interval = gossip.min_interval.min(gossip.interval);
            }
            gossip.fanout = self.gossip.fanout.map_or(gossip.fanout, NonZeroUsize::get);
        });
        let ignored = [
            self.gossip.max_patterns_per_sync.map(|_| MAX_PATTERNS),
            self.gossip.enable_compression.filter(|asked| *asked).map(|_| COMPRESSION),
            self.merkle_tree.depth.map(|_| DEPTH),
            self.merkle_tree.leaf_count.map(|_| LEAF_COUNT),
        ];
        (config, ignored.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySpace;

    fn read(json: &str) -> Result<ClusterToml, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_has_a_meaning_is_taken_and_the_rest_is_named() {
        let cluster = read(
            r#"{"gossip": {"interval_seconds": 60, "fanout": 3, "max_patterns_per_sync": 100, "enable_compression": true},
                "merkle_tree": {"depth": 12, "leaf_count": 4096}}"#,
        );
        let (config, ignored) = cluster.unwrap().apply_to(GossiperConfig::default());
        assert_eq!((config.gossip.interval, config.gossip.fanout), (Duration::from_mins(1), 3));
        let keys: Vec<_> = ignored.iter().map(|ignored| ignored.key).collect();
        let expected = [
            "gossip.max_patterns_per_sync",
            "gossip.enable_compression",
            "merkle_tree.depth",
            "merkle_tree.leaf_count",
        ];
        assert_eq!(keys, expected);
        assert_eq!(ignored[2].to_string(), format!("merkle_tree.depth has no effect: {TREE}"));
    }

    #[test]
    fn what_is_left_out_stays() {
        let config = GossiperConfig::default().with(|config| config.gossip.fanout = 7);
        assert_eq!(read("{}").unwrap().apply_to(config.clone()), (config, Vec::new()));
        let (_, ignored) =
            read(r#"{"gossip": {"enable_compression": false}}"#).unwrap().apply_to(GossiperConfig::default());
        assert_eq!(ignored, [], "nothing is compressed, as was asked");
    }

    #[test]
    fn a_short_interval_contradicts_nothing() {
        let (config, _) = read(r#"{"gossip": {"interval_seconds": 1}}"#).unwrap().apply_to(GossiperConfig::default());
        assert_eq!(config.validate_for(&MemorySpace::new("default")), Ok(()));
        assert_eq!(config.gossip.interval, Duration::from_secs(1));
    }

    #[test]
    fn other_keys_and_zeros_are_refused_by_name() {
        for (json, named) in [
            (r#"{"gossip": {"intervall_seconds": 1}}"#, "intervall_seconds"),
            (r#"{"merkle_tree": {"width": 1}}"#, "width"),
            (r#"{"gosip": {}}"#, "gosip"),
            (r#"{"gossip": {"fanout": 0}}"#, "nonzero"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
