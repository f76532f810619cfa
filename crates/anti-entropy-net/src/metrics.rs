//! The counters of transports as metrics.

use std::marker::PhantomData;
use std::time::Duration;

use ::metrics::{Key, Label, Level, Metadata, Unit, with_recorder};
use anti_entropy::gossip::PeerId;

use crate::stats::TcpStats;

/// How often [`TransportMetrics::run`] tells the counters: as often as the driver does with its own.
const EVERY: Duration = Duration::from_secs(1);

static METADATA: Metadata<'static> = Metadata::new("anti_entropy_net", Level::INFO, Some("anti_entropy_net"));

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
pub type TransportCount = (&'static str, Option<(&'static str, &'static str)>, u64);

/// Counters of a transport that can be told as metrics.
pub trait TransportStats {
    /// The kind of transport, for the label `transport`.
    const TRANSPORT: &'static str;

    /// All counters, always in the same order.
    fn counts(&self) -> Vec<TransportCount>;
}

/// Names the metric, and its own label, that each field of a transport's counters is told as.
macro_rules! tell {
    ($stats:ty as $transport:literal { $($($field:ident).+ => $name:ident $([$key:literal = $value:literal])?,)+ }) => {
        impl TransportStats for $stats {
            const TRANSPORT: &'static str = $transport;

            fn counts(&self) -> Vec<TransportCount> {
                vec![$(($name, tell!(@label $($key, $value)?), self.$($field).+)),+]
            }
        }
    };
    (@label) => { None };
    (@label $key:literal, $value:literal) => { Some(($key, $value)) };
}

tell! { TcpStats as "tcp" {
    frames_sent => SENT_FRAMES,
    bytes_sent => SENT_BYTES,
    frames_received => RECEIVED_FRAMES,
    bytes_received => RECEIVED_BYTES,
    receive_waits => RECEIVE_WAITS,
    connect_failures => CONNECT_FAILURES,
    connected => CONNECTIONS["by" = "opened"],
    accepted => CONNECTIONS["by" = "accepted"],
    closed_idle => CLOSED_CONNECTIONS["cause" = "idle"],
    write_timeouts => CLOSED_CONNECTIONS["cause" = "write_timeout"],
    superseded => CLOSED_CONNECTIONS["cause" = "superseded"],
    inbound_idle => CLOSED_CONNECTIONS["cause" = "inbound_idle"],
    dropped.queue_full => DROPPED_FRAMES["cause" = "queue_full"],
    dropped.not_connected => DROPPED_FRAMES["cause" = "not_connected"],
    dropped.too_long => DROPPED_FRAMES["cause" = "too_long"],
    dropped.unknown_peer => DROPPED_FRAMES["cause" = "unknown_peer"],
    refused.too_many_handshakes => REFUSED_CONNECTIONS["cause" = "too_many_handshakes"],
    refused.too_many_connections => REFUSED_CONNECTIONS["cause" = "too_many_connections"],
    refused.handshake_timeout => REFUSED_CONNECTIONS["cause" = "handshake_timeout"],
    refused.malformed => REFUSED_CONNECTIONS["cause" = "malformed"],
    refused.version => REFUSED_CONNECTIONS["cause" = "version"],
    refused.unknown_peer => REFUSED_CONNECTIONS["cause" = "unknown_peer"],
    refused.wrong_receiver => REFUSED_CONNECTIONS["cause" = "wrong_receiver"],
    refused.frame_too_long => REFUSED_CONNECTIONS["cause" = "frame_too_long"],
} }

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
/// let telling = tokio::spawn(TransportMetrics::new(&name).run(move || counters.stats()));
/// // Drive a replica over `transport`; at the end:
/// telling.abort();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TransportMetrics<S> {
    node: String,
    /// The counters as they were told last.
    told: Vec<u64>,
    stats: PhantomData<fn(&S)>,
}

impl<S: TransportStats> TransportMetrics<S> {
    /// Nothing of a transport of this name was told yet.
    pub fn new(node: &PeerId) -> Self {
        describe_metrics();
        Self { node: node.as_str().to_string(), told: Vec::new(), stats: PhantomData }
    }

    /// Tells what was counted since the last time.
    pub fn publish(&mut self, stats: &S) {
        let counts = stats.counts();
        self.told.resize(counts.len(), 0);
        for ((name, label, value), told) in counts.into_iter().zip(&mut self.told) {
            let mut labels =
                vec![Label::from_static_parts("transport", S::TRANSPORT), Label::new("node", self.node.clone())];
            labels.extend(label.map(|(key, value)| Label::from_static_parts(key, value)));
            let more = value.saturating_sub(*told);
            *told = value.max(*told);
            let key = Key::from_parts(name, labels);
            with_recorder(|recorder| recorder.register_counter(&key, &METADATA).increment(more));
        }
    }

    /// Tells once a second, until it is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its time driver enabled.
    pub async fn run(mut self, stats: impl Fn() -> S) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.publish(&stats());
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
}
