//! What a peer's root announcement leads to.

use anti_entropy::clock::Now;
use anti_entropy::gossip::PeerId;

use super::ConsolidationGossiper;
use super::announcement::{Announcement, MalformedAnnouncement};

/// What a peer's root announcement led to. Its text is for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Announced {
    /// The peer holds the same.
    #[error("the peer holds the same")]
    Equal,
    /// The peer holds something else, and a comparison with it was begun.
    #[error("the peer holds something else; a comparison with it was begun")]
    Differs,
    /// The peer holds something else, and is left to what is under way: a comparison was begun a moment ago
    /// ([`announcement_pause`](super::GossiperConfig::announcement_pause)), or the peer failed and is left alone for a while.
    #[error("the peer holds something else; it was compared with a moment ago, or is left alone after failures")]
    DiffersStill,
    /// The peer is in another space.
    #[error("the peer is in another space; look up which space runs where")]
    OtherSpace,
    /// The peer is in the same space with other settings: the two refuse each other.
    #[error(
        "the peer has other settings of this space; nothing is exchanged with it; give all nodes the same dimension, encoding, resolution and thresholds"
    )]
    OtherSettings,
    /// The peer holds something else, and is not among the engine's peers.
    #[error("the peer is not known; add it to the engine's peers")]
    UnknownPeer,
    /// The bytes are no announcement.
    #[error(transparent)]
    Malformed(MalformedAnnouncement),
}

impl ConsolidationGossiper {
    /// What this node holds, to be sent along with a failure detector's pings:
    /// [`to_bytes`](Announcement::to_bytes) makes it 49 bytes.
    pub fn root_announcement(&mut self) -> Announcement {
        let root = self.engine.replica_mut().root();
        Announcement::new(&self.space, root, self.generation)
    }

    /// Takes an announcement that came from this peer, and begins a comparison with it if it holds something else.
    ///
    /// However often announcements come, and whatever they say, no more than one comparison with a peer is begun in each
    /// [`announcement_pause`](super::GossiperConfig::announcement_pause), and none with a peer that failed and is left
    /// alone. O(peers)
    pub fn handle_root_announcement(&mut self, from: &PeerId, bytes: &[u8], now: Now) -> Announced {
        let theirs = match Announcement::from_bytes(bytes) {
            Ok(theirs) => theirs,
            Err(malformed) => return Announced::Malformed(malformed),
        };
        let ours = self.root_announcement();
        if theirs.space != ours.space {
            Announced::OtherSpace
        } else if theirs.agreement != ours.agreement {
            Announced::OtherSettings
        } else if theirs.root == ours.root {
            Announced::Equal
        } else {
            self.begin_comparison(from, now)
        }
    }

    fn begin_comparison(&mut self, peer: &PeerId, now: Now) -> Announced {
        let status = self.engine.status(now);
        let Some(known) = status.peers.iter().find(|known| known.peer == *peer) else {
            return Announced::UnknownPeer;
        };
        let pause = self.config.announcement_pause;
        // Also so that the map does not grow beyond the peers that there are.
        self.compared.retain(|_, at| now.elapsed.saturating_sub(*at) < pause);
        if !known.backoff.is_zero() || self.compared.contains_key(peer) {
            return Announced::DiffersStill;
        }
        self.compared.insert(peer.clone(), now.elapsed);
        self.engine.sync_now(peer, false, now);
        Announced::Differs
    }
}
