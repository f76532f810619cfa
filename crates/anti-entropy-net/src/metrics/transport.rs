use ::metrics::{Label, Unit, with_recorder};
use anti_entropy::PeerId;

use super::counters::{Count, CounterMetrics, ticks};
use crate::stats::TransportStats;

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

/// Describes the metrics to the recorder that is installed now.
pub(crate) fn describe_transport_metrics() {
    for (name, unit, description) in ALL {
        with_recorder(|recorder| recorder.describe_counter((*name).into(), Some(*unit), (*description).into()));
    }
}

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

/// Publishes a transport's counters as metrics, with two labels: `transport`, its kind, and `node`, its own name.
///
/// ```
/// use std::sync::Arc;
///
/// use anti_entropy_net::{TcpConfig, TcpTransport, TransportMetrics};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let name = anti_entropy::PeerId::from("node-1");
/// let transport = Arc::new(TcpTransport::bind(TcpConfig::new("test".parse()?, name.clone(), "127.0.0.1:0".parse()?)).await?);
/// let counters = Arc::clone(&transport);
/// let publishing = tokio::spawn(TransportMetrics::new("tcp", &name).run(move || counters.stats()));
/// // Drive a replica over `transport`; at the end:
/// publishing.abort();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TransportMetrics {
    counters: CounterMetrics,
}

impl TransportMetrics {
    /// The metrics of a transport of this kind, on the node of this name. Nothing is published yet.
    pub fn new(transport: &'static str, node: &PeerId) -> Self {
        describe_transport_metrics();
        let labels =
            vec![Label::from_static_parts("transport", transport), Label::new("node", node.as_str().to_string())];
        Self { counters: CounterMetrics::new(labels) }
    }

    /// Publishes what was counted since the last time.
    pub fn publish(&mut self, stats: &TransportStats) {
        self.counters.publish(counts(stats));
    }

    /// Publishes once a second, until the future is dropped.
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
