use std::time::Duration;

use anti_entropy::ConfigError;
use serde::{Deserialize, Serialize};

use crate::checks::{at_least_field, not_zero};

/// How often a [`Membership`](super::Membership) does something, and how long something may take. The defaults suit one
/// data centre; between continents, probes need more time. No time may be longer than 366 days.
///
/// ```
/// use std::time::Duration;
///
/// use anti_entropy_net::swim::SwimTimings;
///
/// let timings = SwimTimings::default().with(|timings| timings.probe_timeout = Duration::from_millis(900));
/// assert!(timings.validate().is_ok());
/// let error = timings.with(|timings| timings.probe_interval = timings.probe_timeout).validate().unwrap_err();
/// assert_eq!(error.field, "probe_timeout");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SwimTimings {
    /// How often this node probes one member. Longer than `probe_timeout`.
    ///
    /// Default 1 second: two datagrams per second and node, however many nodes there are.
    pub probe_interval: Duration,
    /// How long a probed member may take to answer before other members are asked to probe it. Longer than zero, and
    /// strictly below `probe_interval`, since the other members need the rest of the interval.
    ///
    /// Default 500 milliseconds: longer than any round trip in a data centre.
    pub probe_timeout: Duration,
    /// How long a member that did not answer is suspected before it counts as down. During this time it may still say
    /// that it is alive. Longer than zero; should be a few times `probe_interval`.
    ///
    /// Default 4 seconds: longer than most pauses of a process and bursts of loss, and no longer, since peers wait for
    /// the member.
    pub suspect_for: Duration,
    /// How long a member that is down is remembered, and looked for. Longer than zero; should be long compared to
    /// `suspect_for` and to `look_for_down_interval`.
    ///
    /// Default 24 hours: a node that is down for longer is not expected back.
    pub forget_down_after: Duration,
    /// How often one of the members that are down is looked for. Longer than zero.
    ///
    /// Default 60 seconds.
    pub look_for_down_interval: Duration,
    /// How often one member is asked for the members that it knows. Longer than zero.
    ///
    /// Default 30 seconds. News spreads with the probes; this is for what they missed.
    pub exchange_interval: Duration,
    /// How often news is sent, as long as there is any. Longer than zero.
    ///
    /// Default 200 milliseconds.
    pub gossip_interval: Duration,
    /// How long to wait for the reply to a hello before it is sent again. Longer than zero. The wait doubles three
    /// times, then the address counts as silent.
    ///
    /// Default 250 milliseconds: longer than a round trip.
    pub hello_retry: Duration,
    /// How long the event that a member is up may be held back until it is known what the member announces. May be
    /// zero.
    ///
    /// Default 1 second: enough for a few lost hellos.
    pub up_wait: Duration,
    /// How often an unchanged announcement of a member is reported again. May be zero, which reports each one.
    ///
    /// Default 2 seconds.
    pub announce_refresh: Duration,
    /// How long to wait before the seeds are asked again while no member is known, the first time. Longer than zero,
    /// and at most `seed_retry_max`. The wait doubles each time up to `seed_retry_max`.
    ///
    /// Default 500 milliseconds.
    pub seed_retry_min: Duration,
    /// The longest wait before the seeds are asked again while no member is known. At least `seed_retry_min`.
    ///
    /// Default 10 seconds.
    pub seed_retry_max: Duration,
    /// How often seeds that are not members are asked while other members are known. Longer than zero. Two halves of a
    /// cluster that forgot each other find each other again this way.
    ///
    /// Default 60 seconds.
    pub seed_interval: Duration,
    /// How long it may take to resolve one seed. Longer than zero.
    ///
    /// Default 5 seconds.
    pub resolve_timeout: Duration,
    /// The longest wait before this node comes back after it was declared down repeatedly. At least `probe_interval`.
    /// The first time it comes back at once.
    ///
    /// Default 60 seconds: two processes that were given the same name disturb each other no more often.
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
    /// Longer than anybody waits, and far from where adding times overflows.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// The same timings with some fields changed: `timings.with(|timings| timings.suspect_for = suspect_for)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks each field's range, and the relations between fields.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is out of its range, or that contradicts another one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let may_be_zero = [("up_wait", self.up_wait), ("announce_refresh", self.announce_refresh)];
        let never_zero = [
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
        never_zero.into_iter().try_for_each(|(field, time)| not_zero(field, time))?;
        for (field, time) in never_zero.into_iter().chain(may_be_zero) {
            ConfigError::at_most(field, time, Self::LONGEST)?;
        }
        if self.probe_timeout >= self.probe_interval {
            let bound = format!("less than probe_interval, which is {:?}", self.probe_interval);
            return Err(ConfigError::new("probe_timeout", self.probe_timeout, &bound));
        }
        at_least_field("seed_retry_max", self.seed_retry_max, "seed_retry_min", self.seed_retry_min)?;
        at_least_field("rejoin_max", self.rejoin_max, "probe_interval", self.probe_interval)
    }
}
