use std::io;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;

/// Why certificates could not be used. Whatever was in use before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file could not be read.
    #[error("cannot read {what}, {file}: {source}; nothing was changed; correct the path or its permissions")]
    Read {
        /// What was to be in it.
        what: &'static str,
        /// Its path.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not PEM, or has nothing in it that is looked for.
    #[error("there is no {what} in {file}; nothing was changed; it must be PEM, with a block -----BEGIN {block}-----")]
    Missing {
        /// What was to be in it.
        what: &'static str,
        /// Its path.
        file: String,
        /// How such a block is called.
        block: &'static str,
    },
    /// The key cannot be used, or is not that of the certificate.
    #[error(
        "the key in {file} cannot be used with the certificate: {reason}; nothing was changed; give the key that the \
         certificate was issued for"
    )]
    Key {
        /// The key's file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The node's own certificate would convince nobody.
    #[error("the certificate in {file} would be refused by every peer: {reason}; nothing was changed; issue a new one")]
    OwnCertificate {
        /// Its file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The node's own certificate is not in its name.
    #[error(
        "the certificate in {file} does not have {name} among its DNS names, so peers would refuse it; nothing was \
         changed; issue one for that name, or name the node as the certificate does"
    )]
    OwnName {
        /// Its file.
        file: String,
        /// The node's name.
        name: PeerId,
    },
    /// With authorities, a certificate can only hold a name that is a DNS name.
    #[error(
        "{0} is no DNS name, so no certificate can have it; nothing was changed; choose a name of letters, digits, '-' \
         and '.', or list fingerprints instead of authorities"
    )]
    NoDnsName(PeerId),
    /// An authority's certificate cannot be used.
    #[error("a certificate in {file} cannot be an authority: {reason}; nothing was changed; remove it or replace it")]
    Authority {
        /// Its file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Certificates can only be changed where there are some.
    #[error("this transport was bound without TLS, which cannot be added later; nothing was changed; bind another one")]
    NoTls,
    /// The library of TLS refused.
    #[error("TLS cannot be set up: {0}; nothing was changed; this is a bug, please report it")]
    Setup(String),
}
