use std::sync::Arc;

use ::metrics::{Key, Label, Unit, with_recorder};
use anti_entropy::PeerId;

use super::membership::Membership;
use super::stats::SwimStats;
use crate::metrics::counters::{Count, CounterMetrics, METADATA, ticks};

const SENT_DATAGRAMS: &str = "anti_entropy_net_swim_sent_datagrams_total";
const SENT_BYTES: &str = "anti_entropy_net_swim_sent_bytes_total";
const SEND_ERRORS: &str = "anti_entropy_net_swim_send_errors_total";
const RECEIVED_DATAGRAMS: &str = "anti_entropy_net_swim_received_datagrams_total";
const RECEIVED_BYTES: &str = "anti_entropy_net_swim_received_bytes_total";
const RECEIVE_ERRORS: &str = "anti_entropy_net_swim_receive_errors_total";
const REFUSED_DATAGRAMS: &str = "anti_entropy_net_swim_refused_datagrams_total";
const SENT_HELLOS: &str = "anti_entropy_net_swim_sent_hellos_total";
const SESSIONS: &str = "anti_entropy_net_swim_sessions_total";
const REJOINS: &str = "anti_entropy_net_swim_rejoins_total";
const PUT_BACKS: &str = "anti_entropy_net_swim_put_backs_total";
const MEMBERS: &str = "anti_entropy_net_swim_members";

/// What the counters are. docs/operations.md has the same table, and a test compares the two.
const COUNTERS: &[(&str, Unit, &str)] = &[
    (SENT_DATAGRAMS, Unit::Count, "datagrams sent"),
    (SENT_BYTES, Unit::Bytes, "bytes of the datagrams sent"),
    (SEND_ERRORS, Unit::Count, "datagrams that the operating system refused to send"),
    (RECEIVED_DATAGRAMS, Unit::Count, "datagrams received, with those that were refused"),
    (RECEIVED_BYTES, Unit::Bytes, "bytes of the datagrams received"),
    (RECEIVE_ERRORS, Unit::Count, "failures to receive, as the operating system reports them"),
    (REFUSED_DATAGRAMS, Unit::Count, "datagrams refused, by cause"),
    (SENT_HELLOS, Unit::Count, "hellos sent"),
    (SESSIONS, Unit::Count, "sessions begun, one with each process of a peer"),
    (REJOINS, Unit::Count, "times that this node came back: it was declared down or put back, or heard nobody"),
    (PUT_BACKS, Unit::Count, "times that this node noticed that it was put back to an earlier state, or runs twice"),
];

fn counts(stats: &SwimStats) -> Vec<Count> {
    let mut counts = vec![
        (SENT_DATAGRAMS, None, stats.datagrams_sent),
        (SENT_BYTES, None, stats.bytes_sent),
        (SEND_ERRORS, None, stats.send_errors),
        (RECEIVED_DATAGRAMS, None, stats.datagrams_received),
        (RECEIVED_BYTES, None, stats.bytes_received),
        (RECEIVE_ERRORS, None, stats.receive_errors),
        (SENT_HELLOS, None, stats.hellos_sent),
        (SESSIONS, None, stats.sessions),
        (REJOINS, None, stats.rejoins),
        (PUT_BACKS, None, stats.put_backs),
    ];
    let refused = |(cause, count)| (REFUSED_DATAGRAMS, Some(("cause", cause)), count);
    counts.extend(stats.refused.by_cause().into_iter().map(refused));
    counts
}

/// Publishes a membership's counters as metrics, and how many members are up, with the label `node`: this node's name.
///
/// ```
/// use std::sync::Arc;
///
/// use anti_entropy_net::swim::{ClusterKey, Membership, MembershipMetrics, SwimConfig};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let name = anti_entropy::PeerId::from("node-1");
/// let key = ClusterKey::from_hex(&"5e".repeat(32))?;
/// let config = SwimConfig::new("orders".parse()?, name.clone(), "127.0.0.1:0".parse()?, "127.0.0.1:7001".parse()?, key);
/// let membership = Arc::new(Membership::join(config).await?);
/// let publishing = tokio::spawn(MembershipMetrics::new(&name).run(Arc::clone(&membership)));
/// // At the end:
/// publishing.abort();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MembershipMetrics {
    counters: CounterMetrics,
    members: Key,
}

impl MembershipMetrics {
    /// The metrics of the membership of the node of this name. Nothing is published yet.
    pub fn new(node: &PeerId) -> Self {
        describe_metrics();
        let node = Label::new("node", node.as_str().to_string());
        Self { counters: CounterMetrics::new(vec![node.clone()]), members: Key::from_parts(MEMBERS, vec![node]) }
    }

    /// Publishes what was counted since the last time, and how many other nodes are up now.
    pub fn publish(&mut self, stats: &SwimStats, members: usize) {
        self.counters.publish(counts(stats));
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.set_members(members as f64);
    }

    /// Publishes once a second, until the future is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its time driver enabled.
    pub async fn run(mut self, membership: Arc<Membership>) {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            self.publish(&membership.stats(), membership.members().len());
        }
    }

    fn set_members(&self, members: f64) {
        with_recorder(|recorder| recorder.register_gauge(&self.members, &METADATA).set(members));
    }
}

/// Nobody knows how many members there are once this is gone, so the gauge becomes NaN. Counters stay as they are.
impl Drop for MembershipMetrics {
    fn drop(&mut self) {
        self.set_members(f64::NAN);
    }
}

/// Describes the metrics to the recorder that is installed now.
pub(crate) fn describe_metrics() {
    for (name, unit, description) in COUNTERS {
        with_recorder(|recorder| recorder.describe_counter((*name).into(), Some(*unit), (*description).into()));
    }
    with_recorder(|recorder| {
        recorder.describe_gauge(MEMBERS.into(), Some(Unit::Count), "other nodes that are up".into());
    });
}
