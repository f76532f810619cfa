//! What an operator asks of a node.

use std::fmt::Write as _;
use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::summary::Root;
use anti_entropy::{PeerId, PeerStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ConsolidationGossiper;
use crate::view::ConflictCounts;

/// The state of a node in its space, as plain data, for an endpoint such as engram's `/cluster/consolidation`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConsolidationStatus {
    /// The space's id.
    pub space: String,
    /// The node's name.
    pub node: PeerId,
    /// The Merkle root over all patterns, in hexadecimal; equal roots mean equal patterns.
    pub root: String,
    /// How many rebuilds have changed something since the gossiper was opened.
    pub generation: u64,
    /// When the snapshot of the last rebuild was made.
    pub snapshot_generated_at: Option<DateTime<Utc>>,
    /// How many patterns are held, of all nodes.
    pub patterns: u64,
    /// How many patterns of that snapshot were left out.
    pub refused_patterns: usize,
    /// Conflicts between patterns.
    pub conflicts: ConflictStatus,
    /// When something of a peer was last taken in, by this node's clock; nothing if it was not since opening.
    pub last_merge: Option<DateTime<Utc>>,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes of patterns among those sent.
    pub value_bytes_sent: u64,
    /// What is known of each peer.
    pub peers: Vec<PeerConsolidationStatus>,
}

/// How many patterns are in conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConflictStatus {
    /// How many patterns have several versions now (conflicts of type 3).
    pub type3: usize,
    /// What the last view that was [noted](ConsolidationGossiper::note_view) counted; nothing if there was none.
    pub view: Option<ConflictCounts>,
}

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PeerConsolidationStatus {
    /// The peer.
    pub peer: PeerId,
    /// How many seconds ago both certified that they are equal; nothing if they never did.
    pub lag_seconds: Option<f64>,
    /// How many seconds ago the peer was last heard; nothing if it never was.
    pub silent_seconds: Option<f64>,
    /// How many attempts have failed since the last one that did not.
    pub failures: u32,
    /// How many seconds the peer is still left alone after failures.
    pub backoff_seconds: f64,
    /// How many patterns differed when the two were last compared.
    pub differences: u64,
    /// The root that both had when they were equal, in hexadecimal.
    pub root: Option<String>,
}

impl ConsolidationGossiper {
    /// What this node holds, knows of its peers, and has counted. O(peers), and hashing of what changed since the last call.
    pub fn status(&mut self, now: Now) -> ConsolidationStatus {
        let status = self.engine.status(now);
        ConsolidationStatus {
            space: self.space.id.clone(),
            node: self.node.clone(),
            root: hex(status.root),
            generation: self.generation,
            snapshot_generated_at: self.last_snapshot,
            patterns: status.entries,
            refused_patterns: self.refused_patterns,
            conflicts: ConflictStatus { type3: status.conflicts, view: self.view },
            last_merge: status.last_joined.and_then(|ago| wall_clock(now, ago)),
            bytes_sent: status.engine.bytes_sent,
            bytes_received: status.engine.bytes_received,
            value_bytes_sent: status.engine.value_bytes_sent,
            peers: status.peers.into_iter().map(PeerConsolidationStatus::from).collect(),
        }
    }

    /// Notes what a view of the space counted, for the [status](Self::status). (The view is computed elsewhere: it may take
    /// seconds.)
    pub fn note_view(&mut self, counts: ConflictCounts) {
        self.view = Some(counts);
    }
}

impl From<PeerStatus> for PeerConsolidationStatus {
    fn from(status: PeerStatus) -> Self {
        Self {
            peer: status.peer,
            lag_seconds: status.lag.map(|lag| lag.as_secs_f64()),
            silent_seconds: status.silent.map(|silent| silent.as_secs_f64()),
            failures: status.failures,
            backoff_seconds: status.backoff.as_secs_f64(),
            differences: status.differences,
            root: status.root.map(hex),
        }
    }
}

fn hex(root: Root) -> String {
    root.as_bytes().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

/// The time that was so long ago; nothing if a calendar does not reach so far.
fn wall_clock(now: Now, ago: Duration) -> Option<DateTime<Utc>> {
    let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    DateTime::from_timestamp_millis(now.unix_ms.saturating_sub(ago_ms).try_into().ok()?)
}
