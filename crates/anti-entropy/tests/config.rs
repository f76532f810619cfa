//! Settings that are out of their range, or that contradict each other, are refused by the field's name.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use anti_entropy::clock::{Now, Seed};
use anti_entropy::engine::{Engine, SharedSpaces, SharedSpacesConfig};
use anti_entropy::session::{Frame, Session, SessionOutput};
use anti_entropy::transport::{Channels, ChannelsConfig, LinkFaults};
use anti_entropy::{
    ConfigError, Error, GossipConfig, Keyed, LastWriterWins, MemoryNetwork, MemoryStore, Opening, Replica,
    ReplicaConfig, SessionConfig,
};

/// The name of a field, a value that it must not have, and what the error says of the bound.
type Case<C> = (&'static str, fn(&mut C), &'static str);

const MS: Duration = Duration::from_millis(1);
const ONE: NonZeroUsize = NonZeroUsize::MIN;

const GOSSIP: &[Case<GossipConfig>] = &[
    ("min_interval", |config| config.min_interval = Duration::ZERO, "at least 1ms"),
    ("min_interval", |config| config.min_interval = config.interval + MS, "at most interval, which is 60s"),
    ("jitter_percent", |config| config.jitter_percent = 101, "at most 100"),
    ("fanout", |config| config.fanout = 0, "at least 1"),
    ("random_percent", |config| config.random_percent = 101, "at most 100"),
    ("other_zone_percent", |config| config.other_zone_percent = 101, "at most 100"),
    ("push_fanout", |config| config.push_fanout = 0, "at least 1"),
    ("busy_retry", |config| config.busy_retry = Duration::ZERO, "at least 1ms"),
    ("transfer_turn", |config| config.transfer_turn = Duration::ZERO, "at least 1ms"),
    ("backoff_min", |config| config.backoff_min = Duration::ZERO, "at least 1ms"),
    ("backoff_min", |config| config.backoff_min = config.backoff_max + MS, "at most backoff_max, which is 300s"),
    ("max_sessions", |config| config.max_sessions = ONE, "at least 2"),
    (
        "max_transfers",
        |config| config.max_transfers = config.max_sessions.saturating_add(1),
        "at most max_sessions, which is 64",
    ),
    ("session.max_frame_bytes", |config| config.session.max_frame_bytes = 511, "at least 512"),
    (
        "session.max_sketch_pass",
        |config| config.session.max_sketch_pass = config.peer_work_per_second.get() + 1,
        "at most peer_work_per_second, which is 1048576",
    ),
    (
        "session.max_message_bytes",
        |config| config.max_held_bytes = config.session.max_message_bytes - 1,
        "at most max_held_bytes, which is 67108863",
    ),
    (
        "session.resend_after",
        |config| config.session.resend_after = config.session.idle_timeout + MS,
        "at most idle_timeout, which is 20s",
    ),
];

/// The largest and smallest values that are allowed, several at a time.
const GOSSIP_AT_ITS_BOUNDS: &[fn(&mut GossipConfig)] = &[
    |config| (config.min_interval, config.interval) = (MS, MS),
    |config| (config.jitter_percent, config.random_percent, config.other_zone_percent) = (100, 100, 100),
    |config| (config.jitter_percent, config.random_percent, config.other_zone_percent) = (0, 0, 0),
    |config| (config.fanout, config.push_fanout) = (1, 1),
    |config| (config.busy_retry, config.backoff_min, config.backoff_max) = (MS, MS, MS),
    |config| config.transfer_turn = MS,
    |config| (config.max_sessions, config.max_transfers) = (ONE.saturating_add(1), ONE.saturating_add(1)),
];

const CHANNELS: &[Case<ChannelsConfig>] = &[("queue_bytes", |config| config.queue_bytes = 0, "at least 1")];

const SHARED_SPACES: &[Case<SharedSpacesConfig>] =
    &[("max_frame_bytes", |config| config.max_frame_bytes = 255, "at least 256")];

const FAULTS: &[Case<LinkFaults>] = &[
    ("loss_per_mille", |faults| faults.loss_per_mille = 1_001, "at most 1000"),
    ("duplicate_per_mille", |faults| faults.duplicate_per_mille = 1_001, "at most 1000"),
    ("reorder_per_mille", |faults| faults.reorder_per_mille = 1_001, "at most 1000"),
];

const SESSION: &[Case<SessionConfig>] = &[
    ("max_frame_bytes", |config| config.max_frame_bytes = 511, "at least 512"),
    ("batch_bytes", |config| config.batch_bytes = 1 << 27, "at most max_message_bytes, which is 67108864"),
    ("answer_bytes", |config| config.answer_bytes = 1 << 27, "at most max_message_bytes, which is 67108864"),
    ("max_sketch_cells", |config| config.max_sketch_cells = (1 << 20) + 1, "at most 1048576"),
    ("resend_after", |config| config.resend_after = Duration::ZERO, "at least 1ms"),
    ("resend_after", |config| config.resend_after = config.idle_timeout + MS, "at most idle_timeout, which is 20s"),
];

const REPLICA: &[Case<ReplicaConfig>] = &[
    ("max_value_bytes", |config| config.max_value_bytes = 0, "at least 1"),
    ("max_key_bytes", |config| config.max_key_bytes = 0, "at least 1"),
    ("max_clock_replicas", |config| config.max_clock_replicas = 0, "at least 1"),
    ("max_clock_replicas", |config| config.max_clock_replicas = (1 << 20) + 1, "at most 1048576"),
    ("new_replicas_per_hour", |config| config.new_replicas_per_hour = 0, "at least 1"),
    ("new_pieces_per_hour", |config| config.new_pieces_per_hour = 0, "at least 1"),
    ("max_context_pieces", |config| config.max_context_pieces = NonZeroUsize::new(1001).unwrap(), "at most 1000"),
    ("max_siblings", |config| config.max_siblings = 0, "at least 1"),
    ("max_siblings", |config| config.max_siblings = (1 << 16) + 1, "at most 65536"),
    ("max_context_counters", |config| config.max_context_counters = (1 << 18) + 1, "at most 262144"),
    ("reserved_clock_percent", |config| config.reserved_clock_percent = 100, "at most 99"),
    ("sketch.max_cells", |config| config.sketch.max_cells = NonZeroU32::MAX, "at most 1048576"),
    (
        "sketch.min_cells",
        |config| config.sketch.min_cells = config.sketch.max_cells.saturating_add(1),
        "at most max_cells, which is 32768",
    ),
];

const SESSION_AT_ITS_BOUNDS: &[fn(&mut SessionConfig)] = &[
    |config| config.max_frame_bytes = SessionConfig::MIN_FRAME_BYTES,
    |config| (config.batch_bytes, config.answer_bytes) = (config.max_message_bytes, config.max_message_bytes),
    |config| config.max_sketch_cells = 1 << 20,
    |config| config.max_sketch_cells = 0,
    |config| (config.resend_after, config.idle_timeout) = (MS, MS),
];

const REPLICA_AT_ITS_BOUNDS: &[fn(&mut ReplicaConfig)] = &[
    |config| (config.max_value_bytes, config.max_key_bytes, config.max_clock_replicas) = (1, 1, 1),
    |config| (config.max_context_counters, config.max_siblings) = (1 << 18, 1 << 16),
    |config| (config.max_clock_replicas, config.reserved_clock_percent) = (1 << 20, 99),
    |config| config.max_context_pieces = NonZeroUsize::new(ReplicaConfig::MAX_CONTEXT_PIECES).unwrap(),
    |config| (config.new_replicas_per_hour, config.new_pieces_per_hour) = (1, 1),
    |config| config.sketch.min_cells = config.sketch.max_cells,
];

/// Checks that each change is refused, by this field and with this bound.
fn check<C: Default>(prefix: &str, cases: &[Case<C>], take: impl Fn(C) -> Result<(), ConfigError>) {
    take(C::default()).unwrap();
    for (field, change, bound) in cases {
        let mut config = C::default();
        change(&mut config);
        let error = take(config).expect_err(field);
        assert_eq!((error.field.as_str(), error.bound.as_str()), (format!("{prefix}{field}").as_str(), *bound));
    }
}

fn engine(replica: ReplicaConfig, gossip: GossipConfig) -> Result<(), ConfigError> {
    let opening = Opening::from(Seed::from_bytes([1; 32])).with(|opening| opening.config = replica);
    let replica = Replica::<Keyed<u32, String>>::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
    Engine::new(replica, gossip, 1, Now { elapsed: Duration::ZERO, unix_ms: 0 }).map(drop)
}

#[test]
fn gossip_settings_are_refused_by_name() {
    check("", GOSSIP, |config| config.validate());
    check("gossip.", GOSSIP, |config| engine(ReplicaConfig::default(), config));
}

#[test]
fn session_settings_are_refused_by_name() {
    let replica = || Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([1; 32])).unwrap();
    let now = Now { elapsed: Duration::ZERO, unix_ms: 0 };
    let open = |config| Session::open::<Keyed<u32, String>>(1, &mut replica(), config, now);
    check("", SESSION, |config| open(config).map(drop));
    let SessionOutput::Send(opening) = open(SessionConfig::default()).unwrap().poll_output() else {
        panic!("an opener has something to say")
    };
    let first = Frame::decode(&opening, &SessionConfig::default()).unwrap();
    check("", SESSION, |config| Session::accept(&first, 2, config, now).map(drop));
}

#[test]
fn replica_settings_are_refused_by_name() {
    check("", REPLICA, |config| {
        let opening = Opening::from(Seed::from_bytes([1; 32])).with(|opening| opening.config = config);
        match Replica::<Keyed<u32, String>>::open(MemoryStore::new(), LastWriterWins, opening) {
            Err(Error::Config(error)) => Err(error),
            opened => {
                drop(opened.unwrap());
                Ok(())
            }
        }
    });
}

#[test]
fn presets_and_bounds_are_valid() {
    for preset in [GossipConfig::default(), GossipConfig::lan(), GossipConfig::wan(), GossipConfig::test()] {
        engine(ReplicaConfig::default(), preset).unwrap();
    }
    for change in GOSSIP_AT_ITS_BOUNDS {
        engine(ReplicaConfig::default(), GossipConfig::default().with(change)).unwrap();
    }
    for change in SESSION_AT_ITS_BOUNDS {
        SessionConfig::default().with(change).validate().unwrap();
    }
    for change in REPLICA_AT_ITS_BOUNDS {
        ReplicaConfig::default().with(change).validate().unwrap();
    }
}

#[test]
fn a_value_that_fits_into_no_message_is_refused() {
    let most = GossipConfig::default().session.max_message_bytes;
    let with =
        |bytes| engine(ReplicaConfig::default().with(|config| config.max_value_bytes = bytes), GossipConfig::default());
    with(most).unwrap();
    let error = with(most + 1).unwrap_err();
    assert_eq!(error.field, "replica.max_value_bytes");
    assert_eq!(error.bound, format!("at most gossip.session.max_message_bytes, which is {most}"));
}

#[test]
fn settings_of_channels_are_refused_by_name() {
    let take = |config| Channels::new(MemoryNetwork::new(1).join("a".into()), config).map(drop);
    check("", CHANNELS, take);
    take(ChannelsConfig::default().with(|config| (config.queue_bytes, config.queue_frames) = (1, ONE))).unwrap();
}

#[test]
fn settings_of_shared_spaces_are_refused_by_name() {
    let take = |config| SharedSpaces::new(config, 1).map(drop);
    check("", SHARED_SPACES, take);
    take(SharedSpacesConfig::default().with(|config| config.max_frame_bytes = 256)).unwrap();
}

#[test]
fn link_faults_are_refused_by_name() {
    check("", FAULTS, |faults| MemoryNetwork::new(1).set_faults(faults));
    let always = LinkFaults::default().with(|faults| {
        (faults.loss_per_mille, faults.duplicate_per_mille, faults.reorder_per_mille) = (1_000, 1_000, 1_000);
    });
    MemoryNetwork::new(1).set_faults(always).unwrap();
}
