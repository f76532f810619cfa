#![doc = include_str!("../README.md")]
//!
//! # On the wire
//!
//! All numbers are big-endian. The connecting side sends a *hello* and waits for the *answer*; once that says
//! "accepted", it sends frames and nothing else until it closes the connection. The accepting side sends nothing after
//! the answer.
//!
//! | hello | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54`, "AENT" |
//! | version | 1 | 1 |
//! | length of the sender's name | 1 | 1 to 255; 0 is malformed |
//! | sender's name | as said | UTF-8 |
//! | length of the receiver's name | 1 | 1 to 255; 0 is malformed |
//! | receiver's name | as said | UTF-8: whom the sender believes to have reached |
//!
//! | answer | bytes | |
//! |---|---|---|
//! | magic | 4 | `41 45 4E 54` |
//! | version | 1 | the version that the accepting side speaks |
//! | status | 1 | 0 accepted, 1 another version is spoken, 2 unknown sender, 3 not the receiver named, 4 too many connections |
//!
//! After any status but 0, and without an answer if the hello is malformed, late or one too many, the accepting side
//! closes the connection. A hello of another version is answered once its first five bytes have arrived.
//!
//! | frame | bytes | |
//! |---|---|---|
//! | length | 4 | at most the receiver's `max_frame_bytes`; if it is more, the connection is closed |
//! | content | as said | |
//!
//! A connection carries frames one way, so two peers that send to each other have two. Sharing one would need a rule
//! for which of two that cross survives, and losing that race would lose frames; this way each side looks after the
//! connection that it needs, and a half-broken link costs one direction only.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backoff;
mod error;
mod frame;
mod handshake;
mod limits;
#[cfg(feature = "metrics")]
mod metrics;
mod peers;
#[cfg(feature = "prometheus")]
mod prometheus;
mod queue;
#[cfg(feature = "quic")]
mod quic;
mod receive;
mod refusal;
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
pub use error::{BindError, PeerError};
pub use limits::Limits;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use metrics::{TransportMetrics, describe_metrics};
#[cfg(feature = "prometheus")]
#[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
pub use prometheus::{PrometheusConfig, PrometheusEndpoint, PrometheusError};
#[cfg(feature = "quic")]
pub use quic::{QuicConfig, QuicTransport};
pub use refusal::{Refusal, RefusalReason};
pub use stats::{DroppedFrames, RefusedConnections, TransportStats};
pub use tcp::{TcpConfig, TcpTransport};
#[cfg(feature = "test-ca")]
pub use test_ca::{TestAuthority, TestAuthorityError, TestCertificate, TestFiles};
#[cfg(feature = "tls")]
pub use tls::{Fingerprint, FingerprintError, Pem, TlsConfig, TlsError, Trust};
