//! How long a write takes to reach all nodes, and how many messages that takes, as in the challenges 3d and 3e of Gossip
//! Glomers (<https://fly.io/dist-sys/3d/>): 25 nodes, links with a delay of 100 ms, 100 operations a second for 20 seconds,
//! half of them reads.
//!
//! Messages are counted as in the challenge: all messages between nodes, those of the rounds included, from the first operation
//! until every write is everywhere, divided by the number of operations. The latency of a write is the time from its
//! acknowledgement until it is readable on every node that is up.

use anti_entropy::{ConfigError, PushRoute};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::spread::Tracker;
use super::{Blobs, check_nodes, in_parallel, quiet, ratio};
use crate::history::NodeIndex;
use crate::random::stream;
use crate::scenario::{Fault, Gossip, Links, Preset, Scenario, Step};
use crate::world::{Detail, World};

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastSettings {
    /// How many nodes there are: 2 to [`Scenario::MAX_NODES`].
    pub nodes: NodeIndex,
    /// How long every frame takes; an hour at most.
    pub delay_ms: u64,
    /// How many operations there are in a second, 1 to 1,000,000. On average every second one is a read.
    pub operations_per_second: u64,
    /// For how many seconds there are operations, 1 to 10,000. At most 2³² - 1 operations in all, since each has a key of its
    /// own.
    pub seconds: u64,
    /// How many seconds the cluster runs before the first operation, 500,000 at most. A dead node is dead from the very start;
    /// after this time the others have noticed.
    pub settle_seconds: u64,
    /// The seed of everything random.
    pub seed: u64,
}

impl Default for BroadcastSettings {
    fn default() -> Self {
        Self { nodes: 25, delay_ms: 100, operations_per_second: 100, seconds: 20, settle_seconds: 600, seed: 1 }
    }
}

impl BroadcastSettings {
    /// Checks that every setting is in its range, and that all together are.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_nodes(self.nodes)?;
        ConfigError::at_most("delay_ms", self.delay_ms, 3_600_000)?;
        ConfigError::at_least("operations_per_second", self.operations_per_second, 1)?;
        ConfigError::at_most("operations_per_second", self.operations_per_second, 1_000_000)?;
        ConfigError::at_least("seconds", self.seconds, 1)?;
        ConfigError::at_most("seconds", self.seconds, 10_000)?;
        ConfigError::at_most("settle_seconds", self.settle_seconds, FOREVER_MS / 2_000)?;
        if self.operations_per_second * self.seconds > u64::from(u32::MAX) {
            let most = u64::from(u32::MAX) / self.operations_per_second;
            let bound = format!("at most {most}, so that operations_per_second make 2^32 - 1 operations at most");
            return Err(ConfigError::new("seconds", self.seconds, &bound));
        }
        Ok(())
    }
}

/// The length of the scenario, longer than anything that is measured.
const FOREVER_MS: u64 = 1_000_000_000;

/// A configuration of gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Configuration {
    /// Every write is pushed directly to every node, after a short wait for others that go to the same node.
    LowLatency,
    /// Writes are pushed along a star, and wait for others at each hop.
    Batched,
}

impl Configuration {
    /// All configurations.
    pub const ALL: [Self; 2] = [Self::LowLatency, Self::Batched];

    /// The gossip settings in a cluster of this many nodes.
    pub fn gossip(self, nodes: NodeIndex) -> Gossip {
        let (push_route, push_delay_ms) = match self {
            Self::LowLatency => (PushRoute::Direct, LOW_LATENCY_DELAY_MS),
            Self::Batched => (PushRoute::Tree, BATCHED_DELAY_MS),
        };
        Gossip {
            preset: Preset::Wan,
            push_route: Some(push_route),
            push_fanout: Some(nodes.saturating_sub(1).max(1) as usize),
            push_delay_ms: Some(push_delay_ms),
            // The pushes of a burst share one frame to each peer.
            max_queued_pushes: Some(1 << 16),
            // Pushes reach all nodes. Rounds are only the backstop, and cost messages.
            interval_ms: Some(ROUND_MS),
            min_interval_ms: Some(ROUND_MS),
            fanout: Some(1),
            idle_timeout_ms: Some(IDLE_TIMEOUT_MS),
            resend_after_ms: Some(RESEND_AFTER_MS),
            ..Gossip::default()
        }
    }
}

const LOW_LATENCY_DELAY_MS: u64 = 90;
const BATCHED_DELAY_MS: u64 = 250;
const ROUND_MS: u64 = 10_000;
const IDLE_TIMEOUT_MS: u64 = 2_000;
const RESEND_AFTER_MS: u64 = 500;

/// Which node is dead from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dead {
    /// No node.
    Nobody,
    /// A node that is a leaf of every push tree.
    Leaf,
    /// The node that is the root of the push tree.
    Root,
}

impl Dead {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Nobody, Self::Leaf, Self::Root];

    fn node(self, nodes: NodeIndex) -> Option<NodeIndex> {
        match self {
            Self::Nobody => None,
            Self::Leaf => (0..nodes).max_by_key(|node| rank(*node)),
            Self::Root => (0..nodes).min_by_key(|node| rank(*node)),
        }
    }
}

/// The rank of a node in the push tree (docs/protocol.md, "Push").
fn rank(node: NodeIndex) -> [u8; 32] {
    Sha256::new().chain_update(b"anti-entropy push tree").chain_update(format!("n{node}")).finalize().into()
}

/// The result for one configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BroadcastRow {
    /// The configuration of gossip.
    pub config: Configuration,
    /// Which node was dead.
    pub dead: Dead,
    /// Messages between nodes for each operation.
    pub messages_per_op: f64,
    /// The median time until a write was everywhere.
    pub median_ms: f64,
    /// The longest time until a write was everywhere.
    pub max_ms: f64,
    /// How many operations there were.
    pub operations: u64,
    /// How many of them were writes.
    pub writes: u64,
}

/// How many rows [`measure`] returns.
pub const ROWS: usize = Configuration::ALL.len() * Dead::ALL.len();

/// Measures all configurations on all processors. Calls `done` after each.
///
/// # Errors
/// If a setting is out of its range.
pub fn measure(settings: &BroadcastSettings, done: &(dyn Fn() + Sync)) -> Result<Vec<BroadcastRow>, ConfigError> {
    settings.validate()?;
    let rows: Vec<(Configuration, Dead)> =
        Configuration::ALL.into_iter().flat_map(|config| Dead::ALL.map(|dead| (config, dead))).collect();
    Ok(in_parallel(rows.len(), |job| {
        let (config, dead) = rows[job];
        let row = measure_checked(settings, config, dead);
        done();
        row
    }))
}

/// Measures one configuration.
///
/// # Errors
/// If a setting is out of its range.
pub fn measure_one(
    settings: &BroadcastSettings,
    config: Configuration,
    dead: Dead,
) -> Result<BroadcastRow, ConfigError> {
    settings.validate()?;
    Ok(measure_checked(settings, config, dead))
}

fn measure_checked(settings: &BroadcastSettings, config: Configuration, dead: Dead) -> BroadcastRow {
    const VALUE_BYTES: usize = 8;
    /// After this time, writes that are not everywhere count as if they were.
    const PATIENCE_US: u64 = 3_600_000_000;
    let operations = settings.operations_per_second * settings.seconds;
    let keys = u32::try_from(operations).expect("the settings were checked");
    let scenario = scenario(settings, config, dead, keys);
    let mut world = World::new(&scenario, settings.seed, Blobs::new(VALUE_BYTES), Detail::Roots);
    let start = settings.settle_seconds * 1_000_000;
    world.run_until(start.max(1));
    let (mut random, mut tracker) = (stream(settings.seed, &[4]), Tracker::default());
    let (up, before, mut at) = (world.nodes_up(), world.counts().frames, world.now());
    for key in 0..keys {
        // As Maelstrom spaces them: uniformly between zero and twice the mean.
        at += random.u64(0..=2_000_000 / settings.operations_per_second);
        tracker.run_until(&mut world, at);
        let node = up[crate::random::place(&mut random, up.len())];
        // A read is answered locally, without messages.
        if random.bool() {
            tracker.write(&mut world, node, key);
        }
    }
    tracker.run_until_everywhere(&mut world, at + PATIENCE_US);
    let spread = tracker.spread(world.now(), 1000);
    BroadcastRow {
        config,
        dead,
        messages_per_op: ratio(world.counts().frames - before, operations),
        median_ms: spread.median,
        max_ms: spread.max,
        operations,
        writes: tracker.writes(),
    }
}

fn scenario(settings: &BroadcastSettings, config: Configuration, dead: Dead, keys: u32) -> Scenario {
    let links = Links { delay_min_us: settings.delay_ms * 1000, delay_mean_us: 0, ..Links::default() };
    let crash = Fault::Crash { in_order: false, vouched: false };
    let step = |node| Step { start_ms: 0, end_ms: FOREVER_MS, nodes: vec![node], fault: crash.clone() };
    Scenario {
        duration_ms: FOREVER_MS,
        steps: dead.node(settings.nodes).map(step).into_iter().collect(),
        ..quiet(settings.nodes, keys, config.gossip(settings.nodes), links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_cluster_has_every_write_soon() {
        let settings = BroadcastSettings { nodes: 5, seconds: 5, ..BroadcastSettings::default() };
        let row = measure_one(&settings, Configuration::LowLatency, Dead::Nobody).unwrap();
        assert_eq!(row.operations, 500);
        assert!((200..300).contains(&row.writes), "{row:?}");
        assert!(row.median_ms >= 100.0 && row.max_ms < 400.0, "{row:?}");
        assert!(row.messages_per_op > 0.5 && row.messages_per_op < 3.0, "{row:?}");
        assert_eq!(measure_one(&settings, Configuration::LowLatency, Dead::Nobody), Ok(row));
    }

    #[test]
    fn root_and_leaf_differ() {
        assert_ne!(Dead::Root.node(25), Dead::Leaf.node(25));
        assert_eq!(Dead::Nobody.node(25), None);
    }
    #[test]
    fn settings_out_of_range_or_in_contradiction_are_refused_by_name() {
        let with = |change: fn(&mut BroadcastSettings)| {
            let mut settings = BroadcastSettings::default();
            change(&mut settings);
            settings
        };
        let many = |settings: &mut BroadcastSettings| {
            (settings.operations_per_second, settings.seconds) = (1_000_000, 4_295);
        };
        let refused = [
            (with(|settings| settings.nodes = 1), "nodes"),
            (with(|settings| settings.delay_ms = 3_600_001), "delay_ms"),
            (with(|settings| settings.operations_per_second = 0), "operations_per_second"),
            (with(|settings| settings.operations_per_second = 1_000_001), "operations_per_second"),
            (with(|settings| settings.seconds = 0), "seconds"),
            (with(|settings| settings.seconds = 10_001), "seconds"),
            (with(|settings| settings.settle_seconds = 500_001), "settle_seconds"),
            (with(many), "seconds"),
        ];
        for (settings, field) in refused {
            assert_eq!(settings.validate().unwrap_err().field, field);
            assert_eq!(measure(&settings, &|| {}).unwrap_err().field, field);
            assert_eq!(measure_one(&settings, Configuration::Batched, Dead::Root).unwrap_err().field, field);
        }
        assert_eq!(BroadcastSettings::default().validate(), Ok(()));
    }
}
