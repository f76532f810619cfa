//! What the engine knows and has counted.

use alloc::vec::Vec;
use core::time::Duration;

use super::Engine;
use crate::clock::Now;
use crate::gossip::event::EngineStats;
use crate::gossip::peer::PeerStatus;
use crate::replica::{ReplicaStats, Replicated};
use crate::summary::Root;
use crate::{KeyHash, PeerId};

/// The engine's state, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The Merkle root over all entries.
    pub root: Root,
    /// How many keys hold something.
    pub entries: u64,
    /// How many of them hold concurrent versions.
    pub conflicts: usize,
    /// The longest entry; see [`Replica::largest_entry`](crate::Replica::largest_entry).
    pub largest_entry: Option<(KeyHash, usize)>,
    /// The entry with the most versions; see [`Replica::most_siblings`](crate::Replica::most_siblings).
    pub most_siblings: Option<(KeyHash, usize)>,
    /// At how many keys this replica lacks what it could not take in; see [`Replica::holes`](crate::Replica::holes).
    pub holes: usize,
    /// How many sessions are open.
    pub sessions: usize,
    /// How long ago a session or a push last changed something here; `None` if neither has since the engine was made.
    pub last_joined: Option<Duration>,
    /// What is known of each peer.
    pub peers: Vec<PeerStatus>,
    /// What the engine has counted.
    pub engine: EngineStats,
    /// What the replica has counted.
    pub replica: ReplicaStats,
}

impl<V: Replicated> Engine<V> {
    /// What the engine knows and has counted. O(peers + sessions).
    pub fn status(&mut self, now: Now) -> Status {
        Status {
            root: self.replica.root(),
            entries: self.replica.len(),
            conflicts: self.replica.conflicts(),
            largest_entry: self.replica.largest_entry(),
            most_siblings: self.replica.most_siblings(),
            holes: self.replica.holes_len(),
            sessions: self.sessions.iter().filter(|conversation| conversation.is_open()).count(),
            last_joined: self.last_joined.map(|at| now.elapsed.saturating_sub(at)),
            peers: self.peers.iter().map(|(id, peer)| peer.status(id, now.elapsed)).collect(),
            engine: self.stats(),
            replica: self.replica.stats(),
        }
    }

    /// What the engine has counted.
    pub fn stats(&self) -> EngineStats {
        let mut stats = self.stats;
        self.pushing.count_in(&mut stats);
        stats
    }

    /// How many sessions are held: those that are open, and those that have ended and stay to repeat their last reply.
    pub fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// How long ago the oldest open session was opened; `None` if none is open. O(sessions).
    ///
    /// A session ends at the latest when its peer has been silent for
    /// [`SessionConfig::idle_timeout`](crate::SessionConfig::idle_timeout).
    pub fn oldest_session(&self, now: Now) -> Option<Duration> {
        let open = self.sessions.iter().filter(|conversation| conversation.is_open());
        open.map(|conversation| now.elapsed.saturating_sub(conversation.began_at)).max()
    }

    /// How many pushes and refusals wait to be sent.
    pub fn queued_len(&self) -> usize {
        self.refusals.len() + self.pushing.queued_len()
    }

    /// Whether no session is open and nothing waits to be sent. O(sessions).
    pub fn is_idle(&self) -> bool {
        self.queued_len() == 0 && self.sessions.iter().all(|conversation| !conversation.is_open())
    }

    /// Whether a session that this replica opened at `since` or later certified that the peer has the root that this
    /// replica has now.
    pub fn is_converged_with(&mut self, peer: &PeerId, since: Duration) -> bool {
        self.certified_except(peer, since) == Some(0)
    }

    /// Except at how many keys such a session certified that the peer holds what this replica holds now. `None` if none
    /// did.
    pub(crate) fn certified_except(&mut self, peer: &PeerId, since: Duration) -> Option<u64> {
        let root = self.replica.root();
        let filled = self.replica.filled(self.config.session.max_message_bytes).map_or(root, |filled| filled.root);
        self.peers.get(peer)?.certified_except(root, filled, since)
    }

    /// Whether this is a peer.
    #[cfg(feature = "std")]
    pub(crate) fn knows_peer(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }
}
