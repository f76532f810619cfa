//! Sending root announcements, and reacting to those of peers.

use anti_entropy::PeerId;
use anti_entropy::clock::Now;
use anti_entropy::engine::Announced;

use super::announcement::{MalformedAnnouncement, RootAnnouncement};
use super::consolidation_gossiper::ConsolidationGossiper;

/// What a node did with a peer's root announcement. Its text is for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncementOutcome {
    /// The peer's root is equal to this node's.
    #[error("the peer holds the same")]
    Equal,
    /// The roots differ, and the engine began a comparison with the peer.
    #[error("the peer holds something else; a comparison with it was begun")]
    Differs,
    /// The roots differ, and the engine did not begin another comparison: it began one less than
    /// [`announcement_pause`](anti_entropy::GossipConfig::announcement_pause) ago, or it backs off from the peer
    /// after failures.
    #[error("the peer holds something else; it was compared with a moment ago, or is left alone after failures")]
    DiffersStill,
    /// The peer is in another space.
    #[error("the peer is in another space; look up which space runs where")]
    OtherSpace,
    /// The peer is in the same space with other settings, so that the two refuse each other.
    #[error(
        "the peer has other settings of this space; nothing is exchanged with it; give all nodes the same dimension, encoding, resolution and thresholds"
    )]
    OtherSettings,
    /// The roots differ, and the sender is not among the engine's peers.
    #[error("the peer is not known; add it to the engine's peers")]
    UnknownPeer,
    /// The bytes are not an announcement.
    #[error(transparent)]
    Malformed(MalformedAnnouncement),
}

impl ConsolidationGossiper {
    /// This node's root, to be sent with a failure detector's pings. [`to_bytes`](RootAnnouncement::to_bytes) encodes it in
    /// 49 bytes.
    pub fn root_announcement(&mut self) -> RootAnnouncement {
        let root = self.engine.replica_mut().root();
        RootAnnouncement::new(&self.rules.space, root, self.generation)
    }

    /// Handles an announcement from this peer: begins a comparison with the peer if the roots differ.
    ///
    /// However many announcements arrive, and whatever they say, the engine begins at most one comparison with a peer in each
    /// [`announcement_pause`](anti_entropy::GossipConfig::announcement_pause), and none while it backs off from the
    /// peer after failures.
    pub fn handle_root_announcement(&mut self, from: &PeerId, bytes: &[u8], now: Now) -> AnnouncementOutcome {
        let theirs = match RootAnnouncement::from_bytes(bytes) {
            Ok(theirs) => theirs,
            Err(malformed) => return AnnouncementOutcome::Malformed(malformed),
        };
        let ours = self.root_announcement();
        if theirs.channel != ours.channel {
            return AnnouncementOutcome::OtherSpace;
        }
        if theirs.schema_id != ours.schema_id {
            return AnnouncementOutcome::OtherSettings;
        }
        if theirs.root_prefix == ours.root_prefix {
            return AnnouncementOutcome::Equal;
        }
        match self.engine.handle_difference(from, now) {
            Announced::Equal => AnnouncementOutcome::Equal,
            Announced::Differs => AnnouncementOutcome::Differs,
            Announced::UnknownPeer => AnnouncementOutcome::UnknownPeer,
            _ => AnnouncementOutcome::DiffersStill,
        }
    }
}
