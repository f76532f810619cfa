//! Arithmetic with spans of time.

use core::time::Duration;

/// So many thousandths of a span.
pub(super) fn scaled(span: Duration, thousandths: u32) -> Duration {
    match span.checked_mul(thousandths) {
        Some(product) => product / 1000,
        None => (span / 1000).saturating_mul(thousandths),
    }
}
