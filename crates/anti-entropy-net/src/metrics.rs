//! The counters of transports as metrics, and what counters have in common.

use std::time::Duration;

use ::metrics::{Key, Label, Level, Metadata, Unit, with_recorder};
use anti_entropy::gossip::PeerId;

use crate::stats::TransportStats;

/// How often counters are told: as often as the driver does with its own.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) static METADATA: Metadata<'static> =
    Metadata::new("anti_entropy_net", Level::INFO, Some("anti_entropy_net"));

const SENT_FRAMES: &str = "anti_entropy_net_sent_frames_total";
const SENT_BYTES: &str = "anti_entropy_net_sent_bytes_total";
const RECEIVED_FRAMES: &str = "anti_entropy_net_received_frames_total";
const RECEIVED_BYTES: &str = "anti_entropy_net_received_bytes_total";
const RECEIVE_WAITS: &str = "anti_entropy_net_receive_waits_total";
const DROPPED_FRAMES: &str = "anti_entropy_net_dropped_frames_total";
const CONNECTIONS: &str = "anti_entropy_net_connections_total";
const CLOSED_CONNECTIONS: &str = "anti_entropy_net_closed_connections_total";
const REFUSED_CONNECTIONS: &str = "anti_entropy_net_refused_connections_total";
const CONNECT_FAILURES: &str = "anti_entropy_net_connect_failures_total";

/// What the metrics of all transports are. docs/operations.md has the same table, and a test compares the two.
const ALL: &[(&str, Unit, &str)] = &[
    (SENT_FRAMES, Unit::Count, "frames written to a connection"),
    (SENT_BYTES, Unit::Bytes, "bytes of the frames written"),
    (RECEIVED_FRAMES, Unit::Count, "frames received and queued"),
    (RECEIVED_BYTES, Unit::Bytes, "bytes of the frames received"),
    (RECEIVE_WAITS, Unit::Count, "frames that had to wait for room in the receive queue"),
    (DROPPED_FRAMES, Unit::Count, "frames to be sent that were dropped, by cause"),
    (CONNECTIONS, Unit::Count, "connections established, by who opened them"),
    (CLOSED_CONNECTIONS, Unit::Count, "connections closed from here, by cause"),
    (REFUSED_CONNECTIONS, Unit::Count, "inbound connections refused, by cause"),
    (CONNECT_FAILURES, Unit::Count, "attempts to connect that failed"),
];

/// A counter's name, its own label if it has one, and its value.
pub(crate) type Count = (&'static str, Option<(&'static str, &'static str)>, u64);

/// All counters, always in the same order.
fn counts(stats: &TransportStats) -> Vec<Count> {
    let TransportStats { dropped, refused, .. } = stats;
    let connections = |by, count| (CONNECTIONS, Some(("by", by)), count);
    let closed = |cause, count| (CLOSED_CONNECTIONS, Some(("cause", cause)), count);
    let lost = |cause, count| (DROPPED_FRAMES, Some(("cause", cause)), count);
    let mut counts = vec![
        (SENT_FRAMES, None, stats.frames_sent),
        (SENT_BYTES, None, stats.bytes_sent),
        (RECEIVED_FRAMES, None, stats.frames_received),
        (RECEIVED_BYTES, None, stats.bytes_received),
        (RECEIVE_WAITS, None, stats.receive_waits),
        (CONNECT_FAILURES, None, stats.connect_failures),
        connections("opened", stats.connected),
        connections("accepted", stats.accepted),
        closed("idle", stats.closed_idle),
        closed("write_timeout", stats.write_timeouts),
        closed("superseded", stats.superseded),
        closed("inbound_idle", stats.inbound_idle),
        lost("queue_full", dropped.queue_full),
        lost("not_connected", dropped.not_connected),
        lost("too_long", dropped.too_long),
        lost("unknown_peer", dropped.unknown_peer),
    ];
    counts.extend(
        refused.by_cause().into_iter().map(|(cause, count)| (REFUSED_CONNECTIONS, Some(("cause", cause)), count)),
    );
    counts
}

/// Tells a transport's counters as metrics, with the labels `transport` and `node`: its kind, and its own name.
///
/// ```
/// use std::sync::Arc;
///
/// use anti_entropy_net::{TcpConfig, TcpTransport, TransportMetrics};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let name = anti_entropy::gossip::PeerId::from("node-1");
/// let transport = Arc::new(TcpTransport::bind(TcpConfig::new(name.clone(), "127.0.0.1:0".parse()?)).await?);
/// let counters = Arc::clone(&transport);
/// let telling = tokio::spawn(TransportMetrics::new("tcp", &name).run(move || counters.stats()));
/// // Drive a replica over `transport`; at the end:
/// telling.abort();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TransportMetrics {
    counters: Counters,
}

impl TransportMetrics {
    /// Nothing of a transport of this kind and name was told yet.
    pub fn new(transport: &'static str, node: &PeerId) -> Self {
        describe_metrics();
        let labels =
            vec![Label::from_static_parts("transport", transport), Label::new("node", node.as_str().to_string())];
        Self { counters: Counters::new(labels) }
    }

    /// Tells what was counted since the last time.
    pub fn publish(&mut self, stats: &TransportStats) {
        self.counters.tell(counts(stats));
    }

    /// Tells once a second, until it is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its time driver enabled.
    pub async fn run(mut self, stats: impl Fn() -> TransportStats) {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            self.publish(&stats());
        }
    }
}

/// When to tell counters.
pub(crate) fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Counters that are told by how much they have grown.
#[derive(Debug)]
pub(crate) struct Counters {
    /// What all have in common.
    labels: Vec<Label>,
    /// The counters as they were told last.
    told: Vec<u64>,
}

impl Counters {
    pub(crate) fn new(labels: Vec<Label>) -> Self {
        Self { labels, told: Vec::new() }
    }

    /// Tells what was counted since the last time. The counters come in the same order each time.
    pub(crate) fn tell(&mut self, counts: Vec<Count>) {
        self.told.resize(counts.len(), 0);
        for ((name, label, value), told) in counts.into_iter().zip(&mut self.told) {
            let own = label.map(|(key, value)| Label::from_static_parts(key, value));
            let key = Key::from_parts(name, self.labels.iter().cloned().chain(own).collect::<Vec<_>>());
            let more = value.saturating_sub(*told);
            *told = value.max(*told);
            with_recorder(|recorder| recorder.register_counter(&key, &METADATA).increment(more));
        }
    }
}

/// Tells the present recorder what each metric of this crate and of the driver is. Only needed for a recorder that is
/// installed after drivers and transports have started.
pub fn describe_metrics() {
    anti_entropy::driver::describe_metrics();
    for (name, unit, description) in ALL {
        with_recorder(|recorder| recorder.describe_counter((*name).into(), Some(*unit), (*description).into()));
    }
    #[cfg(feature = "swim")]
    crate::swim::describe_metrics();
}
