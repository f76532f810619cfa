use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::refusal::{ConnectionRefusal, ConnectionRefusalReason, RefusalLog, RefusedConnections};

/// What a transport has counted since it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Frames written to a connection. They may still be lost if the connection breaks.
    pub frames_sent: u64,
    /// Bytes of these frames, without their lengths.
    pub bytes_sent: u64,
    /// Frames received and queued for `receive`.
    pub frames_received: u64,
    /// Bytes of these frames, without their lengths.
    pub bytes_received: u64,
    /// Frames that had to wait for room in the receive queue. While they waited, their connections were not read.
    pub receive_waits: u64,
    /// Outbound connections that the peer accepted.
    pub connected: u64,
    /// Attempts to connect that failed or that the peer refused.
    pub connect_failures: u64,
    /// Outbound connections closed because there was nothing to send.
    pub closed_idle: u64,
    /// Outbound connections closed because a frame could not be written in time.
    pub write_timeouts: u64,
    /// Inbound connections accepted.
    pub accepted: u64,
    /// Inbound connections closed because the peer opened a newer one.
    pub superseded: u64,
    /// Inbound connections closed because nothing arrived.
    pub inbound_idle: u64,
    /// Frames that were to be sent and were dropped, by cause.
    pub dropped: DroppedFrames,
    /// Connections that were refused, or closed because of what the other side did, by reason.
    pub refused: RefusedConnections,
}

/// Frames that were to be sent and were dropped, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DroppedFrames {
    /// The queue to the peer was full.
    pub queue_full: u64,
    /// There was no connection to the peer, or it ended while the frames waited.
    pub not_connected: u64,
    /// The frames were longer than the limit.
    pub too_long: u64,
    /// The peer was unknown.
    pub unknown_peer: u64,
}

/// The counters and the last refusals, which all tasks of a transport share.
#[derive(Debug)]
pub(crate) struct Stats {
    counters: Mutex<TransportStats>,
    refusals: Mutex<RefusalLog>,
    refusals_logged_per_second: u32,
}

impl Stats {
    pub(crate) fn new(refusals_logged_per_second: u32) -> Self {
        Self { counters: Mutex::default(), refusals: Mutex::default(), refusals_logged_per_second }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut TransportStats)) {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn snapshot(&self) -> TransportStats {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a refusal, remembers it, and logs it unless there were too many of late.
    pub(crate) fn refuse(&self, reason: ConnectionRefusalReason, remote: SocketAddr, detail: impl Into<String>) {
        let refusal = ConnectionRefusal::new(reason, remote, detail.into());
        let logged = self.lock_refusals().note(refusal.clone(), Instant::now(), self.refusals_logged_per_second);
        if logged {
            #[cfg(feature = "tracing")]
            tracing::warn!(%remote, %reason, detail = %refusal.detail, "refused a connection");
        }
        // Last, so that the refusal is there when its count is seen.
        self.count(|stats| stats.refused.add(reason));
    }

    pub(crate) fn last_refusals(&self) -> Vec<ConnectionRefusal> {
        self.lock_refusals().last()
    }

    fn lock_refusals(&self) -> MutexGuard<'_, RefusalLog> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
