//! The words of a history for what engines report.

use core::fmt;

use anti_entropy::session::Outcome;
use anti_entropy::{Event, Notice};

/// The name and the description of the alarm that an engine's event raises, for [`Alarm`](super::Alarm). `None` for events that
/// raise none.
pub fn alarm_of<K: fmt::Debug>(event: &Event<K>) -> Option<(&'static str, String)> {
    match event {
        Event::Refused { peer, reason } => Some(("refused", format!("{peer}: {reason}"))),
        Event::PushRejected { peer, rejection } => Some(("push_rejected", format!("{peer}: {rejection}"))),
        Event::FrameRefused { peer, error } => Some(("frame_refused", format!("{peer}: {error}"))),
        Event::StoreFailed { message } => Some(("store_failed", message.clone())),
        Event::Notice(notice) => {
            let name = match notice {
                Notice::Renamed { .. } => "renamed",
                Notice::PutBack { .. } => "put_back",
                Notice::NameUsedTwice { .. } => "name_used_twice",
                Notice::ContentClash { .. } => "content_clash",
                Notice::HistoriesDiffer { .. } => "histories_differ",
                Notice::ClockSkew(_) => "clock_skew",
                _ => "notice",
            };
            Some((name, format!("{notice:?}")))
        }
        _ => None,
    }
}

/// The text for [`EndedSession::outcome`](super::EndedSession::outcome).
pub fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Converged => "converged".to_owned(),
        Outcome::Progress => "progress".to_owned(),
        Outcome::Partial(reason) => format!("partial: {reason}"),
        Outcome::Refused(reason) => format!("refused: {reason}"),
        other => format!("{other:?}"),
    }
}
