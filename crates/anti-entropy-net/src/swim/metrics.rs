use std::sync::Arc;

use ::metrics::{Key, Label, Unit, with_recorder};
use anti_entropy::PeerId;

use super::membership::Membership;
use super::stats::SwimStats;
use crate::metrics::{Count, Counters, METADATA, ticks};

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
    (SESSIONS, Unit::Count, "sessions begun with a life of a peer"),
    (REJOINS, Unit::Count, "times that this node came back after it was declared down"),
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
    ];
    let refused = |(cause, count)| (REFUSED_DATAGRAMS, Some(("cause", cause)), count);
    counts.extend(stats.refused.by_cause().into_iter().map(refused));
    counts
}

/// Tells a membership's counters as metrics, and how many members are up, with the label `node`: its own name.
///
/// ```
/// use std::sync::Arc;
///
/// use anti_entropy_net::swim::{ClusterKey, Membership, MembershipMetrics, SwimConfig};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let name = anti_entropy::PeerId::from("node-1");
/// let key = ClusterKey::from_hex(&"5e".repeat(32))?;
/// let config = SwimConfig::new(name.clone(), "127.0.0.1:0".parse()?, "127.0.0.1:7001".parse()?, key);
/// let membership = Arc::new(Membership::join(config).await?);
/// let telling = tokio::spawn(MembershipMetrics::new(&name).run(Arc::clone(&membership)));
/// // At the end:
/// telling.abort();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MembershipMetrics {
    counters: Counters,
    members: Key,
}

impl MembershipMetrics {
    /// Nothing of the membership of a node of this name was told yet.
    pub fn new(node: &PeerId) -> Self {
        crate::describe_metrics();
        let node = Label::new("node", node.as_str().to_string());
        Self { counters: Counters::new(vec![node.clone()]), members: Key::from_parts(MEMBERS, vec![node]) }
    }

    /// Tells what was counted since the last time, and how many other nodes are up now.
    pub fn publish(&mut self, stats: &SwimStats, members: usize) {
        self.counters.tell(counts(stats));
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.set_members(members as f64);
    }

    /// Tells once a second, until it is dropped.
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

/// Once nothing is told any more, no number says how many there are; counters stay what they are.
impl Drop for MembershipMetrics {
    fn drop(&mut self) {
        self.set_members(f64::NAN);
    }
}

/// Tells the present recorder what each metric is.
pub(crate) fn describe_metrics() {
    for (name, unit, description) in COUNTERS {
        with_recorder(|recorder| recorder.describe_counter((*name).into(), Some(*unit), (*description).into()));
    }
    with_recorder(|recorder| {
        recorder.describe_gauge(MEMBERS.into(), Some(Unit::Count), "other nodes that are up".into());
    });
}
