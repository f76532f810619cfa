//! What the metrics are called, and what they say. docs/operations.md has the same table, and a test compares the two.

use metrics::Unit;

/// What kind of metric, by how it is described.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Declares a constant for each name, and the list of them all.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $unit:ident $description:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*
        const ALL: &[(Kind, &str, Unit, &str)] = &[$((Kind::$kind, $name, Unit::$unit, $description)),*];
    };
}

metrics! {
    ROUNDS = Counter "anti_entropy_rounds_total" Count "rounds of gossip";
    SESSIONS_STARTED = Counter "anti_entropy_sessions_started_total" Count "sessions started, by who opened them";
    SESSIONS_ENDED = Counter "anti_entropy_sessions_ended_total" Count "sessions over, by outcome";
    SESSION_FAILURES = Counter "anti_entropy_session_failures_total" Count "partial and refused sessions, by reason";
    SESSION_SECONDS = Histogram "anti_entropy_session_seconds" Seconds "from a session's opening to its end";
    COMPARE_SECONDS = Histogram "anti_entropy_compare_seconds" Seconds "handling a frame that compared";
    JOIN_SECONDS = Histogram "anti_entropy_join_seconds" Seconds "handling a frame by which something changed here";
    SENT_FRAMES = Counter "anti_entropy_sent_frames_total" Count "frames sent";
    SENT_BYTES = Counter "anti_entropy_sent_bytes_total" Bytes "bytes of frames sent, by what sent them";
    SENT_CONTENT = Counter "anti_entropy_sent_content_bytes_total" Bytes "the same bytes, by what they are";
    RECEIVED_FRAMES = Counter "anti_entropy_received_frames_total" Count "frames received";
    RECEIVED_BYTES = Counter "anti_entropy_received_bytes_total" Bytes "bytes of frames received";
    RECEIVED_VALUES = Counter "anti_entropy_received_value_bytes_total" Bytes "bytes of values received";
    NEEDED_VALUES = Counter "anti_entropy_needed_value_bytes_total" Bytes "bytes of values received and not yet held";
    OVERSTREAM = Gauge "anti_entropy_overstream_ratio" Count "bytes of values received for each one needed";
    REFUSED_FRAMES = Counter "anti_entropy_refused_frames_total" Count "frames that were none, or from nobody known";
    DROPPED_FRAMES = Counter "anti_entropy_dropped_frames_total" Count "frames for which the engine's queue had no room";
    CHANGED_KEYS = Counter "anti_entropy_changed_keys_total" Count "keys at which sessions changed something here";
    PUSHES_SENT = Counter "anti_entropy_sent_pushes_total" Count "writes pushed, for each peer, by where they came from";
    PUSHES_DROPPED = Counter "anti_entropy_dropped_pushes_total" Count "pushes not sent since too many waited";
    PUSHES_RECEIVED = Counter "anti_entropy_received_pushes_total" Count "pushes received, by what became of them";
    REJECTIONS = Counter "anti_entropy_rejections_total" Count "pushes and batches rejected here, by reason";
    STORE_FAILURES = Counter "anti_entropy_store_failures_total" Count "times that the store failed under the engine";
    CONTENT_CLASHES = Counter "anti_entropy_content_clashes_total" Count "writes met with two contents";
    HISTORIES_DIFFER = Counter "anti_entropy_histories_differ_total" Count "peers that saw the same and hold something else";
    CLOCK_SKEWS = Counter "anti_entropy_clock_skews_total" Count "timestamps of peers too far ahead";
    RENAMINGS = Counter "anti_entropy_renamings_total" Count "times that the store was found to be rolled back";
    MISSED_EVENTS = Counter "anti_entropy_missed_events_total" Count "events dropped, and missing where events are counted";
    ENTRIES = Gauge "anti_entropy_entries" Count "keys that hold something";
    CONFLICTS = Gauge "anti_entropy_conflicts" Count "keys that hold concurrent versions";
    CLOCK_REPLICAS = Gauge "anti_entropy_clock_replicas" Count "replica ids that the clock names";
    SESSIONS = Gauge "anti_entropy_open_sessions" Count "sessions open";
    OLDEST_SESSION = Gauge "anti_entropy_oldest_session_seconds" Seconds "how long the oldest session has been open";
    LAST_JOINED = Gauge "anti_entropy_last_joined_seconds" Seconds "since something of a peer was taken in";
    QUEUED = Gauge "anti_entropy_queued" Count "what waits, by kind";
    PEERS = Gauge "anti_entropy_peers" Count "peers known";
    PEER_LAG = Gauge "anti_entropy_peer_lag_seconds" Seconds "since the peer was last certified to be equal";
    PEER_SILENT = Gauge "anti_entropy_peer_silent_seconds" Seconds "since the peer was last heard";
    PEER_DIFFERENCES = Gauge "anti_entropy_peer_differences" Count "keys found to differ when the peer was last compared with";
    PEER_FAILURES = Gauge "anti_entropy_peer_failures" Count "attempts that failed since the last one that did not";
    PEER_BACKOFF = Gauge "anti_entropy_peer_backoff_seconds" Seconds "how long the peer is still left alone";
}

/// Tells the present recorder what each metric is. The driver does so when it starts; call it after installing a recorder
/// later than that.
///
/// ```
/// anti_entropy::describe_metrics();
/// ```
pub fn describe_metrics() {
    for (kind, name, unit, description) in ALL {
        metrics::with_recorder(|recorder| {
            let (name, unit, description) = ((*name).into(), Some(*unit), (*description).into());
            match kind {
                Kind::Counter => recorder.describe_counter(name, unit, description),
                Kind::Gauge => recorder.describe_gauge(name, unit, description),
                Kind::Histogram => recorder.describe_histogram(name, unit, description),
            }
        });
    }
}
