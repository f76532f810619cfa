use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::refusal::{DatagramRefusal, RefusedDatagrams};

/// What a [`Membership`](super::Membership) has counted since it joined. Bytes are those of UDP payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SwimStats {
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes of the datagrams sent.
    pub bytes_sent: u64,
    /// Datagrams that the operating system refused to send, or had no random bytes for.
    pub send_errors: u64,
    /// Datagrams received, including those that were refused.
    pub datagrams_received: u64,
    /// Bytes of the datagrams received.
    pub bytes_received: u64,
    /// Failures to receive, as the operating system reports them.
    pub receive_errors: u64,
    /// Hellos sent.
    pub hellos_sent: u64,
    /// Sessions begun. There is one with each process of a peer.
    pub sessions: u64,
    /// How often this node came back after others had declared it down, after it was put back, or after it heard nobody.
    pub rejoins: u64,
    /// How often this node noticed that it was put back to an earlier state, or runs twice.
    pub put_backs: u64,
    /// Datagrams that were refused, by reason.
    pub refused: RefusedDatagrams,
    /// The datagram that was refused last.
    pub last_refusal: Option<DatagramRefusal>,
}

/// The counters, which the node and those who read them share.
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
