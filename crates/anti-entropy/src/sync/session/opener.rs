//! The side that opens: it finds the differences, sends its entries there, and takes in the answerer's.

mod exchanging;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use exchanging::{Content, Exchange, Exchanging, Next, Waiting};

use super::clocks::Known;
use super::limits::{compare_states, joint_cuts, outcome_of, state_of};
use super::{Outcome, PartialReason, SessionConfig, Step, Turn};
use crate::KeyHash;
use crate::refusal::{NotTaken, Refusal};
use crate::replica::{Error, Replica, Replicated};
use crate::summary::{Root, Width};
use crate::sync::discovery::{Search, max_sketch_cells};
use crate::sync::transfer::{Baseline, Unreadable};
use crate::sync::wire::Inventory;
use crate::sync::wire::message::{Differs, Equality, Open, RefusalCode, Reply, Request, State};

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
        if let Err(refused) = turn.replica.notice_claim(differs.claim) {
            return refused_claim(Err(refused));
        }
        if !turn.may_transfer {
            return Ok(Step::send_and_end(Request::Busy, Outcome::Partial(PartialReason::Busy)));
        }
        turn.replica.note_writer(differs.own);
        turn.replica.note_peer_limit(differs.own, differs.takes.max_message_bytes);
        let mut exchanging = Box::new(Exchanging {
            opened,
            search: Search::nothing(),
            differences: Vec::new(),
            known_up_to: Some(KeyHash::MIN),
            cursor: KeyHash::MIN,
            cuts: joint_cuts(turn.replica.cuts_if_full(), differs.cuts),
            seen: Known::from(differs.seen, turn.replica, turn.config),
            their_id: differs.own,
            their_life: differs.life,
            knows: differs.claim.knows,
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
