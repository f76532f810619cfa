//! What can be set of the gossip engine.

use core::num::{NonZeroU64, NonZeroUsize};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::tree::PushRoute;
use crate::ConfigError;
use crate::replica::ReplicaConfig;
use crate::sync::SessionConfig;

/// Whom to talk to, how often, and within which budget. Plain data; every replica may have its own, except for
/// [`SessionConfig::schema_id`].
///
/// ```
/// use anti_entropy::GossipConfig;
///
/// let config = GossipConfig::lan().with(|config| config.fanout = 2);
/// assert!(config.interval < GossipConfig::wan().interval);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GossipConfig {
    /// How often roots are compared while nothing changes. 60 seconds by default: with pushes on, rounds are only the
    /// backstop, and an idle cluster should be quiet.
    pub interval: Duration,
    /// How often while differences are found; the pace falls back to [`interval`](Self::interval) in steps. 10 seconds by
    /// default.
    pub min_interval: Duration,
    /// By how much an interval varies at random, in per cent, so that replicas do not beat in time. 20 by default.
    pub jitter_percent: u8,
    /// With how many peers roots are compared in a round. 3 by default: 100 replicas are then equal within some six rounds.
    pub fanout: usize,
    /// How many of a hundred choices of a peer are random; the others take the peer that lags most. 80 by default.
    pub random_percent: u8,
    /// How many of a hundred choices prefer a peer of another zone, if there is one. 20 by default.
    pub other_zone_percent: u8,
    /// Whether writes are pushed at once. `true` by default: in a small cluster they are then everywhere before the next
    /// round.
    pub push: bool,
    /// Which way writes are pushed. [`PushRoute::Direct`] by default: it needs no agreement between replicas, and the rounds reach everybody
    /// else. [`PushRoute::Tree`] is for replicas that are all to have a write within the time that a few frames take.
    pub push_route: PushRoute,
    /// To how many peers writes are pushed: the same ones as long as they are healthy, since a push is taken only by those
    /// that have the one before. 3 by default; the others get the writes in the rounds. In a tree, how many children each
    /// replica has, which then has to be the same at all.
    pub push_fanout: usize,
    /// How many writes of one transaction are pushed, the first ones; the others are left to the rounds, which move them in
    /// batches. 100 by default.
    pub max_pushes: usize,
    /// How long a push waits for others that go to the same peer, to leave in one frame with them. Zero by default: a write
    /// is on its way at once, and shares a frame only with what was written together with it, or waits for room already.
    /// A few milliseconds save most headers and most calls of the transport where small writes come in bursts.
    pub push_delay: Duration,
    /// How many pushes wait to be sent, one for each write and peer; further ones are left to the rounds. 1,024 by default,
    /// for bursts of small writes; more is needed where each goes to many peers, or waits for others. In memory they take up
    /// to a frame each, 64 MiB by default: relayed ones, too, if peers send faster than may be sent from here.
    pub max_queued_pushes: usize,
    /// How many pushes of peers wait for one before them that is late, as in a network that does not keep the order: for as
    /// long as an answer may take ([`SessionConfig::resend_after`]); then, and when there are more, they are left to the
    /// rounds, the oldest first. 64 by default, for what a few hundred writes a second have on their way at a time.
    pub max_buffered_pushes: usize,
    /// How many bytes such pushes have together. 1 MiB by default: 64 of 16 KiB. In memory they take up to three
    /// times that.
    pub max_buffered_bytes: usize,
    /// How many bytes are sent a second on average. 16 MiB by default, well below what a data centre's network carries.
    pub bytes_per_second: NonZeroU64,
    /// How many bytes may be sent at once after a pause. 4 MiB by default.
    pub burst_bytes: NonZeroU64,
    /// How many sessions may move entries at a time. 1 by default, so that a value that is on its way from one peer is not
    /// asked of another; comparing roots is not counted.
    pub max_transfers: NonZeroUsize,
    /// How many sessions are held at a time, at least one for each direction: half of them, rounded down, are opened from
    /// here, and the others are for peers, so that replicas whose own sessions wait for each other still answer. A peer for
    /// which there is no room is told so. 64 by default; each holds at most 64 KiB before it moves entries.
    pub max_sessions: NonZeroUsize,
    /// How long to wait before trying again with a peer that was in another transfer. 200 milliseconds by default.
    pub busy_retry: Duration,
    /// How long to leave a peer alone after a failure; doubled with each further one. Two seconds by default.
    pub backoff_min: Duration,
    /// The longest time that a failing peer is left alone. Five minutes by default: a peer that was away for a day is found
    /// again soon.
    pub backoff_max: Duration,
    /// How long no other comparison with a peer is begun because of what it announces. One second by default: about the
    /// period of a failure detector's pings, so that writes on their way are not compared again and again.
    pub announcement_pause: Duration,
    /// For how long rounds pass over a peer that has announced what this replica holds. One minute by default: in a cluster
    /// of 60 a failure detector that pings once a second hears of everybody in that time, so that an idle one sends nothing
    /// else; and if what a peer announces no longer arrives, the rounds compare again.
    pub announcement_lifetime: Duration,
    /// How many events are kept for a caller that does not poll them; the oldest give way, and are counted. 1,024 by
    /// default.
    pub max_events: NonZeroUsize,
    /// Limits of each session.
    pub session: SessionConfig,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            min_interval: Duration::from_secs(10),
            jitter_percent: 20,
            fanout: 3,
            random_percent: 80,
            other_zone_percent: 20,
            push: true,
            push_route: PushRoute::Direct,
            push_fanout: 3,
            max_pushes: 100,
            push_delay: Duration::ZERO,
            max_queued_pushes: 1024,
            max_buffered_pushes: 64,
            max_buffered_bytes: 1 << 20,
            bytes_per_second: NonZeroU64::new(16 << 20).expect("not zero"),
            burst_bytes: NonZeroU64::new(4 << 20).expect("not zero"),
            max_transfers: NonZeroUsize::MIN,
            max_sessions: NonZeroUsize::new(64).expect("not zero"),
            busy_retry: Duration::from_millis(200),
            backoff_min: Duration::from_secs(2),
            backoff_max: Duration::from_secs(300),
            announcement_pause: Duration::from_secs(1),
            announcement_lifetime: Duration::from_secs(60),
            max_events: NonZeroUsize::new(1024).expect("not zero"),
            session: SessionConfig::default(),
        }
    }
}

impl GossipConfig {
    /// The same settings with some changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every field's range, and the relations between fields. What takes a configuration calls this.
    ///
    /// # Errors
    /// The first field that is out of its range, with its value and its bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        const SHORTEST: Duration = Duration::from_millis(1);
        ConfigError::at_least("min_interval", self.min_interval, SHORTEST)?;
        ConfigError::at_most_field("min_interval", self.min_interval, "interval", self.interval)?;
        ConfigError::at_most("jitter_percent", self.jitter_percent, 100)?;
        ConfigError::at_least("fanout", self.fanout, 1)?;
        ConfigError::at_most("random_percent", self.random_percent, 100)?;
        ConfigError::at_most("other_zone_percent", self.other_zone_percent, 100)?;
        ConfigError::at_least("busy_retry", self.busy_retry, SHORTEST)?;
        ConfigError::at_least("backoff_min", self.backoff_min, SHORTEST)?;
        ConfigError::at_most_field("backoff_min", self.backoff_min, "backoff_max", self.backoff_max)?;
        ConfigError::at_least("push_fanout", self.push_fanout, 1)?;
        // One for each direction: otherwise two replicas that open at once could not answer each other.
        ConfigError::at_least("max_sessions", self.max_sessions.get(), 2)?;
        ConfigError::at_most_field("max_transfers", self.max_transfers, "max_sessions", self.max_sessions)?;
        self.session.validate().map_err(|error| error.within("session"))
    }

    /// Checks these settings, and those that they have to agree on with the replica's. Fields are named as an engine has them:
    /// `gossip.fanout`, `replica.max_value_bytes`.
    pub(crate) fn validate_with(&self, replica: &ReplicaConfig) -> Result<(), ConfigError> {
        self.validate().map_err(|error| error.within("gossip"))?;
        let (value_bytes, message_bytes) = (replica.max_value_bytes, self.session.max_message_bytes);
        let limit = "gossip.session.max_message_bytes";
        ConfigError::at_most_field("replica.max_value_bytes", value_bytes, limit, message_bytes)
    }

    /// How many sessions may be open from here.
    pub(super) fn max_opened(&self) -> usize {
        self.max_sessions.get() / 2
    }

    /// How many sessions of peers may be held, those included that are over and wait to repeat their last reply.
    pub(super) fn max_accepted(&self) -> usize {
        self.max_sessions.get() - self.max_opened()
    }

    /// For replicas in one data centre: a round every ten seconds, short time-outs.
    pub fn lan() -> Self {
        Self {
            interval: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
            busy_retry: Duration::from_millis(50),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            session: SessionConfig {
                resend_after: Duration::from_millis(200),
                idle_timeout: Duration::from_secs(5),
                ..SessionConfig::default()
            },
            ..Self::default()
        }
    }

    /// For replicas on different continents: fewer rounds, patient time-outs, larger batches for fewer round trips.
    pub fn wan() -> Self {
        Self {
            interval: Duration::from_secs(120),
            min_interval: Duration::from_secs(20),
            busy_retry: Duration::from_secs(1),
            session: SessionConfig {
                resend_after: Duration::from_secs(2),
                idle_timeout: Duration::from_secs(60),
                batch_bytes: 1 << 20,
                answer_bytes: 64 << 10,
                ..SessionConfig::default()
            },
            ..Self::default()
        }
    }

    /// For tests and demonstrations: everything happens within fractions of a second.
    pub fn test() -> Self {
        Self {
            interval: Duration::from_millis(200),
            min_interval: Duration::from_millis(50),
            busy_retry: Duration::from_millis(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_millis(500),
            announcement_pause: Duration::from_millis(50),
            session: SessionConfig {
                resend_after: Duration::from_millis(100),
                idle_timeout: Duration::from_secs(1),
                ..SessionConfig::default()
            },
            ..Self::default()
        }
    }
}
