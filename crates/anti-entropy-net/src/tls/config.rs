use std::collections::{BTreeMap, BTreeSet};

use anti_entropy::ConfigError;
use anti_entropy::PeerId;
use serde::{Deserialize, Serialize};

use super::fingerprint::CertificateFingerprint;
use super::pem::Pem;
use crate::checks::name_fits;

/// The certificate by which a node proves its name, and the certificates that it trusts.
///
/// ```
/// use anti_entropy_net::{TlsConfig, Trust};
///
/// let trust = Trust::Authorities("certificates/authority.pem".into());
/// let config = TlsConfig::new("certificates/node-1.pem", "certificates/node-1.key", trust);
/// let written = r#"{
///     "certificates": "certificates/node-1.pem",
///     "key": "certificates/node-1.key",
///     "trust": { "authorities": "certificates/authority.pem" }
/// }"#;
/// assert_eq!(serde_json::from_str::<TlsConfig>(written).unwrap(), config);
///
/// let renewed = config.with(|config| config.certificates = "certificates/renewed.pem".into());
/// assert!(renewed.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// This node's certificate, followed by those that lead to its authority, if there are any. The certificate must be
    /// valid now; if `trust` is authorities, the node's name must be in it.
    pub certificates: Pem,
    /// The private key of the certificate: PKCS#8, SEC1 or PKCS#1.
    pub key: Pem,
    /// Which certificates of peers are trusted.
    pub trust: Trust,
}

/// Which certificates prove which names. Either way a certificate counts only within its period of validity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trust {
    /// The certificates of each peer by its name of 1 to 255 bytes, self-signed or not. To change a peer's certificate,
    /// list the new one beside the old one first. Peers without a certificate in the list are refused.
    Fingerprints(BTreeMap<PeerId, BTreeSet<CertificateFingerprint>>),
    /// Certificates of authorities. A peer's certificate must be issued by one of them, for clients and servers. Among
    /// its subject alternative names it must have the peer's name, letter for letter, as a DNS name; wildcards do not
    /// count. So the names of nodes must be DNS names.
    Authorities(Pem),
}

impl TlsConfig {
    /// The configuration of these three, each a path or PEM text.
    pub fn new(certificates: impl Into<Pem>, key: impl Into<Pem>, trust: Trust) -> Self {
        Self { certificates: certificates.into(), key: key.into(), trust }
    }

    /// The same configuration with some fields changed: `config.with(|config| config.trust = trust)`.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks all that can be checked without reading a file.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        names_a_file("certificates", &self.certificates)?;
        names_a_file("key", &self.key)?;
        match &self.trust {
            Trust::Authorities(authorities) => names_a_file("trust.authorities", authorities),
            Trust::Fingerprints(listed) => listed.keys().try_for_each(|peer| name_fits("trust.fingerprints", peer)),
        }
    }
}

fn names_a_file(field: &str, pem: &Pem) -> Result<(), ConfigError> {
    match pem {
        Pem::File(path) if path.as_os_str().is_empty() => {
            Err(ConfigError::new(field, path, "the path of a PEM file, or PEM text"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        type Spoil = fn(&mut TlsConfig);
        let listed = |name: &str| Trust::Fingerprints([(name.into(), BTreeSet::new())].into());
        let long = listed(&"x".repeat(256));
        let good = TlsConfig::new("a.pem", "a.key", Trust::Authorities("authority.pem".into()));
        let spoils: [(&str, Spoil); 3] = [
            ("certificates", |config| config.certificates = "".into()),
            ("key", |config| config.key = "".into()),
            ("trust.authorities", |config| config.trust = Trust::Authorities("".into())),
        ];
        for (field, spoil) in spoils {
            assert_eq!(good.clone().with(spoil).validate().unwrap_err().field, field);
        }
        for trust in [listed(""), long] {
            let refused = good.clone().with(|config| config.trust = trust).validate().unwrap_err();
            assert_eq!(refused.field, "trust.fingerprints");
        }
        for trust in [listed("a"), Trust::Fingerprints(BTreeMap::new())] {
            assert_eq!(good.clone().with(|config| config.trust = trust).validate(), Ok(()));
        }
    }
}
