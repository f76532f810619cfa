use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::refusal::{DatagramRefusal, RefusedDatagrams};

/// Counters of a [`Membership`](super::Membership) since it joined. Bytes are those of UDP payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SwimStats {
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes of these.
    pub bytes_sent: u64,
    /// Datagrams that the operating system refused to send; they count as lost.
    pub send_errors: u64,
    /// Datagrams received, with those that were refused.
    pub datagrams_received: u64,
    /// Bytes of these.
    pub bytes_received: u64,
    /// Failures to receive, as the operating system reports them.
    pub receive_errors: u64,
    /// Hellos sent.
    pub hellos_sent: u64,
    /// Sessions begun with a life of a peer.
    pub sessions: u64,
    /// How often this node came back after it was declared down.
    pub rejoins: u64,
    /// Datagrams that were refused, by cause.
    pub refused: RefusedDatagrams,
    /// The datagram that was refused last.
    pub last_refusal: Option<DatagramRefusal>,
}

/// The counters, shared with whoever looks.
#[derive(Debug, Default)]
pub(super) struct Stats(Mutex<SwimStats>);

impl Stats {
    pub(super) fn count(&self, change: impl FnOnce(&mut SwimStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn refuse(&self, refusal: DatagramRefusal) {
        self.count(|stats| {
            stats.refused.add(refusal.reason);
            stats.last_refusal = Some(refusal);
        });
    }

    pub(super) fn snapshot(&self) -> SwimStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
