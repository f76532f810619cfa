//! The side that answers: it answers from a snapshot, takes in batches, and sends its own in return.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

use super::clocks::{tell, tell_if_short};
use super::limits::{
    BULK_DIFFERENCES, MAX_KEYS_ASKED, MAX_UNREADABLE, compare_states, copy_of, joint_cuts, joint_limit, limits,
    outcome_of, state_of, takes_of,
};
use super::{HASHED_BYTES, LOAD_WORK, Outcome, PartialReason, SessionConfig, SessionStats, Step, Turn};
use crate::clock::RangeClocks;
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Claim, Error, Replicated};
use crate::summary::compare::{answer, first_answer};
use crate::summary::sketch::Chunk;
use crate::summary::{Difference, Root, Width};
use crate::sync::discovery::{OwnCells, first_cells, holds_little, max_sketch_cells};
use crate::sync::transfer::{Applied, Baseline, BatchPlan, Joined, Unreadable};
use crate::sync::wire::message::{
    BatchReply, BatchRequest, Differs, First, Open, RefusalCode, Reply, Request, State, Takes, Verdict,
};
use crate::sync::wire::{Batch, BatchBase, HasSeen, Inventory, SentBatch};
use crate::{KeyHash, KeyRange};

/// The least number of differences that are looked up for a batch.
const MIN_LOOK_AHEAD: usize = 64;

/// The answerer of a session.
#[derive(Clone, Debug, Hash)]
pub(super) struct Answerer {
    nonce: u64,
    stage: Stage,
}

/// How far the session has got.
#[derive(Clone, Debug, Hash)]
enum Stage {
    /// The opening has not been handled yet.
    Unopened,
    /// The two sides differ: the opener asks questions and sends batches.
    Answering(Box<Answering>),
    /// The session is over. The root is certified if both sides have it.
    Closed { certified: Option<Root> },
}

/// The state that answers are made from, until the session ends or is opened again.
#[derive(Clone, Debug, Hash)]
struct Answering {
    /// The snapshot that the opener compares with.
    compared: Baseline,
    opening: Opening,
    /// Under which id the opener writes: its first eight bytes.
    their_id: u64,
    /// The snapshot's cells, once some were asked for.
    cells: Option<OwnCells>,
    /// The only places where a batch may end, if either side's context has no room for more.
    cuts: Option<Vec<KeyHash>>,
    /// The last batch that was taken in.
    joined: Option<JoinedBatch>,
    /// What the opener takes in.
    takes: Takes,
    /// What the opener could not read.
    unreadable: Unreadable,
    transfer: Transfer,
    /// How many differences are looked up for the next batch: about twice as many as the last one had room for.
    look_ahead: usize,
}

/// How often the session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Opening {
    First,
    /// The session was opened again, since a batch after the first opening did not match its digest.
    Second,
}

/// A batch of the opener that was taken in: the opener's entries in its range.
#[derive(Clone, Debug, Hash)]
struct JoinedBatch {
    joined: Joined,
    range: KeyRange,
    clocks: RangeClocks,
}

/// Whether there is still something to send to the opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Transfer {
    /// There is: a batch is on its way, or will be asked for.
    Open,
    /// There is not: the opener was sent everything, and only its last message is missing.
    Through,
    /// The opener was sent everything and asked for more. Since it might do so again and again, the session counts as
    /// transferring until its end.
    Resumed,
}

impl Answerer {
    pub(super) fn new(nonce: u64) -> Self {
        Self { nonce, stage: Stage::Unopened }
    }

    /// The root that both sides were found to have at the end.
    pub(super) fn certified(&self) -> Option<Root> {
        match self.stage {
            Stage::Closed { certified } => certified,
            _ => None,
        }
    }

    pub(super) fn is_transferring(&self) -> bool {
        matches!(&self.stage, Stage::Answering(answering) if answering.transfer != Transfer::Through)
    }

    /// Whether the opener may have ended the session already if it stays silent from now on.
    pub(super) fn is_through(&self) -> bool {
        matches!(&self.stage, Stage::Answering(answering) if answering.transfer == Transfer::Through)
    }

    pub(super) fn handle_request<V: Replicated>(
        &mut self,
        request: Request,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        match request {
            Request::Open(open) => Ok(self.handle_open(&open, turn)),
            Request::Close(theirs) => Ok(Step::end(self.end(theirs, turn))),
            Request::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Request::Abort => Ok(Step::end(Outcome::Partial(PartialReason::AbortedByPeer))),
            Request::Batch(request) => self.handle_batch(request, turn),
            other => match &mut self.stage {
                Stage::Answering(answering) => answering.handle_request(other, turn),
                Stage::Unopened | Stage::Closed { .. } => Ok(out_of_turn()),
            },
        }
    }

    fn handle_open<V: Replicated>(&mut self, open: &Open, turn: &mut Turn<'_, V>) -> Step<Reply> {
        if open.schema_id != turn.config.schema_id {
            let refusal = Outcome::Refused(Refusal::SchemaId);
            return Step::send_and_end(Reply::Refused(RefusalCode::Agreement), refusal);
        }
        let opening = match &self.stage {
            Stage::Unopened => Opening::First,
            // Once more, and with whole digests, since short ones did not add up.
            Stage::Answering(first) if first.opening == Opening::First && open.width == Width::Full => Opening::Second,
            Stage::Answering(_) | Stage::Closed { .. } => return out_of_turn(),
        };
        turn.replica.note_writer(open.own);
        let state = state_of(turn.replica, turn.config);
        let equality = if can_send_more(&open.state, turn.config) { None } else { state.equality(&open.state) };
        plant!(let equality = equality(equality, state.seen.root, open.state.seen.root));
        if let Some(equality) = equality {
            turn.replica.confirm_all();
            let (outcome, certified) = outcome_of(equality);
            self.stage = Stage::Closed { certified };
            return Step::send_and_end(Reply::Equal { keys: equality.keys }, outcome);
        }
        if open.own == turn.replica.id().first_eight() {
            let told = Reply::Differs(self.tell_copy(turn));
            return Step::send_and_end(told, Outcome::Refused(Refusal::CopyOfAnother));
        }
        if !turn.may_transfer {
            return Step::send_and_end(Reply::Busy, Outcome::Partial(PartialReason::Busy));
        }
        let (answering, differs) = Answering::begin(open, opening, self.nonce, turn);
        self.stage = Stage::Answering(Box::new(answering));
        Step::send(Reply::Differs(differs))
    }

    /// The reply to a copy of this replica, which has written something else since. The one that opens gives way: whoever
    /// opens sessions under the id of another one costs that one nothing.
    fn tell_copy<V: Replicated>(&mut self, turn: &mut Turn<'_, V>) -> Differs {
        self.stage = Stage::Closed { certified: None };
        let (own, life) = (turn.replica.id().first_eight(), turn.replica.life(turn.now));
        let (claim, takes) = (Claim::ID_IN_USE, takes_of(turn.replica, turn.config));
        let (cuts, first, seen) = (None, First::Nothing, HasSeen::Untold);
        Differs { nonce: self.nonce, cuts, own, claim, life, first, takes, seen }
    }

    fn handle_batch<V: Replicated>(
        &mut self,
        request: BatchRequest,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        let Stage::Answering(answering) = &mut self.stage else { return Ok(out_of_turn()) };
        let BatchRequest { batch, state, claim, life, takes } = request;
        if let Err(refused) = turn.replica.notice_claim(claim) {
            return match refused {
                NotTaken::Refused(refusal) => Ok(rejected(refusal, turn.stats)),
                NotTaken::Unreadable(keys) => Ok(Step::send(verdict(Verdict::Unreadable(keys)))),
                NotTaken::Failed(error) => Err(error),
            };
        }
        if turn.replica.is_copy(answering.their_id, life) {
            let reply = Reply::Batch(BatchReply { verdict: Verdict::IdInUse, batch: None, state: None });
            return Ok(Step::send_and_end(reply, copy_of(answering.their_id, turn.replica)));
        }
        turn.replica.note_peer_limit(answering.their_id, takes.max_message_bytes);
        answering.note_takes(takes);
        let mut step = answering.handle_batch(batch, turn)?;
        // As the opener is, or was a moment ago: there is nothing more to be said.
        let is_joined = matches!(&step.message, Some(Reply::Batch(reply)) if reply.verdict == Verdict::Joined);
        if is_joined {
            turn.replica.has_met(answering.their_id, life);
            turn.replica.confirm(claim.knows);
        }
        let mut is_equal = |theirs: &State| state_of(turn.replica, turn.config).equality(theirs).is_some();
        if let Some(theirs) = state.filter(|theirs| is_joined && is_equal(theirs)) {
            step.end = Some(self.end(theirs, turn));
        }
        Ok(step)
    }

    /// Ends the session. It has converged only if this side is in the state that the opener says that it is in.
    fn end<V: Replicated>(&mut self, theirs: State, turn: &mut Turn<'_, V>) -> Outcome {
        let (outcome, certified) = compare_states(theirs, turn);
        self.stage = Stage::Closed { certified };
        outcome
    }
}

impl Answering {
    /// Takes a snapshot for the opener to compare with, and decides how differences are found.
    fn begin<V: Replicated>(open: &Open, opening: Opening, nonce: u64, turn: &mut Turn<'_, V>) -> (Self, Differs) {
        let seen = match opening {
            Opening::First => tell(turn.replica, &open.tally, turn.config),
            // What did not add up may have been what was made of cells.
            Opening::Second => tell_if_short(turn.replica, turn.config),
        };
        let cuts = turn.replica.cuts_if_full();
        let mut answering = Self {
            compared: turn.replica.baseline(),
            opening,
            their_id: open.own,
            cells: None,
            cuts: joint_cuts(cuts.clone(), open.cuts.clone()),
            joined: None,
            takes: Takes { max_message_bytes: u64::MAX, unreadable: BTreeMap::new() },
            unreadable: Unreadable::default(),
            transfer: Transfer::Open,
            look_ahead: BULK_DIFFERENCES,
        };
        let first = if turn.replica.root() == open.state.seen.root {
            First::Nothing
        } else if answering.is_bulk(open, matches!(seen, HasSeen::Whole(_)), turn) {
            let entries = turn.replica.len();
            turn.stats.differences += entries.saturating_sub(open.entries);
            First::Bulk { entries }
        } else {
            answering.first_step(open, turn)
        };
        let (own, claim) = (turn.replica.id().first_eight(), turn.replica.claim_of(open.own));
        let (life, takes) = (turn.replica.life(turn.now), takes_of(turn.replica, turn.config));
        (answering, Differs { nonce, cuts, own, claim, life, first, takes, seen })
    }

    /// Whether the opener is to list all its entries instead of finding what it lacks. Both sides must be able to name
    /// what both hold; and if batches may end only at cuts, their ranges could not be limited.
    fn is_bulk<V: Replicated>(&self, open: &Open, says_what_is_seen: bool, turn: &Turn<'_, V>) -> bool {
        let entries = turn.replica.len();
        let lacks_many = entries.saturating_sub(open.entries) > turn.config.bulk_after;
        let can_name = open.entries == 0 || says_what_is_seen;
        let can_bound = self.cuts.is_none() && open.width == Width::Short;
        lacks_many && can_name && can_bound && holds_little(open.entries, entries)
    }

    fn first_step<V: Replicated>(&mut self, open: &Open, turn: &mut Turn<'_, V>) -> First {
        match first_cells(open, turn.replica, turn.config) {
            Some(count) => {
                let cells = self.cells.insert(OwnCells::of(self.compared.summary.clone()));
                First::Cells(chunk(cells, 0, count, turn))
            }
            None => First::Tree(first_answer(&self.compared.summary, open.width, turn.config.answer_bytes)),
        }
    }

    fn handle_request<V: Replicated>(
        &mut self,
        request: Request,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        self.resume();
        match request {
            Request::Ask(ask) => {
                let bytes = turn.config.answer_bytes;
                plant!(answer_from_the_present(turn.replica, |live| Ok(Step::send(Reply::Answer(answer(
                    live, &ask, bytes
                ))))));
                let answer = answer(&self.compared.summary, &ask, bytes);
                Ok(Step::send(Reply::Answer(answer)))
            }
            Request::Cells { start, count } => Ok(self.handle_cells(start, count, turn)),
            Request::Inventory(keys) => {
                // What is asked for beyond that is sent whole.
                let keys: BTreeSet<KeyHash> = keys.into_iter().take(MAX_KEYS_ASKED).collect();
                let (inventory, loaded_bytes) = turn.replica.inventory(keys)?;
                turn.stats.count_work(inventory.len() * LOAD_WORK + loaded_bytes / HASHED_BYTES);
                Ok(Step::send(Reply::Inventory(inventory.into_iter().collect::<Vec<_>>().into())))
            }
            Request::More { from, inline, unreadable } => self.handle_more(from, inline, unreadable, turn),
            _ => Ok(out_of_turn()),
        }
    }

    fn handle_more<V: Replicated>(
        &mut self,
        from: KeyHash,
        inline: bool,
        unreadable: Vec<KeyHash>,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        self.unreadable.now.extend(unreadable);
        if self.unreadable.now.len() > MAX_UNREADABLE {
            return Ok(out_of_turn());
        }
        self.reply_batch(from, inline, turn)
    }

    /// Notes what the opener can take in.
    fn note_takes(&mut self, takes: Takes) {
        self.unreadable.before.clone_from(&takes.unreadable);
        self.takes = takes;
    }

    /// Notes that the opener continues.
    fn resume(&mut self) {
        if self.transfer == Transfer::Through {
            self.transfer = Transfer::Resumed;
        }
    }

    fn handle_cells<V: Replicated>(&mut self, start: u32, count: u32, turn: &mut Turn<'_, V>) -> Step<Reply> {
        let Some(cells) = &mut self.cells else { return out_of_turn() };
        let end = (start as usize).saturating_add(count as usize).min(max_sketch_cells(turn.replica, turn.config));
        let start = (start as usize).min(end);
        Step::send(Reply::Cells(chunk(cells, start, end, turn)))
    }

    /// Takes in a batch, and replies with this replica's own of the same range.
    fn handle_batch<V: Replicated>(&mut self, batch: SentBatch, turn: &mut Turn<'_, V>) -> Result<Step<Reply>, Error> {
        self.resume();
        let Some(batch) = batch.expand(|at| self.compared.context.clock_at(at)) else {
            return Ok(rejected(Refusal::NotCertified, turn.stats));
        };
        if batch.base == BatchBase::Snapshot {
            turn.stats.differences += batch.changes.len() as u64;
        }
        let (range, clocks) = (batch.range(), batch.clocks.clone());
        plant!(let stale = stale_reply(&batch, &self.compared, turn.replica)?);
        turn.stats.value_bytes_received += batch.value_bytes().all;
        let joined = match turn.replica.apply(batch, &self.compared, turn.now)? {
            Applied::Joined(joined) => joined,
            Applied::Rejected(refusal) => return Ok(rejected(refusal, turn.stats)),
            Applied::Unreadable(keys) => return Ok(Step::send(verdict(Verdict::Unreadable(keys)))),
        };
        turn.replica.note_range(&range, &joined.withheld, turn.config.max_message_bytes, &self.takes);
        turn.stats.changed += joined.changed.len() as u64;
        self.joined = Some(JoinedBatch { joined, range, clocks });
        plant!(reply_stale(stale, |batch| self.reply_joined(batch, range.hi(), turn)));
        self.reply_batch(range.lo(), false, turn)
    }

    /// Rule 6: this replica's state now, against the opener's when it made the batch that was taken in last.
    fn reply_batch<V: Replicated>(
        &mut self,
        from: KeyHash,
        inline: bool,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        let Some(JoinedBatch { joined, range, clocks }) = &self.joined else { return Ok(out_of_turn()) };
        let Some(rest) = KeyRange::new(from, range.hi()).filter(|rest| range.includes(rest)) else {
            return Ok(out_of_turn());
        };
        // With cuts, only all of the differences tell where the batch may end.
        let max = if self.cuts.is_some() { usize::MAX - 1 } else { self.look_ahead };
        let live = turn.replica.summary();
        let mut differences: Vec<Difference> = live.diff_range(&joined.theirs, &rest).take(max + 1).collect();
        turn.stats.count_work(differences.len());
        // Of those that were not looked up nobody knows how many there are: many, for the limits.
        let found = if differences.len() > max { BULK_DIFFERENCES.max(max) } else { differences.len() };
        let rest = end_before_last(&mut differences, rest, max);
        // Equal entries and clocks need no batch; a batch without entries still brings clocks.
        if differences.is_empty() && turn.replica.context().pieces(range) == *clocks {
            let up_to = range.hi();
            return Ok(self.reply_joined(None, up_to, turn));
        }
        let nothing = Inventory::new();
        let plan = BatchPlan {
            range: rest,
            base: BatchBase::Snapshot,
            limits: limits(turn.config, found as u64, joint_limit(turn.config, &self.takes), 0),
            unreadable: &self.unreadable,
            differences,
            compared: None,
            seen: None,
            inventory: if inline { &nothing } else { &joined.inventory },
            inline,
            cuts: self.cuts.as_deref(),
        };
        let batch = turn.replica.make_batch(&plan)?;
        turn.stats.count_sent(batch.value_bytes());
        self.look_ahead = (2 * batch.changes.len()).clamp(MIN_LOOK_AHEAD, BULK_DIFFERENCES);
        let up_to = batch.range().hi();
        Ok(self.reply_joined(Some(batch), up_to, turn))
    }

    /// A batch for the opener, with its clocks as what they differ in from those that came with the opener's. Whole after
    /// a second opening, which takes nothing for granted.
    fn shorten(&self, batch: Batch) -> SentBatch {
        let theirs = self.joined.as_ref().filter(|_| self.opening == Opening::First);
        match theirs.and_then(|joined| joined.clocks.clock_at(batch.range().lo())) {
            Some(theirs) => batch.since(theirs),
            None => batch.whole(),
        }
    }

    /// The reply to a batch that was taken in. With it, the opener has all entries of this side below `up_to`.
    fn reply_joined<V: Replicated>(
        &mut self,
        batch: Option<Batch>,
        up_to: Option<KeyHash>,
        turn: &mut Turn<'_, V>,
    ) -> Step<Reply> {
        let is_all = up_to.is_none();
        if self.transfer != Transfer::Resumed {
            self.transfer = if is_all { Transfer::Through } else { Transfer::Open };
        }
        let state = is_all.then(|| state_of(turn.replica, turn.config));
        let batch = batch.map(|batch| self.shorten(batch));
        Step::send(Reply::Batch(BatchReply { verdict: Verdict::Joined, batch, state }))
    }
}

/// The cells from `start` to `end`. Counts what it took to make them.
fn chunk<V: Replicated>(cells: &mut OwnCells, start: usize, end: usize, turn: &mut Turn<'_, V>) -> Chunk {
    let (chunk, work) = cells.chunk(start, end, turn.replica);
    turn.stats.count_work(work);
    chunk
}

/// If there are more than `max` differences, ends the range before the first one that is left out.
fn end_before_last(differences: &mut Vec<Difference>, rest: KeyRange, max: usize) -> KeyRange {
    let first_left_out = (differences.len() > max).then(|| differences.pop()).flatten();
    first_left_out.and_then(|left_out| KeyRange::new(rest.lo(), Some(left_out.key))).unwrap_or(rest)
}

fn out_of_turn() -> Step<Reply> {
    let reason = Refusal::Malformed("a request out of turn");
    Step::send_and_end(Reply::Refused(RefusalCode::OutOfTurn), Outcome::Refused(reason))
}

/// Whether a peer that is equal but for holes lacks something which was too long for some peer, and is not for this side.
fn can_send_more(theirs: &State, config: &SessionConfig) -> bool {
    let limit = theirs.filled.and_then(|filled| filled.peer_limit);
    limit.is_some_and(|limit| limit < config.max_message_bytes as u64)
}

/// The reply to a batch that was not taken in.
fn verdict(verdict: Verdict) -> Reply {
    Reply::Batch(BatchReply { verdict, batch: None, state: None })
}

/// The reply to a batch that was not taken in, and the end of the session if it cannot continue.
fn rejected(rejection: Refusal, stats: &mut SessionStats) -> Step<Reply> {
    match rejection {
        Refusal::NotCertified => {
            stats.uncertified += 1;
            Step::send(verdict(Verdict::NotCertified))
        }
        Refusal::MissingContent => Step::send(verdict(Verdict::MissingContent)),
        Refusal::TooManyPieces { .. } | Refusal::TooManyCounters { .. } => Step::send_and_end(
            verdict(Verdict::Rejected(rejection.to_string())),
            Outcome::Partial(PartialReason::TooManyPieces),
        ),
        other => Step::send_and_end(verdict(Verdict::Rejected(other.to_string())), Outcome::Refused(other)),
    }
}
