use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anti_entropy::PeerId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::fingerprint::CertificateFingerprint;

/// Decides which certificates are trusted, in the same way on both sides.
///
/// During the handshake it verifies the certificate without a name, since the accepting side does not know yet which
/// peer to expect. After the handshake both sides call [`proves`](Self::proves) with the peer's name.
#[derive(Debug)]
pub(crate) struct Verifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
pub(crate) enum Trusted {
    Fingerprints(BTreeMap<PeerId, BTreeSet<CertificateFingerprint>>),
    Authorities(Vec<TrustAnchor<'static>>),
}

/// Which side of a connection shows the certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Role {
    fn usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

/// The error of a handshake with a certificate that is not in the list.
#[derive(Debug, thiserror::Error)]
#[error("the certificate with fingerprint {0} is not listed")]
struct Unlisted(CertificateFingerprint);

impl Verifier {
    pub(crate) fn new(trusted: Trusted, provider: &CryptoProvider) -> Self {
        Self { trusted, algorithms: provider.signature_verification_algorithms }
    }

    /// Verifies that a certificate is trusted, whatever names it proves.
    pub(crate) fn verify(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = EndEntityCert::try_from(own).map_err(webpki_error)?;
        match &self.trusted {
            Trusted::Authorities(anchors) => self.path(&certificate, anchors, others, role, now).map_err(webpki_error),
            Trusted::Fingerprints(listed) => {
                let fingerprint = CertificateFingerprint::of_der(own);
                if !listed.values().any(|listed| listed.contains(&fingerprint)) {
                    return Err(CertificateError::Other(OtherError(Arc::new(Unlisted(fingerprint)))).into());
                }
                self.in_itself(&certificate, role, now).map_err(webpki_error)
            }
        }
    }

    /// Whether a certificate proves a name. [`verify`](Self::verify) decides whether it is trusted.
    ///
    /// The certificate must contain the name letter for letter. By the rules of DNS it would prove further names: those
    /// that a wildcard covers, and its own with capital letters or a dot at the end. Here these are other peers.
    pub(crate) fn proves(&self, certificate: &CertificateDer<'_>, name: &PeerId) -> bool {
        match &self.trusted {
            Trusted::Fingerprints(listed) => {
                listed.get(name).is_some_and(|listed| listed.contains(&CertificateFingerprint::of_der(certificate)))
            }
            Trusted::Authorities(_) => {
                let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
                dns_name(name).is_some() && certificate.valid_dns_names().any(|own| own == name.as_str())
            }
        }
    }

    /// Checks all of a certificate that does not depend on its issuer: period, purpose, encoding.
    pub(crate) fn in_itself(
        &self,
        certificate: &EndEntityCert<'_>,
        role: Role,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        match self.path(certificate, &[], &[], role, now) {
            // Without authorities there is never a path, but this is complained about last. That a self-signed
            // certificate is marked as an authority's, as openssl does it, makes it no worse.
            Ok(()) | Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn path(
        &self,
        certificate: &EndEntityCert<'_>,
        anchors: &[TrustAnchor<'_>],
        others: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let algorithms = self.algorithms.all;
        certificate.verify_for_usage(algorithms, anchors, others, now, role.usage(), None, None).map(drop)
    }
}

/// A peer's name as a DNS name, if it is one.
pub(crate) fn dns_name(name: &PeerId) -> Option<ServerName<'_>> {
    match ServerName::try_from(name.as_str()) {
        Ok(name @ ServerName::DnsName(_)) => Some(name),
        _ => None,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn webpki_error(error: webpki::Error) -> Error {
    use webpki::Error as E;
    match error {
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::InvalidCertValidity => CertificateError::Expired,
        // With a forged signature of a known authority a certificate is as little from it.
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => CertificateError::InvalidPurpose,
        _ => CertificateError::BadEncoding,
    }
    .into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(own, others, Role::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A hint would tell strangers whom this node trusts, and a peer has one certificate anyway.
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(own, others, Role::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
