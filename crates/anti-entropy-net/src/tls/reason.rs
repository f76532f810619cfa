//! Why a TLS handshake failed, as a reason.

use rustls::{AlertDescription, Error};

use crate::refusal::ConnectionRefusalReason;

/// The reason for what the TLS library reports over TCP.
pub(crate) fn reason_of(error: &Error) -> ConnectionRefusalReason {
    use ConnectionRefusalReason as R;
    match error {
        Error::AlertReceived(_) => R::RefusedByPeer,
        Error::NoCertificatesPresented => R::NoCertificate,
        Error::InvalidCertificate(certificate) => reason_of_alert(certificate.clone().into()),
        Error::NoApplicationProtocol => R::Protocol,
        _ => R::NotTls,
    }
}

/// The reason for an alert that this side sent, which is all that QUIC reports.
pub(crate) fn reason_of_alert(alert: AlertDescription) -> ConnectionRefusalReason {
    use AlertDescription as A;
    use ConnectionRefusalReason as R;
    match alert {
        A::CertificateRequired => R::NoCertificate,
        A::UnknownCA => R::UnknownIssuer,
        A::CertificateExpired => R::OutsideValidity,
        // "Some other issue": the verifier says that of certificates that are not listed, and of nothing else.
        A::CertificateUnknown => R::Unlisted,
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::BadCertificateStatusResponse
        | A::AccessDenied
        | A::DecryptError => R::BadCertificate,
        A::NoApplicationProtocol => R::Protocol,
        _ => R::NotTls,
    }
}
