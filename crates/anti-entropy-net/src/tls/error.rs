use std::io;

use anti_entropy::ConfigError;
use anti_entropy::PeerId;

/// Why certificates cannot be used. Those that were in use before still are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A setting makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file could not be read.
    #[error("cannot read {what}, {file}: {source}; nothing was changed; correct the path or its permissions")]
    Read {
        /// What the file should contain.
        what: &'static str,
        /// Its path.
        file: String,
        /// What the operating system reported.
        source: io::Error,
    },
    /// A file is not PEM, or does not contain what is looked for.
    #[error("there is no {what} in {file}; nothing was changed; it must be PEM, with a block -----BEGIN {block}-----")]
    Missing {
        /// What the file should contain.
        what: &'static str,
        /// Its path.
        file: String,
        /// The name of the block of PEM that is missing.
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
    /// Every peer would refuse the node's own certificate.
    #[error("the certificate in {file} would be refused by every peer: {reason}; nothing was changed; issue a new one")]
    OwnCertificate {
        /// Its file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The node's own certificate does not contain its name.
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
    /// With authorities, names must be DNS names, since certificates contain no others.
    #[error(
        "{0} is no DNS name, so no certificate can contain it; nothing was changed; choose a name of letters, digits, '-' \
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
    /// The transport was bound without TLS, so there are no certificates to change.
    #[error("this transport was bound without TLS, which cannot be added later; nothing was changed; bind another one")]
    NoTls,
    /// The TLS library reported an error that should not happen.
    #[error("TLS cannot be set up: {0}; nothing was changed; this is a bug, please report it")]
    Setup(String),
}
