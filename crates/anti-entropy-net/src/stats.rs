use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::refusal::{Refusal, RefusalReason, Refusals};

/// Counters of a transport since it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Frames written to a connection; what breaks later may still lose them.
    pub frames_sent: u64,
    /// Bytes of these frames, without their lengths.
    pub bytes_sent: u64,
    /// Frames received and queued for `receive`.
    pub frames_received: u64,
    /// Bytes of these frames, without their lengths.
    pub bytes_received: u64,
    /// Frames that had to wait for room in the receive queue; their connections were read no further meanwhile.
    pub receive_waits: u64,
    /// Outbound connections that were accepted by the peer.
    pub connected: u64,
    /// Attempts to connect that failed or were refused by the peer.
    pub connect_failures: u64,
    /// Outbound connections closed because there was nothing to send.
    pub closed_idle: u64,
    /// Outbound connections given up because a frame could not be written in time.
    pub write_timeouts: u64,
    /// Inbound connections accepted.
    pub accepted: u64,
    /// Inbound connections closed because the peer opened a newer one.
    pub superseded: u64,
    /// Inbound connections closed because nothing came.
    pub inbound_idle: u64,
    /// Frames to be sent that were dropped, by cause.
    pub dropped: DroppedFrames,
    /// Connections that were refused or closed for what the other side did, by cause.
    pub refused: RefusedConnections,
}

/// Frames to be sent that were dropped, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DroppedFrames {
    /// The queue to the peer was full.
    pub queue_full: u64,
    /// There was no connection to the peer, or it ended while they waited.
    pub not_connected: u64,
    /// They were longer than the limit.
    pub too_long: u64,
    /// The peer was not known.
    pub unknown_peer: u64,
}

/// Connections that were refused or closed for what the other side did, by cause; over TLS also those that this side
/// opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RefusedConnections {
    /// Too many were in their handshake.
    pub too_many_handshakes: u64,
    /// Too many were open.
    pub too_many_connections: u64,
    /// The handshake took too long.
    pub handshake_timeout: u64,
    /// What arrived was no hello, or ended in the middle of one.
    pub malformed: u64,
    /// The other side speaks another version.
    pub version: u64,
    /// The other side is not one of the peers.
    pub unknown_peer: u64,
    /// The other side looked for a node of another name.
    pub wrong_receiver: u64,
    /// A frame longer than the limit was announced.
    pub frame_too_long: u64,
    /// What was to be a stream of frames was none.
    pub stream: u64,
    /// What arrived was not TLS, or broke its rules.
    pub not_tls: u64,
    /// TLS was spoken, but not for this protocol.
    pub protocol: u64,
    /// The other side had no certificate.
    pub no_certificate: u64,
    /// The certificate was from no authority that is trusted.
    pub unknown_issuer: u64,
    /// The certificate was not on the list.
    pub unlisted: u64,
    /// The certificate had expired, or was not valid yet.
    pub outside_validity: u64,
    /// The certificate was another node's.
    pub wrong_name: u64,
    /// Anything else was wrong with the certificate, or with the proof that it is the other side's.
    pub bad_certificate: u64,
    /// The other side refused this node's certificate.
    pub refused_by_peer: u64,
    /// The certificate of an open connection is trusted no longer.
    pub no_longer_trusted: u64,
}

/// The counters, shared by the tasks, and the last refusals.
#[derive(Debug)]
pub(crate) struct Stats {
    counters: Mutex<TransportStats>,
    refusals: Mutex<Refusals>,
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
    pub(crate) fn refuse(&self, reason: RefusalReason, remote: SocketAddr, detail: impl Into<String>) {
        let refusal = Refusal::new(reason, remote, detail.into());
        let logged = self.lock_refusals().note(refusal.clone(), Instant::now(), self.refusals_logged_per_second);
        if logged {
            #[cfg(feature = "tracing")]
            tracing::warn!(%remote, %reason, detail = %refusal.detail, "refused a connection");
        }
        // Last, so that whoever sees the count finds the refusal.
        self.count(|stats| *reason.counter(&mut stats.refused) += 1);
    }

    pub(crate) fn last_refusals(&self) -> Vec<Refusal> {
        self.lock_refusals().last()
    }

    fn lock_refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
