use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::hex;

/// The SHA-256 hash of a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it.
///
/// It is written in hexadecimal. When it is read, there may be colons between the bytes, and capital letters.
///
/// ```
/// use anti_entropy_net::CertificateFingerprint;
///
/// let text = "ab".repeat(32);
/// let fingerprint: CertificateFingerprint = text.parse().unwrap();
/// assert_eq!(fingerprint.to_string(), text);
/// assert!("ab:cd".parse::<CertificateFingerprint>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateFingerprint([u8; SHA256_OUTPUT_LEN]);

impl CertificateFingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of_der(certificate: &[u8]) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(hash)
    }

    /// The fingerprint of the first certificate in a PEM text. In a chain, the node's own certificate is the first.
    ///
    /// # Errors
    /// [`FingerprintError`] if there is none.
    pub fn of_pem(pem: &str) -> Result<Self, FingerprintError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| FingerprintError::NoCertificate)?;
        Ok(Self::of_der(&certificate))
    }
}

impl FromStr for CertificateFingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits = text.bytes().filter(|byte| *byte != b':');
        hex::read(digits).map(Self).map_err(|_| FingerprintError::NotHexadecimal)
    }
}

impl TryFrom<String> for CertificateFingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<CertificateFingerprint> for String {
    fn from(fingerprint: CertificateFingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateFingerprint({self})")
    }
}

/// Why a text gives no [`CertificateFingerprint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The text is not 64 hexadecimal digits.
    #[error("a fingerprint is 64 hexadecimal digits, with or without colons; take it from openssl x509 -sha256")]
    NotHexadecimal,
    /// The text contains no certificate.
    #[error("there is no certificate in the PEM text; it must have a block that begins -----BEGIN CERTIFICATE-----")]
    NoCertificate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256_in_hexadecimal() {
        let abc = CertificateFingerprint::of_der(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(abc.to_string(), text);
        let with_colons: Vec<_> = text.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap()).collect();
        assert_eq!(with_colons.join(":").to_uppercase().parse(), Ok(abc));
        assert_eq!(serde_json::from_str::<CertificateFingerprint>(&serde_json::to_string(&abc).unwrap()).unwrap(), abc);
        for wrong in [&text[1..], &format!("{text}0"), &text.replace('b', "g"), "", "\u{e9}"] {
            assert_eq!(wrong.parse::<CertificateFingerprint>(), Err(FingerprintError::NotHexadecimal));
        }
        assert_eq!(CertificateFingerprint::of_pem("nothing"), Err(FingerprintError::NoCertificate));
    }
}
