//! The settings of the gossip engine.

use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::tree::PushRoute;
use crate::ConfigError;
use crate::replica::ReplicaConfig;
use crate::sync::SessionConfig;

/// Which peers to talk to, how often, and within which budget.
///
/// Plain data, validated by whatever takes it. Every replica may have its own settings, except for
/// [`SessionConfig::schema_id`], and, with [`PushRoute::Tree`], for `push_route` and `push_fanout`.
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
    /// The time between rounds while nothing changes. At least [`min_interval`](Self::min_interval); 60 seconds by
    /// default: with pushes on, rounds are only the backstop, and an idle cluster should be quiet.
    pub interval: Duration,
    /// The time between rounds while differences are found; it doubles with each quiet round, up to
    /// [`interval`](Self::interval). At least 1 millisecond; 10 seconds by default.
    pub min_interval: Duration,
    /// By how many per cent an interval varies at random, so that replicas do not act in step. At most 100; 20 by
    /// default.
    pub jitter_percent: u8,
    /// The number of peers that a round compares roots with. At least 1; 3 by default: 100 replicas are then equal
    /// within about six rounds.
    pub fanout: usize,
    /// How many of a hundred choices of a peer are random; the others take the peer that lags most. At most 100; 80 by
    /// default.
    pub random_percent: u8,
    /// How many of a hundred choices of a peer prefer another zone, if a peer is in one. At most 100; 20 by default.
    pub other_zone_percent: u8,
    /// Whether writes are pushed at once. `true` by default: in a small cluster they are then everywhere before the
    /// next round.
    pub push: bool,
    /// The route of pushed writes. [`PushRoute::Direct`] by default: replicas need not agree on anything, and the
    /// rounds reach those that are not pushed to. [`PushRoute::Tree`] reaches all replicas within a few hops.
    pub push_route: PushRoute,
    /// The number of peers to which writes are pushed: the same ones as long as they are healthy, since a push is taken
    /// in only by those that have the writer's previous one. In a tree, the number of children of each replica, which
    /// has to be the same on all. At least 1; 3 by default.
    pub push_fanout: usize,
    /// How many writes of one transaction are pushed, the first ones; the rounds move the others, in batches. 100 by
    /// default.
    pub max_pushes: usize,
    /// How long a push waits for others to the same peer, to leave in one frame with them. Zero by default: a write
    /// leaves at once, and shares a frame only with writes of the same transaction, or with those that wait for
    /// bandwidth. A few milliseconds save most headers, and most calls of the transport, where small writes come in
    /// bursts.
    pub push_delay: Duration,
    /// How many pushes may wait to be sent, counted once for each peer. If there are more, whoever most of them come from,
    /// a peer or this replica itself, loses its newest, which is left to the rounds, and nobody else does. 1,024 by
    /// default, for bursts of small writes; raise it if each write goes to many peers, or if `push_delay` is long. A push
    /// takes at most a frame in memory, so that by default they take at most 64 MiB together, those included that are
    /// relayed.
    pub max_queued_pushes: usize,
    /// How many received pushes may wait in the causal delivery buffer for writes that they depend on, as where a
    /// network does not keep the order. They wait for at most [`SessionConfig::resend_after`]. After that they are
    /// left to the rounds, and when the buffer is full the oldest of the peer of which most wait. 64 by default, which
    /// suffices for a few hundred writes a second.
    pub max_buffered_pushes: usize,
    /// How many bytes the pushes in the causal delivery buffer may have together. 1 MiB by default: 64 of 16 KiB. In
    /// memory they take up to three times as much.
    pub max_buffered_bytes: usize,
    /// How many bytes are sent per second on average. At least 1; 16 MiB by default, well below what the network of a
    /// data centre carries.
    pub bytes_per_second: NonZeroU64,
    /// How many bytes may be sent at once after a pause. At least 1; 4 MiB by default.
    pub burst_bytes: NonZeroU64,
    /// How many sessions may exchange entries at a time before others have to wait; sessions that only compare do not
    /// count, nor do those that do not move or have had their [turn](Self::transfer_turn). At least 1 and at most
    /// [`max_sessions`](Self::max_sessions); 1 by default, so that a value that is being received from one peer is not
    /// requested from another.
    pub max_transfers: NonZeroUsize,
    /// How long a session that exchanges entries may keep other peers waiting. After that, if one waits, the session ends
    /// with the message that is on its way, and goes on when the others have had their turn. 10 seconds by default: what a
    /// new comparison takes is then a small part of it.
    pub transfer_turn: Duration,
    /// How many sessions may be held at a time. Half of them, rounded down, may be opened from here, and the others by
    /// peers, so that replicas whose own sessions wait for each other still answer. A peer for which there is no room
    /// is told so. At least 2; 64 by default. Each session takes at most 64 KiB before it exchanges entries.
    pub max_sessions: NonZeroUsize,
    /// How many bytes of messages that are not complete yet are held, of all peers together. If there is no room for a
    /// further fragment, the peer that holds most loses what it holds, as if it had been lost on the way, and no other
    /// peer does. At least [`SessionConfig::max_message_bytes`]; 256 MiB by default, four of the longest messages.
    pub max_held_bytes: usize,
    /// How much comparing and decoding is done for one peer per second, in entries as
    /// [`SessionStats::work`](crate::session::SessionStats::work) counts them, for the sessions that it opens and the writes
    /// that it pushes. Four times as much is done at once. Beyond that its requests and pushes are dropped, as if they had
    /// been lost; it repeats them. At least [`SessionConfig::max_sketch_pass`]; 2^20 by default: about a sixth of a core,
    /// and twenty times as much as a peer needs that sends as fast as [`bytes_per_second`](Self::bytes_per_second) allows by
    /// default.
    pub peer_work_per_second: NonZeroU64,
    /// How long to wait before trying again with a peer that was in another transfer; doubled with each further try. A
    /// peer that opens sessions faster than one in this time, beyond a few at once, is answered as busy. At least 1
    /// millisecond; 200 milliseconds by default.
    pub busy_retry: Duration,
    /// How long to leave a peer alone after a failure; doubled with each further one. If the failure was not that it is
    /// silent, the sessions that it opens are answered as busy meanwhile. At least 1 millisecond and at
    /// most [`backoff_max`](Self::backoff_max); two seconds by default.
    pub backoff_min: Duration,
    /// The longest time for which a failing peer is left alone. Five minutes by default, so that a peer that was away
    /// for a day is soon talked to again.
    pub backoff_max: Duration,
    /// How many new ids the replica takes in a day, at most, because peers say that its id is in use by somebody else. 8 by
    /// default: an incident, as a machine that is put back or cloned, costs one or two, and a member that lies uses up no
    /// more than eight of the places in everybody's clocks in a day, and as many once. At the limit, a peer that says so is
    /// refused until one of the eight comes back, three hours after the other. With 0, each is refused.
    pub max_renamings_per_day: u32,
    /// The shortest time between two sessions with a peer that are started because of what it announces. At most
    /// [`announcement_lifetime`](Self::announcement_lifetime); one second by default: about the period of a failure
    /// detector's pings, so that writes on their way are not compared again and again.
    pub announcement_pause: Duration,
    /// How long rounds pass over a peer that has announced the same state as this replica's. One minute by default: in
    /// a cluster of 60, a failure detector that pings once a second hears from everybody within that time, so that an
    /// idle cluster sends little else. When a peer's announcements no longer arrive, the rounds compare with it again.
    pub announcement_lifetime: Duration,
    /// After how many announcements of equality rounds compare with a peer all the same, in a session that certifies it;
    /// they also do before the first such session. At least 1, where announcements spare nothing; 60 by default. Whoever
    /// forges announcements hides a difference for no longer than these last together: with the default
    /// [`announcement_lifetime`](Self::announcement_lifetime) an hour at most, and a few minutes where peers announce
    /// every few seconds. An idle pair has one small session in that time.
    pub certify_every: NonZeroU32,
    /// How many events are kept for a caller that does not poll them; then the oldest are dropped, and counted. At
    /// least 1; 1,024 by default.
    pub max_events: NonZeroUsize,
    /// How many lines of one reason are logged per second, with the feature `tracing`. Any number; 0 logs none. 10 by
    /// default: enough to see what is going on, and a peer that does something wrong all the time fills no disk. The first
    /// line of a later second says how many were left out. All are counted.
    pub lines_logged_per_second: u32,
    /// Limits of each session. Its `max_message_bytes` must be at least
    /// [`ReplicaConfig::max_value_bytes`](crate::ReplicaConfig::max_value_bytes).
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
            transfer_turn: Duration::from_secs(10),
            max_sessions: NonZeroUsize::new(64).expect("not zero"),
            max_held_bytes: 256 << 20,
            peer_work_per_second: NonZeroU64::new(1 << 20).expect("not zero"),
            busy_retry: Duration::from_millis(200),
            backoff_min: Duration::from_secs(2),
            backoff_max: Duration::from_secs(300),
            max_renamings_per_day: 8,
            announcement_pause: Duration::from_secs(1),
            announcement_lifetime: Duration::from_secs(60),
            certify_every: NonZeroU32::new(60).expect("not zero"),
            max_events: NonZeroUsize::new(1024).expect("not zero"),
            lines_logged_per_second: 10,
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

    /// Checks every field's range, and the relations between fields. [`Engine::new`](crate::engine::Engine::new) calls
    /// this.
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
        ConfigError::at_least("transfer_turn", self.transfer_turn, SHORTEST)?;
        ConfigError::at_least("backoff_min", self.backoff_min, SHORTEST)?;
        ConfigError::at_most_field("backoff_min", self.backoff_min, "backoff_max", self.backoff_max)?;
        ConfigError::at_least("push_fanout", self.push_fanout, 1)?;
        // One for each direction: otherwise two replicas that open at once could not answer each other.
        ConfigError::at_least("max_sessions", self.max_sessions.get(), 2)?;
        ConfigError::at_most_field("max_transfers", self.max_transfers, "max_sessions", self.max_sessions)?;
        self.session.validate().map_err(|error| error.within("session"))?;
        let (pass, work) = (self.session.max_sketch_pass, self.peer_work_per_second.get());
        ConfigError::at_most_field("session.max_sketch_pass", pass, "peer_work_per_second", work)?;
        let (field, bytes) = ("session.max_message_bytes", self.session.max_message_bytes);
        ConfigError::at_most_field(field, bytes, "max_held_bytes", self.max_held_bytes)
    }

    /// Checks these settings, and those that they have to agree on with the replica's. Fields are named as an engine
    /// has them: `gossip.fanout`, `replica.max_value_bytes`.
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

    /// How many sessions of peers may be held, those included that have ended and may have to repeat their last reply.
    pub(super) fn max_accepted(&self) -> usize {
        self.max_sessions.get() - self.max_opened()
    }

    /// For replicas in one data centre: a round every ten seconds, and short time-outs.
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
            transfer_turn: Duration::from_secs(1),
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
