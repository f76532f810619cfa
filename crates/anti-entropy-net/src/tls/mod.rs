//! Certificates: this node's own, and those of peers that it trusts.

mod config;
mod error;
mod fingerprint;
mod identity;
mod pem;
mod reason;
mod verifier;

pub use config::{TlsConfig, Trust};
pub use error::TlsError;
pub use fingerprint::{CertificateFingerprint, FingerprintError};
pub use pem::Pem;

#[cfg(feature = "quic")]
pub(crate) use identity::Identity;
pub(crate) use identity::{ALPN, TlsHandle, no_name};
pub(crate) use reason::reason_of;
#[cfg(feature = "quic")]
pub(crate) use reason::reason_of_alert;
