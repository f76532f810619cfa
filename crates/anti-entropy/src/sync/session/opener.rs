//! The side that opens: it compares, sends what it holds where the two differ, and takes in the answer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::limits::{BULK_GAPS, MAX_KEYS_ASKED, joint_cuts, limits, state_of};
use super::{Outcome, PartialReason, SessionConfig, Step, Turn};
use crate::clock::RangeClocks;
use crate::refusal::Refusal;
use crate::replica::{Error, Replica, Replicated};
use crate::summary::compare::Answer;
use crate::summary::sketch::Chunk;
use crate::summary::{Difference, Root, Width};
use crate::sync::discovery::{Progress, Search, Sketching, end_of_whole_batch, holds_little, most_cells};
use crate::sync::transfer::{Applied, Baseline, BatchLimits, BatchPlan, is_held_by_both};
use crate::sync::wire::message::{
    BatchReply, BatchRequest, Differs, First, Open, RefusalCode, Reply, Request, State, Verdict,
};
use crate::sync::wire::{Batch, BatchBase, Inventory};
use crate::{KeyHash, KeyRange};

#[derive(Clone, Debug, Hash)]
pub(super) struct Opener {
    /// This replica's state when the comparison began.
    compared: Baseline,
    width: Width,
    search: Search,
    /// Keys that were found to differ and are not sent yet, in order; all there are below `known_up_to`.
    gaps: Vec<Difference>,
    known_up_to: Option<KeyHash>,
    /// Everything below is exchanged; `None` once everything is.
    cursor: Option<KeyHash>,
    /// The batch that waits for its reply.
    sent: Option<Sent>,
    /// What the answerer said of its state when it had sent all of it.
    theirs: Option<State>,
    cuts: Option<Vec<KeyHash>>,
    phase: Phase,
    /// What was said of this side in the opening that waits for its reply, or was answered last.
    told: Told,
    /// The root that both sides were found to have at the end.
    certified: Option<Root>,
    /// What the answerer had seen at the comparison, if it said so.
    seen: Option<RangeClocks>,
    /// The batch that waits until the answerer has said what it holds at some keys.
    asking: Option<(KeyRange, Vec<KeyHash>)>,
    /// What it said of keys that are not exchanged yet.
    held: Inventory,
    /// Whether content is sent whole, since the answerer did not hold what was named.
    inline: bool,
    /// Whether the session is over once all differences are known, and nothing is exchanged.
    compares_only: bool,
}

/// What this side said of itself when it opened.
#[derive(Clone, Copy, Debug, Hash)]
struct Told {
    state: State,
    entries: u64,
    max_cells: u32,
}

/// What this side said when it sent a batch.
#[derive(Clone, Debug, Hash)]
struct Sent {
    baseline: Baseline,
    range: KeyRange,
    /// If the range ends at the top.
    state: Option<State>,
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
            told: Told { state: state_of(replica), entries: 0, max_cells: 0 },
            certified: None,
            compared: replica.baseline(),
            width: Width::Short,
            search: Search::nothing(),
            theirs: None,
            gaps: Vec::new(),
            known_up_to: Some(KeyHash::MIN),
            cursor: Some(KeyHash::MIN),
            sent: None,
            cuts: None,
            phase: Phase::Opening,
            seen: None,
            asking: None,
            held: Inventory::new(),
            inline: false,
            compares_only: false,
        };
        let request = opener.open_request(replica, config);
        (opener, request)
    }

    fn open_request<V: Replicated>(&mut self, replica: &mut Replica<V>, config: &SessionConfig) -> Request {
        let max_cells = u32::try_from(self.most_first_cells(replica, config)).unwrap_or(u32::MAX);
        self.told = Told { state: state_of(replica), entries: replica.len(), max_cells };
        let Told { state, entries, .. } = self.told;
        let (tally, cuts) = (replica.tally(), replica.cuts_if_full());
        Request::Open(Open { schema_id: config.schema_id, state, width: self.width, cuts, entries, tally, max_cells })
    }

    /// None where short digests did not add up: whoever forges them can forge a sketch.
    fn most_first_cells<V: Replicated>(&self, replica: &Replica<V>, config: &SessionConfig) -> usize {
        if self.width == Width::Short { most_cells(replica, config).min(config.max_first_cells) } else { 0 }
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
            Reply::Equal => Ok(Step::end(self.converged_if(self.told.state, turn))),
            Reply::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Reply::Differs(_) if !turn.may_transfer => {
                Ok(Step::say_and_end(Request::Busy, Outcome::Partial(PartialReason::Busy)))
            }
            Reply::Differs(differs) => self.handle_differs(differs, turn),
            Reply::Answer(answer) => self.handle_answer(&answer, turn),
            Reply::Cells(chunk) => self.handle_cells(&chunk, turn),
            Reply::Inventory(held) => self.handle_held(held, turn),
            Reply::Batch(reply) => self.handle_batch(reply, turn),
            Reply::Refused(refusal) => Ok(Step::end(refused(refusal))),
        }
    }

    /// Converged only if this side still is as the peer is, or was found to be: it may have written since it asked.
    fn converged_if<V: Replicated>(&mut self, theirs: State, turn: &mut Turn<'_, V>) -> Outcome {
        let mine = state_of(turn.replica);
        let equal = mine == theirs;
        plant!(let equal = has_converged(equal));
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
        (self.asking, self.held) = (None, Inventory::new());
        (self.search, self.inline) = (Search::nothing(), false);
        self.seen = differs.seen;
        match differs.first {
            First::Nothing => self.next_step(turn),
            First::Bulk { entries } if self.width == Width::Full || !holds_little(self.told.entries, entries) => {
                Ok(malformed("whole batches, though this side holds much"))
            }
            First::Bulk { .. } if self.compares_only || self.cuts.is_some() => self.compare_trees(turn),
            First::Bulk { entries } => {
                let lacking = entries.saturating_sub(self.told.entries);
                turn.stats.differences = turn.stats.differences.saturating_add(lacking);
                self.search = Search::Bulk { entries };
                self.next_step(turn)
            }
            First::Tree(first) => {
                self.search = Search::trees(self.compared.summary.clone(), self.width);
                self.handle_answer(&first, turn)
            }
            First::Cells(chunk) => {
                let asked = self.told.max_cells as usize;
                let ours = self.compared.summary.clone();
                self.search = Search::Sketch(Box::new(Sketching::new(ours, asked, turn.replica, turn.config)));
                self.handle_cells(&chunk, turn)
            }
        }
    }

    /// Takes in cells; once they lead nowhere, asks for the trees.
    fn handle_cells<V: Replicated>(&mut self, chunk: &Chunk, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        let Search::Sketch(sketching) = &mut self.search else { return Ok(malformed(UNASKED_CELLS)) };
        match sketching.handle_chunk(chunk, turn.replica, turn.config) {
            None => Ok(malformed(UNASKED_CELLS)),
            Some(Progress::Ask { start, count }) => Ok(Step::say(Request::Cells { start, count })),
            Some(Progress::Found(found)) => {
                self.search = Search::Found(found.into());
                self.next_step(turn)
            }
            Some(Progress::Failed) => {
                turn.stats.sketches_failed += 1;
                self.compare_trees(turn)
            }
        }
    }

    fn compare_trees<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        self.search = Search::trees(self.compared.summary.clone(), self.width);
        self.next_step(turn)
    }

    fn handle_answer<V: Replicated>(
        &mut self,
        answer: &Answer,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let fits = match &mut self.search {
            Search::Trees(comparison) => comparison.handle_answer(answer).is_ok(),
            _ => false,
        };
        if fits { self.next_step(turn) } else { Ok(malformed("an answer that does not fit the question")) }
    }

    /// Asks on until enough differences are known for a batch, sends it, and closes when all of the space is exchanged.
    fn next_step<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        const MEAN_ANSWER_BYTES: usize = 128;
        let Some(cursor) = self.cursor else { return Ok(self.close(turn)) };
        let enough = self.take_gaps(cursor, turn);
        let end = self.end_of_batch(cursor);
        let is_to_ask = !enough || end.is_none();
        let ask = is_to_ask.then(|| self.search.next_ask(turn.config.answer_bytes / MEAN_ANSWER_BYTES)).flatten();
        match (ask, end) {
            (Some(ask), _) => Ok(Step::say(Request::Ask(ask))),
            (None, _) if self.compares_only => Ok(Step { say: None, end: None }),
            (None, Some(range)) => self.send_batch(range, turn),
            // Only with cuts that allow nothing before the top, and then all of it is known.
            (None, None) => self.send_batch(rest_from(cursor), turn),
        }
    }

    /// Takes what the comparison has found, up to what a batch has room for. Says whether it is time for a batch.
    fn take_gaps<V: Replicated>(&mut self, cursor: KeyHash, turn: &mut Turn<'_, V>) -> bool {
        if let Search::Bulk { entries } = self.search {
            self.known_up_to =
                if self.shares_no_writer(turn.replica) { None } else { end_of_whole_batch(cursor, entries, BULK_GAPS) };
            return true;
        }
        let room = if self.cuts.is_some() || self.compares_only {
            usize::MAX - 1
        } else {
            self.batch_limits(turn).max_entries.min(BULK_GAPS)
        };
        // One more than there is room for says where the batch has to end.
        let wanted = (room + 1).saturating_sub(self.gaps.len());
        let (found, known_up_to) = self.search.take(wanted);
        turn.stats.differences = turn.stats.differences.saturating_add(found.len() as u64);
        let full = found.len() == wanted;
        self.gaps.extend(found);
        self.known_up_to = self.gaps.last().filter(|_| full).map_or(known_up_to, |last| Some(last.key));
        full || self.search.is_complete()
    }

    /// Whether the answerer has seen nothing of what this side has seen, so that it reads nothing for a whole batch.
    fn shares_no_writer<V: Replicated>(&self, replica: &Replica<V>) -> bool {
        let is_new = |seen: &RangeClocks| seen.replicas().all(|writer| replica.context().max_counter(writer) == 0);
        self.seen.as_ref().is_some_and(is_new) || replica.context().replicas_len() == 0
    }

    /// How much goes into a batch, going by how many differences are known by now.
    fn batch_limits<V: Replicated>(&self, turn: &Turn<'_, V>) -> BatchLimits {
        limits(turn.config, turn.stats.differences.saturating_add(self.search.waiting()))
    }

    /// The end, when everything is exchanged. An answerer that has found itself to be as this side is needs no word of it.
    fn close<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Step<Request> {
        let Some(theirs) = self.theirs else { return malformed("the last batch without a state") };
        let outcome = self.converged_if(theirs, turn);
        let known_there = self.sent.as_ref().is_some_and(|sent| sent.state == Some(theirs));
        if known_there {
            Step::end(outcome)
        } else {
            Step::say_and_end(Request::Close(state_of(turn.replica)), outcome)
        }
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
        self.add_changes_since(range, turn.replica);
        self.send_known(range, turn)
    }

    /// The same, without asking about what changes while questions are answered: or there would be another one each time.
    fn send_known<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        let plan = BatchPlan {
            range,
            base: if self.search.is_bulk() { BatchBase::Nothing } else { BatchBase::Snapshot },
            differences: self.gaps.iter().filter(|gap| range.contains(gap.key)).copied().collect(),
            compared: Some(&self.compared),
            held: &self.held,
            seen: self.seen.as_ref(),
            inline: self.inline,
            cuts: self.cuts.as_deref(),
            limits: self.batch_limits(turn),
        };
        let batch = turn.replica.make_batch(&plan)?;
        if !self.inline && batch.is_worth_asking(&self.gaps, &self.held) {
            return Ok(self.ask_what_is_held(range));
        }
        turn.stats.count_sent(batch.value_bytes());
        turn.stats.whole_batches += u32::from(batch.base == BatchBase::Nothing);
        let (baseline, range) = (turn.replica.baseline(), batch.range());
        let state = range.hi().is_none().then(|| state_of(turn.replica));
        self.sent = Some(Sent { baseline, range, state });
        Ok(Step::say(Request::Batch(BatchRequest { batch, state })))
    }

    /// Counts as gaps what changed here since the comparison: of a version that came from elsewhere meanwhile, the answerer
    /// may hold parts, as of any other.
    fn add_changes_since<V: Replicated>(&mut self, range: KeyRange, replica: &mut Replica<V>) {
        let behind = self.gaps.partition_point(|gap| range.hi().is_none_or(|hi| gap.key < hi));
        let behind = self.gaps.split_off(behind);
        self.gaps = replica.with_changes_since(&self.gaps, &self.compared, &range);
        self.gaps.extend(behind);
    }

    /// Asks what is held at the next keys of the range where something is.
    fn ask_what_is_held(&mut self, range: KeyRange) -> Step<Request> {
        let keys: Vec<KeyHash> = self.unknown(range).take(MAX_KEYS_ASKED).collect();
        self.asking = Some((range, keys.clone()));
        Step::say(Request::Inventory(keys))
    }

    /// The keys in a range at which the answerer holds something that is not known.
    fn unknown(&self, range: KeyRange) -> impl Iterator<Item = KeyHash> + '_ {
        let unknown = move |gap: &&Difference| range.contains(gap.key) && is_held_by_both(gap);
        self.gaps.iter().filter(unknown).map(|gap| gap.key).filter(|key| !self.held.contains_key(key))
    }

    fn handle_held<V: Replicated>(
        &mut self,
        mut held: Inventory,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some((range, keys)) = self.asking.take() else {
            return Ok(malformed("an answer that was not asked for"));
        };
        // No key is asked for twice, whatever the answer says.
        self.held.extend(keys.into_iter().map(|key| (key, held.remove(&key).unwrap_or_default())));
        self.send_known(range, turn)
    }

    /// Something that was named is not held. If there is more to be known of what is, the answerer is asked, and otherwise
    /// sent all content.
    fn send_again<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        if self.unknown(range).next().is_some() {
            return Ok(self.ask_what_is_held(range));
        }
        self.inline = true;
        self.held = Inventory::new();
        self.send_batch(range, turn)
    }

    fn handle_batch<V: Replicated>(
        &mut self,
        reply: BatchReply,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some(Sent { range, .. }) = self.sent else { return Ok(malformed("a batch that was not asked for")) };
        self.theirs = reply.state;
        match (reply.verdict, reply.batch) {
            (Verdict::Joined, Some(batch)) => self.join_reply(batch, range, turn),
            (Verdict::Joined, None) => {
                self.search.skip_faster();
                self.range_done(range, turn)
            }
            (Verdict::NotCertified, _) => Ok(self.compare_again(turn)),
            (Verdict::MissingContent, _) if self.inline => Ok(give_up(PartialReason::Uncertified)),
            (Verdict::MissingContent, _) => self.send_again(range, turn),
            (Verdict::Rejected(reason), _) => Ok(Step::end(Outcome::Refused(Refusal::ByPeer(reason)))),
        }
    }

    /// Takes in the answerer's batch, which is against this replica's state when it sent its own.
    fn join_reply<V: Replicated>(
        &mut self,
        batch: Batch,
        range: KeyRange,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let Some(Sent { baseline, .. }) = &self.sent else { return Ok(malformed("a batch that was not asked for")) };
        let got = batch.range();
        if Some(got.lo()) != self.cursor || !range.includes(&got) {
            return Ok(malformed("a batch of another range"));
        }
        turn.stats.value_bytes_received += batch.value_bytes().all;
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
            Applied::Rejected(Refusal::NotCertified) => {
                turn.stats.uncertified += 1;
                Ok(self.compare_again(turn))
            }
            Applied::Rejected(Refusal::MissingContent) if !self.inline => {
                self.inline = true;
                Ok(Step::say(Request::More { from: got.lo(), inline: true }))
            }
            Applied::Rejected(Refusal::MissingContent) => Ok(give_up(PartialReason::Uncertified)),
            Applied::Rejected(Refusal::TooManyPieces { .. }) => Ok(give_up(PartialReason::TooManyPieces)),
            Applied::Rejected(other) => Ok(Step::say_and_end(Request::Abort, Outcome::Refused(other))),
        }
    }

    fn range_done<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Step<Request>, Error> {
        let next = range.hi();
        plant!(let next = next_cursor(next, &range));
        self.cursor = next;
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

const UNASKED_CELLS: &str = "cells that were not asked for";

/// What the answerer's refusal means on this side.
fn refused(code: RefusalCode) -> Outcome {
    let by_peer = |reason: &str| Outcome::Refused(Refusal::ByPeer(reason.into()));
    match code {
        RefusalCode::Agreement => Outcome::Refused(Refusal::SchemaId),
        RefusalCode::OutOfTurn => by_peer("a request was out of turn"),
        RefusalCode::Budget => Outcome::Partial(PartialReason::Budget),
        RefusalCode::EntryTooLong => by_peer("an entry there is longer than max_message_bytes"),
        RefusalCode::MessageTooLong => by_peer("a message was longer than its max_message_bytes"),
    }
}

fn malformed(reason: &'static str) -> Step<Request> {
    Step::say_and_end(Request::Abort, Outcome::Refused(Refusal::Malformed(reason)))
}

fn give_up(reason: PartialReason) -> Step<Request> {
    Step::say_and_end(Request::Abort, Outcome::Partial(reason))
}

fn rest_from(cursor: KeyHash) -> KeyRange {
    KeyRange::new(cursor, None).unwrap_or(KeyRange::ALL)
}
