//! The settings of a scenario that hold for all of its time: links, gossip, workload.

use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use core::time::Duration;

use anti_entropy::{GossipConfig, PushRoute};
use serde::{Deserialize, Serialize};

use crate::history::NodeIndex;

/// The properties of links. Probabilities are in thousandths of all frames, at most 1000; delays are at most an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// How many frames are lost.
    pub loss_permille: u16,
    /// How many frames arrive twice.
    pub duplicate_permille: u16,
    /// How many frames are followed by an earlier frame of the same link.
    pub replay_permille: u16,
    /// How many frames may overtake others. The other frames of a link arrive in order.
    pub reorder_permille: u16,
    /// How many frames arrive with a flipped bit.
    pub corrupt_permille: u16,
    /// How many frames arrive truncated.
    pub truncate_permille: u16,
    /// How many frames are followed by a time in which the link delivers nothing, exponentially distributed with the mean
    /// `clog_ms`.
    pub clog_permille: u16,
    /// How long a clogged link delivers nothing on average.
    pub clog_ms: u64,
    /// The shortest delay.
    pub delay_min_us: u64,
    /// The mean of the exponentially distributed time that is added to the shortest delay.
    pub delay_mean_us: u64,
    /// How many bytes a link carries in a second. 0 stands for no limit.
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

/// The gossip settings of all nodes: a preset of [`GossipConfig`], and the settings that differ from it. `None` stands for the
/// preset's value. Times are 1 ms to a hundred years.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gossip {
    /// The preset; [`Preset::Lan`] by default.
    pub preset: Preset,
    /// [`GossipConfig::interval`].
    pub interval_ms: Option<u64>,
    /// [`GossipConfig::min_interval`], at most the interval. The preset's value gives way to a shorter `interval_ms`.
    pub min_interval_ms: Option<u64>,
    /// [`GossipConfig::fanout`]; at least 1.
    pub fanout: Option<usize>,
    /// [`GossipConfig::push`].
    pub push: Option<bool>,
    /// [`GossipConfig::push_route`].
    pub push_route: Option<PushRoute>,
    /// [`GossipConfig::push_fanout`].
    pub push_fanout: Option<usize>,
    /// [`GossipConfig::push_delay`]; may be 0.
    pub push_delay_ms: Option<u64>,
    /// [`GossipConfig::max_queued_pushes`].
    pub max_queued_pushes: Option<usize>,
    /// [`GossipConfig::max_buffered_pushes`].
    pub max_buffered_pushes: Option<usize>,
    /// [`GossipConfig::max_buffered_bytes`].
    pub max_buffered_bytes: Option<usize>,
    /// [`GossipConfig::bytes_per_second`].
    pub bytes_per_second: Option<NonZeroU64>,
    /// [`GossipConfig::burst_bytes`].
    pub burst_bytes: Option<NonZeroU64>,
    /// [`GossipConfig::max_transfers`], at most `max_sessions`.
    pub max_transfers: Option<NonZeroUsize>,
    /// [`GossipConfig::max_sessions`].
    pub max_sessions: Option<NonZeroUsize>,
    /// [`GossipConfig::busy_retry`].
    pub busy_retry_ms: Option<u64>,
    /// [`GossipConfig::transfer_turn`].
    pub transfer_turn_ms: Option<u64>,
    /// [`GossipConfig::backoff_min`], at most `backoff_max_ms`.
    pub backoff_min_ms: Option<u64>,
    /// [`GossipConfig::backoff_max`].
    pub backoff_max_ms: Option<u64>,
    /// How often each node pings another one and announces its root; never by default.
    pub announce_ms: Option<u64>,
    /// [`GossipConfig::announcement_lifetime`].
    pub announcement_lifetime_ms: Option<u64>,
    /// [`GossipConfig::certify_every`]; at least 1.
    pub certify_every: Option<u32>,
    /// `max_frame_bytes` of sessions; at least 512.
    pub frame_bytes: Option<usize>,
    /// `batch_entries` of sessions.
    pub batch_entries: Option<NonZeroUsize>,
    /// `batch_bytes` of sessions; at least 1.
    pub batch_bytes: Option<usize>,
    /// `bulk_after` of sessions.
    pub bulk_after: Option<u64>,
    /// `answer_bytes` of sessions; at least 1.
    pub answer_bytes: Option<usize>,
    /// `resend_after` of sessions.
    pub resend_after_ms: Option<u64>,
    /// `idle_timeout` of sessions.
    pub idle_timeout_ms: Option<u64>,
    /// `max_context_pieces` of replicas.
    pub context_pieces: Option<NonZeroUsize>,
    /// `max_clock_replicas` of replicas; at least 1.
    pub clock_replicas: Option<usize>,
    /// `new_replicas_per_hour` of replicas; at least 1.
    pub new_replicas: Option<usize>,
    /// `max_message_bytes` of sessions at node 0, by which the others limit what they write; at least 4096. The others have the
    /// preset's.
    pub first_message_bytes: Option<usize>,
    /// Whether sessions use sketches.
    pub sketches: Sketches,
    /// `max_sketch_cells` of sessions. With [`Sketches::Mixed`], only at the nodes that would otherwise make no sketches.
    pub sketch_cells: Option<usize>,
    /// `max_first_cells` of sessions.
    pub first_cells: Option<usize>,
    /// `max_clock_counters` of sessions: longer clocks are told by cells.
    pub clock_counters: Option<usize>,
}

/// Whether sessions use sketches to find what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Sketches {
    /// Sessions use sketches where these take fewer bytes than trees.
    #[default]
    On,
    /// Sessions use no sketches: `max_sketch_cells` is 0.
    Off,
    /// Nodes with even numbers use sketches. The others make no sketches, or sketches of at most
    /// [`sketch_cells`](Gossip::sketch_cells) cells.
    Mixed,
    /// All sketches are poisoned in flight: they cannot be decoded, or hide differences. Trees have to be compared instead.
    Failing,
}

impl Sketches {
    /// How many cells a node makes at most, given the preset's number and the one that the scenario sets.
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
    /// The engine's settings at a node. Nodes differ only in [`sketches`](Self::sketches) and
    /// [`first_message_bytes`](Self::first_message_bytes).
    pub fn config_of(&self, node: NodeIndex) -> GossipConfig {
        let mut config = self.config();
        let session = &mut config.session;
        session.max_sketch_cells = self.sketches.most_at(node, session.max_sketch_cells, self.sketch_cells);
        if let Some(bytes) = self.first_message_bytes.filter(|_| node == 0) {
            session.max_message_bytes = bytes;
            session.batch_bytes = session.batch_bytes.min(bytes);
            session.answer_bytes = session.answer_bytes.min(bytes);
        }
        config
    }

    /// The engine's settings, without [`sketches`](Self::sketches).
    pub fn config(&self) -> GossipConfig {
        let mut config = match self.preset {
            Preset::Lan => GossipConfig::lan(),
            Preset::Wan => GossipConfig::wan(),
            Preset::Default => GossipConfig::default(),
        };
        let ms = |ms: Option<u64>, default: Duration| ms.map_or(default, Duration::from_millis);
        config.interval = ms(self.interval_ms, config.interval);
        // A preset's shortest interval gives way to a shorter interval. One that is set does not: `check` refuses it.
        config.min_interval = ms(self.min_interval_ms, config.min_interval.min(config.interval));
        config.fanout = self.fanout.unwrap_or(config.fanout);
        config.push = self.push.unwrap_or(config.push);
        config.push_route = self.push_route.unwrap_or(config.push_route);
        config.push_fanout = self.push_fanout.unwrap_or(config.push_fanout);
        config.push_delay = ms(self.push_delay_ms, config.push_delay);
        config.max_queued_pushes = self.max_queued_pushes.unwrap_or(config.max_queued_pushes);
        config.max_buffered_pushes = self.max_buffered_pushes.unwrap_or(config.max_buffered_pushes);
        config.max_buffered_bytes = self.max_buffered_bytes.unwrap_or(config.max_buffered_bytes);
        config.bytes_per_second = self.bytes_per_second.unwrap_or(config.bytes_per_second);
        config.burst_bytes = self.burst_bytes.unwrap_or(config.burst_bytes);
        config.max_transfers = self.max_transfers.unwrap_or(config.max_transfers);
        config.max_sessions = self.max_sessions.unwrap_or(config.max_sessions);
        config.busy_retry = ms(self.busy_retry_ms, config.busy_retry);
        config.transfer_turn = ms(self.transfer_turn_ms, config.transfer_turn);
        config.backoff_min = ms(self.backoff_min_ms, config.backoff_min);
        config.backoff_max = ms(self.backoff_max_ms, config.backoff_max);
        config.announcement_lifetime = ms(self.announcement_lifetime_ms, config.announcement_lifetime);
        config.certify_every = self.certify_every.and_then(NonZeroU32::new).unwrap_or(config.certify_every);
        let session = &mut config.session;
        session.max_frame_bytes = self.frame_bytes.unwrap_or(session.max_frame_bytes);
        session.batch_entries = self.batch_entries.unwrap_or(session.batch_entries);
        session.batch_bytes = self.batch_bytes.unwrap_or(session.batch_bytes);
        session.bulk_after = self.bulk_after.unwrap_or(session.bulk_after);
        session.answer_bytes = self.answer_bytes.unwrap_or(session.answer_bytes);
        session.max_clock_counters = self.clock_counters.unwrap_or(session.max_clock_counters);
        session.max_first_cells = self.first_cells.unwrap_or(session.max_first_cells);
        session.resend_after = ms(self.resend_after_ms, session.resend_after);
        session.idle_timeout = ms(self.idle_timeout_ms, session.idle_timeout);
        config
    }
}

/// Operations of clients that are drawn from the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// How many operations there are, spread over the scenario's duration.
    pub operations: u32,
    /// How often each kind of operation occurs. If there are operations, some weight has to be above 0.
    pub mix: Mix,
}

/// The weights of the kinds of operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields have the names of the operations")]
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
