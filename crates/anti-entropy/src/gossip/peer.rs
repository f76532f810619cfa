//! One peer: how healthy it is, when it is to be talked to, and what it said last.

use alloc::string::String;
use core::time::Duration;

use super::announcement::StateDigest;
use super::config::GossipConfig;
use super::span::scaled;
use super::work::WorkAccount;
use crate::PeerId;
use crate::refusal::Refusal;
use crate::replica::GrowthAccount;
use crate::summary::Root;
use crate::sync::{Finished, Outcome, PartialReason};

/// How often in a row a busy peer is tried again, each time after twice as long, before it is left to the next round.
const MAX_BUSY_RETRIES: u32 = 6;

/// How many sessions a peer may open at once, before they are answered no faster than one in each `busy_retry`: those that
/// it opens again at once when it was busy, and those that it is asked for from several sides.
const MAX_OPENINGS_AT_ONCE: u32 = 8;

/// What is known of a peer, and when the next session with it is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    zone: Option<String>,
    /// When this replica and the peer last certified that they are equal, and with which root; with none if they were
    /// equal except for holes.
    converged: Option<(Duration, Option<Root>)>,
    /// What a session that was opened from here certified last.
    certified: Option<Certificate>,
    heard_at: Option<Duration>,
    /// How much it may add to the context.
    pub(super) growth: GrowthAccount,
    /// How much was done for it.
    pub(super) work: WorkAccount,
    failures: u32,
    /// Let a session time out, and has not been heard since the session's last time-out began.
    silent: bool,
    /// How many sessions in a row ended because it, or this replica, was in another transfer.
    busy: u32,
    /// No session is opened before this time, whatever is scheduled.
    backoff_until: Duration,
    /// How many sessions ended, since it last converged, because it claimed writes that this replica did not make.
    claims: u32,
    /// When it claimed so last.
    claimed_at: Option<Duration>,
    /// No session that it opens is answered before this time.
    shut_out_until: Duration,
    /// Until when the sessions that it opened so far take, at one in each `busy_retry`.
    openings_until: Duration,
    /// Sessions follow one another until the two have converged.
    pursued: bool,
    /// When the next session outside of the rounds is wanted.
    scheduled_at: Option<Duration>,
    /// How many keys differed when it was last compared with.
    differences: u64,
    /// What it announced last, and when.
    announced: Option<(Duration, StateDigest)>,
    /// When it announced the state that this replica had then.
    announced_equal_at: Option<Duration>,
    /// How often it has announced that since a session certified it; `None` if none ever did.
    uncertified: Option<u32>,
    /// When a comparison was last begun because of what it announced.
    announcement_followed_at: Option<Duration>,
}

/// A peer's state, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub peer: PeerId,
    /// Its zone.
    pub zone: Option<String>,
    /// How long ago the two were equal, by a session or by what the peer announced; `None` if neither has happened.
    /// What is announced is not proved: see [`certified_lag`](Self::certified_lag). Holes do not count:
    /// [`Status::holes`](crate::Status::holes) has these.
    pub lag: Option<Duration>,
    /// How long ago a session certified that the two are equal; `None` if none has.
    pub certified_lag: Option<Duration>,
    /// The root that both had in that session. `None` if they were equal except for holes.
    pub root: Option<Root>,
    /// How long ago the last frame of the peer arrived; `None` if none has.
    pub silent: Option<Duration>,
    /// How many sessions in a row have failed.
    pub failures: u32,
    /// For how much longer no session with the peer is opened, after failures.
    pub backoff: Duration,
    /// For how much longer its requests and pushes are dropped, since it has had more done than
    /// [`peer_work_per_second`](crate::GossipConfig::peer_work_per_second) allows.
    pub put_off: Duration,
    /// How many keys differed when the two were last compared.
    pub differences: u64,
}

/// What a session certified: that the peer holds the same as this replica did.
#[derive(Clone, Copy, Debug)]
struct Certificate {
    opened_at: Duration,
    /// The root that both had; if there were holes, the one that they would have had without.
    root: Root,
    /// At how many keys the two may differ all the same, since one of them has a hole there.
    keys: u64,
}

/// A session that has ended, as the peer's health goes by it.
#[derive(Debug)]
pub(super) struct EndedSession<'a> {
    pub(super) finished: &'a Finished,
    /// When it was opened from here; `None` if the peer opened it.
    pub(super) opened_at: Option<Duration>,
    /// By how many thousandths the pause before the next session is to be scaled.
    pub(super) jitter: u32,
}

/// When a session is opened.
impl Peer {
    /// Wants a session at this time; an earlier wish stands.
    pub(super) fn schedule(&mut self, at: Duration) {
        self.scheduled_at = Some(self.scheduled_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The session that was wanted is opened, or one is open already.
    pub(super) fn unschedule(&mut self) {
        self.scheduled_at = None;
    }

    /// When the next session may be opened: as scheduled, or when the back-off ends. `None` if none is wanted.
    pub(super) fn next_session_at(&self) -> Option<Duration> {
        self.scheduled_at.map(|at| at.max(self.backoff_until))
    }

    /// Wants one session now, in spite of a back-off.
    pub(super) fn sync_now(&mut self, now: Duration) {
        self.backoff_until = Duration::ZERO;
        self.schedule(now);
    }

    /// Wants sessions from now on until the two have converged. If that is under way, it keeps the pace that the peer's
    /// health allows.
    pub(super) fn pursue(&mut self, now: Duration) {
        if !self.pursued {
            self.pursued = true;
            self.sync_now(now);
        }
    }

    /// Whether failures keep sessions with it from being opened.
    pub(super) fn is_backing_off(&self, now: Duration) -> bool {
        self.backoff_until > now
    }
}

/// How healthy it is.
impl Peer {
    /// A frame of it has arrived. Returns whether it was silent until then.
    pub(super) fn heard(&mut self, now: Duration) -> bool {
        self.heard_at = Some(now);
        core::mem::take(&mut self.silent)
    }

    /// Whether it let a session time out and has not been heard since.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Draws the conclusions from the end of a session with it.
    pub(super) fn session_ended(&mut self, ended: &EndedSession<'_>, config: &GossipConfig, now: Duration) {
        let EndedSession { finished, opened_at, jitter } = *ended;
        let pause = scaled(config.busy_retry.saturating_mul(1 << self.busy.min(MAX_BUSY_RETRIES)), jitter);
        self.differences = finished.stats.differences;
        let was_busy = finished.outcome == Outcome::Partial(PartialReason::Busy);
        self.busy = if was_busy { self.busy.saturating_add(1) } else { 0 };
        match &finished.outcome {
            Outcome::Converged => self.has_converged(finished.root, 0, opened_at, now),
            Outcome::ConvergedExcept { keys } => self.has_converged(finished.root, keys.get(), opened_at, now),
            Outcome::Progress => self.succeeded(),
            Outcome::Partial(reason) => self.ended_early(reason, config, now),
            Outcome::Refused(Refusal::ClaimsMyWrites { .. } | Refusal::IdInUse) => self.claimed_too_much(config, now),
            Outcome::Refused(_) => self.misbehaved(config, now),
        }
        if opened_at.is_some() && (self.pursued || self.is_worth_retrying(&finished.outcome)) {
            self.schedule(now.saturating_add(pause));
        }
    }

    /// The two are equal, except at so many keys.
    pub(super) fn has_converged(&mut self, root: Option<Root>, keys: u64, opened_at: Option<Duration>, now: Duration) {
        self.succeeded();
        self.pursued = false;
        self.uncertified = Some(0);
        self.converged = Some((now, root.filter(|_| keys == 0)));
        // What the peer said in a session that it opened, or that was open before, may be older than it looks.
        if let (Some(root), Some(opened_at)) = (root, opened_at) {
            self.certified = Some(Certificate { opened_at, root, keys });
        }
    }

    fn ended_early(&mut self, reason: &PartialReason, config: &GossipConfig, now: Duration) {
        // A peer that was restarted knows nothing of the session, and answers others all the same.
        let silence_began = now.saturating_sub(config.session.idle_timeout);
        if *reason == PartialReason::TimedOut && self.heard_at.is_none_or(|heard| heard <= silence_began) {
            self.silent = true;
        }
        match reason {
            // A peer that does not answer is left alone for a while, whoever opened; and so is every peer while this
            // replica's store fails or its context is full, for it would fail again. If it asks, it is answered: it may
            // be back, and it may be what mends this replica.
            PartialReason::TimedOut | PartialReason::TooManyPieces | PartialReason::StoreFailed => {
                self.failed(config, now);
            }
            PartialReason::Stalled | PartialReason::Uncertified | PartialReason::AbortedByPeer => {
                self.misbehaved(config, now);
            }
            PartialReason::Busy | PartialReason::Budget | PartialReason::Shutdown => {}
        }
    }

    /// Whether the same session is likely to succeed in a moment.
    fn is_worth_retrying(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Partial(PartialReason::Busy) => self.busy <= MAX_BUSY_RETRIES,
            Outcome::Partial(PartialReason::Budget) => true,
            Outcome::Refused(Refusal::ClaimsMyWrites { .. } | Refusal::IdInUse) => self.claims == 1,
            _ => false,
        }
    }

    /// It has seen more writes of this replica than this one made, or another one of the same name. The first time that is
    /// this replica's own trouble, which a new id has ended. Whoever goes on is left alone, and not answered either, for
    /// longer each time, whatever else it does well in between, until it has made no such claim for twice
    /// `backoff_max`.
    fn claimed_too_much(&mut self, config: &GossipConfig, now: Duration) {
        if self.claimed_at.is_none_or(|at| now.saturating_sub(at) > config.backoff_max.saturating_mul(2)) {
            self.claims = 0;
        }
        self.claimed_at = Some(now);
        self.claims = self.claims.saturating_add(1);
        if self.claims > 1 {
            self.failures = self.failures.max(self.claims - 2);
            self.misbehaved(config, now);
        }
    }

    /// It answers, and costs more than it is worth: it is not answered for a while either.
    fn misbehaved(&mut self, config: &GossipConfig, now: Duration) {
        self.failed(config, now);
        self.shut_out_until = self.backoff_until;
    }

    /// Whether sessions that it opens are refused.
    fn is_shut_out(&self, now: Duration) -> bool {
        self.shut_out_until > now
    }

    /// Whether a session that it opens now is answered; if so, it counts. Each costs a snapshot and a first answer.
    pub(super) fn may_open(&mut self, config: &GossipConfig, now: Duration) -> bool {
        let earlier = self.openings_until.max(now);
        let has_too_many = earlier.saturating_sub(now) > config.busy_retry.saturating_mul(MAX_OPENINGS_AT_ONCE - 1);
        if has_too_many || self.is_shut_out(now) {
            return false;
        }
        self.openings_until = earlier.saturating_add(config.busy_retry);
        true
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.backoff_until = Duration::ZERO;
        self.shut_out_until = Duration::ZERO;
    }

    pub(super) fn failed(&mut self, config: &GossipConfig, now: Duration) {
        let backoff = config.backoff_min.saturating_mul(1 << self.failures.min(20)).min(config.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.backoff_until = now.saturating_add(backoff);
    }
}

/// What it holds.
impl Peer {
    /// The peer has announced that its state is this one, which this replica has too. Nobody proves that, so all that
    /// comes of it is that rounds pass the peer over, for a while and for so many announcements.
    pub(super) fn announced_equal(&mut self, state: StateDigest, now: Duration) {
        self.announced = Some((now, state));
        self.announced_equal_at = Some(now);
        self.uncertified = self.uncertified.map(|count| count.saturating_add(1));
    }

    /// The peer has announced another state than this replica's.
    pub(super) fn announced_difference(&mut self, state: StateDigest, now: Duration) {
        self.announced = Some((now, state));
    }

    /// Whether rounds believe that it has this state: it said so lately, and a session has certified that the two were
    /// equal less than [`certify_every`](GossipConfig::certify_every) announcements ago.
    pub(super) fn is_believed_to_have(&self, state: StateDigest, config: &GossipConfig, now: Duration) -> bool {
        let is_recent = |at: Duration| now.saturating_sub(at) < config.announcement_lifetime;
        self.announced.is_some_and(|(at, announced)| announced == state && is_recent(at))
            && self.uncertified.is_some_and(|count| count < config.certify_every.get())
    }

    /// Whether an announcement may lead to a comparison now: at most one in each `pause`, and none during a back-off.
    /// If it may, the pause begins.
    pub(super) fn may_follow_announcement(&mut self, pause: Duration, now: Duration) -> bool {
        let paused = self.announcement_followed_at.is_some_and(|at| now.saturating_sub(at) < pause);
        if paused || self.is_backing_off(now) {
            return false;
        }
        self.announcement_followed_at = Some(now);
        true
    }

    /// Except at how many keys the last session that was opened from here at `since` or later certified that the peer
    /// holds what this replica does, whose root is `root`, and `filled` with its holes filled. `None` if none did.
    pub(super) fn certified_except(&self, root: Root, filled: Root, since: Duration) -> Option<u64> {
        let certified = self.certified.filter(|certified| certified.opened_at >= since)?;
        let mine = if certified.keys == 0 { root } else { filled };
        (certified.root == mine).then_some(certified.keys)
    }

    /// When a session last certified that the two are equal.
    pub(super) fn certified_at(&self) -> Option<Duration> {
        self.converged.map(|(at, _)| at)
    }

    pub(super) fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    pub(super) fn set_zone(&mut self, zone: Option<String>) {
        self.zone = zone;
    }

    pub(super) fn status(&self, peer: &PeerId, now: Duration) -> PeerStatus {
        let ago = |at: Duration| now.saturating_sub(at);
        PeerStatus {
            peer: peer.clone(),
            zone: self.zone.clone(),
            lag: self.certified_at().max(self.announced_equal_at).map(ago),
            certified_lag: self.certified_at().map(ago),
            root: self.converged.and_then(|(_, root)| root),
            silent: self.heard_at.map(ago),
            failures: self.failures,
            backoff: self.backoff_until.saturating_sub(now),
            put_off: self.work.overdrawn(now),
            differences: self.differences,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let config = GossipConfig::default();
        let mut peer = Peer::default();
        for _ in 0..100 {
            peer.failed(&config, Duration::ZERO);
        }
        assert_eq!(peer.backoff_until, config.backoff_max);
        peer.succeeded();
        peer.failed(&config, Duration::ZERO);
        assert_eq!(peer.backoff_until, config.backoff_min);
    }
}
