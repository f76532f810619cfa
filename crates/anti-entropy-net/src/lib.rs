#![cfg_attr(all(feature = "quic", feature = "test-ca"), doc = include_str!("../README.md"))]
#![cfg_attr(not(all(feature = "quic", feature = "test-ca")), doc = "Transports for `anti-entropy`.")]
//!
//! # On the wire
//!
//! All numbers are big-endian.
//!
//! ## The hello
//!
//! The side that opens a connection sends a *hello* and waits for the *answer*. If the answer is "accepted", frames
//! follow.
//!
//! | hello | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54`, "AENT" |
//! | version | 1 | 2 |
//! | length of the cluster's name | 1 | 1 to 64; anything else is malformed |
//! | cluster's name | as said | visible ASCII: `21` to `7E` |
//! | length of the sender's name | 1 | 1 to 255; 0 is malformed |
//! | sender's name | as said | UTF-8 |
//! | length of the receiver's name | 1 | 1 to 255; 0 is malformed |
//! | receiver's name | as said | UTF-8: the node that the sender wants to reach |
//! | incarnation | 8 | over QUIC only: drawn at random when the sender's transport was bound |
//!
//! | answer | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54` |
//! | version | 1 | the version that the accepting side speaks |
//! | status | 1 | see below |
//! | incarnation | 8 | over QUIC only, and only after status 0: the accepting side's |
//! | cluster's name | 1 + n | only after status 7: the length and the name of the accepting side's cluster |
//!
//! | status | |
//! |---|---|
//! | 0 | accepted |
//! | 1 | the versions differ |
//! | 2 | unknown sender |
//! | 3 | this is not the receiver named |
//! | 4 | too many connections |
//! | 5 | over TLS and QUIC: the certificate does not prove the sender's name |
//! | 6 | over QUIC: there is another connection between the two nodes, or about to be |
//! | 7 | the sender is of another cluster |
//!
//! After any status but 0 the accepting side closes the connection. It closes the connection without an answer if the
//! hello is malformed or late, or if there are too many handshakes. A hello of another version is answered as soon as
//! its first five bytes have arrived. The name of the cluster is compared before anything else in the hello.
//!
//! ## TLS
//!
//! QUIC always uses TLS; TCP uses it if it is configured. The version is 1.3, the protocol name (ALPN) is
//! `anti-entropy/1` (it stays when the version of the hello changes, so that a node of another version is told which one
//! this is), and there is no server name, no resumption and no early data. Each side shows a certificate. The
//! configuration says which certificates are trusted. The side that opens the connection checks the other side's name
//! before it sends its hello; the accepting side checks the sender's name before it answers. So nothing but the hello
//! is read from a node that has not proven its name, and nothing at all from a node whose certificate is not trusted.
//!
//! ## Frames over QUIC
//!
//! The hello goes on the first bidirectional stream, which its sender then ends; there is no other bidirectional
//! stream. Frames go on unidirectional streams, in either direction. The first byte of such a stream is its kind:
//!
//! | kind | then |
//! |---|---|
//! | 1 | short frames, in order, each after its length of 4 bytes |
//! | 2 | long frames, in the same way |
//!
//! A side opens at most one stream of each kind, when it has a first frame for it. The sender's `short_frame_bytes`
//! decides which frames are long. The two are apart so that short frames, such as pushes, do not wait behind long ones.
//! Any other kind, or a length above the receiver's `max_frame_bytes`, ends the connection.
//!
//! To close a connection without losing frames, a side first ends its stream of kind 2, if there is one, and waits
//! until all of it has arrived. Then it ends its stream of kind 1, which it opens for this if need be, and waits for
//! that too. When the other side's stream of kind 1 ends, this side does the same. A side that has done this, and has
//! seen the end of the other side's stream of kind 1, closes the connection.
//!
//! There is one connection between two nodes. If both open one at the same time, the attempt of the node with the
//! lesser name prevails: while it is under way, that node answers the other's hello with status 6, and the other node
//! waits. An established connection is not given up for one that crossed it: the node with the lesser name answers with
//! status 6 as long as it has a connection that it opened itself to the same incarnation. A hello of another
//! incarnation, or one that shows that its sender has lost the connection, replaces the connection. So no frame is lost
//! with a connection that is turned away, because none was sent over it.
//!
//! A node that has restarted answers packets that were meant for its previous process with QUIC's stateless reset, so
//! that peers notice the restart at once. The key of the reset is HMAC-SHA-256 of `anti-entropy/1 reset` under the DER
//! bytes of the node's private key.
//!
//! ## Frames over TCP
//!
//! | frame | bytes | |
//! |---|---|---|
//! | length | 4 | at most the receiver's `max_frame_bytes`; if it is more, the receiver closes the connection |
//! | content | as said | |
//!
//! The connecting side sends frames and nothing else until it closes the connection. The accepting side sends nothing
//! after the answer.
//!
//! A connection carries frames in one direction, so two peers that send to each other have two connections. To share
//! one, they would need a rule for which of two crossing connections survives. This way each side looks after the
//! connection that it needs, and a link that fails in one direction costs that direction only.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backoff;
mod checks;
mod cluster_name;
#[cfg(feature = "metrics")]
mod describe;
mod error;
mod frame;
mod handshake;
mod handshake_slots;
#[cfg(any(feature = "tls", feature = "swim"))]
mod hex;
#[cfg(any(feature = "tls", feature = "swim"))]
mod key_file;
mod limits;
#[cfg(feature = "metrics")]
mod metrics;
mod monitor;
mod peers;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "quic")]
mod quic;
mod receive_queue;
mod refusal;
mod refusal_reasons;
mod send_queue;
mod stats;
#[cfg(feature = "swim")]
pub mod swim;
mod task;
mod tcp;
#[cfg(feature = "test-ca")]
mod test_ca;
#[cfg(feature = "tls")]
mod tls;

pub use address::{Address, AddressError};
pub use cluster_name::ClusterName;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use describe::describe_metrics;
pub use error::{BindError, PeerError};
pub use limits::TransportLimits;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::TransportMetrics;
#[cfg(feature = "prometheus")]
#[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
pub use prometheus::{PrometheusConfig, PrometheusEndpoint, PrometheusError};
#[cfg(feature = "quic")]
pub use quic::{QuicConfig, QuicTransport};
pub use refusal::{ConnectionRefusal, ConnectionRefusalReason, RefusedConnections};
pub use stats::{DroppedFrames, TransportStats};
pub use tcp::{TcpConfig, TcpTransport};
#[cfg(feature = "test-ca")]
pub use test_ca::{TestAuthority, TestAuthorityError, TestCertificate, TestFiles};
#[cfg(feature = "tls")]
pub use tls::{CertificateFingerprint, FingerprintError, Pem, TlsConfig, TlsError, Trust};
