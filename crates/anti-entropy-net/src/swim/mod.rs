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
//! let cluster: anti_entropy_net::ClusterName = "orders".parse()?;
//! let config = SwimConfig::new(cluster.clone(), "a".into(), any_port, a_transport, key.clone());
//! let a = Membership::join(config).await?;
//! let state = StateDigest::from_bytes([0xAA; 32]); // of a replica: its handle knows it
//! a.announce(1, state)?;
//! let seeds = vec![format!("localhost:{}", a.local_addr().port())];
//! let config = SwimConfig::new(cluster, "b".into(), any_port, b_transport, key).with(|config| config.seeds = seeds);
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
//! change it on all nodes ([`Membership::set_keys`] does so while they run); nodes with different keys form separate
//! clusters, and so do nodes whose clusters have different names. Who may read and write data is for the data transport
//! to decide.
//!
//! # Snapshots and clones
//!
//! A process whose memory was put back to an earlier state, or runs twice, would count its datagrams from an earlier
//! number on, and peers would refuse them as repetitions. It notices that
//!
//! - as soon as a datagram of a peer says how much that has heard,
//! - or when a generation file changes or the clocks go apart ([`SnapshotConfig`](crate::SnapshotConfig)),
//! - or, at the latest, when it has heard nobody for twice the time in which it would be declared down,
//!
//! and comes back under a new boot id. [`Membership::put_back`] tells the application, except in the last case, which a
//! broken network causes as well. Of two copies that run under one name at the same time, each takes the other's place
//! in turns, as any two processes of one name do.
//!
//! No two different datagrams are ever sealed with the same nonce, whatever is put back: see below.
//!
//! # On the wire
//!
//! All numbers are big-endian. A datagram has 58 to 1,232 bytes: 1,280 bytes, the smallest packet that every IPv6 link
//! carries, less the headers of IPv6 and UDP. Text is one byte for its length, then UTF-8. An address is one byte, 4 or
//! 6, then 4 or 16 bytes of IP address, then 2 bytes of port. An IPv4 address that is written as an IPv6 one is sent as
//! the IPv4 address. The scope of a link-local address is not sent, since each host numbers its interfaces by itself: the
//! receiver puts in the scope of its own address. So a cluster on link-local addresses is on one link.
//!
//! | datagram | bytes | |
//! |---|---|---|
//! | version | 1 | 2; in 34 bytes or more it is looked at before the length |
//! | kind | 1 | 1 hello, 2 reply, 3 confirm, 4 data, 5 lost |
//! | sender's boot id | 8 | drawn at random when a process joins, and when it comes back; never all zero |
//! | counter | 8 | grows with each datagram of this boot id |
//! | nonce | 24 | never the same in two datagrams that differ |
//! | contents | depends on the kind | encrypted |
//! | tag | 16 | |
//!
//! The contents are encrypted with ChaCha20-Poly1305, each datagram with a key of its own:
//!
//! | | |
//! |---|---|
//! | root | HKDF-SHA256-Extract of the cluster key, with the salt `anti-entropy membership 2` |
//! | key | HKDF-SHA256-Expand of the root to 32 bytes; the info is the length of the cluster's name, 1; that name; the nonce, 24. In a hello the name is left out, and the length is 0 |
//! | the cipher's nonce | 12 zero bytes |
//! | associated data | the 42 bytes before the contents, then the receiver's boot id, which is not sent. In hello and lost, 8 zero bytes take its place, since the sender does not know it |
//!
//! So a datagram that was meant for another node, or for an earlier process of the receiver, cannot be decrypted, and
//! one of another cluster that has the same key cannot either, except for its hello. That contains the cluster's name,
//! and is refused with both names. A receiver tries each key that it accepts, in order.
//!
//! Deriving a key from a long nonce is what `XChaCha20` does ([draft-irtf-cfrg-xchacha]), with HKDF ([RFC 5869]) in the place
//! of `HChaCha20`. How the nonce is made is the sender's affair as long as it repeats none. Here it is the first 24 bytes of
//! HMAC-SHA256 of 32 bytes that the operating system is asked for each time, the header with zeros for the nonce, the
//! receiver's boot id, and the contents. The key of the HMAC is drawn from the operating system when the process starts,
//! when it comes back, and each hour. It follows that
//!
//! - two copies of a process make different nonces as soon as the operating systems under them give different bytes; of
//!   n datagrams, two have one nonce with a probability of n²/2¹⁹³;
//! - if the system's generator was put back too, and gives both copies the same bytes (Linux mixes a virtual machine's
//!   generation id into it, where there is one), then two datagrams have one nonce only if they have the same header,
//!   receiver and contents. Then all of their bytes are equal, and who sees both learns nothing but that;
//! - if the system has no random bytes, nothing is sent.
//!
//! | contents | |
//! |---|---|
//! | hello | the cluster's name as text; the sender's identity, then zeros: 454 bytes in all |
//! | reply | heard, 8; the counter of the hello, 8; the sender's identity; the highest generation that the sender knows of the receiver's name with another boot id, 4, or 0; announcements |
//! | confirm | heard, 8; the counter of the reply, 8; then the same as in a reply |
//! | data | heard, 8; announcements; a message |
//! | lost | none |
//!
//! *Heard* is one more than the highest counter that the sender has accepted of the receiver's boot id, or 0. If it is
//! more than the receiver's next counter, the receiver was put back, or runs twice.
//!
//! [draft-irtf-cfrg-xchacha]: https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03
//! [RFC 5869]: https://www.rfc-editor.org/rfc/rfc5869
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
//! its name, and takes the next one. It does the same, and draws a new boot id, when it was declared down or put back, or
//! has heard nobody for long: at once the first time, and after waiting twice as long each further time.

mod announce;
mod boot_id;
mod codec;
mod config;
mod contents;
mod detector;
mod entropy;
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
pub use error::{AnnounceError, JoinError, KeysError};
pub use event::{Member, MembershipEvent};
pub use follow::{Routes, SpaceReplica, follow};
pub use follow_shared::{PlacedSpace, follow_shared};
pub use key::{ClusterKey, ClusterKeys, KeyError};
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
