//! What a node keeps for the trailers of its pings.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use anti_entropy::summary::Root;
use anti_entropy::{ConfigError, PeerId};
use serde::{Deserialize, Serialize};

use super::trailer::Trailer;
use crate::gossiper::RootAnnouncement;

/// Settings of [`PingTrailers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PingTrailersConfig {
    /// How long a datagram may be with its trailer. At most 65,507, the longest over UDP; 1,400 by default, which is what
    /// engram receives, and passes most networks in one piece. What does not fit has its turn with the next ping; a message
    /// that leaves no room goes without a trailer.
    pub max_datagram_bytes: usize,
    /// How many spaces are announced in a ping. At least 1; 8 by default: 408 bytes. A node with more of them announces these
    /// in turn, so that 100 spaces have had theirs within 13 pings.
    pub max_announcements: NonZeroUsize,
    /// How many peers may be learnt. At least 1; 1,024 by default, as many replicas as a clock names. Anybody who can send a
    /// datagram can make up names, and each takes some 100 bytes here and in a transport.
    pub max_peers: NonZeroUsize,
}

impl Default for PingTrailersConfig {
    fn default() -> Self {
        let non_zero = |number| NonZeroUsize::new(number).expect("it is not zero");
        Self { max_datagram_bytes: 1_400, max_announcements: non_zero(8), max_peers: non_zero(1_024) }
    }
}

impl PingTrailersConfig {
    const MAX_UDP_BYTES: usize = 65_507;

    /// These settings with some of them changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_datagram_bytes > Self::MAX_UDP_BYTES {
            return Err(ConfigError::new("max_datagram_bytes", self.max_datagram_bytes, "at most 65507"));
        }
        Ok(())
    }
}

/// What a node keeps for the trailers of its pings: whose turn it is among its spaces, and which peers it knows. See the
/// [module](super).
#[derive(Clone, Debug)]
pub struct PingTrailers {
    node: PeerId,
    listens_at: SocketAddr,
    config: PingTrailersConfig,
    /// The space that is announced first in the next ping.
    turn: usize,
    peers: BTreeMap<PeerId, SocketAddr>,
    /// Which of the peers pings from where; one address each.
    origins: BTreeMap<SocketAddr, PeerId>,
    stats: PingStats,
}

/// What was behind the message of a datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The node that sent it; `None` if there was no trailer, or none that can be used.
    pub peer: Option<PeerId>,
    /// Where the node listens, if that is new: tell the transport, and the engine of each space that the node has.
    pub new_address: Option<SocketAddr>,
    /// What the node holds: hand each to the gossiper of its [channel](RootAnnouncement::channel).
    pub announcements: Vec<RootAnnouncement>,
    /// The digest over all spaces that it shares with this node: hand it to
    /// [`SharedSpaces::handle_digest`](anti_entropy::engine::SharedSpaces::handle_digest).
    pub shared: Option<Root>,
}

/// What [`PingTrailers`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PingStats {
    /// Trailers appended.
    pub appended: u64,
    /// Datagrams that had no room for a trailer.
    pub no_room: u64,
    /// Trailers that went without a digest, since nobody is known to ping from the address that they went to. That is so
    /// until a peer's first ping arrives. If it goes on, the peer's datagrams come from another address than the one that
    /// it is pinged at, as through a translation of addresses (NAT): the rounds go on, and the two compare no sooner than
    /// these. Ping it at the address that its datagrams come from, or use [`append`](PingTrailers::append), which needs none.
    pub unknown_receivers: u64,
    /// Trailers received from other nodes.
    pub received: u64,
    /// Datagrams received without a trailer, as from nodes that send none.
    pub absent: u64,
    /// Trailers that are damaged, or of another version.
    pub malformed: u64,
    /// Trailers of this node itself, or of another one with its name.
    pub own: u64,
    /// Addresses that name no node: unspecified, multicast, without a port, or a loopback address from elsewhere.
    pub placeholders: u64,
    /// Peers not learnt since there were [`max_peers`](PingTrailersConfig::max_peers).
    pub too_many_peers: u64,
}

impl PingTrailers {
    /// For a node of this name that listens for comparisons here. An unspecified address, as of a socket that is bound to
    /// all, has receivers take the address that its datagrams come from.
    ///
    /// # Errors
    /// If the name is empty or longer than [`Trailer::MAX_NAME_BYTES`], the port is 0, or a setting is out of its range.
    pub fn new(
        node: impl Into<PeerId>,
        listens_at: SocketAddr,
        config: PingTrailersConfig,
    ) -> Result<Self, ConfigError> {
        let node = node.into();
        if !(1..=Trailer::MAX_NAME_BYTES).contains(&node.as_str().len()) {
            return Err(ConfigError::new("node", node, "a name of 1 to 255 bytes"));
        }
        if listens_at.port() == 0 {
            return Err(ConfigError::new("listens_at", listens_at, "an address with a port that peers can connect to"));
        }
        config.validate()?;
        let (peers, origins, stats) = (BTreeMap::new(), BTreeMap::new(), PingStats::default());
        Ok(Self { node, listens_at, config, turn: 0, peers, origins, stats })
    }

    /// Appends a trailer to a message that is about to be sent. Of this many spaces it announces the next few, as far as
    /// there is room; `announcement` gives that of a space, from a cell that is readable at once, or `None` where the space
    /// has stopped.
    pub fn append(
        &mut self,
        datagram: &mut Vec<u8>,
        spaces: usize,
        announcement: impl FnMut(usize) -> Option<RootAnnouncement>,
    ) {
        let Some(room) = self.room_behind(datagram) else { return };
        let count = spaces.min(self.config.max_announcements.get()).min(room / Trailer::ANNOUNCEMENT_BYTES);
        let first = self.turn.checked_rem(spaces).unwrap_or(0);
        let announcements = (first..spaces).chain(0..first).take(count).filter_map(announcement).collect();
        self.turn = first + count;
        self.append_trailer(datagram, announcements, None);
    }

    /// Appends a trailer to a message that is about to be sent to this address, with one digest over all spaces in place of
    /// announcements: for nodes that share many. `digest` gives that of a peer, as
    /// [`SharedSpaces::digest`](anti_entropy::engine::SharedSpaces::digest) does. Where no peer is known to ping from that
    /// address, which is [counted](PingStats::unknown_receivers), or there is no room, the trailer goes without.
    pub fn append_shared(
        &mut self,
        datagram: &mut Vec<u8>,
        to: SocketAddr,
        digest: impl FnOnce(&PeerId) -> Option<Root>,
    ) {
        let Some(room) = self.room_behind(datagram) else { return };
        let peer = self.origins.get(&canonical(to));
        self.stats.unknown_receivers += u64::from(peer.is_none());
        let shared = peer.filter(|_| room >= Trailer::SHARED_BYTES).and_then(digest);
        self.append_trailer(datagram, Vec::new(), shared);
    }

    /// The room for items; `None`, counted, if there is none for a trailer.
    fn room_behind(&mut self, datagram: &[u8]) -> Option<usize> {
        let room = self.config.max_datagram_bytes.checked_sub(datagram.len() + Trailer::base_bytes(&self.node));
        self.stats.no_room += u64::from(room.is_none());
        room
    }

    fn append_trailer(&mut self, datagram: &mut Vec<u8>, announcements: Vec<RootAnnouncement>, shared: Option<Root>) {
        let trailer = Trailer { node: self.node.clone(), listens_at: self.listens_at, announcements, shared };
        self.stats.appended += u64::from(trailer.append_to(datagram));
    }

    /// Takes in what is behind the message of a datagram that came from this address. Whatever is not a trailer, or none
    /// that can be used, is counted and yields nothing.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr) -> Received {
        let trailer = match Trailer::read(datagram) {
            Ok(Some(trailer)) if trailer.node == self.node => {
                self.stats.own += 1;
                return Received::default();
            }
            Ok(Some(trailer)) => trailer,
            Ok(None) => {
                self.stats.absent += 1;
                return Received::default();
            }
            Err(_) => {
                self.stats.malformed += 1;
                return Received::default();
            }
        };
        self.stats.received += 1;
        let from = canonical(from);
        let new_address = self.learn(&trailer.node, trailer.listens_at, from.ip());
        self.note_origin(&trailer.node, from);
        let Trailer { node, announcements, shared, .. } = trailer;
        Received { peer: Some(node), new_address, announcements, shared }
    }

    /// A node has left for good. If it pings again it is learnt again.
    pub fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.origins.retain(|_, known| known != peer);
    }

    /// The peers that were learnt, and where they listen.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerId, SocketAddr)> {
        self.peers.iter().map(|(peer, address)| (peer, *address))
    }

    /// What was counted.
    pub fn stats(&self) -> PingStats {
        self.stats
    }

    /// The peer's address, if it can be one and is new.
    fn learn(&mut self, peer: &PeerId, listens_at: SocketAddr, from: IpAddr) -> Option<SocketAddr> {
        let ip = if listens_at.ip().is_unspecified() { from } else { listens_at.ip() };
        let address = SocketAddr::new(ip, listens_at.port());
        if is_placeholder(address, from) {
            self.stats.placeholders += 1;
            return None;
        }
        let known = self.peers.get(peer);
        if known == Some(&address) {
            return None;
        }
        if known.is_none() && self.peers.len() >= self.config.max_peers.get() {
            self.stats.too_many_peers += 1;
            return None;
        }
        self.peers.insert(peer.clone(), address);
        Some(address)
    }

    /// Notes where a peer pings from, which is where it is pinged. Of two names at an address, the last one counts.
    fn note_origin(&mut self, peer: &PeerId, from: SocketAddr) {
        if self.peers.contains_key(peer) && self.origins.get(&from) != Some(peer) {
            self.origins.retain(|_, known| known != peer);
            self.origins.insert(from, peer.clone());
        }
    }
}

/// An IPv4 address that is mapped into IPv6, as a socket of both kinds shows it, as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether nobody can be reached there, as seen by a receiver of a datagram from `from`.
fn is_placeholder(address: SocketAddr, from: IpAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let is_from_elsewhere = ip.is_loopback() && !from.is_loopback();
    address.port() == 0 || ip.is_unspecified() || ip.is_multicast() || is_broadcast || is_from_elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySpace;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn pings(node: &str, listens_at: &str, config: PingTrailersConfig) -> PingTrailers {
        PingTrailers::new(node, at(listens_at), config).unwrap()
    }

    fn bob() -> PingTrailers {
        pings("bob", "10.0.0.2:7947", PingTrailersConfig::default())
    }

    fn announcement(space: usize) -> RootAnnouncement {
        RootAnnouncement::new(&MemorySpace::new(format!("space {space}")), Root::from_bytes([1; 32]), space as u64)
    }

    /// A ping without announcements.
    fn ping(node: &str, listens_at: &str) -> Vec<u8> {
        let mut datagram = vec![1; 100];
        let trailer =
            Trailer { node: node.into(), listens_at: at(listens_at), announcements: Vec::new(), shared: None };
        assert!(trailer.append_to(&mut datagram));
        datagram
    }

    #[test]
    fn all_spaces_have_their_turn() {
        let mut alice = pings("alice", "10.0.0.1:7947", PingTrailersConfig::default());
        let mut bob = bob();
        let mut turns = Vec::new();
        for _ in 0..4 {
            let mut datagram = vec![1; 100];
            alice.append(&mut datagram, 11, |space| Some(announcement(space)));
            let received = bob.receive(&datagram, at("10.0.0.1:7946"));
            assert_eq!(received.announcements.len(), 8);
            turns.extend(received.announcements.iter().map(|announcement| announcement.generation));
        }
        let expected: Vec<u64> = (0..11).cycle().take(32).collect();
        assert_eq!(turns, expected);
    }

    #[test]
    fn spaces_may_come_and_go_between_pings() {
        let mut alice = pings("alice", "10.0.0.1:7947", PingTrailersConfig::default());
        for spaces in [11, 3, 0, 1, 20] {
            let mut datagram = Vec::new();
            alice.append(&mut datagram, spaces, |space| {
                assert!(space < spaces);
                (space != 2).then(|| announcement(space)) // One has stopped.
            });
            let trailer = Trailer::read(&datagram).unwrap().unwrap();
            assert!(trailer.announcements.len() <= spaces.min(8));
        }
    }

    #[test]
    fn no_datagram_becomes_longer_than_is_received() {
        let base = Trailer::base_bytes(&"alice".into());
        for (message, announcements) in [(0, Some(8)), (1_000, Some(7)), (1_400 - base, Some(0)), (1_401 - base, None)]
        {
            let mut alice = pings("alice", "10.0.0.1:7947", PingTrailersConfig::default());
            let mut datagram = vec![1; message];
            alice.append(&mut datagram, 100, |space| Some(announcement(space)));
            assert!(datagram.len() <= 1_400);
            let found = Trailer::read(&datagram).unwrap().map(|trailer| trailer.announcements.len());
            assert_eq!(found, announcements, "{message}");
            assert_eq!(alice.stats().no_room, u64::from(announcements.is_none()));
        }
    }

    /// What a ping of bob's to this address has for its receiver.
    fn digest_to(bob: &mut PingTrailers, message: usize, to: &str) -> Option<Root> {
        let mut datagram = vec![1; message];
        bob.append_shared(&mut datagram, at(to), |peer| (peer.as_str() == "alice").then(|| Root::from_bytes([7; 32])));
        assert!(datagram.len() <= 1_400);
        let received =
            pings("alice", "10.0.0.1:7947", PingTrailersConfig::default()).receive(&datagram, at("10.0.0.2:7946"));
        received.shared
    }

    #[test]
    fn one_digest_goes_to_the_peer_that_origins_the_address() {
        let (mut bob, digest) = (bob(), Some(Root::from_bytes([7; 32])));
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.1:7946"), None, "nobody is known there yet");
        bob.receive(&ping("alice", "10.0.0.1:7947"), at("[::ffff:10.0.0.1]:7946"));
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.1:7946"), digest);
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.3:7946"), None);
        let full = 1_400 - Trailer::base_bytes(&"bob".into()) - Trailer::SHARED_BYTES;
        assert_eq!((digest_to(&mut bob, full, "10.0.0.1:7946"), bob.stats().no_room), (digest, 0));
        assert_eq!((digest_to(&mut bob, full + 1, "10.0.0.1:7946"), bob.stats().no_room), (None, 0));
        // Alice moves, carol takes her place, and then leaves.
        bob.receive(&ping("alice", "10.0.0.9:7947"), at("10.0.0.9:7946"));
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.1:7946"), None);
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.9:7946"), digest);
        bob.receive(&ping("carol", "10.0.0.9:7947"), at("10.0.0.9:7946"));
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.9:7946"), None);
        bob.forget(&"carol".into());
        bob.receive(&ping("alice", "10.0.0.9:7947"), at("10.0.0.9:7946"));
        assert_eq!(digest_to(&mut bob, 100, "10.0.0.9:7946"), digest);
    }

    #[test]
    fn digests_that_go_to_an_address_from_which_nobody_pings_are_counted() {
        let (mut bob, digest) = (bob(), Some(Root::from_bytes([7; 32])));
        // Alice's datagrams go through a translation of addresses: she is pinged at one, and pings from another.
        bob.receive(&ping("alice", "10.0.0.1:7947"), at("192.0.2.9:40001"));
        for pings in 1..=3 {
            assert_eq!(digest_to(&mut bob, 100, "10.0.0.1:7946"), None);
            assert_eq!(bob.stats().unknown_receivers, pings);
        }
        // The trailer goes all the same, so that she learns of bob; and one without need of an address is not counted.
        assert_eq!((digest_to(&mut bob, 100, "192.0.2.9:40001"), bob.stats().appended), (digest, 4));
        bob.append(&mut vec![1; 100], 1, |space| Some(announcement(space)));
        assert_eq!(bob.stats().unknown_receivers, 3);
    }

    #[test]
    fn peers_are_learnt_from_who_pings_and_once() {
        let mut bob = bob();
        let received = bob.receive(&ping("alice", "10.0.0.1:7947"), at("10.0.0.1:7946"));
        assert_eq!((received.peer, received.new_address), (Some("alice".into()), Some(at("10.0.0.1:7947"))));
        assert_eq!(bob.receive(&ping("alice", "10.0.0.1:7947"), at("10.0.0.1:7946")).new_address, None);
        // It was started again elsewhere, and is bound to all addresses.
        let received = bob.receive(&ping("alice", "0.0.0.0:9000"), at("10.0.0.9:7946"));
        assert_eq!(received.new_address, Some(at("10.0.0.9:9000")));
        let received = bob.receive(&ping("carol", "[::]:9000"), at("[::ffff:10.0.0.3]:7946"));
        assert_eq!(received.new_address, Some(at("10.0.0.3:9000")));
        assert_eq!(bob.peers().count(), 2);
        bob.forget(&"alice".into());
        assert!(bob.receive(&ping("alice", "10.0.0.1:7947"), at("10.0.0.1:7946")).new_address.is_some());
        assert_eq!(bob.stats(), PingStats { received: 5, ..PingStats::default() });
    }

    #[test]
    fn oneself_and_placeholders_are_skipped() {
        let mut bob = bob();
        assert_eq!(bob.receive(&ping("bob", "10.0.0.7:7947"), at("10.0.0.7:7946")), Received::default());
        assert_eq!(bob.stats().own, 1);
        let placeholders = [
            "10.0.0.1:0",
            "0.0.0.0:0",
            "224.0.0.1:7947",
            "255.255.255.255:7947",
            "127.0.0.1:7947",
            "[ff02::1]:7947",
            "[::1]:7947",
        ];
        for address in placeholders {
            let received = bob.receive(&ping("alice", address), at("10.0.0.1:7946"));
            assert_eq!((received.peer, received.new_address), (Some("alice".into()), None), "{address}");
        }
        bob.receive(&ping("alice", "0.0.0.0:7947"), at("0.0.0.0:7946"));
        assert_eq!(bob.stats().placeholders, placeholders.len() as u64 + 1);
        assert_eq!(bob.peers().count(), 0);
        assert!(bob.receive(&ping("alice", "127.0.0.1:7947"), at("127.0.0.1:7946")).new_address.is_some());
    }

    #[test]
    fn what_is_absent_or_malformed_is_counted_and_yields_nothing() {
        let mut bob = bob();
        let whole = ping("alice", "10.0.0.1:7947");
        let mut damaged = whole.clone();
        damaged[103] ^= 1;
        for datagram in [&whole[..100], &[], &damaged, &whole[..whole.len() - 1]] {
            assert_eq!(bob.receive(datagram, at("10.0.0.1:7946")), Received::default());
        }
        assert_eq!(bob.stats(), PingStats { absent: 3, malformed: 1, ..PingStats::default() });
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let mut bob =
            pings("bob", "10.0.0.2:7947", PingTrailersConfig::default().with(|c| c.max_peers = NonZeroUsize::MIN));
        bob.receive(&ping("alice", "10.0.0.1:7947"), at("10.0.0.1:7946"));
        for number in 0..10 {
            let received = bob.receive(&ping(&format!("made up {number}"), "10.0.0.3:7947"), at("10.0.0.3:7946"));
            assert_eq!(received.new_address, None);
        }
        assert_eq!((bob.peers().count(), bob.stats().too_many_peers), (1, 10));
        assert_eq!(bob.origins.len(), 1);
        // The one that is known may still move.
        assert!(bob.receive(&ping("alice", "10.0.0.4:7947"), at("10.0.0.4:7946")).new_address.is_some());
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |node: &str, listens_at: &str, config: PingTrailersConfig| {
            PingTrailers::new(node, at(listens_at), config).unwrap_err().field
        };
        assert_eq!(refused("", "10.0.0.1:1", PingTrailersConfig::default()), "node");
        assert_eq!(refused(&"n".repeat(256), "10.0.0.1:1", PingTrailersConfig::default()), "node");
        assert_eq!(refused("alice", "10.0.0.1:0", PingTrailersConfig::default()), "listens_at");
        let config = PingTrailersConfig::default().with(|config| config.max_datagram_bytes = 65_508);
        assert_eq!(refused("alice", "10.0.0.1:1", config), "max_datagram_bytes");
    }
}
