use core::time::Duration;

use tracing::field::Empty;
use tracing::{Span, debug, debug_span, error, info, warn};

use super::rate::{LineRate, Verdict, reason_of};
use crate::PeerId;
use crate::gossip::event::Event;
use crate::replica::Notice;
use crate::sync::{Finished, Outcome};

/// The span of a session, from its opening to its end.
#[derive(Clone, Debug)]
pub(in crate::gossip) struct SessionSpan(Span);

impl Default for SessionSpan {
    fn default() -> Self {
        Self(Span::none())
    }
}

impl SessionSpan {
    /// A span without a parent: a session spans many calls, and belongs to none of them.
    pub(in crate::gossip) fn new(space: &str, peer: &PeerId, direction: &str, nonce: u64) -> Self {
        Self(debug_span!(
            target: "anti_entropy",
            parent: None,
            "session",
            space,
            peer = peer.as_str(),
            direction,
            nonce,
            outcome = Empty,
            reason = Empty,
            changed = Empty,
            bytes_sent = Empty,
            bytes_received = Empty,
        ))
    }

    /// Runs `work` within the span.
    pub(in crate::gossip) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }

    /// Records how the session ended. A session that was given up has no outcome.
    pub(in crate::gossip) fn ended(&self, finished: &Finished) {
        self.0.record("outcome", finished.outcome.name());
        match &finished.outcome {
            Outcome::Partial(reason) => _ = self.0.record("reason", tracing::field::display(reason)),
            Outcome::Refused(reason) => _ = self.0.record("reason", tracing::field::display(reason)),
            Outcome::Converged | Outcome::ConvergedExcept { .. } | Outcome::Progress => {}
        }
        self.0.record("changed", finished.stats.changed);
        self.0.record("bytes_sent", finished.stats.bytes_sent);
        self.0.record("bytes_received", finished.stats.bytes_received);
    }
}

/// Reports events, so many of each reason in a second.
#[derive(Clone, Debug)]
pub(in crate::gossip) struct Reporter {
    rate: LineRate,
}

impl Reporter {
    pub(in crate::gossip) fn new(lines_per_second: u32) -> Self {
        Self { rate: LineRate::new(lines_per_second) }
    }

    pub(in crate::gossip) fn set(&mut self, lines_per_second: u32) {
        self.rate.set(lines_per_second);
    }

    pub(in crate::gossip) fn report<K>(&mut self, event: &Event<K>, now: Duration) {
        let Some(reason) = reason_of(event) else { return };
        let Verdict::Logged { left_out } = self.rate.judge(reason, now) else { return };
        if left_out > 0 {
            warn!(target: "anti_entropy", reason = reason.0, left_out, "lines like the next one were left out");
        }
        report(event);
    }
}

/// Reports what an operator would want to know. Keys are left out, since they may be confidential.
pub(super) fn report<K>(event: &Event<K>) {
    match event {
        Event::Refused { peer, reason } => {
            warn!(target: "anti_entropy", peer = peer.as_str(), %reason, "session or push refused");
        }
        Event::PushRejected { peer, rejection } => {
            warn!(target: "anti_entropy", peer = peer.as_str(), %rejection, "push rejected");
        }
        Event::FrameRefused { peer, error } => {
            debug!(target: "anti_entropy", peer = peer.as_str(), %error, "frame refused");
        }
        Event::StoreFailed { message } => error!(target: "anti_entropy", message),
        Event::Notice(notice) => report_notice(notice),
        Event::Converged { .. }
        | Event::ConvergedExcept { .. }
        | Event::Diverged { .. }
        | Event::SessionEnded { .. }
        | Event::Missed(_) => {}
    }
}

fn report_notice<K>(notice: &Notice<K>) {
    match notice {
        Notice::Renamed { from, to, made, reissued } => {
            let reissued = reissued.len();
            let text = "store or memory was put back or copied; the replica took another id";
            warn!(target: "anti_entropy", %from, %to, made, reissued, text);
        }
        Notice::PutBack { from, to, made, reissued } => {
            let reissued = reissued.len();
            let text = "the process was put back or runs twice; the replica took another id";
            warn!(target: "anti_entropy", %from, %to, made, reissued, text);
        }
        Notice::NameUsedTwice { dot, .. } => {
            warn!(target: "anti_entropy", %dot, "a version came in under a name that may have been used twice");
        }
        Notice::ContentClash { dot, .. } => {
            warn!(target: "anti_entropy", %dot, "one write was met with two contents");
        }
        Notice::HistoriesDiffer { key } => {
            warn!(target: "anti_entropy", %key, "a peer has seen the same and holds something else; audit both");
        }
        Notice::Unreadable { hash, .. } => {
            warn!(target: "anti_entropy", key = %hash, "a peer's entry cannot be read here, and was left out; upgrade");
        }
        Notice::TooLong { hash, .. } => {
            warn!(target: "anti_entropy", key = %hash, "a peer's entry is longer than max_message_bytes, and was left out");
        }
        Notice::HoleFilled { hash } => {
            info!(target: "anti_entropy", key = %hash, "what had been left out is here");
        }
        Notice::LargeEntry { hash, bytes, siblings } => {
            let text = "an entry has grown beyond half of a limit; resolve its versions";
            warn!(target: "anti_entropy", key = %hash, bytes, siblings, text);
        }
        Notice::ClockSkew(skew) => warn!(target: "anti_entropy", %skew, "a timestamp is too far ahead"),
    }
}
