//! Membership: who is there, where, and whether its replicas are equal to ours. By SWIM, with the crate `foca`.
//!
//! Each node asks one other a second whether it lives, and lets others ask when no answer comes; news of who joined, left
//! or failed goes along with these messages, so that what a node sends does not grow with the cluster. A node that is
//! taken for dead by mistake comes back by itself. So does every datagram carry the digests that its sender
//! [announces](Membership::announce): replicas with equal digests need no connection to find out that they are equal.
//!
//! A list of peers that does not change needs none of this: give it to the transport.
//!
//! ```
//! use anti_entropy::engine::StateDigest;
//! use anti_entropy_net::swim::{ClusterKey, MembershipEvent, Membership, SwimConfig};
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
//! let b = Membership::join(SwimConfig::new("b".into(), any_port, b_transport, key).with(|config| config.seeds = seeds)).await?;
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
//! [`follow`] tells a transport and replicas what the events say, so that applications need not.
//!
//! # What is protected, and what is not
//!
//! Nothing is looked at before it was opened with the cluster's key. So strangers learn nothing but who sends how much to
//! whom, and can change nothing: what they send, or record and send again, is refused and
//! [counted](SwimStats::refused). They can make a node answer, at most [so often](SwimLimits::max_replies_per_second) and
//! never with more bytes than they sent. They can drop datagrams, and so make members look dead to each other.
//!
//! Whoever has the key is believed: it can speak for any node. Give it to nobody else, and change it on all nodes when it
//! leaked: nodes with different keys form clusters of their own. Who may read and write data is for the data transport.
//!
//! # On the wire
//!
//! All numbers are big-endian. A datagram is 34 to 1,232 bytes long: what fits into the smallest packet that every IPv6
//! link carries, 1,280 bytes, with the headers of IPv6 and UDP. Text is one byte for its length, then UTF-8. An address is
//! one byte 4 or 6, then 4 or 16 bytes of IP address, then 2 of port.
//!
//! | datagram | bytes | |
//! |---|---|---|
//! | version | 1 | 1 |
//! | kind | 1 | 1 hello, 2 reply, 3 confirm, 4 data, 5 lost |
//! | sender's boot id | 8 | drawn at random when a process joins; never all zero |
//! | counter | 8 | of the datagrams of this boot id, from 0 |
//! | contents | as the kind says | encrypted |
//! | tag | 16 | |
//!
//! The contents are sealed by ChaCha20-Poly1305. The key is HKDF-SHA256 of the cluster key, with the sender's boot id as
//! salt and `anti-entropy membership 1` as info; the nonce is four zero bytes and the counter, so that none is used twice
//! with a key although all nodes share the cluster key. (Two of n boot ids are equal with a chance of n²/2⁶⁵.) The
//! associated data are the 18 bytes before the contents, then the receiver's boot id, which is not sent; or 8 zero bytes
//! in a hello and in lost, whose senders do not know it. So what was meant for another node, or for an earlier life of the
//! receiver, does not open.
//!
//! | contents | |
//! |---|---|
//! | hello | the sender's identity, then zeros: 478 bytes in all |
//! | reply | the counter of the hello, 8; the sender's identity; the highest generation that the sender knows of the receiver's name with another boot id, 4, or 0; announcements |
//! | confirm | the counter of the reply, 8; and as in a reply |
//! | data | announcements; a message |
//! | lost | none |
//!
//! | identity | bytes | |
//! |---|---|---|
//! | name | 2 to 256 | text |
//! | generation | 4 | from 1 |
//! | boot id | 8 | |
//! | address | 7 or 19 | where it takes these datagrams |
//! | transport | 7 or 19 | where it takes the data transport's connections |
//! | zone | 1 to 33 | text; empty for none |
//!
//! | announcements | bytes | |
//! |---|---|---|
//! | count | 1 | |
//! | each: space | 8 | |
//! | each: state | 32 | |
//!
//! | message | bytes | |
//! |---|---|---|
//! | sender's generation | 4 | its identity is otherwise that of its introduction |
//! | sender's incarnation | 2 | |
//! | receiver's generation | 4 | |
//! | kind | 1 | 1 ping, 2 ack, 3 ping request, 4 indirect ping, 5 indirect ack, 6 forwarded ack, 7 announce, 8 feed, 9 gossip, 11 you are down |
//! | number | 1 | kinds 1 to 6: of the probe |
//! | identity | as above | kinds 3 to 6: whom it is about; 3 the one to ping, 4 and 5 the one who wants to know, 6 the one who lives |
//! | count of news | 2 | not in kinds 7 and 11 |
//! | each: identity | as above | |
//! | each: incarnation | 2 | |
//! | each: state | 1 | 0 alive, 1 suspect, 2 down |
//!
//! # First contact
//!
//! A session is what a node keeps of one life of a peer: its identity, and a window of 1,024 counters, each of which is
//! taken once. It begins with an introduction that is known to be fresh, and takes no counter from before that:
//!
//! 1. A says *hello* to an address. B replies to where it came from and believes nothing, for it may be a recording; one
//!    that B has replied to is refused. The reply is no longer than the hello, which is padded for that, and replies are
//!    limited by the second.
//! 2. A takes the *reply* if it names a hello that A waits for, and has a session with B's life.
//! 3. A *confirms*. B takes that if it names a reply of its last 10 to 20 seconds, and has a session with A's life.
//!
//! Data without a session is refused, and so is what does not open because it was meant for an earlier life. If the sender
//! has no session here, it is told so by *lost*, which is shorter than all else. Who gets that from the address of a
//! member or a seed says hello there, once for each such datagram. So it does not matter which of the three gets lost, or
//! which side restarts, or both.
//!
//! A session ends when the peer's next life is known, or when there is no room for another and the peer is no member:
//! only those who have the key can fill the table. Ending one is safe, since only a fresh introduction begins it again.
//!
//! Which of two lives of a name is newer is said by the generation, for clocks go wrong. A life begins with 1, and learns
//! from introductions, before it becomes a member, what generation others know of its name: it takes the next one. So it
//! does when it was declared down; at once, and if that repeats, after waiting twice as long each time.

mod announce;
mod boot_id;
mod codec;
mod config;
mod contents;
mod detector;
mod error;
mod event;
mod follow;
mod header;
mod hellos;
mod identity;
mod key;
mod limits;
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
