use std::path::{Path, PathBuf};
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::tls::{Fingerprint, Pem, TlsConfig, Trust};

/// A certificate authority for tests and examples; **not for production**, where keys must not lie about in one
/// process.
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

/// Where [`TestCertificate::write`] has put what it wrote.
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

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestAuthorityError {
    /// The name cannot be in a certificate, or the random generator failed.
    #[error("no certificate was issued: {0}; choose a name that is a DNS name")]
    Issue(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("a certificate could not be written: {0}; choose a directory that exists and may be written to")]
    Write(#[from] io::Error),
}

impl TestAuthority {
    /// A new authority, with a key of its own.
    ///
    /// # Errors
    /// [`TestAuthorityError`] if the random generator fails.
    pub fn new() -> Result<Self, TestAuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "anti-entropy test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's certificate, in PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate that is valid now, for client and server.
    ///
    /// # Errors
    /// [`TestAuthorityError`] if the name is no DNS name.
    pub fn issue(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        self.sign(name, &params(name)?)
    }

    /// Issues a certificate whose time is over.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_expired(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        let mut params = params(name)?;
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        self.sign(name, &params)
    }

    /// Issues a certificate whose time has not come.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_not_yet_valid(&self, name: &str) -> Result<TestCertificate, TestAuthorityError> {
        let mut params = params(name)?;
        (params.not_before, params.not_after) = (date_time_ymd(4000, 1, 1), date_time_ymd(4001, 1, 1));
        self.sign(name, &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<TestCertificate, TestAuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(TestCertificate {
            name: name.to_owned(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.certificate(),
        })
    }
}

impl TestCertificate {
    /// A certificate that nobody but itself has signed, for lists of fingerprints.
    ///
    /// # Errors
    /// As [`TestAuthority::issue`].
    pub fn self_signed(name: &str) -> Result<Self, TestAuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = params(name)?.self_signed(&key)?.pem();
        Ok(Self {
            name: name.to_owned(),
            certificate: certificate.clone(),
            key: key.serialize_pem(),
            authority: certificate,
        })
    }

    /// What a list of trusted certificates has of it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_pem(&self.certificate).expect("a certificate was issued")
    }

    /// A configuration with this certificate that trusts all that its authority has issued.
    pub fn config(&self) -> TlsConfig {
        self.config_with(Trust::Authorities(Pem::Text(self.authority.clone())))
    }

    /// A configuration with this certificate.
    pub fn config_with(&self, trust: Trust) -> TlsConfig {
        let [certificates, key] = [&self.certificate, &self.key].map(|text| Pem::Text(text.clone()));
        TlsConfig { certificates, key, trust }
    }

    /// Writes the files `<name>.pem`, `<name>.key` and `authority.pem` into a directory, over those that are there.
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
        fs::write(&files.key, &self.key)?;
        fs::write(&files.authority, &self.authority)?;
        Ok(files)
    }
}

impl TestFiles {
    /// A configuration with these files that trusts all that the authority has issued.
    pub fn config(&self) -> TlsConfig {
        TlsConfig {
            certificates: self.certificate.clone().into(),
            key: self.key.clone().into(),
            trust: Trust::Authorities(self.authority.clone().into()),
        }
    }
}

fn params(name: &str) -> Result<CertificateParams, TestAuthorityError> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
