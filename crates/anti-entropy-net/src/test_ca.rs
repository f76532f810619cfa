use std::path::{Path, PathBuf};
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::key_file;
use crate::tls::{CertificateFingerprint, Pem, TlsConfig, Trust};

/// A certificate authority for tests and examples. **Not for production**, where one process must not hold the keys of
/// several nodes.
///
/// ```
/// # fn main() -> Result<(), anti_entropy_net::TestAuthorityError> {
/// use anti_entropy_net::TestAuthority;
///
/// let authority = TestAuthority::new()?;
/// let node = authority.issue("node-1")?;
/// assert!(node.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
/// let directory = tempfile::tempdir()?;
/// let files = node.write(directory.path())?;
/// assert!(files.key.ends_with("node-1.key"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TestCertificate {
    /// The name that the certificate proves.
    pub name: String,
    /// The node's own certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The certificate of the authority that issued it; of a self-signed one, itself.
    pub authority: String,
}

/// The paths of the files that [`TestCertificate::write`] has written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TestFiles {
    /// The node's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority's certificate.
    pub authority: PathBuf,
}

/// Why a certificate could not be issued or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestAuthorityError {
    /// The name cannot be in a certificate, or there were no random numbers.
    #[error("no certificate was issued: {reason}; choose a name that is a DNS name")]
    Issue {
        /// What the library reported.
        reason: String,
    },
    /// A file could not be written.
    #[error("a certificate could not be written: {0}; choose a directory that exists and may be written to")]
    Write(#[from] io::Error),
}

impl TestAuthority {
    /// A new authority, with a key of its own.
    ///
    /// # Errors
    /// [`TestAuthorityError`] if there are no random numbers.
    pub fn new() -> Result<Self, TestAuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "anti-entropy test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(not_issued)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(not_issued)? })
    }

    /// The authority's certificate, in PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate that is valid now, for client and server.
    ///
    /// # Errors
    /// [`TestAuthorityError`] if the name is not a DNS name.
    pub fn issue(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        self.sign(name, &params(name)?)
    }

    /// Issues a certificate that has expired.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_expired(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        let mut params = params(name)?;
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        self.sign(name, &params)
    }

    /// Issues a certificate that is not valid yet.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_not_yet_valid(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        let mut params = params(name)?;
        (params.not_before, params.not_after) = (date_time_ymd(4000, 1, 1), date_time_ymd(4001, 1, 1));
        self.sign(name, &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<TestCertificate, TestAuthorityError> {
        let key = KeyPair::generate().map_err(not_issued)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(not_issued)?;
        Ok(TestCertificate {
            name: name.to_owned(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.certificate(),
        })
    }
}

impl TestCertificate {
    /// A self-signed certificate, for lists of fingerprints.
    ///
    /// # Errors
    /// As [`TestAuthority::issue`].
    pub fn self_signed(name: &str) -> Result<Self, TestAuthorityError> {
        let key = KeyPair::generate().map_err(not_issued)?;
        let certificate = params(name)?.self_signed(&key).map_err(not_issued)?.pem();
        Ok(Self {
            name: name.to_owned(),
            certificate: certificate.clone(),
            key: key.serialize_pem(),
            authority: certificate,
        })
    }

    /// The fingerprint of the certificate, for lists of fingerprints.
    pub fn fingerprint(&self) -> CertificateFingerprint {
        CertificateFingerprint::of_pem(&self.certificate).expect("a certificate was issued")
    }

    /// A configuration with this certificate that trusts all certificates of its authority.
    pub fn config(&self) -> TlsConfig {
        self.config_with(Trust::Authorities(Pem::Text(self.authority.clone())))
    }

    /// A configuration with this certificate that trusts these.
    pub fn config_with(&self, trust: Trust) -> TlsConfig {
        let [certificates, key] = [&self.certificate, &self.key].map(|text| Pem::Text(text.clone()));
        TlsConfig::new(certificates, key, trust)
    }

    /// Writes the files `<name>.pem`, `<name>.key` and `authority.pem` into a directory, and replaces files of
    /// these names.
    ///
    /// # Errors
    /// [`TestAuthorityError`] if a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<TestFiles, TestAuthorityError> {
        let files = TestFiles {
            certificate: directory.join(format!("{}.pem", self.name)),
            key: directory.join(format!("{}.key", self.name)),
            authority: directory.join("authority.pem"),
        };
        fs::write(&files.certificate, &self.certificate)?;
        key_file::write(&files.key, self.key.as_bytes())?;
        fs::write(&files.authority, &self.authority)?;
        Ok(files)
    }
}

impl TestFiles {
    /// A configuration with these files that trusts all certificates of the authority.
    pub fn config(&self) -> TlsConfig {
        let trust = Trust::Authorities(self.authority.clone().into());
        TlsConfig::new(self.certificate.clone(), self.key.clone(), trust)
    }
}

fn params(name: &str) -> Result<CertificateParams, TestAuthorityError> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(not_issued)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn not_issued(error: rcgen::Error) -> TestAuthorityError {
    TestAuthorityError::Issue { reason: error.to_string() }
}
