//! Frames over TCP, inside TLS or not.

#[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, clippy::unused_async, reason = "with TLS they are used"))]
mod channel;
mod config;
mod inbound;
mod outbound;
mod transport;

pub use config::TcpConfig;
pub use transport::TcpTransport;
