//! The state of a node, for operators.

use std::time::Duration;

use anti_entropy::clock::Now;
use anti_entropy::{PeerId, PeerStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::consolidation_gossiper::ConsolidationGossiper;
use crate::view::ConflictCounts;

/// The state of a node in its space as plain data, for an endpoint such as engram's `/cluster/consolidation`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConsolidationStatus {
    /// The space's id.
    pub space: String,
    /// The node's name.
    pub node: PeerId,
    /// The Merkle root over all patterns, in hexadecimal. Nodes with equal roots hold equal patterns.
    pub root: String,
    /// How many rebuilds have changed something since the gossiper was opened.
    pub generation: u64,
    /// When the snapshot of the last rebuild was made; `None` before the first rebuild.
    pub snapshot_generated_at: Option<DateTime<Utc>>,
    /// How many patterns the node holds, those of all nodes counted.
    pub patterns: u64,
    /// How many patterns of the last snapshot were refused, whether this was told or not.
    pub refused_patterns: usize,
    /// Conflicts between patterns.
    pub conflicts: ConflictStatus,
    /// When an entry of a peer was last taken in, by this node's clock; `None` if none was since opening.
    pub last_merge: Option<DateTime<Utc>>,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes of patterns among those sent.
    pub value_bytes_sent: u64,
    /// The peers.
    pub peers: Vec<PeerConsolidationStatus>,
}

/// How many patterns are in conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConflictStatus {
    /// How many patterns have several versions that say different things (conflicts of type 3).
    pub type3: usize,
    /// How many patterns have several versions that all [say the same](crate::Pattern::says_same): several nodes consolidated
    /// them from the same episodes. They are no conflicts.
    pub replicated: usize,
    /// The counts of the last view that was [noted](ConsolidationGossiper::note_view); `None` if there was none.
    pub view: Option<ConflictCounts>,
}

/// The state of a peer as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PeerConsolidationStatus {
    /// The peer's name.
    pub peer: PeerId,
    /// How many seconds ago the two were equal, by a session or by what the peer announced; `None` if they never were.
    pub lag_seconds: Option<f64>,
    /// How many seconds ago a session certified that the two are equal; `None` if none ever did.
    pub certified_lag_seconds: Option<f64>,
    /// How many seconds ago a frame of the peer last arrived; `None` if none ever did.
    pub silent_seconds: Option<f64>,
    /// How many attempts have failed in a row.
    pub failures: u32,
    /// For how many more seconds the engine backs off from the peer.
    pub backoff_seconds: f64,
    /// How many patterns differed in the last comparison.
    pub differences: u64,
    /// The root that the two had in the last session that certified that they are equal, in hexadecimal.
    pub root: Option<String>,
}

impl ConsolidationGossiper {
    /// The node's state. O(peers), plus hashing of what changed since the last call.
    ///
    /// To tell conflicts from patterns that are merely replicated, it reads what has changed since the last rebuild or call: at
    /// most [`max_step`](super::GossiperConfig::max_step) patterns a call, so that it does not hold up the engine. After more
    /// changes, such as the first synchronisation, `type3` and `replicated` are behind for a few calls; also if the store fails.
    pub fn status(&mut self, now: Now) -> ConsolidationStatus {
        // Whatever does not work here fails the next rebuild, which reports it.
        let _ = self.own.follow(self.engine.replica_mut(), self.max_step.get());
        let versions = &self.own.versions;
        let (type3, replicated) = (versions.differing(), versions.replicated());
        let status = self.engine.status(now);
        ConsolidationStatus {
            space: self.rules.space.id.clone(),
            node: self.node.clone(),
            root: status.root.to_string(),
            generation: self.generation,
            snapshot_generated_at: self.last_snapshot,
            patterns: status.entries,
            refused_patterns: self.refusals.standing(),
            conflicts: ConflictStatus { type3, replicated, view: self.view },
            last_merge: status.last_joined.and_then(|ago| wall_clock(now, ago)),
            bytes_sent: status.engine.bytes_sent,
            bytes_received: status.engine.bytes_received,
            value_bytes_sent: status.engine.value_bytes_sent,
            peers: status.peers.into_iter().map(PeerConsolidationStatus::from).collect(),
        }
    }

    /// Notes the counts of a view of the space for the [status](Self::status). (A view may take seconds to compute, and so is
    /// computed elsewhere.)
    pub fn note_view(&mut self, counts: ConflictCounts) {
        self.view = Some(counts);
    }
}

impl From<PeerStatus> for PeerConsolidationStatus {
    fn from(status: PeerStatus) -> Self {
        Self {
            peer: status.peer,
            lag_seconds: status.lag.map(|lag| lag.as_secs_f64()),
            certified_lag_seconds: status.certified_lag.map(|lag| lag.as_secs_f64()),
            silent_seconds: status.silent.map(|silent| silent.as_secs_f64()),
            failures: status.failures,
            backoff_seconds: status.backoff.as_secs_f64(),
            differences: status.differences,
            root: status.root.map(|root| root.to_string()),
        }
    }
}

/// The wall-clock time `ago` before now; `None` if it is out of the calendar's range.
fn wall_clock(now: Now, ago: Duration) -> Option<DateTime<Utc>> {
    let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    DateTime::from_timestamp_millis(now.unix_ms.saturating_sub(ago_ms).try_into().ok()?)
}
