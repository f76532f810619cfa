use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use super::error::JoinError;
use super::identity::MAX_ZONE_BYTES;
use super::key::ClusterKey;
use crate::handshake::MAX_NAME_BYTES;

/// What a node is called, where it is found, and where it finds others.
///
/// ```
/// use anti_entropy_net::swim::SwimConfig;
///
/// let written = format!(
///     r#"{{ "name": "node-1", "listen": "10.0.0.1:7946", "transport": "10.0.0.1:7001",
///          "zone": "north", "seeds": ["node-2.example:7946"], "key": "{}" }}"#,
///     "5e".repeat(32),
/// );
/// let config: SwimConfig = serde_json::from_str(&written)?;
/// assert_eq!(config.timings.probe_interval.as_secs(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwimConfig {
    /// This node's name: 1 to 255 bytes, and no other node's. A later life of a name replaces the earlier one.
    pub name: PeerId,
    /// Where to listen for datagrams. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where peers send their datagrams to. By default where this node listens, which must then be no wildcard.
    #[serde(default)]
    pub advertise: Option<SocketAddr>,
    /// Where peers connect to with the data transport.
    pub transport: SocketAddr,
    /// The zone that this node is in, if any: 1 to 32 bytes.
    #[serde(default)]
    pub zone: Option<String>,
    /// Where other nodes may be found, as "host:port": names are resolved anew each time. This node's own address may be
    /// among them, so that all nodes can have the same list. None need answer; a node without any waits for others.
    #[serde(default)]
    pub seeds: Vec<String>,
    /// The key that the nodes of the cluster share.
    pub key: ClusterKey,
    /// How often, and how long.
    #[serde(default)]
    pub timings: SwimTimings,
    /// The limits of everything that takes memory or answers strangers.
    #[serde(default)]
    pub limits: SwimLimits,
}

impl SwimConfig {
    /// A node without zone or seeds, with the default timings and limits.
    pub fn new(name: PeerId, listen: SocketAddr, transport: SocketAddr, key: ClusterKey) -> Self {
        Self {
            name,
            listen,
            advertise: None,
            transport,
            zone: None,
            seeds: Vec::new(),
            key,
            timings: SwimTimings::default(),
            limits: SwimLimits::default(),
        }
    }

    /// Checks everything that can be checked without opening a socket.
    pub(super) fn validate(&self) -> Result<(), JoinError> {
        let advertised = self.advertise.unwrap_or(self.listen);
        let zone_fits = self.zone.as_ref().is_none_or(|zone| (1..=MAX_ZONE_BYTES).contains(&zone.len()));
        let has_port = |seed: &String| {
            seed.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
        };
        let rules = [
            ((1..=MAX_NAME_BYTES).contains(&self.name.as_str().len()), "name", "must have 1 to 255 bytes"),
            (zone_fits, "zone", "must have 1 to 32 bytes, or be left out"),
            (!advertised.ip().is_unspecified(), "advertise", "must be an address that peers reach, not a wildcard"),
            (self.advertise.is_none_or(|address| address.port() != 0), "advertise", "must have a port"),
            (self.seeds.iter().all(has_port), "seeds", "must each be a host and a port, as \"node-1.example:7946\""),
            (self.seeds.len() <= self.limits.max_seed_addresses, "seeds", "must not be more than max_seed_addresses"),
            (!self.transport.ip().is_unspecified(), "transport", "must be an address that peers reach, not a wildcard"),
            (self.transport.port() != 0, "transport", "must have a port: bind the transport first"),
        ];
        check(rules)?;
        self.timings.validate()?;
        self.limits.validate()
    }
}

/// How often a [`Membership`](super::Membership) does what, and how long it waits. For a data centre; between continents
/// probes may take longer. None may be longer than 366 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwimTimings {
    /// How often one member is asked whether it lives. Default 1 second: two datagrams a second for each node, however
    /// many there are.
    pub probe_interval: Duration,
    /// How long it may take to answer until others are asked to ask it; less than `probe_interval`. Default 500
    /// milliseconds: longer than any round trip in a data centre, and time is left for the others.
    pub probe_timeout: Duration,
    /// How long a member that does not answer may still say that it lives, until it counts as down. Default 4 seconds: a
    /// pause of the process, or a burst of loss, and no more, since its peers wait for it.
    pub suspect_for: Duration,
    /// How long a member that is down is remembered, and looked for. Default 24 hours: what is down for longer is gone.
    pub forget_down_after: Duration,
    /// How often members that are down are looked for, one at a time. Default 60 seconds.
    pub look_for_down_interval: Duration,
    /// How often one member is asked whom it knows. Default 30 seconds: news spreads with the probes, and this is for
    /// what they missed.
    pub exchange_interval: Duration,
    /// How often news is spread, while there is any. Default 200 milliseconds.
    pub gossip_interval: Duration,
    /// How long a hello waits for its reply until it is sent again; doubles three times. Default 250 milliseconds: longer
    /// than a round trip.
    pub hello_retry: Duration,
    /// How long the news that a member is up waits for what the member announces. Default 1 second: some lost hellos.
    pub up_wait: Duration,
    /// How often what a member announces is told again while it stays the same. Default 2 seconds.
    pub announce_refresh: Duration,
    /// How long to wait before asking the seeds again while no member is known, the first time; doubles until
    /// `seed_retry_max`. Default 500 milliseconds.
    pub seed_retry_min: Duration,
    /// How long to wait before asking the seeds again at most, while no member is known. Default 10 seconds.
    pub seed_retry_max: Duration,
    /// How often seeds that are not among the members are asked while others are, so that two halves of a cluster that
    /// forgot each other find each other again. Default 60 seconds.
    pub seed_interval: Duration,
    /// How long resolving one seed may take. Default 5 seconds.
    pub resolve_timeout: Duration,
    /// How long to wait at most before coming back when this node is declared down again and again; the first time it
    /// comes back at once. Default 60 seconds: two processes that were given the same name get in each other's way no
    /// more often.
    pub rejoin_max: Duration,
}

impl Default for SwimTimings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            suspect_for: Duration::from_secs(4),
            forget_down_after: Duration::from_secs(24 * 60 * 60),
            look_for_down_interval: Duration::from_secs(60),
            exchange_interval: Duration::from_secs(30),
            gossip_interval: Duration::from_millis(200),
            hello_retry: Duration::from_millis(250),
            up_wait: Duration::from_secs(1),
            announce_refresh: Duration::from_secs(2),
            seed_retry_min: Duration::from_millis(500),
            seed_retry_max: Duration::from_secs(10),
            seed_interval: Duration::from_secs(60),
            resolve_timeout: Duration::from_secs(5),
            rejoin_max: Duration::from_secs(60),
        }
    }
}

impl SwimTimings {
    /// Each of them at most: longer than anybody waits, and far from where adding times overflows.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    fn validate(&self) -> Result<(), JoinError> {
        let not_zero = [
            ("probe_interval", self.probe_interval),
            ("probe_timeout", self.probe_timeout),
            ("suspect_for", self.suspect_for),
            ("forget_down_after", self.forget_down_after),
            ("look_for_down_interval", self.look_for_down_interval),
            ("exchange_interval", self.exchange_interval),
            ("gossip_interval", self.gossip_interval),
            ("hello_retry", self.hello_retry),
            ("seed_retry_min", self.seed_retry_min),
            ("seed_retry_max", self.seed_retry_max),
            ("seed_interval", self.seed_interval),
            ("resolve_timeout", self.resolve_timeout),
            ("rejoin_max", self.rejoin_max),
        ];
        let any = [("up_wait", self.up_wait), ("announce_refresh", self.announce_refresh)];
        check([
            (self.probe_timeout < self.probe_interval, "probe_timeout", "must be less than probe_interval"),
            (self.seed_retry_min <= self.seed_retry_max, "seed_retry_max", "must not be less than seed_retry_min"),
        ])?;
        check(not_zero.map(|(name, time)| (!time.is_zero(), name, "must not be zero")))?;
        let all = not_zero.into_iter().chain(any);
        check(all.map(|(name, time)| (time <= Self::LONGEST, name, "must be at most 366 days")))
    }
}

/// The limits of a [`Membership`](super::Membership).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwimLimits {
    /// How many names are remembered, of members that are up or down; further ones are not let in.
    /// The same on every node, or nodes that are let in by some only are taken for dead. Default 1,024.
    pub max_members: usize,
    /// How many lives of peers there is a session with; one that is no member's makes room for a new one. Default 2,048:
    /// twice the members, some of which have just restarted.
    pub max_sessions: usize,
    /// How many spaces are announced, and taken from one member; of more, the one that did not come up for longest is
    /// forgotten. The same on every node. Default 64: 40 bytes each, for each member.
    pub max_spaces: usize,
    /// How many hellos wait for a reply at a time. Default 256.
    pub max_pending_hellos: usize,
    /// How many datagrams to one peer wait for its reply to a hello. Default 4.
    pub max_waiting_datagrams: usize,
    /// How many addresses the seeds may have together; further ones are not asked. Default 64.
    pub max_seed_addresses: usize,
    /// How many hellos are answered a second. Default 64: a cluster that starts all at once, and no more, since recorded
    /// hellos can be sent again by anybody.
    pub max_replies_per_second: u32,
    /// How many senders a second are told that they are not known here, and as many again at the addresses of members and
    /// seeds, so that garbage from other addresses does not keep these from finding a node that has restarted. Default 16.
    pub max_notices_per_second: u32,
    /// How many refused datagrams a second are logged, with the feature `tracing`. Default 5.
    pub max_warnings_per_second: u32,
    /// How many members are asked to probe one that did not answer. Default 3.
    pub indirect_probes: NonZeroUsize,
    /// How often one node passes on a piece of news. Default 10: enough for hundreds of nodes.
    pub news_repeats: NonZeroU8,
}

impl Default for SwimLimits {
    fn default() -> Self {
        Self {
            max_members: 1_024,
            max_sessions: 2_048,
            max_spaces: 64,
            max_pending_hellos: 256,
            max_waiting_datagrams: 4,
            max_seed_addresses: 64,
            max_replies_per_second: 64,
            max_notices_per_second: 16,
            max_warnings_per_second: 5,
            indirect_probes: NonZeroUsize::MIN.saturating_add(2),
            news_repeats: NonZeroU8::MIN.saturating_add(9),
        }
    }
}

impl SwimLimits {
    fn validate(&self) -> Result<(), JoinError> {
        const NOT_ZERO: &str = "must be at least 1";
        check([
            (self.max_members >= 1, "max_members", NOT_ZERO),
            (self.max_sessions >= self.max_members, "max_sessions", "must not be less than max_members"),
            (self.max_pending_hellos >= 1, "max_pending_hellos", NOT_ZERO),
            (self.max_waiting_datagrams >= 1, "max_waiting_datagrams", NOT_ZERO),
            (self.max_seed_addresses >= 1, "max_seed_addresses", NOT_ZERO),
            (self.max_replies_per_second >= 1, "max_replies_per_second", NOT_ZERO),
            (self.max_notices_per_second >= 1, "max_notices_per_second", NOT_ZERO),
        ])
    }
}

fn check(rules: impl IntoIterator<Item = (bool, &'static str, &'static str)>) -> Result<(), JoinError> {
    match rules.into_iter().find(|(kept, ..)| !kept) {
        Some((_, setting, rule)) => Err(JoinError::Setting { setting, rule }),
        None => Ok(()),
    }
}
