//! Frames over QUIC.

mod admit;
mod config;
mod connection;
mod dial;
mod endpoint;
mod hub;
mod transport;

pub use config::QuicConfig;
pub use transport::QuicTransport;
