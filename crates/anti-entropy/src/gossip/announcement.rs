//! Announcements: what a replica holds, in so few bytes that they go along with a failure detector's pings.

use core::time::Duration;

use sha2::{Digest as _, Sha256};

use super::peers::Peer;
use super::{Engine, PeerId};
use crate::clock::Now;
use crate::replica::Replicated;

anti_entropy_summary::__opaque_bytes! {
    /// All that a replica holds and has seen, and the settings that it goes by, in 32 bytes: replicas with equal ones have
    /// nothing to tell each other (docs/protocol.md, "Announcements").
    pub struct StateDigest(32)
}

/// What a peer's announcement led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announced {
    /// The peer holds the same. Rounds pass it over for a while.
    Equal,
    /// The peer holds something else, and a comparison with it was begun.
    Differs,
    /// The peer holds something else, and is left to what is under way: a comparison was begun a moment ago, or the peer
    /// failed and is left alone for a while.
    DiffersStill,
    /// The peer is not among the engine's.
    UnknownPeer,
}

impl Peer {
    /// Whether it has announced this state lately.
    pub(super) fn announces(&self, state: StateDigest, lifetime: Duration, now: Duration) -> bool {
        self.announced.is_some_and(|(at, announced)| announced == state && now.saturating_sub(at) < lifetime)
    }
}

impl<V: Replicated> Engine<V> {
    /// What this replica has to announce.
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
    /// #     Ok::<_, anti_entropy::Error>(Engine::new(replica, GossipConfig::default(), seed.into(), now))
    /// # };
    /// let (mut alice, mut bob) = (engine(1)?, engine(2)?);
    /// let peer = PeerId::from("alice");
    /// bob.add_peer(peer.clone(), None);
    /// assert_eq!(bob.handle_announcement(&peer, alice.announcement(), now), Announced::Equal);
    ///
    /// alice.write(Keyed::new(1u32, "one".to_string()), now)?;
    /// assert_eq!(bob.handle_announcement(&peer, alice.announcement(), now), Announced::Differs);
    /// # Ok::<(), anti_entropy::Error>(())
    /// ```
    pub fn announcement(&mut self) -> StateDigest {
        let held = Sha256::new()
            .chain_update(b"anti-entropy state")
            .chain_update(self.config.session.schema_id.to_be_bytes())
            .chain_update(self.replica.root().as_bytes());
        plant!(announcement(&held));
        StateDigest(held.chain_update(self.replica.context_hash().to_bytes()).finalize().into())
    }

    /// Takes what a peer announces: compares with it at once if it holds something else; if it holds the same, rounds pass
    /// it over for [`announcement_lifetime`](super::GossipConfig::announcement_lifetime).
    ///
    /// It is for the caller to know that the announcement is the peer's, and a fresh one. However often announcements come,
    /// and whatever they say, no more than one comparison with a peer is begun in each
    /// [`announcement_pause`](super::GossipConfig::announcement_pause), and none with a peer that failed and is left alone.
    pub fn handle_announcement(&mut self, from: &PeerId, theirs: StateDigest, now: Now) -> Announced {
        let is_equal = theirs == self.announcement();
        let root = self.replica.root();
        let Some(peer) = self.peers.get_mut(from) else { return Announced::UnknownPeer };
        peer.announced = Some((now.elapsed, theirs));
        if !is_equal {
            return self.handle_difference(from, now);
        }
        peer.converged = Some((now.elapsed, root));
        peer.differences = 0;
        Announced::Equal
    }

    /// Takes the news that a peer holds something else, however that came; as
    /// [`handle_announcement`](Self::handle_announcement) does.
    pub fn handle_difference(&mut self, from: &PeerId, now: Now) -> Announced {
        let Some(peer) = self.peers.get_mut(from) else { return Announced::UnknownPeer };
        let pause = self.config.announcement_pause;
        let was_compared = peer.compared.is_some_and(|at| now.elapsed.saturating_sub(at) < pause);
        if was_compared || peer.not_before > now.elapsed {
            return Announced::DiffersStill;
        }
        peer.compared = Some(now.elapsed);
        self.sync_now(from, false, now);
        Announced::Differs
    }
}
