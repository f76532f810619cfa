//! What is exchanged once the two sides differ: differences are found, batches sent, and replies joined.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::super::clocks::Known;
use super::super::limits::{
    BULK_DIFFERENCES, MAX_KEYS_ASKED, MAX_UNREADABLE, copy_of, joint_limit, limits, state_of, takes_of,
};
use super::super::{Outcome, PartialReason, Step, Turn};
use super::{
    Aim, MISFIT, Opened, UNASKED_BATCH, UNASKED_CELLS, UNASKED_INVENTORY, give_up, malformed, refused, refused_claim,
};
use crate::clock::RangeClocks;
use crate::refusal::Refusal;
use crate::replica::{Claim, Error, Life, Replica, Replicated};
use crate::summary::compare::Answer;
use crate::summary::sketch::Chunk;
use crate::summary::{Difference, Width};
use crate::sync::discovery::{Progress, Search, Sketching, end_of_whole_batch, holds_little};
use crate::sync::transfer::{Applied, Baseline, BatchLimits, BatchPlan, Unreadable, is_held_by_both};
use crate::sync::wire::message::{BatchReply, BatchRequest, First, Reply, Request, State, Takes, Verdict};
use crate::sync::wire::{Batch, BatchBase, Held, Inventory, Lazy, SentBatch, len_on_wire};
use crate::{KeyHash, KeyRange};

/// The state of an exchange, from the reply that the two sides differ.
#[derive(Clone, Debug, Hash)]
pub(super) struct Exchanging {
    pub(super) opened: Opened,
    pub(super) search: Search,
    /// Differences that were found and not sent yet, in order. They are all that there are below `known_up_to`.
    pub(super) differences: Vec<Difference>,
    pub(super) known_up_to: Option<KeyHash>,
    /// Everything below is exchanged.
    pub(super) cursor: KeyHash,
    /// The only places where a batch may end, if either side's context has no room for more.
    pub(super) cuts: Option<Vec<KeyHash>>,
    /// What the answerer had seen when it took its snapshot, as far as this side knows.
    pub(super) seen: Option<Known>,
    /// Under which id the answerer writes: its first eight bytes.
    pub(super) their_id: u64,
    pub(super) their_life: Life,
    /// How many of this side's own writes it had seen.
    pub(super) knows: u64,
    /// What the answerer holds at keys that are not exchanged yet, as far as this side asked.
    pub(super) inventory: Inventory,
    pub(super) content: Content,
    /// What the answerer takes in.
    pub(super) takes: Takes,
    /// What the answerer could not read.
    pub(super) unreadable: Unreadable,
    /// What this side could not read, and has asked to be left out.
    pub(super) refused: BTreeSet<KeyHash>,
    pub(super) waiting: Waiting,
}

/// How versions and parts go into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// Versions and parts that the answerer holds are named.
    Named,
    /// All are sent in full, since the answerer did not hold some that were named.
    Inline,
}

/// What the open request asked for.
#[derive(Clone, Debug, Hash)]
#[expect(clippy::large_enum_variant, reason = "a session has one")]
pub(super) enum Waiting {
    /// More differences.
    Discovery,
    /// What the answerer holds at some keys, before a batch of this range is sent.
    Inventory { range: KeyRange, keys: Vec<KeyHash> },
    /// The reply to a batch, or its next part.
    Batch(Sent),
}

/// This side's state when it sent a batch.
#[derive(Clone, Debug, Hash)]
pub(super) struct Sent {
    pub(super) baseline: Baseline,
    pub(super) range: KeyRange,
    /// What the batch said of it, if the range has no upper end.
    pub(super) state: Option<State>,
}

/// What to do after a reply within an exchange.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, for the length of a call")]
pub(super) enum Next {
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
pub(super) struct Exchange<'a> {
    pub(super) compared: &'a Baseline,
    pub(super) width: Width,
    pub(super) aim: Aim,
    pub(super) at: &'a mut Exchanging,
}

impl Exchange<'_> {
    pub(super) fn begin<V: Replicated>(&mut self, first: First, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
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

    pub(super) fn handle_reply<V: Replicated>(&mut self, reply: Reply, turn: &mut Turn<'_, V>) -> Result<Next, Error> {
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
        self.at.seen.as_ref().is_some_and(|known| is_new(&known.clocks)) || replica.context().replicas_len() == 0
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
            seen: at.seen.as_ref().map(|known| &known.clocks),
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
        let batch = self.shorten(batch);
        let (id, life) = (self.at.their_id, self.at.their_life);
        let (claim, mine) = (turn.replica.claim(id, life), turn.replica.life(turn.now));
        Ok(Step::send(Request::Batch(BatchRequest { batch, state, claim, life: mine, takes })).into())
    }

    /// The batch with its clocks as they are sent: whole after a second opening, which takes nothing for granted.
    fn shorten(&self, batch: Batch) -> SentBatch {
        match self.at.seen.as_ref().filter(|_| self.width == Width::Short) {
            Some(known) => known.shorten(batch),
            None => batch.whole(),
        }
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
        inventory: Lazy<(KeyHash, Held)>,
        turn: &mut Turn<'_, V>,
    ) -> Result<Next, Error> {
        let Waiting::Inventory { range, keys } = core::mem::replace(&mut self.at.waiting, Waiting::Discovery) else {
            return Ok(malformed(UNASKED_INVENTORY).into());
        };
        // No key is asked for twice, whatever the answer says.
        self.at.inventory.extend(keys.iter().map(|key| (*key, Held::default())));
        self.at.inventory.extend(inventory.into_iter().filter(|(key, _)| keys.binary_search(key).is_ok()));
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
        if reply.verdict == Verdict::Joined && turn.replica.is_copy(self.at.their_id, self.at.their_life) {
            // It was told so with the batch, and should have taken another id.
            return Ok(Step::send_and_end(Request::Abort, copy_of(self.at.their_id, turn.replica)).into());
        }
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
            (Verdict::IdInUse, _) => Ok(refused_claim(turn.replica.notice_claim(Claim::ID_IN_USE))?.into()),
            (Verdict::Rejected(reason), _) => Ok(Step::end(Outcome::Refused(Refusal::ByPeer(reason))).into()),
        }
    }

    /// Takes in the answerer's batch, which is relative to this replica's state when it sent its own.
    fn join_reply<V: Replicated>(
        &mut self,
        batch: SentBatch,
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
        let Some(batch) = batch.expand(|at| baseline.context.clock_at(at)) else {
            turn.stats.uncertified += 1;
            return Ok(Next::CompareAgain);
        };
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
            Applied::Rejected(Refusal::TooManyPieces { .. } | Refusal::TooManyCounters { .. }) => {
                Ok(give_up(PartialReason::TooManyPieces).into())
            }
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

fn rest_from(cursor: KeyHash) -> KeyRange {
    KeyRange::new(cursor, None).unwrap_or(KeyRange::ALL)
}
