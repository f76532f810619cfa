//! The side that answers: it serves its snapshot, takes in batches, and sends its own in return.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::limits::{BULK_GAPS, MAX_KEYS_ASKED, joint_cuts, limits, state_of};
use super::{Outcome, PartialReason, SessionConfig, SessionStats, Step, Turn};
use crate::clock::RangeClocks;
use crate::refusal::Refusal;
use crate::replica::{Error, Replica, Replicated};
use crate::summary::compare::{Ask, answer, first_answer};
use crate::summary::{Difference, Root, Width};
use crate::sync::discovery::{OwnCells, first_cells, holds_little, most_cells};
use crate::sync::transfer::{Applied, Baseline, BatchPlan, Joined};
use crate::sync::wire::message::{
    BatchReply, BatchRequest, Differs, First, Open, RefusalCode, Reply, Request, State, Verdict,
};
use crate::sync::wire::{Batch, BatchBase, Inventory};
use crate::{KeyHash, KeyRange};

/// The least number of differences that are looked up for a batch.
const LEAST_LOOK_AHEAD: usize = 64;

#[derive(Clone, Debug, Hash)]
pub(super) struct Answerer {
    nonce: u64,
    /// The snapshot that the opener compares with; none before it opened.
    compared: Option<Baseline>,
    /// Its cells, once some were asked for.
    cells: Option<OwnCells>,
    cuts: Option<Vec<KeyHash>>,
    /// The last batch that was taken in: what the opener holds in its range.
    joined: Option<(Joined, KeyRange, RangeClocks)>,
    /// Whether the comparison was started again.
    reopened: bool,
    /// Whether the opener was sent all of what is held here, so that nothing is missing but its word.
    is_through: bool,
    /// Whether it was so and was asked for more: then it is a transfer to the end, for it might be asked again and again.
    was_through: bool,
    /// How many differences are looked up for the next batch: about twice as many as the last one had room for.
    look_ahead: usize,
    /// The root that both sides were found to have at the end.
    certified: Option<Root>,
}

impl Answerer {
    pub(super) fn new(nonce: u64) -> Self {
        Self {
            nonce,
            compared: None,
            cells: None,
            cuts: None,
            joined: None,
            reopened: false,
            is_through: false,
            was_through: false,
            look_ahead: BULK_GAPS,
            certified: None,
        }
    }

    pub(super) fn certified(&self) -> Option<Root> {
        self.certified
    }

    pub(super) fn is_transferring(&self) -> bool {
        self.compared.is_some() && !self.is_through
    }

    /// Whether an opener that is not heard of any more may well be through.
    pub(super) fn is_through(&self) -> bool {
        self.is_through
    }

    pub(super) fn handle_request<V: Replicated>(
        &mut self,
        request: Request,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        let is_last_word = matches!(request, Request::Close(_) | Request::Busy | Request::Abort);
        if self.is_through && !is_last_word {
            (self.is_through, self.was_through) = (false, true);
        }
        match request {
            Request::Open(open) => Ok(self.handle_open(&open, turn)),
            Request::Ask(ask) => Ok(self.handle_ask(&ask, turn.config)),
            Request::Inventory(keys) => self.handle_held(keys, turn.replica),
            Request::Cells { start, count } => Ok(self.handle_cells(start, count, turn)),
            Request::Batch(batch) => self.handle_batch(batch, turn),
            Request::More { from, inline } => self.reply_batch(from, inline, turn),
            Request::Close(theirs) => Ok(Step::end(self.converged_if(theirs, turn))),
            Request::Busy => Ok(Step::end(Outcome::Partial(PartialReason::Busy))),
            Request::Abort => Ok(Step::end(Outcome::Partial(PartialReason::AbortedByPeer))),
        }
    }

    fn handle_open<V: Replicated>(&mut self, open: &Open, turn: &mut Turn<'_, V>) -> Step<Reply> {
        if open.schema_id != turn.config.schema_id {
            return Step::say_and_end(Reply::Refused(RefusalCode::Agreement), Outcome::Refused(Refusal::SchemaId));
        }
        // Once, and with whole digests, since short ones did not add up.
        if self.compared.is_some() && (open.width == Width::Short || self.reopened) {
            return out_of_turn();
        }
        self.reopened = self.compared.is_some();
        let state = state_of(turn.replica);
        let is_equal = state == open.state;
        plant!(let is_equal = is_equal(is_equal, state.root, open.state.root));
        if is_equal {
            self.certified = Some(state.root);
            return Step::say_and_end(Reply::Equal, Outcome::Converged);
        }
        if !turn.may_transfer {
            return Step::say_and_end(Reply::Busy, Outcome::Partial(PartialReason::Busy));
        }
        let baseline = turn.replica.baseline();
        self.cells = None;
        let seen = if_short(turn.replica.context().pieces(&KeyRange::ALL));
        let cuts = turn.replica.cuts_if_full();
        self.cuts = joint_cuts(cuts.clone(), open.cuts.clone());
        let first = if state.root == open.state.root {
            First::Nothing
        } else if self.is_bulk(open, seen.is_some(), turn) {
            let entries = turn.replica.len();
            turn.stats.differences += entries.saturating_sub(open.entries);
            First::Bulk { entries }
        } else {
            self.first_step(open, &baseline, turn)
        };
        self.compared = Some(baseline);
        (self.joined, self.is_through, self.was_through) = (None, false, false);
        Step::say(Reply::Differs(Differs { nonce: self.nonce, cuts, seen, first }))
    }

    /// Whether the opener is to say what it holds, instead of finding what it lacks. What both hold must be nameable; and
    /// where batches end only at cuts, their ranges could not be bounded.
    fn is_bulk<V: Replicated>(&self, open: &Open, says_what_is_seen: bool, turn: &Turn<'_, V>) -> bool {
        let entries = turn.replica.len();
        let lacks_many = entries.saturating_sub(open.entries) > turn.config.bulk_after;
        let can_name = open.entries == 0 || says_what_is_seen;
        let can_bound = self.cuts.is_none() && open.width == Width::Short;
        lacks_many && can_name && can_bound && holds_little(open.entries, entries)
    }

    fn first_step<V: Replicated>(&mut self, open: &Open, compared: &Baseline, turn: &mut Turn<'_, V>) -> First {
        match first_cells(open, turn.replica, turn.config) {
            Some(count) => {
                let cells = self.cells.insert(OwnCells::of(compared.summary.clone()));
                First::Cells(cells.chunk(0, count, turn.replica))
            }
            None => First::Tree(first_answer(&compared.summary, open.width, turn.config.answer_bytes)),
        }
    }

    fn handle_cells<V: Replicated>(&mut self, start: u32, count: u32, turn: &mut Turn<'_, V>) -> Step<Reply> {
        let Some(cells) = &mut self.cells else { return out_of_turn() };
        let end = (start as usize).saturating_add(count as usize).min(most_cells(turn.replica, turn.config));
        let start = (start as usize).min(end);
        Step::say(Reply::Cells(cells.chunk(start, end, turn.replica)))
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
        Ok(Step::say(Reply::Inventory(replica.inventory(keys)?)))
    }

    fn handle_batch<V: Replicated>(
        &mut self,
        request: BatchRequest,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        let Some(compared) = &self.compared else { return Ok(out_of_turn()) };
        let BatchRequest { batch, state } = request;
        if batch.base == BatchBase::Snapshot {
            turn.stats.differences += batch.changes.len() as u64;
        }
        let (range, clocks) = (batch.range(), batch.clocks.clone());
        plant!(let stale = stale_reply(&batch, compared, turn.replica)?);
        turn.stats.value_bytes_received += batch.value_bytes().all;
        let joined = match turn.replica.apply(batch, compared, turn.now)? {
            Applied::Joined(joined) => joined,
            Applied::Rejected(rejection) => return Ok(rejected(rejection, turn.stats)),
        };
        turn.stats.changed += joined.changed.len() as u64;
        self.joined = Some((joined, range, clocks));
        plant!(say_stale(stale, |batch| self.say_joined(batch, range.hi(), turn)));
        let mut reply = self.reply_batch(range.lo(), false, turn)?;
        // As the opener is, or was a moment ago: there is nothing more to be said.
        if let Some(theirs) = state.filter(|theirs| *theirs == state_of(turn.replica)) {
            reply.end = Some(self.converged_if(theirs, turn));
        }
        Ok(reply)
    }

    /// Rule 6: this replica's state now, against the opener's when it made the batch that was taken in last.
    fn reply_batch<V: Replicated>(
        &mut self,
        from: KeyHash,
        inline: bool,
        turn: &mut Turn<'_, V>,
    ) -> Result<Step<Reply>, Error> {
        let Some((joined, range, clocks)) = &self.joined else { return Ok(out_of_turn()) };
        let Some(rest) = KeyRange::new(from, range.hi()).filter(|rest| range.includes(rest)) else {
            return Ok(out_of_turn());
        };
        // With cuts, only all of the differences tell where the batch may end.
        let most = if self.cuts.is_some() { usize::MAX - 1 } else { self.look_ahead };
        let live = turn.replica.summary();
        let differences = live.diff_range(&joined.theirs, &rest).take(most + 1);
        let mut gaps: Vec<Difference> = differences.collect();
        // Of those that were not looked up nobody knows how many there are: many, for the limits.
        let found = if gaps.len() > most { BULK_GAPS.max(most) } else { gaps.len() };
        let rest = end_before_last(&mut gaps, rest, most);
        // Equal entries and clocks need no batch; a batch without entries still brings clocks.
        if gaps.is_empty() && turn.replica.context().pieces(range) == *clocks {
            return Ok(self.say_joined(None, range.hi(), turn));
        }
        let nothing = Inventory::new();
        let plan = BatchPlan {
            range: rest,
            base: BatchBase::Snapshot,
            limits: limits(turn.config, found as u64),
            differences: gaps,
            compared: None,
            seen: None,
            held: if inline { &nothing } else { &joined.held },
            inline,
            cuts: self.cuts.as_deref(),
        };
        let batch = turn.replica.make_batch(&plan)?;
        turn.stats.count_sent(batch.value_bytes());
        self.look_ahead = (2 * batch.changes.len()).clamp(LEAST_LOOK_AHEAD, BULK_GAPS);
        let up_to = batch.range().hi();
        Ok(self.say_joined(Some(batch), up_to, turn))
    }

    /// The opener's batch was taken in, and with this one it has what is held here up to some key.
    fn say_joined<V: Replicated>(
        &mut self,
        batch: Option<Batch>,
        up_to: Option<KeyHash>,
        turn: &mut Turn<'_, V>,
    ) -> Step<Reply> {
        let is_all = up_to.is_none();
        self.is_through = is_all && !self.was_through;
        let state = is_all.then(|| state_of(turn.replica));
        Step::say(Reply::Batch(BatchReply { verdict: Verdict::Joined, batch, state }))
    }

    fn converged_if<V: Replicated>(&mut self, theirs: State, turn: &mut Turn<'_, V>) -> Outcome {
        let mine = state_of(turn.replica);
        let equal = mine == theirs;
        plant!(let equal = has_converged(equal));
        self.certified = equal.then_some(mine.root);
        if equal { Outcome::Converged } else { Outcome::Progress }
    }
}

/// If there are more differences than are handled at a time, ends the range before the first that is left out.
fn end_before_last(gaps: &mut Vec<Difference>, rest: KeyRange, most: usize) -> KeyRange {
    let first_left_out = (gaps.len() > most).then(|| gaps.pop()).flatten();
    first_left_out.and_then(|gap| KeyRange::new(rest.lo(), Some(gap.key))).unwrap_or(rest)
}

/// Clocks, if they are few: the difference that they make is seldom worth more.
fn if_short(clocks: RangeClocks) -> Option<RangeClocks> {
    const MOST_COUNTERS: usize = 64;
    (clocks.counters() <= MOST_COUNTERS).then_some(clocks)
}

fn out_of_turn() -> Step<Reply> {
    let reason = Refusal::Malformed("a request out of turn");
    Step::say_and_end(Reply::Refused(RefusalCode::OutOfTurn), Outcome::Refused(reason))
}

/// What the opener is told of a batch that was not taken in, and whether the session can go on.
fn rejected(rejection: Refusal, stats: &mut SessionStats) -> Step<Reply> {
    let reply = |verdict| Reply::Batch(BatchReply { verdict, batch: None, state: None });
    match rejection {
        Refusal::NotCertified => {
            stats.uncertified += 1;
            Step::say(reply(Verdict::NotCertified))
        }
        Refusal::MissingContent => Step::say(reply(Verdict::MissingContent)),
        Refusal::TooManyPieces { .. } => Step::say_and_end(
            reply(Verdict::Rejected(rejection.to_string())),
            Outcome::Partial(PartialReason::TooManyPieces),
        ),
        other => Step::say_and_end(reply(Verdict::Rejected(other.to_string())), Outcome::Refused(other)),
    }
}
