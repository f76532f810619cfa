use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::pem::Pem;

/// What a node proves its name by, and whose proofs it believes.
///
/// ```
/// use anti_entropy_net::{TlsConfig, Trust};
///
/// let config = TlsConfig {
///     certificates: "certificates/node-1.pem".into(),
///     key: "certificates/node-1.key".into(),
///     trust: Trust::Authorities("certificates/authority.pem".into()),
/// };
/// let written = r#"{
///     "certificates": "certificates/node-1.pem",
///     "key": "certificates/node-1.key",
///     "trust": { "authorities": "certificates/authority.pem" }
/// }"#;
/// assert_eq!(serde_json::from_str::<TlsConfig>(written).unwrap(), config);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// This node's certificate, and after it those that lead to its authority, if any.
    pub certificates: Pem,
    /// The private key of the certificate: PKCS#8, SEC1 or PKCS#1.
    pub key: Pem,
    /// Whom to believe.
    pub trust: Trust,
}

/// Which certificates prove which names. Either way a certificate counts only within its period of validity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The certificates of each peer by name, self-signed or not. To change a peer's certificate, list the new one
    /// beside the old one first.
    Fingerprints(BTreeMap<PeerId, BTreeSet<Fingerprint>>),
    /// Certificates of authorities. A node's certificate must be issued by one of them, for clients and servers, and
    /// have the node's name, letter for letter, as a DNS name among its subject alternative names; wildcards prove none.
    /// So names are DNS names here.
    Authorities(Pem),
}
