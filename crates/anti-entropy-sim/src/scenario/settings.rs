//! The settings of a scenario that are no faults in time: links, gossip, workload.

use core::num::NonZeroUsize;
use core::time::Duration;

use anti_entropy::{GossipConfig, PushRoute};
use serde::{Deserialize, Serialize};

use crate::history::NodeIndex;

/// The properties of links. Probabilities are in thousandths of all frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// Frames that never arrive.
    pub loss_permille: u16,
    /// Frames that arrive twice.
    pub duplicate_permille: u16,
    /// Frames after which an earlier one of the same link arrives once more.
    pub replay_permille: u16,
    /// Frames that may overtake others; the rest of a link stays in order.
    pub reorder_permille: u16,
    /// Frames in which a bit is flipped.
    pub corrupt_permille: u16,
    /// Frames that are cut short.
    pub truncate_permille: u16,
    /// Frames after which the link delivers nothing for a while, exponentially distributed around `clog_ms`.
    pub clog_permille: u16,
    /// How long a clogged link stays so on average.
    pub clog_ms: u64,
    /// The shortest delay.
    pub delay_min_us: u64,
    /// What is added to it on average, exponentially distributed.
    pub delay_mean_us: u64,
    /// How many bytes a second a link carries; unlimited if it is 0.
    pub bytes_per_second: u64,
}

/// A local network without faults.
impl Default for Links {
    fn default() -> Self {
        Self {
            loss_permille: 0,
            duplicate_permille: 0,
            replay_permille: 0,
            reorder_permille: 0,
            corrupt_permille: 0,
            truncate_permille: 0,
            clog_permille: 0,
            clog_ms: 0,
            delay_min_us: 500,
            delay_mean_us: 500,
            bytes_per_second: 0,
        }
    }
}

/// The gossip of every node: a preset of [`GossipConfig`], and what differs from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gossip {
    /// `lan` by default, `wan`, or `default`.
    pub preset: Preset,
    /// [`GossipConfig::interval`].
    pub interval_ms: Option<u64>,
    /// [`GossipConfig::min_interval`].
    pub min_interval_ms: Option<u64>,
    /// [`GossipConfig::fanout`].
    pub fanout: Option<usize>,
    /// [`GossipConfig::push`].
    pub push: Option<bool>,
    /// [`GossipConfig::push_route`].
    pub push_route: Option<PushRoute>,
    /// [`GossipConfig::push_fanout`].
    pub push_fanout: Option<usize>,
    /// [`GossipConfig::push_delay`].
    pub push_delay_ms: Option<u64>,
    /// [`GossipConfig::max_queued_pushes`].
    pub max_queued_pushes: Option<usize>,
    /// [`GossipConfig::max_sessions`].
    pub max_sessions: Option<NonZeroUsize>,
    /// [`GossipConfig::busy_retry`].
    pub busy_retry_ms: Option<u64>,
    /// [`GossipConfig::backoff_min`].
    pub backoff_min_ms: Option<u64>,
    /// [`GossipConfig::backoff_max`].
    pub backoff_max_ms: Option<u64>,
    /// How often each node pings another, and announces what it holds; never by default.
    pub announce_ms: Option<u64>,
    /// [`GossipConfig::announcement_lifetime`].
    pub announcement_lifetime_ms: Option<u64>,
    /// `max_frame_bytes` of sessions.
    pub frame_bytes: Option<usize>,
    /// `batch_entries` of sessions.
    pub batch_entries: Option<NonZeroUsize>,
    /// `batch_bytes` of sessions.
    pub batch_bytes: Option<usize>,
    /// `bulk_after` of sessions.
    pub bulk_after: Option<u64>,
    /// `answer_bytes` of sessions.
    pub answer_bytes: Option<usize>,
    /// `resend_after` of sessions.
    pub resend_after_ms: Option<u64>,
    /// `idle_timeout` of sessions.
    pub idle_timeout_ms: Option<u64>,
    /// `max_context_pieces` of replicas.
    pub context_pieces: Option<NonZeroUsize>,
    /// Whether sessions find what differs by sketches.
    pub sketches: Sketches,
    /// `max_sketch_cells` of sessions; where sketches are mixed, at those nodes that would else have none.
    pub sketch_cells: Option<usize>,
    /// `max_first_cells` of sessions.
    pub first_cells: Option<usize>,
}

/// Whether sessions find what differs by sketches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Sketches {
    /// Wherever they take fewer bytes than trees.
    #[default]
    On,
    /// Never: `max_sketch_cells` of sessions is 0.
    Off,
    /// At every other node, those with even numbers. The others have none, or as few cells as
    /// [`sketch_cells`](Gossip::sketch_cells) says.
    Mixed,
    /// All are poisoned on their way: they cannot be read, or leave out what differs. Trees have to be compared instead.
    Failing,
}

impl Sketches {
    /// How many cells a node makes at most, where its usual number and one that was set for all or for some are these.
    fn most_at(self, node: NodeIndex, usual: usize, set: Option<usize>) -> usize {
        match self {
            Self::On | Self::Failing => set.unwrap_or(usual),
            Self::Off => 0,
            Self::Mixed if node.is_multiple_of(2) => usual,
            Self::Mixed => set.unwrap_or(0),
        }
    }
}

/// A preset of [`GossipConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// [`GossipConfig::lan`].
    #[default]
    Lan,
    /// [`GossipConfig::wan`].
    Wan,
    /// [`GossipConfig::default`].
    Default,
}

impl Gossip {
    /// The engine's settings at a node: all have the same, but for [`sketches`](Self::sketches).
    pub fn config_of(&self, node: NodeIndex) -> GossipConfig {
        let mut config = self.config();
        let session = &mut config.session;
        session.max_sketch_cells = self.sketches.most_at(node, session.max_sketch_cells, self.sketch_cells);
        config
    }

    /// The engine's settings, where sketches are as long as usual.
    pub fn config(&self) -> GossipConfig {
        let mut config = match self.preset {
            Preset::Lan => GossipConfig::lan(),
            Preset::Wan => GossipConfig::wan(),
            Preset::Default => GossipConfig::default(),
        };
        let ms = |ms: Option<u64>, default: Duration| ms.map_or(default, Duration::from_millis);
        config.interval = ms(self.interval_ms, config.interval);
        config.min_interval = ms(self.min_interval_ms, config.min_interval).min(config.interval);
        config.fanout = self.fanout.unwrap_or(config.fanout);
        config.push = self.push.unwrap_or(config.push);
        config.push_route = self.push_route.unwrap_or(config.push_route);
        config.push_fanout = self.push_fanout.unwrap_or(config.push_fanout);
        config.push_delay = ms(self.push_delay_ms, config.push_delay);
        config.max_queued_pushes = self.max_queued_pushes.unwrap_or(config.max_queued_pushes);
        config.max_sessions = self.max_sessions.unwrap_or(config.max_sessions);
        config.busy_retry = ms(self.busy_retry_ms, config.busy_retry);
        config.backoff_min = ms(self.backoff_min_ms, config.backoff_min);
        config.backoff_max = ms(self.backoff_max_ms, config.backoff_max);
        config.announcement_lifetime = ms(self.announcement_lifetime_ms, config.announcement_lifetime);
        let session = &mut config.session;
        session.max_frame_bytes = self.frame_bytes.unwrap_or(session.max_frame_bytes);
        session.batch_entries = self.batch_entries.unwrap_or(session.batch_entries);
        session.batch_bytes = self.batch_bytes.unwrap_or(session.batch_bytes);
        session.bulk_after = self.bulk_after.unwrap_or(session.bulk_after);
        session.answer_bytes = self.answer_bytes.unwrap_or(session.answer_bytes);
        session.max_first_cells = self.first_cells.unwrap_or(session.max_first_cells);
        session.resend_after = ms(self.resend_after_ms, session.resend_after);
        session.idle_timeout = ms(self.idle_timeout_ms, session.idle_timeout);
        config
    }
}

/// What clients do, drawn from the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// How many operations there are in all, spread over the scenario's duration.
    pub operations: u32,
    /// Which.
    pub mix: Mix,
}

/// How often each kind of operation is among all, relative to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "they are named as the operations are")]
pub struct Mix {
    pub write: u16,
    pub delete: u16,
    pub read: u16,
    pub write_seen: u16,
    pub delete_seen: u16,
    /// Writes and deletes of two or three keys in one transaction.
    pub transaction: u16,
}

impl Default for Mix {
    fn default() -> Self {
        Self { write: 40, delete: 10, read: 20, write_seen: 15, delete_seen: 5, transaction: 10 }
    }
}
