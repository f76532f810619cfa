//! Reasons as labels: a fixed set, so that no peer can make up labels.

use crate::refusal::Refusal;
use crate::sync::{Outcome, PartialReason};

/// Every outcome that is a failure, with the reasons that [`of_outcome`] returns for it.
pub(super) const FAILURES: &[(&str, &str)] = &[
    ("partial", "timed_out"),
    ("partial", "busy"),
    ("partial", "aborted_by_peer"),
    ("partial", "stalled"),
    ("partial", "budget"),
    ("partial", "uncertified"),
    ("partial", "too_many_pieces"),
    ("partial", "store_failed"),
    ("partial", "shutdown"),
    ("refused", "version"),
    ("refused", "schema_id"),
    ("refused", "rejected"),
    ("refused", "rejected_by_peer"),
    ("refused", "malformed"),
    ("refused", "message_too_long"),
    ("refused", "entry_too_long"),
    ("refused", "too_many_repeats"),
];

/// The reason for which a session failed; `None` if it did not.
pub(super) fn of_outcome(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Converged | Outcome::ConvergedExcept { .. } | Outcome::Progress => None,
        Outcome::Partial(reason) => Some(match reason {
            PartialReason::TimedOut => "timed_out",
            PartialReason::Busy => "busy",
            PartialReason::AbortedByPeer => "aborted_by_peer",
            PartialReason::Budget => "budget",
            PartialReason::Stalled => "stalled",
            PartialReason::Uncertified => "uncertified",
            PartialReason::TooManyPieces => "too_many_pieces",
            PartialReason::StoreFailed => "store_failed",
            PartialReason::Shutdown => "shutdown",
        }),
        Outcome::Refused(refusal) => Some(match refusal {
            Refusal::Version { .. } => "version",
            Refusal::SchemaId => "schema_id",
            Refusal::ByPeer(_) => "rejected_by_peer",
            Refusal::Malformed(_) => "malformed",
            Refusal::MessageTooLong => "message_too_long",
            Refusal::EntryTooLong => "entry_too_long",
            Refusal::TooManyRepeats { .. } => "too_many_repeats",
            _ => "rejected",
        }),
    }
}

/// Every reason that [`of_rejection`] returns.
pub(super) const REJECTIONS: &[&str] = &[
    "not_certified",
    "missing_content",
    "malformed",
    "uncovered_write",
    "writer_not_admitted",
    "too_many_replicas",
    "too_many_pieces",
    "too_many_counters",
    "grows_too_fast",
    "too_many_unlisted",
    "equal_clocks_differ",
    "id_in_use",
    "claims_my_writes",
    "unreadable",
    "too_many_holes",
];

/// The reason for which a push or a session was refused.
pub(super) fn of_rejection(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal {
        Refusal::NotCertified => "not_certified",
        Refusal::MissingContent => "missing_content",
        Refusal::UncoveredWrite(_) => "uncovered_write",
        Refusal::WriterNotAdmitted(_) => "writer_not_admitted",
        Refusal::TooManyReplicas { .. } => "too_many_replicas",
        Refusal::TooManyPieces { .. } => "too_many_pieces",
        Refusal::TooManyCounters { .. } => "too_many_counters",
        Refusal::GrowsTooFast { .. } => "grows_too_fast",
        Refusal::TooManyUnlisted { .. } => "too_many_unlisted",
        Refusal::EqualClocksDiffer(_) => "equal_clocks_differ",
        Refusal::IdInUse => "id_in_use",
        Refusal::ClaimsMyWrites { .. } => "claims_my_writes",
        Refusal::Unreadable(_) => "unreadable",
        Refusal::TooManyHoles { .. } => "too_many_holes",
        Refusal::Malformed(_) => "malformed",
        // A session or a frame was refused, and not what it brought.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyHash;
    use crate::clock::{Dot, ReplicaId};

    /// A counter that begins with its first refusal has no increase to be alarmed by.
    #[test]
    fn every_reason_is_counted_from_the_start() {
        let (replica, key) = (ReplicaId::from_bytes([1; 16]), KeyHash::MIN);
        let refusals = [
            Refusal::IdInUse,
            Refusal::NotCertified,
            Refusal::MissingContent,
            Refusal::Malformed(""),
            Refusal::UncoveredWrite(Dot { replica, counter: 1 }),
            Refusal::WriterNotAdmitted(replica),
            Refusal::EqualClocksDiffer(key),
            Refusal::Unreadable(key),
        ];
        for refusal in refusals {
            let reason = of_rejection(&refusal).unwrap();
            assert!(REJECTIONS.contains(&reason), "{reason}");
        }
    }
}
