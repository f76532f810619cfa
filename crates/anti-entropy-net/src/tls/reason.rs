//! What the TLS library says, as a reason.

#[cfg(feature = "quic")]
use rustls::AlertDescription;
use rustls::{CertificateError, Error};

use super::verifier::Unlisted;
use crate::refusal::RefusalReason;

/// Why a handshake ended.
pub(crate) fn reason_of(error: &Error) -> RefusalReason {
    use RefusalReason as R;
    match error {
        Error::AlertReceived(_) => R::RefusedByPeer,
        Error::NoCertificatesPresented => R::NoCertificate,
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => R::UnknownIssuer,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => R::OutsideValidity,
            CertificateError::Other(other) if other.0.is::<Unlisted>() => R::Unlisted,
            _ => R::BadCertificate,
        },
        Error::NoApplicationProtocol => R::Protocol,
        _ => R::NotTls,
    }
}

/// The same over QUIC, which passes on the alert that this side sent, and no more.
#[cfg(feature = "quic")]
pub(crate) fn reason_of_alert(alert: AlertDescription) -> RefusalReason {
    use AlertDescription as A;
    use RefusalReason as R;
    match alert {
        A::CertificateRequired => R::NoCertificate,
        A::UnknownCA => R::UnknownIssuer,
        A::CertificateExpired => R::OutsideValidity,
        // The verifier calls nothing else "some other issue".
        A::CertificateUnknown => R::Unlisted,
        A::BadCertificate | A::UnsupportedCertificate | A::CertificateRevoked | A::DecryptError => R::BadCertificate,
        A::NoApplicationProtocol => R::Protocol,
        _ => R::NotTls,
    }
}
