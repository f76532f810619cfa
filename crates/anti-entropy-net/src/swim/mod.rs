//! Membership: which nodes are up, where they are, and whether their replicas are equal to this node's. It uses the
//! SWIM protocol, with the crate `foca`.
//!
//! Each node probes one other node per second, and asks further nodes to probe it if no answer comes. News of nodes
//! that joined, left or failed is sent with these messages, so that the traffic of a node does not grow with the
//! cluster. A node that was declared down by mistake comes back by itself. Every datagram also carries the digests that
//! its sender [announces](Membership::announce): replicas with equal digests find out that they are equal without a
//! connection.
//!
//! If the peers never change, none of this is needed: give their addresses to the transport.
//!
//! ```
//! use anti_entropy::engine::StateDigest;
//! use anti_entropy_net::swim::{ClusterKey, Membership, MembershipEvent, SwimConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = ClusterKey::from_hex(&"5e".repeat(32))?; // from a file, and at random, outside of examples
//! let any_port = "127.0.0.1:0".parse()?;
//! let (a_transport, b_transport) = ("127.0.0.1:7001".parse()?, "127.0.0.1:7002".parse()?);
//!
//! let a = Membership::join(SwimConfig::new("a".into(), any_port, a_transport, key.clone())).await?;
//! let state = StateDigest::from_bytes([0xAA; 32]); // of a replica: its handle knows it
//! a.announce(1, state)?;
//! let seeds = vec![format!("localhost:{}", a.local_addr().port())];
//! let config = SwimConfig::new("b".into(), any_port, b_transport, key).with(|config| config.seeds = seeds);
//! let b = Membership::join(config).await?;
//!
//! let Some(MembershipEvent::Up { member }) = b.next_event().await else { panic!("a was first") };
//! assert_eq!((member.name.as_str(), member.transport), ("a", a_transport));
//! let announced = MembershipEvent::Announced { peer: "a".into(), space: 1, state };
//! assert_eq!(b.next_event().await, Some(announced));
//! b.leave().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`follow`] keeps the peers of a transport and of replicas equal to the members, so that applications need not handle
//! the events.
//!
//! [`follow_shared`] does so for many replicas, each with an assignment of its own to some of the nodes, and announces one
//! digest over all spaces that two nodes share.
//!
//! # What is protected, and what is not
//!
//! Datagrams are encrypted and authenticated with the cluster's key. Strangers learn only which nodes send how much to
//! each other, and they change nothing: what they send, and what they record and send again, is refused and
//! [counted](SwimStats::refused). They can make a node answer, but only at a [limited
//! rate](SwimLimits::max_replies_per_second) and never with more bytes than they sent. If they can drop datagrams, they
//! can make members appear down to each other.
//!
//! A node that has the key is trusted: it can speak for any other node. Give the key to nobody else. If it leaks,
//! change it on all nodes; nodes with different keys form separate clusters. Who may read and write data is for the
//! data transport to decide.
//!
//! # On the wire
//!
//! All numbers are big-endian. A datagram has 34 to 1,232 bytes: 1,280 bytes, the smallest packet that every IPv6 link
//! carries, less the headers of IPv6 and UDP. Text is one byte for its length, then UTF-8. An address is one byte, 4 or
//! 6, then 4 or 16 bytes of IP address, then 2 bytes of port. An IPv4 address that is written as an IPv6 one is sent as
//! the IPv4 address. The scope of a link-local address is not sent, since each host numbers its interfaces by itself: the
//! receiver puts in the scope of its own address. So a cluster on link-local addresses is on one link.
//!
//! | datagram | bytes | |
//! |---|---|---|
//! | version | 1 | 1 |
//! | kind | 1 | 1 hello, 2 reply, 3 confirm, 4 data, 5 lost |
//! | sender's boot id | 8 | drawn at random when a process joins; never all zero |
//! | counter | 8 | of the datagrams of this boot id, from 0 |
//! | contents | depends on the kind | encrypted |
//! | tag | 16 | |
//!
//! The contents are encrypted with ChaCha20-Poly1305. The key is HKDF-SHA256 of the cluster key, with the sender's boot
//! id as salt and `anti-entropy membership 1` as info. The nonce is four zero bytes and the counter, so no nonce is
//! used twice with a key although all nodes share the cluster key. (Two of n boot ids are equal with a probability of
//! n²/2⁶⁵.) The associated data are the 18 bytes before the contents, then the receiver's boot id, which is not sent.
//! In hello and lost, 8 zero bytes take the place of the receiver's boot id, since the sender does not know it. So a
//! datagram that was meant for another node, or for an earlier process of the receiver, cannot be decrypted.
//!
//! | contents | |
//! |---|---|
//! | hello | the sender's identity, then zeros: 478 bytes in all |
//! | reply | the counter of the hello, 8; the sender's identity; the highest generation that the sender knows of the receiver's name with another boot id, 4, or 0; announcements |
//! | confirm | the counter of the reply, 8; then the same as in a reply |
//! | data | announcements; a message |
//! | lost | none |
//!
//! | identity | bytes | |
//! |---|---|---|
//! | name | 2 to 256 | text |
//! | generation | 4 | from 1 |
//! | boot id | 8 | |
//! | address | 7 or 19 | to which these datagrams are sent |
//! | transport | 7 or 19 | to which the data transport connects |
//! | zone | 1 to 33 | text; empty for none |
//!
//! | announcements | bytes | |
//! |---|---|---|
//! | count | 1 | |
//! | each: space | 8 | all ones: all spaces that the two share; protocol.md, "Spaces that two nodes share" |
//! | each: state | 32 | |
//!
//! | message | bytes | |
//! |---|---|---|
//! | sender's generation | 4 | the rest of its identity is that of its introduction |
//! | sender's incarnation | 2 | |
//! | receiver's generation | 4 | |
//! | kind | 1 | 1 ping, 2 ack, 3 ping request, 4 indirect ping, 5 indirect ack, 6 forwarded ack, 7 announce, 8 feed, 9 gossip, 11 you are down |
//! | number | 1 | kinds 1 to 6: of the probe |
//! | identity | as above | kinds 3 to 6: 3 the node to ping, 4 and 5 the node that asked for the probe, 6 the node that answered it |
//! | count of news | 2 | not in kinds 7 and 11 |
//! | each: identity | as above | |
//! | each: incarnation | 2 | |
//! | each: state | 1 | 0 alive, 1 suspect, 2 down |
//!
//! # First contact
//!
//! A session is what a node keeps of one process of a peer: its identity, and a window of 1,024 counters, each of which
//! is accepted once. A session begins with an introduction that is known to be fresh. It accepts no counter from before
//! that:
//!
//! 1. A sends a *hello* to an address. B replies to where it came from and believes nothing, since it may be a
//!    recording; B refuses a hello that it has replied to. The reply is no longer than the hello, which is padded for
//!    this purpose, and the number of replies per second is limited.
//! 2. A accepts the *reply* if it names a hello for which A waits. Now A has a session with B's process.
//! 3. A *confirms*. B accepts that if it names a reply that B sent in the last 10 to 20 seconds. Now B has a session
//!    with A's process.
//!
//! Data without a session is refused. So are datagrams that cannot be decrypted because they were meant for an earlier
//! process. If the receiver has no session with the sender, it sends *lost*, which is shorter than any other datagram.
//! A node that gets a lost from the address of a member or a seed sends a hello there, once for each such datagram. So
//! it does not matter which of the three datagrams is lost, or whether one side restarts, or both.
//!
//! A session ends when the peer's next process is known, or when there is no room for another session and the peer is
//! no member. Only nodes that have the key can fill the table. Ending a session is safe, since only a fresh
//! introduction begins it again.
//!
//! Which of two processes with one name is newer depends on the generation, since clocks cannot be relied on. A process
//! begins with generation 1. Before it becomes a member, it learns from introductions which generation others know of
//! its name, and takes the next one. It does the same when it was declared down: at once the first time, and after
//! waiting twice as long each further time.

mod announce;
mod boot_id;
mod codec;
mod config;
mod contents;
mod detector;
mod error;
mod event;
mod follow;
mod follow_shared;
mod header;
mod hellos;
mod identity;
mod key;
mod limits;
mod link;
mod mailbox;
mod membership;
#[cfg(feature = "metrics")]
mod metrics;
mod node;
mod rate_limit;
mod reader;
mod refusal;
mod rejoin_delay;
mod replay_window;
mod seal;
mod sessions;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod timings;

pub use config::SwimConfig;
pub use error::{AnnounceError, JoinError};
pub use event::{Member, MembershipEvent};
pub use follow::{Routes, SpaceReplica, follow};
pub use follow_shared::{PlacedSpace, follow_shared};
pub use key::{ClusterKey, KeyError};
pub use limits::SwimLimits;
pub use membership::Membership;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::MembershipMetrics;
#[cfg(feature = "metrics")]
pub(crate) use metrics::describe_metrics;
pub use refusal::{DatagramRefusal, DatagramRefusalReason, RefusedDatagrams};
pub use stats::SwimStats;
pub use timings::SwimTimings;
