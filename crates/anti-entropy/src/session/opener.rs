//! The side that opens: it compares, sends what it holds where the two differ, and takes in the answer.

use alloc::vec::Vec;

use super::message::{BatchReply, Differs, Open, Refusal, Reply, Request, State, Verdict};
use super::{Outcome, PartialReason, RefusedReason, SessionConfig, Step, Turn};
use crate::clock::RangeClocks;
use crate::mutant::{self, Mutant};
use crate::replica::{
    Applied, Baseline, Batch, BatchLimits, BatchPlan, Error, Gap, HeldByPeer, Rejection, Replica, Replicated,
    TheirEntry,
};
use crate::summary::Root;
use crate::summary::compare::{Comparison, Width};
use crate::{KeyHash, KeyRange};

#[derive(Clone, Debug, Hash)]
pub(super) struct Opener {
    /// This replica's state when the comparison began.
    compared: Baseline,
    width: Width,
    /// None before the answerer said what differs, and where only the contexts do.
    comparison: Option<Comparison>,
    /// Keys that were found to differ and are not sent yet, in order; all there are below `known_up_to`.
    gaps: Vec<Gap>,
    known_up_to: Option<KeyHash>,
    /// Everything below is exchanged; `None` once everything is.
    cursor: Option<KeyHash>,
    /// The batch that waits for its reply: this replica's state when it was made, and its range.
    sent: Option<(Baseline, KeyRange)>,
    cuts: Option<Vec<KeyHash>>,
    phase: Phase,
    /// What was said of this side in the opening that waits for its reply, or was answered last.
    opened_with: State,
    /// The root that both sides were found to have at the end.
    certified: Option<Root>,
    /// What the answerer had seen at the comparison, if it said so.
    seen: Option<RangeClocks>,
    /// The batch that waits until the answerer has said what it holds at some keys.
    asking: Option<(KeyRange, Vec<KeyHash>)>,
    /// What it said of keys that are not exchanged yet.
    held: HeldByPeer,
    /// Whether content is sent whole, since the answerer did not hold what was named.
    inline: bool,
    /// Whether the session is over once all differences are known, and nothing is exchanged.
    compares_only: bool,
}

/// How far the session has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// The opening waits for its reply.
    Opening,
    /// It does so for the second time, since what was exchanged did not add up.
    Reopening,
    /// The two sides differ, and exchange what they hold.
    Exchanging,
}

impl Opener {
    pub(super) fn start<V: Replicated>(replica: &mut Replica<V>, config: &SessionConfig) -> (Self, Request) {
        let mut opener = Self {
            opened_with: state_of(replica),
            certified: None,
            compared: replica.baseline(),
            width: Width::Short,
            comparison: None,
            gaps: Vec::new(),
            known_up_to: Some(KeyHash::MIN),
            cursor: Some(KeyHash::MIN),
            sent: None,
            cuts: None,
            phase: Phase::Opening,
            seen: None,
            asking: None,
            held: HeldByPeer::new(),
            inline: false,
            compares_only: false,
        };
        let request = opener.open_request(replica, config);
        (opener, request)
    }

    fn open_request<V: Replicated>(&mut self, replica: &mut Replica<V>, config: &SessionConfig) -> Request {
        self.opened_with = state_of(replica);
        let state = self.opened_with;
        Request::Open(Open { agreement: config.agreement, state, width: self.width, cuts: replica.cuts_if_full() })
    }

    /// Makes this a session that stops once all differences are known.
    pub(super) fn only_compare(&mut self) {
        self.compares_only = true;
    }

    /// The keys that differ, once an opener that only compares knows them all.
    pub(super) fn differing_keys(&self) -> Option<impl ExactSizeIterator<Item = KeyHash> + '_> {
        let known = self.compares_only && self.is_transferring() && self.known_up_to.is_none();
        known.then(|| self.gaps.iter().map(|gap| gap.key))
    }

    pub(super) fn is_transferring(&self) -> bool {
        self.phase != Phase::Opening
    }

    pub(super) fn handle_reply<V: Replicated>(
        &mut self,
        reply: Reply,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        match reply {
            Reply::Equal | Reply::Busy | Reply::Differs(_) if self.phase == Phase::Exchanging => {
                Ok(malformed("a reply to an opening that was not sent"))
            }
            Reply::Equal => Ok(Step::end(self.converged_if(self.opened_with, turn))),
            Reply::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Reply::Differs(_) if !turn.may_transfer => {
                Ok(Step::say_and_end(Request::Busy, Outcome::Partial(PartialReason::Busy)))
            }
            Reply::Differs(differs) => self.handle_differs(differs, turn),
            Reply::Answer(answer) => match self.comparison.as_mut().map(|comparison| comparison.handle_answer(&answer))
            {
                Some(Ok(())) => self.next_step(turn),
                _ => Ok(malformed("an answer that does not fit the question")),
            },
            Reply::Held(held) => self.handle_held(held, turn),
            Reply::Batch(reply) => self.handle_batch(reply, turn),
            Reply::Closed(theirs) => Ok(Step::end(self.converged_if(theirs, turn))),
            Reply::Refused(refusal) => Ok(Step::end(refused(refusal))),
        }
    }

    /// Converged only if this side still is as the peer is, or was found to be: it may have written since it asked.
    fn converged_if<V: Replicated>(&mut self, theirs: State, turn: &mut Turn<'_, V>) -> Outcome {
        let mine = state_of(turn.replica);
        let equal = mine == theirs || mutant::active(Mutant::SessionConvergesUnchecked);
        self.certified = equal.then_some(mine.root);
        if equal { Outcome::Converged } else { Outcome::Progress }
    }

    pub(super) fn certified(&self) -> Option<Root> {
        self.certified
    }

    fn handle_differs<V: Replicated>(
        &mut self,
        differs: Differs,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        self.phase = Phase::Exchanging;
        self.cuts = joint_cuts(turn.replica.cuts_if_full(), differs.cuts);
        (self.cursor, self.gaps, self.sent) = (Some(KeyHash::MIN), Vec::new(), None);
        (self.asking, self.held) = (None, HeldByPeer::new());
        self.comparison = None;
        self.seen = differs.seen;
        if let Some(first) = differs.first {
            let mut comparison = Comparison::new(self.compared.summary.clone(), self.width);
            if comparison.handle_answer(&first).is_err() {
                return Ok(malformed("an answer that does not fit the question"));
            }
            self.comparison = Some(comparison);
        }
        self.next_step(turn)
    }

    /// Asks on until enough differences are known for a batch, sends it, and closes when all of the space is exchanged.
    fn next_step<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        let Some(cursor) = self.cursor else { return Ok(Step::say(Request::Close(state_of(turn.replica)))) };
        let enough = self.take_gaps(turn);
        let end = self.end_of_batch(cursor);
        let ask = self.comparison.as_mut().filter(|_| !enough || end.is_none()).and_then(|comparison| {
            const MEAN_ANSWER_BYTES: usize = 128;
            comparison.next_ask(turn.config.answer_bytes / MEAN_ANSWER_BYTES)
        });
        match (ask, end) {
            (Some(ask), _) => Ok(Step::say(Request::Ask(ask))),
            (None, _) if self.compares_only => Ok(Step { say: None, end: None }),
            (None, Some(range)) => self.send_batch(range, turn),
            // Only with cuts that allow nothing before the top, and then all of it is known.
            (None, None) => self.send_batch(rest_from(cursor), turn),
        }
    }

    /// Takes what the comparison has found, up to what a batch has room for. Says whether it is time for a batch.
    fn take_gaps<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> bool {
        let Some(comparison) = &mut self.comparison else {
            self.known_up_to = None;
            return true;
        };
        let room = if self.cuts.is_some() || self.compares_only {
            usize::MAX - 1
        } else {
            limits(turn.config, turn.stats.differences).max_entries.min(BULK_GAPS)
        };
        // One more than there is room for says where the batch has to end.
        let wanted = (room + 1).saturating_sub(self.gaps.len());
        let found = comparison.take_found(None, wanted);
        turn.stats.differences += found.len() as u64;
        let full = found.len() == wanted;
        self.gaps.extend(found.into_iter().map(|found| {
            let theirs = found.theirs.map_or(TheirEntry::Absent, TheirEntry::Truncated);
            Gap { key: found.key, theirs }
        }));
        self.known_up_to = match self.gaps.last() {
            Some(last) if full => Some(last.key),
            _ => comparison.resolved_up_to(),
        };
        full || comparison.is_complete()
    }

    /// What the next batch may cover; `None` if no cut allows it to end where things are known.
    fn end_of_batch(&self, cursor: KeyHash) -> Option<KeyRange> {
        let end = match (&self.cuts, self.known_up_to) {
            (Some(cuts), Some(known)) => Some(*cuts.iter().rev().find(|cut| cursor < **cut && **cut <= known)?),
            (_, known) => known,
        };
        KeyRange::new(cursor, end)
    }

    /// Rule 4: this replica's state of a range now, against the answerer's snapshot.
    fn send_batch<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        let plan = BatchPlan {
            range,
            gaps: self.gaps.iter().filter(|gap| range.contains(gap.key)).copied().collect(),
            compared: Some(&self.compared),
            held: &self.held,
            seen: self.seen.as_ref(),
            inline: self.inline,
            cuts: self.cuts.as_deref(),
            limits: limits(turn.config, turn.stats.differences),
        };
        let batch = turn.replica.make_batch(&plan)?;
        if !self.inline && batch.is_worth_asking(&self.gaps, &self.held) {
            return Ok(self.ask_what_is_held(range));
        }
        turn.stats.count_sent(batch.value_bytes());
        self.sent = Some((turn.replica.baseline(), batch.range()));
        Ok(Step::say(Request::Batch(batch)))
    }

    /// Asks what is held at the next keys of the range where something is.
    fn ask_what_is_held(&mut self, range: KeyRange) -> Step<Request> {
        let keys: Vec<KeyHash> = self.unknown(range).take(MAX_KEYS_ASKED).collect();
        self.asking = Some((range, keys.clone()));
        Step::say(Request::Held(keys))
    }

    /// The keys in a range at which the answerer holds something that is not known.
    fn unknown(&self, range: KeyRange) -> impl Iterator<Item = KeyHash> + '_ {
        let unknown = move |gap: &&Gap| range.contains(gap.key) && gap.is_held_otherwise();
        self.gaps.iter().filter(unknown).map(|gap| gap.key).filter(|key| !self.held.contains_key(key))
    }

    fn handle_held<V: Replicated>(
        &mut self,
        mut held: HeldByPeer,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some((range, keys)) = self.asking.take() else {
            return Ok(malformed("an answer that was not asked for"));
        };
        // No key is asked for twice, whatever the answer says.
        self.held.extend(keys.into_iter().map(|key| (key, held.remove(&key).unwrap_or_default())));
        self.send_batch(range, turn)
    }

    /// Something that was named is not held. If there is more to be known of what is, the answerer is asked, and otherwise
    /// sent all content.
    fn send_again<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        if self.unknown(range).next().is_some() {
            return Ok(self.ask_what_is_held(range));
        }
        self.inline = true;
        self.held = HeldByPeer::new();
        self.send_batch(range, turn)
    }

    fn handle_batch<V: Replicated>(
        &mut self,
        reply: BatchReply,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some((_, range)) = &self.sent else { return Ok(malformed("a batch that was not asked for")) };
        let range = *range;
        match (reply.verdict, reply.batch) {
            (Verdict::Joined, Some(batch)) => self.join_reply(batch, range, turn),
            (Verdict::Joined, None) => self.range_done(range, turn),
            (Verdict::NotCertified, _) => Ok(self.compare_again(turn)),
            (Verdict::MissingContent, _) if self.inline => Ok(give_up(PartialReason::Uncertified)),
            (Verdict::MissingContent, _) => self.send_again(range, turn),
            (Verdict::Rejected(reason), _) => Ok(Step::end(Outcome::Refused(RefusedReason::RejectedByPeer(reason)))),
        }
    }

    /// Takes in the answerer's batch, which is against this replica's state when it sent its own.
    fn join_reply<V: Replicated>(
        &mut self,
        batch: Batch,
        range: KeyRange,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some((baseline, _)) = &self.sent else { return Ok(malformed("a batch that was not asked for")) };
        let got = batch.range();
        if Some(got.lo()) != self.cursor || !range.includes(&got) {
            return Ok(malformed("a batch of another range"));
        }
        match turn.replica.apply(batch, baseline, turn.now)? {
            Applied::Joined(joined) => {
                turn.stats.changed += joined.changed.len() as u64;
                match got.hi().filter(|_| got.hi() != range.hi()) {
                    Some(hi) => {
                        self.cursor = Some(hi);
                        Ok(Step::say(Request::More { from: hi, inline: self.inline }))
                    }
                    None => self.range_done(range, turn),
                }
            }
            Applied::Rejected(Rejection::NotCertified) => {
                turn.stats.uncertified += 1;
                Ok(self.compare_again(turn))
            }
            Applied::Rejected(Rejection::MissingContent) if !self.inline => {
                self.inline = true;
                Ok(Step::say(Request::More { from: got.lo(), inline: true }))
            }
            Applied::Rejected(Rejection::MissingContent) => Ok(give_up(PartialReason::Uncertified)),
            Applied::Rejected(Rejection::TooManyPieces { .. }) => Ok(give_up(PartialReason::TooManyPieces)),
            Applied::Rejected(other) => {
                Ok(Step::say_and_end(Request::Abort, Outcome::Refused(RefusedReason::Rejected(other))))
            }
        }
    }

    fn range_done<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        self.cursor = range.hi().or(mutant::active(Mutant::LastRangeExchangedForEver).then_some(range.lo()));
        self.gaps.retain(|gap| range.hi().is_some_and(|hi| hi <= gap.key));
        self.inline = false;
        self.held = range.hi().map(|hi| self.held.split_off(&hi)).unwrap_or_default();
        self.next_step(turn)
    }

    /// What was found did not add up. Short digests can collide, so the next comparison uses whole ones; if it
    /// does not add up either, the other side is broken or lies.
    fn compare_again<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Step<Request> {
        if self.width == Width::Full {
            return give_up(PartialReason::Uncertified);
        }
        self.width = Width::Full;
        self.phase = Phase::Reopening;
        self.compared = turn.replica.baseline();
        Step::say(self.open_request(turn.replica, turn.config))
    }
}

/// How many differing keys a bulk transfer keeps in memory at a time.
pub(super) const BULK_GAPS: usize = 4096;

/// About how many keys the answerer is asked at a time what it holds there.
pub(super) const MAX_KEYS_ASKED: usize = 1024;

/// What the answerer's refusal means on this side.
fn refused(refusal: Refusal) -> Outcome {
    let by_peer = |reason: &str| Outcome::Refused(RefusedReason::RejectedByPeer(reason.into()));
    match refusal {
        Refusal::Agreement => Outcome::Refused(RefusedReason::Agreement),
        Refusal::OutOfTurn => by_peer("a request was out of turn"),
        Refusal::Budget => Outcome::Partial(PartialReason::Budget),
        Refusal::EntryTooLong => by_peer("an entry there is longer than max_message_bytes"),
        Refusal::MessageTooLong => by_peer("a message was longer than its max_message_bytes"),
    }
}

fn malformed(reason: &'static str) -> Step<Request> {
    Step::say_and_end(Request::Abort, Outcome::Refused(RefusedReason::Malformed(reason)))
}

fn give_up(reason: PartialReason) -> Step<Request> {
    Step::say_and_end(Request::Abort, Outcome::Partial(reason))
}

fn rest_from(cursor: KeyHash) -> KeyRange {
    KeyRange::new(cursor, None).unwrap_or(KeyRange::ALL)
}

/// How much goes into a batch when so many differences were found.
pub(super) fn limits(config: &SessionConfig, found: u64) -> BatchLimits {
    let bulk = found > config.bulk_after;
    let max_entries = if bulk { usize::MAX - 1 } else { config.batch_entries.get() };
    BatchLimits { max_entries, max_bytes: config.batch_bytes }
}

/// What a replica holds and has seen, in short.
pub(super) fn state_of<V: Replicated>(replica: &mut Replica<V>) -> State {
    let context = replica.context_hash().to_bytes();
    let context = context.first_chunk().map_or(0, |short| u64::from_be_bytes(*short));
    State { root: replica.root(), context }
}

/// Where batches may end so that neither side's context gets more pieces than it has room for.
pub(super) fn joint_cuts(mine: Option<Vec<KeyHash>>, theirs: Option<Vec<KeyHash>>) -> Option<Vec<KeyHash>> {
    match (mine, theirs) {
        (None, only) | (only, None) => only,
        (Some(mine), Some(theirs)) => Some(mine.into_iter().filter(|cut| theirs.contains(cut)).collect()),
    }
}
