//! Frames over QUIC.

mod admit;
mod config;
mod dial;
mod endpoint;
mod hub;
mod inbound;
mod live;
mod refusal;
mod streams;
mod transport;

pub use config::QuicConfig;
pub use transport::QuicTransport;
