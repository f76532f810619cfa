#![cfg_attr(all(feature = "quic", feature = "test-ca"), doc = include_str!("../README.md"))]
#![cfg_attr(not(all(feature = "quic", feature = "test-ca")), doc = "Transports for `anti-entropy`.")]
//!
//! # On the wire
//!
//! All numbers are big-endian.
//!
//! ## The hello
//!
//! Whoever opens a connection sends a *hello* and waits for the *answer*; frames follow once that says "accepted".
//!
//! | hello | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54`, "AENT" |
//! | version | 1 | 1 |
//! | length of the sender's name | 1 | 1 to 255; 0 is malformed |
//! | sender's name | as said | UTF-8 |
//! | length of the receiver's name | 1 | 1 to 255; 0 is malformed |
//! | receiver's name | as said | UTF-8: whom the sender believes to have reached |
//! | incarnation | 8 | over QUIC only: drawn at random when the sender's transport was bound |
//!
//! | answer | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54` |
//! | version | 1 | the version that the accepting side speaks |
//! | status | 1 | see below |
//! | incarnation | 8 | over QUIC only, and only after status 0: the accepting side's |
//!
//! | status | |
//! |---|---|
//! | 0 | accepted |
//! | 1 | another version is spoken |
//! | 2 | unknown sender |
//! | 3 | not the receiver named |
//! | 4 | too many connections |
//! | 5 | over TLS and QUIC: the certificate is not that of the sender named |
//! | 6 | over QUIC: there is another connection between the two, or about to be |
//!
//! After any status but 0, and without an answer if the hello is malformed, late or one too many, the accepting side
//! closes the connection. A hello of another version is answered once its first five bytes have arrived.
//!
//! ## TLS
//!
//! Over QUIC always, and over TCP if it is configured: version 1.3, with the protocol name (ALPN) `anti-entropy/1`, no
//! server name, no resumption, no early data. Each side shows a certificate; which are believed is the configuration's
//! to say. Whoever opens the connection checks the other side's name before it says hello, the accepting side checks
//! the sender's before it answers. So nothing but the hello is read from anybody whose name is
//! not proven, and nothing at all from a stranger.
//!
//! ## Frames over QUIC
//!
//! The hello goes on the first bidirectional stream, which its sender then ends; there is no other of that kind. Frames
//! go on unidirectional streams, either way, each of which starts with a byte that says its kind:
//!
//! | kind | then |
//! |---|---|
//! | 1 | short frames, in their order, each after its length of 4 bytes |
//! | 2 | long frames, in the same way |
//!
//! A side opens at most one of each kind, when it has a first frame for it. Which frames are long is the sender's to say,
//! by its `short_frame_bytes`: they are apart so that short ones, such as pushes, need not wait behind them. Any other
//! kind, or a length of more than the receiver's `max_frame_bytes`, ends the connection.
//!
//! A connection is given up in good order: a side that has nothing more to send over it ends its stream of kind 2, if
//! there is one, waits until all of it has arrived, ends that of kind 1 (having opened it for this if need be) and waits
//! for its arrival too. The end of the other side's stream of kind 1 is reason to do the same. Whoever has done so and
//! seen that end closes the connection.
//!
//! There is one connection between two nodes. Two in the making may cross: while the node with the lesser name has an
//! attempt under way, it answers the other's hello with status 6, and the other waits. An established connection is not
//! given up for one that crossed it: the lesser name answers 6 as long as it has one that it opened itself to the same
//! incarnation. A hello of another incarnation, or when the sender must have lost the connection, takes its place. So no
//! frame has been sent over the connection that is turned away.
//!
//! A restarted node answers what is still sent to its predecessor with QUIC's stateless reset. Its key is HMAC-SHA-256
//! of `anti-entropy/1 reset` under the DER bytes of the node's private key, so that peers notice at once.
//!
//! ## Frames over TCP
//!
//! | frame | bytes | |
//! |---|---|---|
//! | length | 4 | at most the receiver's `max_frame_bytes`; if it is more, the connection is closed |
//! | content | as said | |
//!
//! The connecting side sends frames and nothing else until it closes the connection. The accepting side sends nothing
//! after the answer.
//!
//! A connection carries frames one way, so two peers that send to each other have two. Sharing one would need a rule
//! for which of two that cross survives; this way each side looks after the connection that it needs, and a half-broken
//! link costs one direction only.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backoff;
mod checks;
#[cfg(feature = "metrics")]
mod describe;
mod error;
mod frame;
mod handshake;
mod handshake_slots;
#[cfg(any(feature = "tls", feature = "swim"))]
mod hex;
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
