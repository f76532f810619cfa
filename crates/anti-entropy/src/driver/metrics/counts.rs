//! The counters that are computed from the counts of engine and replica.

use super::names;
use crate::gossip::EngineStats;
use crate::replica::ReplicaStats;

/// A counter's name, its own label if it has one, and its value.
type Count = (&'static str, Option<(&'static str, &'static str)>, u64);

/// The number of counters.
pub(super) const LEN: usize = 37;

/// All of them, always in the same order.
pub(super) fn of(engine: &EngineStats, replica: &ReplicaStats, dropped_frames: u64) -> [Count; LEN] {
    let EngineStats { bytes_sent, push_bytes_sent, value_bytes_sent, part_bytes_sent, .. } = *engine;
    // Values are counted when their first frame leaves, so that for a moment there may be more of them than bytes.
    let (by_sessions, overhead) =
        (bytes_sent.saturating_sub(push_bytes_sent), bytes_sent.saturating_sub(value_bytes_sent));
    let written_here = engine.pushes_sent.saturating_sub(engine.pushes_relayed);
    let needed_bodies = replica.value_bytes_needed.saturating_sub(replica.part_bytes_needed);
    [
        (names::ROUNDS, None, engine.rounds),
        (names::SESSIONS_STARTED, Some(("by", "opened")), engine.sessions_opened),
        (names::SESSIONS_STARTED, Some(("by", "accepted")), engine.sessions_accepted),
        (names::SESSIONS_ENDED, Some(("outcome", "converged")), engine.converged),
        (names::SESSIONS_ENDED, Some(("outcome", "converged_except")), engine.converged_except),
        (names::SESSIONS_ENDED, Some(("outcome", "progress")), engine.progressed),
        (names::SESSIONS_ENDED, Some(("outcome", "partial")), engine.partial),
        (names::SESSIONS_ENDED, Some(("outcome", "refused")), engine.refused),
        (names::SENT_FRAMES, None, engine.frames_sent),
        (names::SENT_BYTES, Some(("by", "session")), by_sessions),
        (names::SENT_BYTES, Some(("by", "push")), push_bytes_sent),
        (names::SENT_CONTENT, Some(("content", "body")), value_bytes_sent.saturating_sub(part_bytes_sent)),
        (names::SENT_CONTENT, Some(("content", "part")), part_bytes_sent),
        (names::SENT_CONTENT, Some(("content", "overhead")), overhead),
        (names::RECEIVED_FRAMES, None, engine.frames_received),
        (names::RECEIVED_BYTES, None, engine.bytes_received),
        (names::RECEIVED_VALUES, None, engine.value_bytes_received),
        (names::NEEDED_VALUES, Some(("content", "body")), needed_bodies),
        (names::NEEDED_VALUES, Some(("content", "part")), replica.part_bytes_needed),
        (names::REFUSED_FRAMES, None, engine.frames_refused),
        (names::DROPPED_FRAMES, None, dropped_frames),
        (names::PUT_OFF_FRAMES, None, engine.frames_put_off),
        (names::WORK_FOR_PEERS, None, engine.work_for_peers),
        (names::DROPPED_FRAGMENTS, None, engine.fragment_bytes_dropped),
        (names::CHANGED_KEYS, None, engine.keys_changed),
        (names::PUSHES_SENT, Some(("from", "here")), written_here),
        (names::PUSHES_SENT, Some(("from", "peers")), engine.pushes_relayed),
        (names::PUSHES_DROPPED, None, engine.pushes_dropped),
        (names::PUSHES_RECEIVED, Some(("result", "taken")), engine.pushes_taken),
        (names::PUSHES_RECEIVED, Some(("result", "seen")), engine.pushes_seen),
        (names::PUSHES_RECEIVED, Some(("result", "not_ready")), engine.pushes_not_ready),
        (names::PUSHES_RECEIVED, Some(("result", "rejected")), engine.pushes_rejected),
        (names::STORE_FAILURES, None, engine.store_failures),
        (names::CONTENT_CLASHES, None, replica.content_clashes),
        (names::HISTORIES_DIFFER, None, replica.histories_differ),
        (names::CLOCK_SKEWS, None, replica.clock_skews),
        (names::RENAMINGS, None, replica.renamings),
    ]
}
