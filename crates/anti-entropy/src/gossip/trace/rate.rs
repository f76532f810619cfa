//! How many lines an engine logs: a peer decides how often it does something wrong.

use alloc::vec::Vec;
use core::mem::Discriminant;
use core::time::Duration;

use crate::gossip::event::Event;
use crate::refusal::Refusal;
use crate::replica::Notice;

const SECOND: Duration = Duration::from_secs(1);

/// Why a line is logged: the kind of the event, and of the refusal if it is one. There are a few dozen.
type Reason = (&'static str, Option<Discriminant<Refusal>>);

/// The lines of each reason in its present second.
#[derive(Clone, Debug)]
pub(super) struct LineRate {
    per_second: u32,
    reasons: Vec<(Reason, Lines)>,
}

#[derive(Clone, Debug)]
struct Lines {
    since: Duration,
    logged: u32,
    left_out: u64,
}

/// Whether an event is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is, after so many of its reason that were not.
    Logged {
        left_out: u64,
    },
    LeftOut,
}

impl LineRate {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, reasons: Vec::new() }
    }

    pub(super) fn set(&mut self, per_second: u32) {
        self.per_second = per_second;
    }

    pub(super) fn judge(&mut self, reason: Reason, now: Duration) -> Verdict {
        let known = self.reasons.iter().position(|(known, _)| *known == reason);
        let at = known.unwrap_or_else(|| {
            self.reasons.push((reason, Lines { since: now, logged: 0, left_out: 0 }));
            self.reasons.len() - 1
        });
        let lines = &mut self.reasons[at].1;
        if now.saturating_sub(lines.since) >= SECOND {
            (lines.since, lines.logged) = (now, 0);
        }
        if lines.logged == self.per_second {
            lines.left_out += 1;
            return Verdict::LeftOut;
        }
        lines.logged += 1;
        Verdict::Logged { left_out: core::mem::take(&mut lines.left_out) }
    }
}

fn kind_of<K>(notice: &Notice<K>) -> &'static str {
    match notice {
        Notice::Renamed { .. } => "renamed",
        Notice::PutBack { .. } => "put back",
        Notice::NameUsedTwice { .. } => "name used twice",
        Notice::ContentClash { .. } => "content clash",
        Notice::HistoriesDiffer { .. } => "histories differ",
        Notice::LargeEntry { .. } => "large entry",
        Notice::ClockSkew(_) => "clock skew",
        Notice::Unreadable { .. } => "unreadable",
        Notice::TooLong { .. } => "too long",
        Notice::HoleFilled { .. } => "hole filled",
    }
}

/// The reason of an event; `None` if it is not logged at all.
pub(super) fn reason_of<K>(event: &Event<K>) -> Option<Reason> {
    let of = |kind, refusal: &Refusal| Some((kind, Some(core::mem::discriminant(refusal))));
    match event {
        Event::Refused { reason, .. } => of("refused", reason),
        Event::PushRejected { rejection, .. } => of("push rejected", rejection),
        Event::FrameRefused { error, .. } => of("frame refused", error),
        Event::StoreFailed { .. } => Some(("store failed", None)),
        Event::Notice(notice) => Some((kind_of(notice), None)),
        Event::Converged { .. }
        | Event::ConvergedExcept { .. }
        | Event::Diverged { .. }
        | Event::SessionEnded { .. }
        | Event::Missed(_) => None,
    }
}
