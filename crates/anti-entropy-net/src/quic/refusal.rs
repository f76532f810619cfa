//! What quinn says of a failed handshake, as a reason.

use quinn::ConnectionError;

use crate::refusal::RefusalReason;
use crate::tls::reason_of_alert;

/// Why a handshake failed, if somebody is to blame.
pub(super) fn refusal(error: &ConnectionError) -> Option<RefusalReason> {
    // QUIC's codes from here on are TLS alerts.
    let alert = |code: u64| u8::try_from(code.checked_sub(0x100)?).ok();
    match error {
        ConnectionError::TransportError(error) => {
            Some(alert(error.code.into()).map_or(RefusalReason::NotTls, |alert| reason_of_alert(alert.into())))
        }
        ConnectionError::ConnectionClosed(close) => {
            alert(close.error_code.into()).map(|_| RefusalReason::RefusedByPeer)
        }
        ConnectionError::VersionMismatch => Some(RefusalReason::NotTls),
        _ => None,
    }
}
