//! How long a write takes to be everywhere, and how many messages that takes, as in the challenges 3d and 3e of Gossip
//! Glomers (<https://fly.io/dist-sys/3d/>): 25 nodes, links with a delay of 100 ms, 100 operations a second for 20 seconds,
//! half of them reads.
//!
//! It is counted as there: all messages between nodes, those of the rounds too, from the first operation on until every write
//! is everywhere, over all operations. The latency of a write goes from its acknowledgement until it is readable on every node
//! that is up.

use anti_entropy::PushRoute;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::spread::Tracker;
use super::{Blobs, in_parallel, quiet, ratio};
use crate::history::NodeIndex;
use crate::random::stream;
use crate::scenario::{Fault, Gossip, Links, Preset, Scenario, Step};
use crate::world::{Detail, World};

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes there are.
    pub nodes: NodeIndex,
    /// How long every frame takes.
    pub delay_ms: u64,
    /// How many operations there are a second; every second one is a read, on average.
    pub operations_per_second: u64,
    /// For how long.
    pub seconds: u64,
    /// How long the cluster runs before the first operation. A node that is dead is so from the very start; after this time
    /// the others have noticed.
    pub settle_seconds: u64,
    /// The seed.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nodes: 25, delay_ms: 100, operations_per_second: 100, seconds: 20, settle_seconds: 600, seed: 1 }
    }
}

/// A way to configure gossip for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Configuration {
    /// Every write goes to every node at once, and waits a moment for others that go the same way.
    LowLatency,
    /// Writes go along a star, and wait for others at each hop.
    Batched,
}

impl Configuration {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LowLatency, Self::Batched];

    /// Its settings in a cluster of so many nodes.
    pub fn gossip(self, nodes: NodeIndex) -> Gossip {
        let (push_route, push_delay_ms) = match self {
            Self::LowLatency => (PushRoute::Direct, LOW_LATENCY_DELAY_MS),
            Self::Batched => (PushRoute::Tree, BATCHED_DELAY_MS),
        };
        Gossip {
            preset: Preset::Wan,
            push_route: Some(push_route),
            push_fanout: Some(nodes.saturating_sub(1) as usize),
            push_delay_ms: Some(push_delay_ms),
            // The pushes of a burst wait together for one frame to each peer.
            max_queued_pushes: Some(1 << 16),
            // Pushes reach everybody: rounds are only the backstop, and cost messages.
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

/// Who is dead from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dead {
    /// Nobody.
    Nobody,
    /// A node that is a leaf of every tree.
    Leaf,
    /// The node that is the root of the tree.
    Root,
}

impl Dead {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nobody, Self::Leaf, Self::Root];

    fn node(self, nodes: NodeIndex) -> Option<NodeIndex> {
        match self {
            Self::Nobody => None,
            Self::Leaf => (0..nodes).max_by_key(|node| rank(*node)),
            Self::Root => (0..nodes).min_by_key(|node| rank(*node)),
        }
    }
}

/// Where a node stands in the tree (docs/protocol.md, "Push").
fn rank(node: NodeIndex) -> [u8; 32] {
    Sha256::new().chain_update(b"anti-entropy push tree").chain_update(format!("n{node}")).finalize().into()
}

/// What it cost, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How gossip was configured.
    pub config: Configuration,
    /// Who was dead.
    pub dead: Dead,
    /// All messages between nodes over all operations.
    pub messages_per_op: f64,
    /// How long it took until half of the writes were everywhere.
    pub median_ms: f64,
    /// How long the slowest write took.
    pub max_ms: f64,
    /// How many operations there were.
    pub operations: u64,
    /// How many of them were writes.
    pub writes: u64,
}

/// How many rows there are.
pub const ROWS: usize = Configuration::ALL.len() * Dead::ALL.len();

/// Measures all configurations, on all processors; `done` is called after each.
pub fn measure(settings: &Settings, done: &(dyn Fn() + Sync)) -> Vec<Row> {
    let rows: Vec<(Configuration, Dead)> =
        Configuration::ALL.into_iter().flat_map(|config| Dead::ALL.map(|dead| (config, dead))).collect();
    in_parallel(rows.len(), |job| {
        let (config, dead) = rows[job];
        let row = measure_one(settings, config, dead);
        done();
        row
    })
}

/// Measures a configuration.
pub fn measure_one(settings: &Settings, config: Configuration, dead: Dead) -> Row {
    const VALUE_BYTES: usize = 8;
    /// After so long in vain writes count as if they were everywhere.
    const PATIENCE_US: u64 = 3_600_000_000;
    let operations = settings.operations_per_second * settings.seconds;
    let keys = u32::try_from(operations).expect("a key for each operation");
    let scenario = scenario(settings, config, dead, keys);
    let mut world = World::new(&scenario, settings.seed, Blobs::new(VALUE_BYTES), Detail::Roots);
    let start = settings.settle_seconds * 1_000_000;
    world.run_until(start.max(1));
    let (mut random, mut tracker) = (stream(settings.seed, &[4]), Tracker::default());
    let (up, before, mut at) = (world.nodes_up(), world.counts().frames, world.now());
    for key in 0..keys {
        // As Maelstrom spaces them: uniformly between nothing and twice the mean.
        at += random.u64(0..=2_000_000 / settings.operations_per_second);
        tracker.run_until(&mut world, at);
        let node = up[crate::random::place(&mut random, up.len())];
        // A read is answered from what the node has.
        if random.bool() {
            tracker.write(&mut world, node, key);
        }
    }
    tracker.run_until_everywhere(&mut world, at + PATIENCE_US);
    let spread = tracker.spread(world.now(), 1000);
    Row {
        config,
        dead,
        messages_per_op: ratio(world.counts().frames - before, operations),
        median_ms: spread.median,
        max_ms: spread.max,
        operations,
        writes: tracker.writes(),
    }
}

fn scenario(settings: &Settings, config: Configuration, dead: Dead, keys: u32) -> Scenario {
    /// Longer than anything that is measured.
    const FOREVER_MS: u64 = 1_000_000_000;
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
        let settings = Settings { nodes: 5, seconds: 5, ..Settings::default() };
        let row = measure_one(&settings, Configuration::LowLatency, Dead::Nobody);
        assert_eq!(row.operations, 500);
        assert!((200..300).contains(&row.writes), "{row:?}");
        assert!(row.median_ms >= 100.0 && row.max_ms < 400.0, "{row:?}");
        assert!(row.messages_per_op > 0.5 && row.messages_per_op < 3.0, "{row:?}");
        assert_eq!(measure_one(&settings, Configuration::LowLatency, Dead::Nobody), row);
    }

    #[test]
    fn root_and_leaf_differ() {
        assert_ne!(Dead::Root.node(25), Dead::Leaf.node(25));
        assert_eq!(Dead::Nobody.node(25), None);
    }
}
