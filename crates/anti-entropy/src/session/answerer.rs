//! The side that answers: it serves its snapshot, takes in batches, and sends its own in return.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::message::{BatchReply, Differs, Open, Refusal, Reply, Request, State, Verdict};
use super::opener::{BULK_GAPS, MAX_KEYS_ASKED, joint_cuts, limits, state_of};
use super::{Outcome, PartialReason, RefusedReason, SessionConfig, SessionStats, Step};
use crate::clock::{Now, RangeClocks};
use crate::replica::{
    Applied, Baseline, Batch, BatchPlan, Error, Gap, HeldByPeer, Joined, Rejection, Replica, Replicated, TheirEntry,
};
use crate::summary::Root;
use crate::summary::compare::{Ask, answer, first_answer};
use crate::{KeyHash, KeyRange};

#[derive(Debug)]
pub(super) struct Answerer {
    nonce: u64,
    /// The snapshot that the opener compares with; none before it opened.
    compared: Option<Baseline>,
    cuts: Option<Vec<KeyHash>>,
    /// The last batch that was taken in: what the opener holds in its range.
    joined: Option<(Joined, KeyRange, RangeClocks)>,
    /// The root that both sides were found to have at the end.
    certified: Option<Root>,
}

impl Answerer {
    pub(super) fn new(nonce: u64) -> Self {
        Self { nonce, compared: None, cuts: None, joined: None, certified: None }
    }

    pub(super) fn certified(&self) -> Option<Root> {
        self.certified
    }

    pub(super) fn is_transferring(&self) -> bool {
        self.compared.is_some()
    }

    pub(super) fn handle_request<V: Replicated>(
        &mut self,
        request: Request,
        replica: &mut Replica<V>,
        may_transfer: bool,
        config: &SessionConfig,
        stats: &mut SessionStats,
        now: Now,
    ) -> Result<Step<Reply>, Error> {
        match request {
            Request::Open(open) => Ok(self.handle_open(open, replica, may_transfer, config)),
            Request::Ask(ask) => Ok(self.handle_ask(&ask, config)),
            Request::Held(keys) => self.handle_held(keys, replica),
            Request::Batch(batch) => self.handle_batch(batch, replica, config, stats, now),
            Request::More { from, inline } => self.reply_batch(from, inline, replica, config, stats),
            Request::Close(theirs) => Ok(self.handle_close(theirs, replica)),
            Request::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Request::Abort => Ok(Step::end(Outcome::Partial(PartialReason::AbortedByPeer))),
        }
    }

    fn handle_open<V: Replicated>(
        &mut self,
        open: Open,
        replica: &mut Replica<V>,
        may_transfer: bool,
        config: &SessionConfig,
    ) -> Step<Reply> {
        if open.agreement != config.agreement {
            return Step::say_and_end(Reply::Refused(Refusal::Agreement), Outcome::Refused(RefusedReason::Agreement));
        }
        let state = state_of(replica);
        if state == open.state {
            self.certified = Some(state.root);
            return Step::say_and_end(Reply::Equal, Outcome::Converged);
        }
        if !may_transfer {
            return Step::say_and_end(Reply::Busy, Outcome::Partial(PartialReason::Busy));
        }
        let baseline = replica.baseline();
        let first =
            (state.root != open.state.root).then(|| first_answer(&baseline.summary, open.width, config.answer_bytes));
        let seen = if_short(replica.context().pieces(&KeyRange::ALL));
        let cuts = replica.cuts_if_full();
        self.cuts = joint_cuts(cuts.clone(), open.cuts);
        self.compared = Some(baseline);
        self.joined = None;
        Step::say(Reply::Differs(Differs { nonce: self.nonce, cuts, seen, first }))
    }

    fn handle_ask(&mut self, ask: &Ask, config: &SessionConfig) -> Step<Reply> {
        match &self.compared {
            Some(compared) => Step::say(Reply::Answer(answer(&compared.summary, ask, config.answer_bytes))),
            None => out_of_turn(),
        }
    }

    fn handle_held<V: Replicated>(&self, keys: Vec<KeyHash>, replica: &Replica<V>) -> Result<Step<Reply>, Error> {
        if self.compared.is_none() {
            return Ok(out_of_turn());
        }
        // What is asked for beyond that is sent whole.
        let keys: BTreeSet<KeyHash> = keys.into_iter().take(MAX_KEYS_ASKED).collect();
        Ok(Step::say(Reply::Held(replica.held_at(keys)?)))
    }

    fn handle_batch<V: Replicated>(
        &mut self,
        batch: Batch,
        replica: &mut Replica<V>,
        config: &SessionConfig,
        stats: &mut SessionStats,
        now: Now,
    ) -> Result<Step<Reply>, Error> {
        let Some(compared) = &self.compared else { return Ok(out_of_turn()) };
        stats.differences += batch.changes.len() as u64;
        let (range, clocks) = (batch.range(), batch.clocks.clone());
        let joined = match replica.apply(batch, compared, now)? {
            Applied::Joined(joined) => joined,
            Applied::Rejected(rejection) => return Ok(rejected(rejection, stats)),
        };
        stats.changed += joined.changed.len() as u64;
        self.joined = Some((joined, range, clocks));
        self.reply_batch(range.lo(), false, replica, config, stats)
    }

    /// Rule 6: this replica's state now, against the opener's when it made the batch that was taken in last.
    fn reply_batch<V: Replicated>(
        &mut self,
        from: KeyHash,
        inline: bool,
        replica: &mut Replica<V>,
        config: &SessionConfig,
        stats: &mut SessionStats,
    ) -> Result<Step<Reply>, Error> {
        let Some((joined, range, clocks)) = &self.joined else { return Ok(out_of_turn()) };
        let Some(rest) = KeyRange::new(from, range.hi()).filter(|rest| range.includes(rest)) else {
            return Ok(out_of_turn());
        };
        // With cuts, only all of the differences tell where the batch may end.
        let most = if self.cuts.is_some() { usize::MAX - 1 } else { BULK_GAPS };
        let live = replica.summary();
        let differences = live.diff_range(&joined.theirs, &rest).take(most + 1);
        let mut gaps: Vec<Gap> =
            differences.map(|gap| Gap { key: gap.key, theirs: TheirEntry::of(gap.theirs) }).collect();
        let rest = end_before_last(&mut gaps, rest, most);
        // Equal entries and clocks need no batch; a batch without entries still brings clocks.
        if gaps.is_empty() && replica.context().pieces(range) == *clocks {
            return Ok(Step::say(Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: None })));
        }
        let nothing = HeldByPeer::new();
        let plan = BatchPlan {
            range: rest,
            limits: limits(config, gaps.len() as u64),
            gaps,
            compared: None,
            seen: None,
            held: if inline { &nothing } else { &joined.held },
            inline,
            cuts: self.cuts.as_deref(),
        };
        let batch = replica.make_batch(&plan)?;
        stats.value_bytes_sent += batch.value_bytes();
        Ok(Step::say(Reply::Batch(BatchReply { verdict: Verdict::Joined, batch: Some(batch) })))
    }

    fn handle_close<V: Replicated>(&mut self, theirs: State, replica: &mut Replica<V>) -> Step<Reply> {
        let mine = state_of(replica);
        self.certified = (mine == theirs).then_some(mine.root);
        let outcome = if mine == theirs { Outcome::Converged } else { Outcome::Progress };
        Step::say_and_end(Reply::Closed(mine), outcome)
    }
}

/// If there are more differences than are handled at a time, ends the range before the first that is left out.
fn end_before_last(gaps: &mut Vec<Gap>, rest: KeyRange, most: usize) -> KeyRange {
    let first_left_out = (gaps.len() > most).then(|| gaps.pop()).flatten();
    first_left_out.and_then(|gap| KeyRange::new(rest.lo(), Some(gap.key))).unwrap_or(rest)
}

/// Clocks, if they are few: the difference that they make is seldom worth more.
fn if_short(clocks: RangeClocks) -> Option<RangeClocks> {
    const MOST_COUNTERS: usize = 64;
    (clocks.counters() <= MOST_COUNTERS).then_some(clocks)
}

fn out_of_turn() -> Step<Reply> {
    let reason = RefusedReason::Malformed("a request out of turn");
    Step::say_and_end(Reply::Refused(Refusal::OutOfTurn), Outcome::Refused(reason))
}

/// What the opener is told of a batch that was not taken in, and whether the session can go on.
fn rejected(rejection: Rejection, stats: &mut SessionStats) -> Step<Reply> {
    let reply = |verdict| Reply::Batch(BatchReply { verdict, batch: None });
    match rejection {
        Rejection::NotCertified => {
            stats.uncertified += 1;
            Step::say(reply(Verdict::NotCertified))
        }
        Rejection::MissingContent => Step::say(reply(Verdict::MissingContent)),
        Rejection::TooManyPieces { .. } => Step::say_and_end(
            reply(Verdict::Rejected(rejection.to_string())),
            Outcome::Partial(PartialReason::TooManyPieces),
        ),
        other => Step::say_and_end(
            reply(Verdict::Rejected(other.to_string())),
            Outcome::Refused(RefusedReason::Rejected(other)),
        ),
    }
}
