//! Announcements of peers: what this replica announces, and what those of others lead to.

use sha2::{Digest as _, Sha256};

use super::Engine;
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::announcement::{Announced, StateDigest};
use crate::replica::{Filled, Replicated};

impl<V: Replicated> Engine<V> {
    /// The digest of this replica's state, to be announced to peers. Holes count as filled.
    ///
    /// ```
    /// # use anti_entropy::clock::{Now, Seed};
    /// # use anti_entropy::engine::Engine;
    /// # use anti_entropy::{GossipConfig, Keyed, LastWriterWins, MemoryStore, Replica};
    /// use anti_entropy::engine::Announced;
    /// use anti_entropy::PeerId;
    ///
    /// # let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
    /// # let engine = |seed| {
    /// #     let replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32]))?;
    /// #     Ok::<_, Box<dyn std::error::Error>>(Engine::new(replica, GossipConfig::default(), seed.into(), now)?)
    /// # };
    /// let (mut alice, mut bob) = (engine(1)?, engine(2)?);
    /// let peer = PeerId::from("alice");
    /// bob.add_peer(peer.clone(), None);
    /// assert_eq!(bob.handle_announcement(&peer, alice.announcement(), now), Announced::Equal);
    ///
    /// alice.write(Keyed::new(1u32, "one".to_string()), now)?;
    /// assert_eq!(bob.handle_announcement(&peer, alice.announcement(), now), Announced::Differs);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn announcement(&mut self) -> StateDigest {
        let (root, context) = match self.filled() {
            Some(filled) => (filled.root, filled.context),
            None => (self.replica.root(), self.replica.context_hash()),
        };
        let held = Sha256::new()
            .chain_update(b"anti-entropy state")
            .chain_update(self.config.session.schema_id.to_be_bytes())
            .chain_update(root.as_bytes());
        plant!(announcement(&held));
        StateDigest::from_bytes(held.chain_update(context.to_bytes()).finalize().into())
    }

    /// Handles what a peer announces. If the peer holds something else, a session with it is started. If it holds the
    /// same, rounds pass it over for [`announcement_lifetime`](crate::GossipConfig::announcement_lifetime), until a session
    /// has to certify it again: see [`certify_every`](crate::GossipConfig::certify_every).
    ///
    /// The announcement need not be authentic, but hand in none that the caller knows to be old or another node's. However often announcements come, and
    /// whatever they say, at most one session with a peer is started because of them in each
    /// [`announcement_pause`](crate::GossipConfig::announcement_pause), and none during a back-off.
    pub fn handle_announcement(&mut self, from: &PeerId, theirs: StateDigest, now: Now) -> Announced {
        let is_equal = theirs == self.announcement();
        let Some(peer) = self.peers.get_mut(from) else { return Announced::UnknownPeer };
        if is_equal {
            peer.announced_equal(theirs, now.elapsed);
            return Announced::Equal;
        }
        peer.announced_difference(theirs, now.elapsed);
        self.handle_difference(from, now)
    }

    /// What is announced instead of the state itself, since the peers that differ from it at holes alone have nothing to
    /// say. Whether a peer can send by now what was too long for it, only a session tells.
    fn filled(&mut self) -> Option<Filled> {
        self.replica.filled(self.config.session.max_message_bytes).filter(|filled| filled.peer_limit.is_none())
    }

    /// Handles the news that a peer holds something else, from whatever source, as
    /// [`handle_announcement`](Self::handle_announcement) does.
    pub fn handle_difference(&mut self, from: &PeerId, now: Now) -> Announced {
        let Some(peer) = self.peers.get_mut(from) else { return Announced::UnknownPeer };
        if !peer.may_follow_announcement(self.config.announcement_pause, now.elapsed) {
            return Announced::DiffersStill;
        }
        self.sync_now(from, now);
        Announced::Differs
    }
}
