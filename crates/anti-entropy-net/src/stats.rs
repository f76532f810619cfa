use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Counters of a [`TcpTransport`](crate::TcpTransport) since it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TcpStats {
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
    /// Inbound connections that were refused or closed for what the other side did, by cause.
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

/// Inbound connections that were refused or closed for what the other side did, by cause.
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
}

/// The counters, shared by the tasks.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<TcpStats>);

impl Stats {
    pub(crate) fn count(&self, change: impl FnOnce(&mut TcpStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn snapshot(&self) -> TcpStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
