//! Why a QUIC handshake failed, as a reason.

use quinn::ConnectionError;

use crate::refusal::ConnectionRefusalReason;
use crate::tls::reason_of_alert;

/// Why a handshake failed. `None` if the other side is not to blame.
pub(super) fn refusal_reason(error: &ConnectionError) -> Option<ConnectionRefusalReason> {
    // QUIC's codes from here on are TLS alerts.
    let alert = |code: u64| u8::try_from(code.checked_sub(0x100)?).ok();
    match error {
        ConnectionError::TransportError(error) => Some(
            alert(error.code.into()).map_or(ConnectionRefusalReason::NotTls, |alert| reason_of_alert(alert.into())),
        ),
        ConnectionError::ConnectionClosed(close) => {
            alert(close.error_code.into()).map(|_| ConnectionRefusalReason::RefusedByPeer)
        }
        ConnectionError::VersionMismatch => Some(ConnectionRefusalReason::NotTls),
        _ => None,
    }
}
