//! The side that opens: it finds the differences, sends its entries there, and takes in the answerer's.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::limits::{
    BULK_DIFFERENCES, MAX_KEYS_ASKED, MAX_UNREADABLE, claim, compare_states, joint_cuts, joint_limit, limits,
    outcome_of, state_of, takes_of,
};
use super::{Outcome, PartialReason, SessionConfig, Step, Turn};
use crate::clock::RangeClocks;
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Error, Life, Replica, Replicated};
use crate::summary::compare::Answer;
use crate::summary::sketch::Chunk;
use crate::summary::{Difference, Root, Width};
use crate::sync::discovery::{Progress, Search, Sketching, end_of_whole_batch, holds_little, max_sketch_cells};
use crate::sync::transfer::{Applied, Baseline, BatchLimits, BatchPlan, Unreadable, is_held_by_both};
use crate::sync::wire::message::{
    BatchReply, BatchRequest, Differs, Equality, First, Open, RefusalCode, Reply, Request, State, Takes, Verdict,
};
use crate::sync::wire::{Batch, BatchBase, Inventory, len_on_wire};
use crate::{KeyHash, KeyRange};

/// The opener of a session.
#[derive(Clone, Debug, Hash)]
pub(super) struct Opener {
    /// This replica's state when the comparison began.
    compared: Baseline,
    width: Width,
    aim: Aim,
    stage: Stage,
}

/// The purpose of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Aim {
    /// Both sides exchange what differs.
    Exchange,
    /// Differences are found but not exchanged, to measure the cost of discovery.
    Comparison,
}

/// How far the session has got.
#[derive(Clone, Debug, Hash)]
enum Stage {
    /// The opening waits for its reply.
    Opening(Opened),
    /// A second opening waits for its reply, since a batch did not match its digest.
    Reopening(Opened),
    /// The two sides differ, and exchange what they hold.
    Exchanging(Box<Exchanging>),
    /// The session is over. The root is certified if both sides have it.
    Closed { certified: Option<Root> },
}

/// What the opening told the answerer of this side.
#[derive(Clone, Copy, Debug, Hash)]
struct Opened {
    state: State,
    entries: u64,
    max_cells: u32,
}

/// The state of an exchange, from the reply that the two sides differ.
#[derive(Clone, Debug, Hash)]
struct Exchanging {
    opened: Opened,
    search: Search,
    /// Differences that were found and not sent yet, in order. They are all that there are below `known_up_to`.
    differences: Vec<Difference>,
    known_up_to: Option<KeyHash>,
    /// Everything below is exchanged.
    cursor: KeyHash,
    /// The only places where a batch may end, if either side's context has no room for more.
    cuts: Option<Vec<KeyHash>>,
    /// What the answerer had seen when it took its snapshot, if it said so.
    seen: Option<RangeClocks>,
    /// Under which id the answerer writes: its first eight bytes.
    their_id: u64,
    their_life: Life,
    /// How many of this side's own writes it had seen.
    knows: u64,
    /// What the answerer holds at keys that are not exchanged yet, as far as this side asked.
    inventory: Inventory,
    content: Content,
    /// What the answerer takes in.
    takes: Takes,
    /// What the answerer could not read.
    unreadable: Unreadable,
    /// What this side could not read, and has asked to be left out.
    refused: BTreeSet<KeyHash>,
    waiting: Waiting,
}

/// How versions and parts go into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Content {
    /// Versions and parts that the answerer holds are named.
    Named,
    /// All are sent in full, since the answerer did not hold some that were named.
    Inline,
}

/// What the open request asked for.
#[derive(Clone, Debug, Hash)]
#[expect(clippy::large_enum_variant, reason = "a session has one")]
enum Waiting {
    /// More differences.
    Discovery,
    /// What the answerer holds at some keys, before a batch of this range is sent.
    Inventory { range: KeyRange, keys: Vec<KeyHash> },
    /// The reply to a batch, or its next part.
    Batch(Sent),
}

/// This side's state when it sent a batch.
#[derive(Clone, Debug, Hash)]
struct Sent {
    baseline: Baseline,
    range: KeyRange,
    /// What the batch said of it, if the range has no upper end.
    state: Option<State>,
}

impl Opener {
    pub(super) fn start<V: Replicated>(replica: &mut Replica<V>, config: &SessionConfig) -> (Self, Request) {
        let (compared, width) = (replica.baseline(), Width::Short);
        let (opened, request) = open(width, replica, config);
        (Self { compared, width, aim: Aim::Exchange, stage: Stage::Opening(opened) }, request)
    }

    /// Makes this a session that stops once all differences are known.
    pub(super) fn only_compare(&mut self) {
        self.aim = Aim::Comparison;
    }

    /// The keys that differ, once an opener that only compares knows them all.
    pub(super) fn differing_keys(&self) -> Option<impl ExactSizeIterator<Item = KeyHash> + '_> {
        match &self.stage {
            Stage::Exchanging(exchanging) if self.aim == Aim::Comparison && exchanging.known_up_to.is_none() => {
                Some(exchanging.differences.iter().map(|difference| difference.key))
            }
            _ => None,
        }
    }

    pub(super) fn is_transferring(&self) -> bool {
        matches!(self.stage, Stage::Reopening(_) | Stage::Exchanging(_))
    }

    /// The root that both sides were found to have at the end.
    pub(super) fn certified(&self) -> Option<Root> {
        match self.stage {
            Stage::Closed { certified } => certified,
            _ => None,
        }
    }

    pub(super) fn handle_reply<V: Replicated>(
        &mut self,
        reply: Reply,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        let next = match &mut self.stage {
            Stage::Opening(opened) | Stage::Reopening(opened) => {
                let opened = *opened;
                return self.handle_reply_to_opening(opened, reply, turn);
            }
            Stage::Closed { .. } => return Ok(malformed("a reply to a session that is over")),
            Stage::Exchanging(exchanging) => {
                let mut exchange =
                    Exchange { compared: &self.compared, width: self.width, aim: self.aim, at: exchanging };
                exchange.handle_reply(reply, turn)?
            }
        };
        match next {
            Next::Step(step) => Ok(step),
            Next::Close { theirs, known_there } => Ok(self.close(theirs, known_there, turn)),
            Next::CompareAgain => Ok(self.compare_again(turn)),
        }
    }

    fn handle_reply_to_opening<V: Replicated>(
        &mut self,
        opened: Opened,
        reply: Reply,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        match reply {
            Reply::Equal { keys } => Ok(Step::end(self.end_equal(opened.state, keys, turn))),
            Reply::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Reply::Differs(_) if !turn.may_transfer => {
                Ok(Step::send_and_end(Request::Busy, Outcome::Partial(PartialReason::Busy)))
            }
            Reply::Differs(differs) => self.begin_exchange(opened, differs, turn),
            Reply::Refused(code) => Ok(Step::end(refused(code))),
            Reply::Answer(_) => Ok(malformed(MISFIT)),
            Reply::Cells(_) => Ok(malformed(UNASKED_CELLS)),
            Reply::Inventory(_) => Ok(malformed(UNASKED_INVENTORY)),
            Reply::Batch(_) => Ok(malformed(UNASKED_BATCH)),
        }
    }

    fn begin_exchange<V: Replicated>(
        &mut self,
        opened: Opened,
        differs: Differs,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Request>, Error> {
        if let Err(refused) = turn.replica.notice_claim(differs.knows) {
            return refused_claim(Err(refused));
        }
        let mut exchanging = Box::new(Exchanging {
            opened,
            search: Search::nothing(),
            differences: Vec::new(),
            known_up_to: Some(KeyHash::MIN),
            cursor: KeyHash::MIN,
            cuts: joint_cuts(turn.replica.cuts_if_full(), differs.cuts),
            seen: differs.seen,
            their_id: differs.own,
            their_life: differs.life,
            knows: differs.knows,
            inventory: Inventory::new(),
            content: Content::Named,
            unreadable: Unreadable { before: differs.takes.unreadable.clone(), ..Unreadable::default() },
            takes: differs.takes,
            refused: BTreeSet::new(),
            waiting: Waiting::Discovery,
        });
        let mut exchange = Exchange { compared: &self.compared, width: self.width, aim: self.aim, at: &mut exchanging };
        let next = exchange.begin(differs.first, turn)?;
        self.stage = Stage::Exchanging(exchanging);
        match next {
            Next::Step(step) => Ok(step),
            Next::Close { .. } | Next::CompareAgain => Ok(malformed("an exchange that ends as it begins")),
        }
    }

    /// Ends the session. It has converged only if this side is still in the state that the peer is in: it may have
    /// written since.
    fn end<V: Replicated>(&mut self, theirs: State, turn: &mut Turn<'_, V>) -> Outcome {
        let (outcome, certified) = compare_states(theirs, turn);
        self.stage = Stage::Closed { certified };
        outcome
    }

    /// Ends the session whose answerer has found both sides equal, except at so many keys. If there are any, the answerer
    /// is not in the state that this side opened with: the two are equal as if their holes were filled, and no longer
    /// known to be so once this side's state is another one.
    fn end_equal<V: Replicated>(&mut self, opened: State, keys: u64, turn: &mut Turn<'_, V>) -> Outcome {
        let (outcome, certified) = match keys {
            0 => compare_states(opened, turn),
            _ if state_of(turn.replica, turn.config) == opened => {
                turn.replica.confirm_all();
                let root = opened.filled.map_or(opened.seen.root, |filled| filled.seen.root);
                outcome_of(Equality { root, keys })
            }
            _ => (Outcome::Progress, None),
        };
        self.stage = Stage::Closed { certified };
        outcome
    }

    /// Ends the session when everything is exchanged. An answerer that has found both sides equal needs no closing
    /// message.
    fn close<V: Replicated>(
        &mut self,
        theirs: Option<State>,
        known_there: bool,
        turn: &mut Turn<'_, V>,
    ) -> Step<Request> {
        let Some(theirs) = theirs else { return malformed("the last batch without a state") };
        let outcome = self.end(theirs, turn);
        if known_there {
            Step::end(outcome)
        } else {
            Step::send_and_end(Request::Close(state_of(turn.replica, turn.config)), outcome)
        }
    }

    /// Compares once more, since a batch did not match its digest. Short digests can collide, so the second comparison
    /// uses full ones. If a batch does not match even then, the other side is broken or lies.
    fn compare_again<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Step<Request> {
        if self.width == Width::Full {
            return give_up(PartialReason::Uncertified);
        }
        self.width = Width::Full;
        self.compared = turn.replica.baseline();
        let (opened, request) = open(self.width, turn.replica, turn.config);
        self.stage = Stage::Reopening(opened);
        Step::send(request)
    }
}

/// What to do after a reply within an exchange.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, for the length of a call")]
enum Next {
    Step(Step<Request>),
    /// Everything is exchanged. `theirs` is the answerer's state, and `known_there` whether it knows that this side is
    /// in it too.
    Close {
        theirs: Option<State>,
        known_there: bool,
    },
    /// A batch did not match its digest.
    CompareAgain,
}

impl From<Step<Request>> for Next {
    fn from(step: Step<Request>) -> Self {
        Self::Step(step)
    }
}

/// An exchange, and the fields of the opener that it reads.
struct Exchange<'a> {
    compared: &'a Baseline,
    width: Width,
    aim: Aim,
    at: &'a mut Exchanging,
}

impl Exchange<'_> {
    fn begin<V: Replicated>(&mut self, first: First, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        match first {
            First::Nothing => self.next_step(turn),
            First::Bulk { entries } if self.width == Width::Full || !holds_little(self.at.opened.entries, entries) => {
                Ok(malformed("whole batches, though this side holds much").into())
            }
            First::Bulk { .. } if self.aim == Aim::Comparison || self.at.cuts.is_some() => self.compare_trees(turn),
            First::Bulk { entries } => {
                let lacking = entries.saturating_sub(self.at.opened.entries);
                turn.stats.differences = turn.stats.differences.saturating_add(lacking);
                self.at.search = Search::Bulk { entries };
                self.next_step(turn)
            }
            First::Tree(first) => {
                self.at.search = Search::trees(self.compared.summary.clone(), self.width);
                self.handle_answer(&first, turn)
            }
            First::Cells(chunk) => {
                let max_cells = self.at.opened.max_cells as usize;
                let ours = self.compared.summary.clone();
                let sketching = Sketching::new(ours, max_cells, turn.replica, turn.config);
                self.at.search = Search::Sketch(Box::new(sketching));
                self.handle_cells(&chunk, turn)
            }
        }
    }

    fn handle_reply<V: Replicated>(&mut self, reply: Reply, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        match reply {
            Reply::Equal { .. } | Reply::Busy | Reply::Differs(_) => {
                Ok(malformed("a reply to an opening that was not sent").into())
            }
            Reply::Answer(answer) => self.handle_answer(&answer, turn),
            Reply::Cells(chunk) => self.handle_cells(&chunk, turn),
            Reply::Inventory(inventory) => self.handle_inventory(inventory, turn),
            Reply::Batch(reply) => self.handle_batch(reply, turn),
            Reply::Refused(code) => Ok(Step::end(refused(code)).into()),
        }
    }

    /// Takes in cells. If they cannot be decoded, compares trees.
    fn handle_cells<V: Replicated>(&mut self, chunk: &Chunk, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        let Search::Sketch(sketching) = &mut self.at.search else { return Ok(malformed(UNASKED_CELLS).into()) };
        match sketching.handle_chunk(chunk, turn.replica, turn.config) {
            None => Ok(malformed(UNASKED_CELLS).into()),
            Some(Progress::Ask { start, count }) => Ok(Step::send(Request::Cells { start, count }).into()),
            Some(Progress::Found(found)) => {
                self.at.search = Search::Found(found.into());
                self.next_step(turn)
            }
            Some(Progress::Failed) => {
                turn.stats.sketches_failed += 1;
                self.compare_trees(turn)
            }
        }
    }

    fn compare_trees<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        self.at.search = Search::trees(self.compared.summary.clone(), self.width);
        self.next_step(turn)
    }

    fn handle_answer<V: Replicated>(&mut self, answer: &Answer, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        let fits = match &mut self.at.search {
            Search::Trees(comparison) => comparison.handle_answer(answer).is_ok(),
            _ => false,
        };
        if fits { self.next_step(turn) } else { Ok(malformed(MISFIT).into()) }
    }

    /// Asks for more until enough differences are known for a batch, and then sends the batch.
    fn next_step<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        const MEAN_ANSWER_BYTES: usize = 128;
        let enough = self.take_differences(turn);
        let end = self.end_of_batch();
        let is_to_ask = !enough || end.is_none();
        let ask = is_to_ask.then(|| self.at.search.next_ask(turn.config.answer_bytes / MEAN_ANSWER_BYTES)).flatten();
        self.at.waiting = Waiting::Discovery;
        match (ask, end) {
            (Some(ask), _) => Ok(Step::send(Request::Ask(ask)).into()),
            (None, _) if self.aim == Aim::Comparison => Ok(Step { message: None, end: None }.into()),
            (None, Some(range)) => self.send_batch(range, turn),
            // Only with cuts that allow nothing before the top, and then all of it is known.
            (None, None) => self.send_batch(rest_from(self.at.cursor), turn),
        }
    }

    /// Takes as many of the differences found as a batch has room for. Returns whether it is time for a batch.
    fn take_differences<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> bool {
        if let Search::Bulk { entries } = self.at.search {
            let bounded = !self.shares_no_writer(turn.replica);
            self.at.known_up_to =
                bounded.then(|| end_of_whole_batch(self.at.cursor, entries, BULK_DIFFERENCES)).flatten();
            return true;
        }
        let room = if self.at.cuts.is_some() || self.aim == Aim::Comparison {
            usize::MAX - 1
        } else {
            self.batch_limits(turn).max_entries.min(BULK_DIFFERENCES)
        };
        // One more than there is room for says where the batch has to end.
        let wanted = (room + 1).saturating_sub(self.at.differences.len());
        let (found, known_up_to) = self.at.search.take(wanted);
        turn.stats.differences = turn.stats.differences.saturating_add(found.len() as u64);
        let full = found.len() == wanted;
        self.at.differences.extend(found);
        let last = self.at.differences.last().filter(|_| full);
        self.at.known_up_to = last.map_or(known_up_to, |last| Some(last.key));
        full || self.at.search.is_complete()
    }

    /// Whether the answerer has seen none of the writers that this side has seen, so that it reads no entries for a
    /// batch that lists all of a range.
    fn shares_no_writer<V: Replicated>(&self, replica: &Replica<V>) -> bool {
        let is_new = |seen: &RangeClocks| seen.replicas().all(|writer| replica.context().max_counter(writer) == 0);
        self.at.seen.as_ref().is_some_and(is_new) || replica.context().replicas_len() == 0
    }

    /// The limits of a batch, which depend on how many differences are known by now.
    fn batch_limits<V: Replicated>(&self, turn: &Turn<'_, V>) -> BatchLimits {
        let found = turn.stats.differences.saturating_add(self.at.search.waiting());
        let beside = len_on_wire(&takes_of(turn.replica, turn.config));
        limits(turn.config, found, joint_limit(turn.config, &self.at.takes), beside)
    }

    /// The range of the next batch; `None` if no cut allows the batch to end where differences are known.
    fn end_of_batch(&self) -> Option<KeyRange> {
        let cursor = self.at.cursor;
        let end = match (&self.at.cuts, self.at.known_up_to) {
            (Some(cuts), Some(known)) => Some(*cuts.iter().rev().find(|cut| cursor < **cut && **cut <= known)?),
            (_, known) => known,
        };
        KeyRange::new(cursor, end)
    }

    /// Rule 4: this replica's state of a range now, against the answerer's snapshot.
    fn send_batch<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        self.add_changes_since(range, turn.replica);
        self.send_known(range, turn)
    }

    /// Sends a batch without adding later changes to the differences: they would lead to another question each time.
    fn send_known<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        let limits = self.batch_limits(turn);
        let at = &mut *self.at;
        let plan = BatchPlan {
            range,
            base: if at.search.is_bulk() { BatchBase::Nothing } else { BatchBase::Snapshot },
            differences: at.differences.iter().filter(|found| range.contains(found.key)).copied().collect(),
            compared: Some(self.compared),
            inventory: &at.inventory,
            seen: at.seen.as_ref(),
            inline: at.content == Content::Inline,
            cuts: at.cuts.as_deref(),
            limits,
            unreadable: &at.unreadable,
        };
        let batch = turn.replica.make_batch(&plan)?;
        if at.content == Content::Named && batch.is_worth_asking(&at.differences, &at.inventory) {
            return Ok(self.ask_for_inventory(range).into());
        }
        turn.stats.count_sent(batch.value_bytes());
        turn.stats.whole_batches += u32::from(batch.base == BatchBase::Nothing);
        let (baseline, range) = (turn.replica.baseline(), batch.range());
        let state = range.hi().is_none().then(|| state_of(turn.replica, turn.config));
        let takes = takes_in(range, turn);
        self.at.waiting = Waiting::Batch(Sent { baseline, range, state });
        let (id, life) = (self.at.their_id, self.at.their_life);
        let (knows, mine) = (claim(turn.replica, id, life), turn.replica.life(turn.now));
        Ok(Step::send(Request::Batch(BatchRequest { batch, state, knows, life: mine, takes })).into())
    }

    /// Adds what changed here since the comparison to the differences. If a peer sent a changed version meanwhile, the
    /// answerer may hold parts of it.
    fn add_changes_since<V: Replicated>(&mut self, range: KeyRange, replica: &mut Replica<V>) {
        let found = &mut self.at.differences;
        let behind = found.partition_point(|found| range.hi().is_none_or(|hi| found.key < hi));
        let behind = found.split_off(behind);
        *found = replica.with_changes_since(found, self.compared, &range);
        found.extend(behind);
    }

    /// Asks what the answerer holds at the next keys of the range where it holds something.
    fn ask_for_inventory(&mut self, range: KeyRange) -> Step<Request> {
        let keys: Vec<KeyHash> = self.unknown(range).take(MAX_KEYS_ASKED).collect();
        self.at.waiting = Waiting::Inventory { range, keys: keys.clone() };
        Step::send(Request::Inventory(keys))
    }

    /// The keys in a range at which the answerer holds something that it was not asked about.
    fn unknown(&self, range: KeyRange) -> impl Iterator<Item = KeyHash> + '_ {
        let unknown = move |found: &&Difference| range.contains(found.key) && is_held_by_both(found);
        let keys = self.at.differences.iter().filter(unknown).map(|found| found.key);
        keys.filter(|key| !self.at.inventory.contains_key(key))
    }

    fn handle_inventory<V: Replicated>(
        &mut self,
        mut inventory: Inventory,
        turn: &mut Turn<'_, V>,
    ) -> Result<Next, Error> {
        let Waiting::Inventory { range, keys } = core::mem::replace(&mut self.at.waiting, Waiting::Discovery) else {
            return Ok(malformed(UNASKED_INVENTORY).into());
        };
        // No key is asked for twice, whatever the answer says.
        self.at.inventory.extend(keys.into_iter().map(|key| (key, inventory.remove(&key).unwrap_or_default())));
        self.send_known(range, turn)
    }

    /// Sends the batch again, since the answerer does not hold something that was named. If there is more to ask of
    /// what it holds, asks first. Otherwise sends all content in full.
    fn send_again<V: Replicated>(&mut self, range: KeyRange, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        if self.unknown(range).next().is_some() {
            return Ok(self.ask_for_inventory(range).into());
        }
        self.at.content = Content::Inline;
        self.at.inventory = Inventory::new();
        self.send_batch(range, turn)
    }

    /// Sends the batch again without what the answerer cannot read.
    fn send_without<V: Replicated>(
        &mut self,
        keys: Vec<KeyHash>,
        range: KeyRange,
        turn: &mut Turn<'_, V>,
    ) -> Result<Next, Error> {
        let before = self.at.unreadable.now.len();
        self.at.unreadable.now.extend(keys.into_iter().filter(|key| range.contains(*key)));
        // At most once for each key, whatever the answerer says.
        if self.at.unreadable.now.len() == before || self.at.unreadable.now.len() > MAX_UNREADABLE {
            return Ok(malformed("the answerer cannot read what it was not sent").into());
        }
        self.send_known(range, turn)
    }

    fn handle_batch<V: Replicated>(&mut self, reply: BatchReply, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
        let Waiting::Batch(Sent { range, .. }) = self.at.waiting else { return Ok(malformed(UNASKED_BATCH).into()) };
        if reply.verdict == Verdict::Joined {
            turn.replica.confirm(self.at.knows);
        }
        match (reply.verdict, reply.batch) {
            (Verdict::Joined, Some(batch)) => self.join_reply(batch, reply.state, range, turn),
            (Verdict::Joined, None) => {
                self.at.search.skip_faster();
                self.range_done(range, reply.state, turn)
            }
            (Verdict::NotCertified, _) => Ok(Next::CompareAgain),
            (Verdict::MissingContent, _) if self.at.content == Content::Inline => {
                Ok(give_up(PartialReason::Uncertified).into())
            }
            (Verdict::MissingContent, _) => self.send_again(range, turn),
            (Verdict::Unreadable(keys), _) => self.send_without(keys, range, turn),
            (Verdict::IdInUse, _) => Ok(refused_claim(turn.replica.notice_claim(Replica::<V>::ID_IN_USE))?.into()),
            (Verdict::Rejected(reason), _) => Ok(Step::end(Outcome::Refused(Refusal::ByPeer(reason))).into()),
        }
    }

    /// Takes in the answerer's batch, which is relative to this replica's state when it sent its own.
    fn join_reply<V: Replicated>(
        &mut self,
        batch: Batch,
        theirs: Option<State>,
        range: KeyRange,
        turn: &mut Turn<'_, V>,
    ) -> Result<Next, Error> {
        let Waiting::Batch(Sent { baseline, .. }) = &self.at.waiting else {
            return Ok(malformed(UNASKED_BATCH).into());
        };
        let got = batch.range();
        if got.lo() != self.at.cursor || !range.includes(&got) {
            return Ok(malformed("a batch of another range").into());
        }
        turn.stats.value_bytes_received += batch.value_bytes().all;
        match turn.replica.apply(batch, baseline, turn.now)? {
            Applied::Joined(joined) => {
                turn.replica.has_met(self.at.their_id, self.at.their_life);
                turn.stats.changed += joined.changed.len() as u64;
                turn.replica.note_range(&got, &joined.withheld, turn.config.max_message_bytes, &self.at.takes);
                match got.hi().filter(|_| got.hi() != range.hi()) {
                    Some(hi) => {
                        self.at.cursor = hi;
                        let inline = self.at.content == Content::Inline;
                        Ok(Step::send(Request::More { from: hi, inline, unreadable: Vec::new() }).into())
                    }
                    None => self.range_done(range, theirs, turn),
                }
            }
            Applied::Unreadable(unreadable) => {
                if !unreadable.iter().all(|key| self.at.refused.insert(*key)) {
                    return Ok(malformed("what was to be left out is sent again").into());
                }
                let inline = self.at.content == Content::Inline;
                Ok(Step::send(Request::More { from: got.lo(), inline, unreadable }).into())
            }
            Applied::Rejected(Refusal::NotCertified) => {
                turn.stats.uncertified += 1;
                Ok(Next::CompareAgain)
            }
            Applied::Rejected(Refusal::MissingContent) if self.at.content == Content::Named => {
                self.at.content = Content::Inline;
                Ok(Step::send(Request::More { from: got.lo(), inline: true, unreadable: Vec::new() }).into())
            }
            Applied::Rejected(Refusal::MissingContent) => Ok(give_up(PartialReason::Uncertified).into()),
            Applied::Rejected(Refusal::TooManyPieces { .. }) => Ok(give_up(PartialReason::TooManyPieces).into()),
            Applied::Rejected(other) => Ok(Step::send_and_end(Request::Abort, Outcome::Refused(other)).into()),
        }
    }

    /// Goes on after a range is exchanged: to the next one, or to the end.
    fn range_done<V: Replicated>(
        &mut self,
        range: KeyRange,
        theirs: Option<State>,
        turn: &mut Turn<'_, V>,
    ) -> Result<Next, Error> {
        let next = range.hi();
        plant!(let next = next_cursor(next, &range));
        let Some(next) = next else {
            let known_there = matches!(&self.at.waiting, Waiting::Batch(sent) if are_equal(sent.state, theirs));
            return Ok(Next::Close { theirs, known_there });
        };
        self.at.cursor = next;
        self.at.differences.retain(|found| range.hi().is_some_and(|hi| hi <= found.key));
        self.at.content = Content::Named;
        self.at.inventory = range.hi().map(|hi| self.at.inventory.split_off(&hi)).unwrap_or_default();
        self.next_step(turn)
    }
}

/// Ends the session with a claim that made this replica take a new id.
fn refused_claim(noticed: Result<(), NotTaken>) -> Result<Step<Request>, Error> {
    match noticed {
        Err(NotTaken::Refused(refusal)) => Ok(Step::send_and_end(Request::Abort, Outcome::Refused(refusal))),
        Err(NotTaken::Failed(error)) => Err(error),
        Err(NotTaken::Unreadable(_)) | Ok(()) => Ok(malformed("a claim that is none")),
    }
}

/// Makes the opening request. After short digests did not match it asks for no cells: a peer that forges digests can
/// forge a sketch.
fn open<V: Replicated>(width: Width, replica: &mut Replica<V>, config: &SessionConfig) -> (Opened, Request) {
    let max = if width == Width::Short { max_sketch_cells(replica, config).min(config.max_first_cells) } else { 0 };
    let max_cells = u32::try_from(max).unwrap_or(u32::MAX);
    let opened = Opened { state: state_of(replica, config), entries: replica.len(), max_cells };
    let (tally, cuts, own) = (replica.tally(), replica.cuts_if_full(), replica.id().first_eight());
    let Opened { state, entries, .. } = opened;
    (opened, Request::Open(Open { schema_id: config.schema_id, state, width, cuts, entries, tally, max_cells, own }))
}

/// What this side can take in, as far as it concerns this range.
fn takes_in<V: Replicated>(range: KeyRange, turn: &Turn<'_, V>) -> Takes {
    let mut takes = takes_of(turn.replica, turn.config);
    takes.unreadable.retain(|key, _| range.contains(*key));
    takes
}

/// Whether the answerer has found the state that this side was in equal to its own.
fn are_equal(mine: Option<State>, theirs: Option<State>) -> bool {
    mine.zip(theirs).is_some_and(|(mine, theirs)| mine.equality(&theirs).is_some())
}

const MISFIT: &str = "an answer that does not fit the question";
const UNASKED_INVENTORY: &str = "an answer that was not asked for";
const UNASKED_BATCH: &str = "a batch that was not asked for";
const UNASKED_CELLS: &str = "cells that were not asked for";

/// The outcome on this side of the answerer's refusal.
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
    Step::send_and_end(Request::Abort, Outcome::Refused(Refusal::Malformed(reason)))
}

fn give_up(reason: PartialReason) -> Step<Request> {
    Step::send_and_end(Request::Abort, Outcome::Partial(reason))
}

fn rest_from(cursor: KeyHash) -> KeyRange {
    KeyRange::new(cursor, None).unwrap_or(KeyRange::ALL)
}
