//! Reasons as labels: few, and none made of what a peer says.

use crate::replica::Rejection;
use crate::session::{Outcome, PartialReason, RefusedReason};

/// All that [`of_outcome`] says, but for sessions that did well.
pub(super) const FAILURES: &[(&str, &str)] = &[
    ("partial", "timed_out"),
    ("partial", "busy"),
    ("partial", "aborted_by_peer"),
    ("partial", "budget"),
    ("partial", "uncertified"),
    ("partial", "too_many_pieces"),
    ("partial", "store_failed"),
    ("partial", "shutdown"),
    ("refused", "version"),
    ("refused", "agreement"),
    ("refused", "rejected"),
    ("refused", "rejected_by_peer"),
    ("refused", "malformed"),
    ("refused", "message_too_long"),
    ("refused", "entry_too_long"),
];

/// Why a session failed; `None` if it did not.
pub(super) fn of_outcome(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Converged | Outcome::Progress => None,
        Outcome::Partial(reason) => Some(match reason {
            PartialReason::TimedOut => "timed_out",
            PartialReason::Busy => "busy",
            PartialReason::AbortedByPeer => "aborted_by_peer",
            PartialReason::Budget => "budget",
            PartialReason::Uncertified => "uncertified",
            PartialReason::TooManyPieces => "too_many_pieces",
            PartialReason::StoreFailed => "store_failed",
            PartialReason::Shutdown => "shutdown",
        }),
        Outcome::Refused(reason) => Some(match reason {
            RefusedReason::Version { .. } => "version",
            RefusedReason::Agreement => "agreement",
            RefusedReason::Rejected(_) => "rejected",
            RefusedReason::RejectedByPeer(_) => "rejected_by_peer",
            RefusedReason::Malformed(_) => "malformed",
            RefusedReason::MessageTooLong => "message_too_long",
            RefusedReason::EntryTooLong => "entry_too_long",
        }),
    }
}

/// All that [`of_rejection`] says.
pub(super) const REJECTIONS: &[&str] = &[
    "not_certified",
    "missing_content",
    "malformed",
    "uncovered_write",
    "writer_not_admitted",
    "too_many_replicas",
    "too_many_pieces",
    "too_many_unlisted",
    "equal_clocks_differ",
    "claims_my_writes",
];

pub(super) fn of_rejection(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::NotCertified => "not_certified",
        Rejection::MissingContent => "missing_content",
        Rejection::Malformed(_) => "malformed",
        Rejection::UncoveredWrite(_) => "uncovered_write",
        Rejection::WriterNotAdmitted(_) => "writer_not_admitted",
        Rejection::TooManyReplicas { .. } => "too_many_replicas",
        Rejection::TooManyPieces { .. } => "too_many_pieces",
        Rejection::TooManyUnlisted { .. } => "too_many_unlisted",
        Rejection::EqualClocksDiffer(_) => "equal_clocks_differ",
        Rejection::ClaimsMyWrites { .. } => "claims_my_writes",
    }
}
