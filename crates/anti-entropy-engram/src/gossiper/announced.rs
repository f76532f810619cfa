//! What a peer's root announcement leads to.

use anti_entropy::PeerId;
use anti_entropy::clock::Now;
use anti_entropy::gossip;

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
    /// ([`announcement_pause`](anti_entropy::GossipConfig::announcement_pause)), or the peer failed and is left
    /// alone for a while.
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

impl From<gossip::Announced> for Announced {
    fn from(announced: gossip::Announced) -> Self {
        match announced {
            gossip::Announced::Equal => Self::Equal,
            gossip::Announced::Differs => Self::Differs,
            gossip::Announced::UnknownPeer => Self::UnknownPeer,
            _ => Self::DiffersStill,
        }
    }
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
    /// [`announcement_pause`](anti_entropy::GossipConfig::announcement_pause), and none with a peer that failed and
    /// is left alone.
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
            Announced::from(self.engine.handle_difference(from, now))
        }
    }
}
