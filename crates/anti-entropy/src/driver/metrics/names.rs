//! The names of the metrics, and what each means. docs/operations.md has the same table, and a test compares the two.

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
    ROUNDS = Counter "anti_entropy_rounds_total" Count "rounds of gossip started";
    SESSIONS_STARTED = Counter "anti_entropy_sessions_started_total" Count "sessions started, by who opened them";
    SESSIONS_ENDED = Counter "anti_entropy_sessions_ended_total" Count "sessions ended, by outcome";
    SESSION_FAILURES = Counter "anti_entropy_session_failures_total" Count "partial and refused sessions, by reason";
    SESSION_SECONDS = Histogram "anti_entropy_session_seconds" Seconds "time from a session's opening to its end";
    COMPARE_SECONDS = Histogram "anti_entropy_compare_seconds" Seconds "time to handle a frame that compared";
    JOIN_SECONDS = Histogram "anti_entropy_join_seconds" Seconds "time to handle a frame that changed something here, or all frames of pushes that share a commit";
    SENT_FRAMES = Counter "anti_entropy_sent_frames_total" Count "frames sent";
    SENT_BYTES = Counter "anti_entropy_sent_bytes_total" Bytes "bytes of frames sent, by origin";
    SENT_CONTENT = Counter "anti_entropy_sent_content_bytes_total" Bytes "bytes of frames sent, by content";
    RECEIVED_FRAMES = Counter "anti_entropy_received_frames_total" Count "frames received";
    RECEIVED_BYTES = Counter "anti_entropy_received_bytes_total" Bytes "bytes of frames received";
    RECEIVED_VALUES = Counter "anti_entropy_received_value_bytes_total" Bytes "bytes of values received";
    NEEDED_VALUES = Counter "anti_entropy_needed_value_bytes_total" Bytes "bytes of values received and not yet held";
    OVERSTREAM = Gauge "anti_entropy_overstream_ratio" Count "bytes of values received for each one needed";
    REFUSED_FRAMES = Counter "anti_entropy_refused_frames_total" Count
        "frames that do not parse, or came from an unknown peer";
    DROPPED_FRAMES = Counter "anti_entropy_dropped_frames_total" Count
        "frames dropped since the engine's queue had no room: the newest of the peer of which most waited";
    PUT_OFF_FRAMES = Counter "anti_entropy_put_off_frames_total" Count
        "requests and pushes dropped since their peer had more done than it may have";
    WORK_FOR_PEERS = Counter "anti_entropy_work_for_peers_total" Count
        "work of comparing and decoding for the sessions and pushes of peers, in entries";
    DROPPED_FRAGMENTS = Counter "anti_entropy_dropped_fragment_bytes_total" Bytes
        "bytes of messages dropped before they were complete, since too many were held";
    CHANGED_KEYS = Counter "anti_entropy_changed_keys_total" Count "keys that sessions changed here";
    PUSHES_SENT = Counter "anti_entropy_sent_pushes_total" Count
        "pushes sent, once for each peer, by where the write came from";
    PUSHES_DROPPED = Counter "anti_entropy_dropped_pushes_total" Count "pushes not sent because the queue was full";
    PUSHES_RECEIVED = Counter "anti_entropy_received_pushes_total" Count "pushes received, by result";
    REJECTIONS = Counter "anti_entropy_rejections_total" Count "pushes and batches rejected here, by reason";
    STORE_FAILURES = Counter "anti_entropy_store_failures_total" Count "failures of the store in the engine's work";
    CONTENT_CLASHES = Counter "anti_entropy_content_clashes_total" Count
        "writes that were found with two different contents";
    HISTORIES_DIFFER = Counter "anti_entropy_histories_differ_total" Count
        "keys at which a peer has seen the same and holds something else";
    CLOCK_SKEWS = Counter "anti_entropy_clock_skews_total" Count "timestamps of peers that were too far ahead";
    RENAMINGS = Counter "anti_entropy_renamings_total" Count "times that the store was found to have been rolled back";
    MISSED_EVENTS = Counter "anti_entropy_missed_events_total" Count
        "events dropped, and so missing in what is counted from events";
    ENTRIES = Gauge "anti_entropy_entries" Count "keys that hold something";
    CONFLICTS = Gauge "anti_entropy_conflicts" Count "keys that hold concurrent versions";
    LARGEST_ENTRY = Gauge "anti_entropy_largest_entry_bytes" Bytes "bytes of the longest entry, as limits count them";
    MOST_SIBLINGS = Gauge "anti_entropy_most_siblings" Count "concurrent versions at the key that has the most; 0 if none has several";
    HOLES = Gauge "anti_entropy_holes" Count "keys at which something could not be taken in";
    CLOCK_REPLICAS = Gauge "anti_entropy_clock_replicas" Count "replica ids in the clock";
    SESSIONS = Gauge "anti_entropy_open_sessions" Count "sessions open";
    OLDEST_SESSION = Gauge "anti_entropy_oldest_session_seconds" Seconds
        "time since the oldest open session was opened";
    LAST_JOINED = Gauge "anti_entropy_last_joined_seconds" Seconds
        "time since a session or a push last changed something here";
    QUEUED = Gauge "anti_entropy_queued" Count "frames and calls that wait, by kind";
    PEERS = Gauge "anti_entropy_peers" Count "peers known";
    PEER_LAG = Gauge "anti_entropy_peer_lag_seconds" Seconds
        "time since the peer was last equal, by a session or by what it announced";
    PEER_CERTIFIED_LAG = Gauge "anti_entropy_peer_certified_lag_seconds" Seconds
        "time since a session last certified that the peer is equal";
    PEER_SILENT = Gauge "anti_entropy_peer_silent_seconds" Seconds "time since the last frame of the peer";
    PEER_DIFFERENCES = Gauge "anti_entropy_peer_differences" Count
        "keys that differed when the peer was last compared with";
    PEER_FAILURES = Gauge "anti_entropy_peer_failures" Count "sessions with the peer that failed in a row";
    PEER_PUT_OFF = Gauge "anti_entropy_peer_put_off_seconds" Seconds
        "time for which requests and pushes of the peer are dropped, since it had more done than it may have";
    PEER_BACKOFF = Gauge "anti_entropy_peer_backoff_seconds" Seconds
        "time for which no session with the peer is opened, after failures";
}

/// Describes every metric to the installed recorder. The driver does so when it starts: call this if you install a
/// recorder after that.
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
