//! Root announcements behind the messages of a failure detector that has no room for them.
//!
//! Engram's SWIM messages carry no metadata, but its decoder reads a message from the front of a datagram and ignores what
//! is behind it. So a [`Trailer`] behind the message tells who sends it, where that node listens for comparisons, and what
//! it holds; nodes that know nothing of trailers go on as before. The bytes are defined in docs/protocol.md, "Trailers".
//!
//! A node with a few spaces announces them one by one, in turn ([`PingTrailers::append`]). A node with many sends one
//! digest over all that it shares with the receiver ([`PingTrailers::append_shared`]); where the digests differ,
//! [`SharedSpaces`](anti_entropy::engine::SharedSpaces) finds the spaces.
//!
//! [`PingTrailers`] is what a node keeps for this: whose turn it is among its spaces, which peers it has learnt of, and
//! what it counts. Nothing here does IO, waits, or takes the word of a datagram for more than it is worth: a trailer proves nothing,
//! and a forged one can add a peer that cannot be reached, begin a comparison that finds nothing, or have rounds leave
//! differences alone until a session certifies the peer again, after so many announcements
//! ([`certify_every`](anti_entropy::GossipConfig::certify_every)). Let only nodes reach the port of the failure detector.
//!
//! ```
//! use anti_entropy::summary::Root;
//! use anti_entropy_engram::MemorySpace;
//! use anti_entropy_engram::gossiper::RootAnnouncement;
//! use anti_entropy_engram::swim::{PingTrailers, PingTrailersConfig};
//!
//! let spaces = [MemorySpace::new("default"), MemorySpace::new("dreams")];
//! let mut alice = PingTrailers::new("alice", "10.0.0.1:7947".parse()?, PingTrailersConfig::default())?;
//! let mut bob = PingTrailers::new("bob", "10.0.0.2:7947".parse()?, PingTrailersConfig::default())?;
//!
//! // Alice sends a ping. The root of a space is read from a cell: `Handle::announced`.
//! let mut datagram = b"what SWIM encoded".to_vec();
//! let root = Root::from_bytes([1; 32]);
//! alice.append(&mut datagram, spaces.len(), |space| Some(RootAnnouncement::new(&spaces[space], root, 0)));
//!
//! // Bob receives it.
//! let received = bob.receive(&datagram, "10.0.0.1:7946".parse()?);
//! assert_eq!(received.peer, Some("alice".into()));
//! assert_eq!(received.new_address, Some("10.0.0.1:7947".parse()?));
//! assert_eq!(received.announcements.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ping_trailers;
mod trailer;

pub use self::ping_trailers::{PingStats, PingTrailers, PingTrailersConfig, Received};
pub use self::trailer::{MalformedTrailer, Trailer};
