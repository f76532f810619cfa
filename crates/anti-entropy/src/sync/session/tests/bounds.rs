//! Peers that claim what cannot be, or chance to: what they are answered is bounded, and so is how often.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use std::hash::DefaultHasher;

use super::adversary::{batch_request, differs, hand, outcome, said};
use super::{Item, Link, Pair, now, replica, write};
use crate::KeyRange;
use crate::clock::{Context, RangeClocks, ReplicaId, Seed, Tally, VectorClock};
use crate::refusal::Refusal;
use crate::replica::tests::pattern::Pattern;
use crate::replica::{LastWriterWins, MemoryStore, Opening, Part, ReplicaConfig};
use crate::summary::Width;
use crate::summary::sketch::{Cell, Chunk, Encoder, SketchConfig};
use crate::sync::session::*;
use crate::sync::wire::Header;
use crate::sync::wire::message::{BatchReply, BatchRequest, Differs, First, Open, Seen, State, Verdict};
use crate::sync::wire::{Batch, BatchBase};

const NONCE: u64 = 5;

fn filled(seed: u8, keys: usize) -> Replica<Item> {
    let mut replica = replica(seed);
    (0..keys).for_each(|key| write(&mut replica, key, "value"));
    replica
}

/// The side that opens, and is answered with lies.
struct Opened {
    session: Session,
    victim: Replica<Item>,
    exchange: u32,
}

impl Opened {
    fn new(mut victim: Replica<Item>) -> Self {
        let mut session = Session::open_valid(1, &mut victim, SessionConfig::default(), now());
        assert!(matches!(said(&mut session), Some(Request::Open(_))));
        Self { session, victim, exchange: 0 }
    }

    fn hears(&mut self, reply: &Reply) -> Option<Request> {
        let number = self.session.exchange.reply_number();
        let header = Header { kind: FrameKind::Reply, session: number, exchange: self.exchange };
        self.exchange += 1;
        hand(&mut self.session, header, reply, &mut self.victim)
    }

    /// Whether that is no answer to take.
    fn finds_malformed(&mut self, reply: &Reply) -> bool {
        let aborted = self.hears(reply) == Some(Request::Abort);
        let refused = matches!(outcome(&mut self.session), Some(Outcome::Refused(Refusal::Malformed(_))));
        assert_eq!(aborted, refused);
        refused
    }
}

/// The side that answers, and its answer to the opening.
struct Asked {
    session: Session,
    victim: Replica<Item>,
    exchange: u32,
    first: Option<Reply>,
}

impl Asked {
    fn new(mut victim: Replica<Item>, open: &Request) -> Self {
        let header = Header { kind: FrameKind::Request, session: 1, exchange: 0 };
        let bytes = header.encode(0, 1, &postcard::to_allocvec(open).unwrap(), true);
        let frame = Frame::decode(&bytes, &SessionConfig::default()).unwrap();
        let mut session = Session::accept_valid(&frame, NONCE, SessionConfig::default(), now()).unwrap();
        session.handle_frame(frame, &mut victim, now()).unwrap();
        let first = said(&mut session);
        Self { session, victim, exchange: 1, first }
    }

    fn hears(&mut self, request: &Request) -> Option<Reply> {
        let header = Header { kind: FrameKind::Request, session: NONCE, exchange: self.exchange };
        self.exchange += 1;
        hand(&mut self.session, header, request, &mut self.victim)
    }

    fn finds_out_of_turn(&mut self, request: &Request) -> bool {
        let refused = self.hears(request) == Some(Reply::Refused(RefusalCode::OutOfTurn));
        let ended = outcome(&mut self.session);
        assert_eq!(refused, ended == Some(Outcome::Refused(Refusal::Malformed("a request out of turn"))));
        refused
    }

    fn first_step(&self) -> &First {
        match &self.first {
            Some(Reply::Differs(differs)) => &differs.first,
            other => panic!("{other:?}"),
        }
    }
}

/// Of a replica that has nothing in common with the answerer.
fn any_open() -> Open {
    let state = State { seen: Seen { root: Root::from_bytes([9; 32]), context: 0 }, filled: None };
    let (width, tally) = (Width::Short, Tally::default());
    Open { schema_id: 0, state, width, cuts: None, entries: 300, tally, max_cells: 1 << 16, own: 9 }
}

fn open(entries: u64) -> Request {
    Request::Open(Open { entries, ..any_open() })
}

fn bulk(entries: u64) -> Reply {
    differs(First::Bulk { entries })
}

fn verdict(verdict: Verdict) -> Reply {
    Reply::Batch(BatchReply { verdict, batch: None, state: None })
}

/// A whole batch of a sender that holds nothing, but has seen something.
fn nothing_left(range: KeyRange, seen: VectorClock) -> Request {
    let clocks = RangeClocks::new(range, vec![(range.lo(), seen)]).unwrap();
    let digest = replica::<Item>(99).root();
    let batch = Batch { clocks, base: BatchBase::Nothing, digest, changes: Vec::new().into() };
    batch_request(batch)
}

#[test]
fn an_opening_with_any_number_of_entries_is_answered() {
    for entries in [1 << 31, 1 << 32, 1 << 61, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX] {
        let asked = Asked::new(filled(1, 100), &open(entries));
        assert!(!matches!(asked.first_step(), First::Bulk { .. }));
        // To list all that is held would take as much.
        assert!(asked.session.stats().bytes_sent < 100 * 32, "{entries}: {}", asked.session.stats().bytes_sent);
    }
}

/// How many cells an answerer with so many keys begins with, if the two are so many writes apart.
fn first_cells(keys: usize, writes: u32) -> usize {
    let victim = filled(1, keys);
    let mut seen = Context::new(ReplicaId::from_u128(3));
    seen.join_range(&KeyRange::ALL, &victim.context().whole_clock().unwrap());
    (0..writes).for_each(|_| assert!(seen.mint().is_ok()));
    let open = Open { entries: keys as u64, tally: seen.tally(), ..any_open() };
    let asked = Asked::new(victim, &Request::Open(open));
    let bytes = asked.session.stats().bytes_sent;
    assert!(bytes < 60_000, "{writes} writes of {keys} keys: {bytes} bytes");
    match asked.first_step() {
        First::Cells(chunk) => chunk.end(),
        First::Tree(_) => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_answer_is_bounded_however_far_apart_the_two_are() {
    let most = SessionConfig::default().max_first_cells;
    // All that it is likely to take, and no more than is allowed at first.
    assert!((2000..most).contains(&first_cells(3000, 800)));
    assert_eq!(first_cells(5000, 2400), most);
    // Where trees would be cheaper, if all of these were keys, as many as tell whether they are; or none.
    assert!((64..1000).contains(&first_cells(5000, 16_000)));
    assert_eq!(first_cells(300, 16_000), 0);
}

#[test]
fn whole_batches_are_sent_to_who_holds_four_times_as_much() {
    for (entries, sent) in [(0, false), (100, false), (399, false), (400, true), (u64::MAX, true)] {
        let mut opened = Opened::new(filled(1, 100));
        assert_eq!(opened.finds_malformed(&bulk(entries)), !sent, "{entries}");
    }
}

/// However much the answerer says it holds, what this side holds is said in some steps.
#[test]
fn the_first_whole_batch_is_as_short_as_the_answerer_claims_to_hold_much() {
    for (entries, bits) in [(1 << 20, 120), (1 << 62, 78), (u64::MAX, 76)] {
        let mut opened = Opened::new(filled(1, 100));
        let Some(Request::Batch(BatchRequest { batch, state: None, .. })) = opened.hears(&bulk(entries)) else {
            panic!()
        };
        assert_eq!(batch.base, BatchBase::Nothing);
        let end = batch.range().hi().unwrap().to_u128();
        assert!(end.abs_diff(1 << bits) < 1 << (bits - 10), "{end:x}");
    }
}

#[test]
fn whole_batches_that_did_not_add_up_are_not_sent_again() {
    let mut opened = Opened::new(filled(1, 100));
    assert!(matches!(opened.hears(&bulk(u64::MAX)), Some(Request::Batch(_))));
    let again = opened.hears(&verdict(Verdict::NotCertified));
    assert!(matches!(again, Some(Request::Open(Open { width: Width::Full, max_cells: 0, .. }))), "{again:?}");
    assert!(opened.finds_malformed(&bulk(u64::MAX)));

    // Nor are they announced while they are sent.
    let mut opened = Opened::new(filled(1, 100));
    opened.hears(&bulk(u64::MAX));
    assert!(opened.finds_malformed(&bulk(u64::MAX)));
}

#[test]
fn an_answerer_that_never_has_anything_is_through_after_some_batches() {
    let mut opened = Opened::new(filled(1, 100));
    let mut said = opened.hears(&bulk(u64::MAX));
    let (mut batches, mut listed) = (0, 0);
    while let Some(Request::Batch(BatchRequest { batch, .. })) = said {
        batches += 1;
        assert!(batches <= 130, "there is no end");
        listed += batch.changes.len();
        said = opened.hears(&verdict(Verdict::Joined));
    }
    assert_eq!(said, Some(Request::Abort), "it never said how it is");
    assert!(batches >= 40, "the first is a 2^52th of all: {batches} batches");
    assert_eq!(listed, 100);
}

/// What was written since changes how many cells this side would take now, not how many the answerer may have sent.
#[test]
fn cells_that_were_allowed_are_taken_whatever_is_allowed_by_now() {
    let some = |number| NonZeroU32::new(number).unwrap();
    let sketch = SketchConfig::default().with(|config| {
        config.min_cells = some(16);
        config.max_cells = some(16);
    });
    let opening = Opening {
        config: ReplicaConfig { sketch, ..ReplicaConfig::default() },
        ..Opening::from(Seed::from_bytes([3; 32]))
    };
    let a = Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
    let mut pair = Pair::new(a, filled(2, 300), SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    (0..30).for_each(|key| write(&mut pair.a, key, "changed"));
    let config = SessionConfig { max_sketch_pass: 300, ..SessionConfig::default() };
    let mut pair = Pair::new(pair.a, pair.b, config, Link::default(), 0);
    let mut cells = None;
    let finished = pair.run(|pair| {
        let Some((false, frame)) = pair.flying.first() else { return };
        let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
        if let Some(Reply::Differs(Differs { first: First::Cells(chunk), .. })) = message::read(frame.payload) {
            cells = Some(chunk.end());
            write(&mut pair.a, 5000, "one more");
        }
    });
    assert!(cells.is_some_and(|cells| cells > 16), "{cells:?}");
    assert_eq!(finished.outcome, Outcome::Converged);
    assert_eq!((pair.a.root(), pair.b.len()), (pair.b.root(), 301));
}

#[test]
fn a_session_is_opened_once_and_once_more_with_whole_digests() {
    let again = |width| Request::Open(Open { width, ..any_open() });
    let mut asked = Asked::new(filled(1, 300), &open(300));
    assert!(matches!(asked.first_step(), First::Cells(_)));
    assert!(asked.finds_out_of_turn(&again(Width::Short)));

    let mut asked = Asked::new(filled(1, 300), &open(300));
    assert!(matches!(asked.hears(&again(Width::Full)), Some(Reply::Differs(_))));
    assert!(asked.finds_out_of_turn(&again(Width::Full)));

    // Who starts with whole digests has no better ones to come back with, and is heard a second time all the same.
    let mut asked = Asked::new(filled(1, 300), &again(Width::Full));
    assert!(matches!(asked.hears(&again(Width::Full)), Some(Reply::Differs(_))));
    assert!(asked.finds_out_of_turn(&again(Width::Full)));
}

#[test]
fn cells_are_for_those_who_were_offered_a_sketch() {
    let cells = Request::Cells { start: 0, count: 1 };
    let trees = Request::Open(Open { max_cells: 0, ..any_open() });
    for (keys, open) in [(300, trees), (2000, open(0))] {
        let mut asked = Asked::new(filled(1, keys), &open);
        assert!(matches!(asked.first_step(), First::Tree(_) | First::Bulk { .. }));
        assert!(asked.finds_out_of_turn(&cells));
    }
    // A sketch that was offered before the comparison was started again is gone.
    let mut asked = Asked::new(filled(1, 300), &open(300));
    assert!(matches!(asked.hears(&cells), Some(Reply::Cells(_))));
    asked.hears(&Request::Open(Open { width: Width::Full, max_cells: 0, ..any_open() }));
    assert!(asked.finds_out_of_turn(&cells));
}

/// Asks for all that is held, part by part, and says how many parts these were.
fn parts_to_the_top(asked: &mut Asked) -> usize {
    let mut from = Some(KeyHash::MIN);
    let mut parts = 0;
    while let Some(lo) = from {
        let Some(Reply::Batch(reply)) = asked.hears(&Request::More { from: lo, inline: true, unreadable: vec![] })
        else {
            panic!()
        };
        from = reply.batch.unwrap().range().hi();
        parts += 1;
        assert!(asked.session.is_transferring() && !asked.session.is_through(), "part {parts}");
    }
    parts
}

#[test]
fn an_answerer_that_was_through_and_is_asked_for_more_is_transferring_from_then_on() {
    let mut asked = Asked::new(filled(1, 50), &open(0));
    assert!(asked.session.is_transferring());
    let seen = VectorClock::from_iter([(ReplicaId::from_u128(77), 1)]);
    assert!(matches!(asked.hears(&nothing_left(KeyRange::ALL, seen)), Some(Reply::Batch(_))));
    assert!(asked.session.is_through() && !asked.session.is_transferring());
    for _ in 0..3 {
        assert_eq!(parts_to_the_top(&mut asked), 1);
    }
    // So it is if it is asked for anything else.
    assert!(matches!(asked.hears(&Request::Inventory(Vec::new())), Some(Reply::Inventory(_))));
    assert!(asked.session.is_transferring() && !asked.session.is_through());
}

#[test]
fn sessions_that_took_in_other_cells_are_in_other_states() {
    let mut states = BTreeSet::new();
    let mut sketching = 0;
    for fill in 0..=255 {
        let mut opened = Opened::new(filled(1, 300));
        let chunk = Chunk::new(0, vec![Cell::from_bytes([fill; Cell::LEN]); 10]).unwrap();
        if let Some(Request::Cells { .. }) = opened.hears(&differs(First::Cells(chunk))) {
            let mut hasher = DefaultHasher::new();
            opened.session.hash_state(&mut hasher);
            states.insert(hasher.finish());
            sketching += 1;
        }
    }
    assert!(sketching > 100, "{sketching} asked for more cells");
    assert_eq!(states.len(), sketching);
}

#[test]
fn an_answerer_that_sends_a_cell_at_a_time_is_left_for_the_trees() {
    const MAX_REQUESTS: u32 = 8;
    let mut cells = Encoder::of_range(filled(2, 400).summary(), KeyRange::ALL);
    let mut opened = Opened::new(filled(1, 300));
    let mut said = opened.hears(&differs(First::Cells(cells.chunk(0, 1))));
    let mut requests = 0;
    while let Some(Request::Cells { start, count }) = said {
        assert!(count >= 1);
        requests += 1;
        said = opened.hears(&Reply::Cells(cells.chunk(start as usize, 1)));
    }
    assert!(matches!(said, Some(Request::Ask(_))), "{said:?}");
    assert_eq!((requests, opened.session.stats().sketches_failed), (MAX_REQUESTS, 1));
}

fn pattern(id: u32, confidence: u8, embedding: u8) -> Pattern {
    Pattern { id, confidence, embedding: Part::from(vec![embedding; 3000]) }
}

/// There would be another question each time, and never a batch.
#[test]
fn who_is_being_written_asks_twice_at_most_what_is_held() {
    let mut a = replica(1);
    (0..400).for_each(|id| drop(a.write(pattern(id, 1, 1), now()).unwrap()));
    let mut pair = Pair::new(a, replica(2), SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    pair.a.write(pattern(0, 2, 2), now()).unwrap();
    let mut pair = Pair::new(pair.a, pair.b, SessionConfig::default(), Link::default(), 0);
    let (mut next, mut questions, mut batches) = (1, 0, 0);
    let finished = pair.run(|pair| {
        for (to_answerer, frame) in &pair.flying {
            let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
            match message::read(frame.payload).filter(|_| *to_answerer && frame.fragments == 1) {
                Some(Request::Inventory(_)) => questions += 1,
                Some(Request::Batch(_)) => (questions, batches) = (0, batches + 1),
                _ => {}
            }
        }
        assert!(questions <= 2);
        if next < 400 {
            pair.a.write(pattern(next, 2, 3), now()).unwrap();
            next += 1;
        }
    });
    assert_eq!((finished.outcome, batches), (Outcome::Progress, 1));
    assert!(finished.stats.round_trips <= 8, "{:?}", finished.stats);
}

/// What a whole batch does not list may have been deleted by its sender, if that has seen it: each has to be read.
#[test]
fn a_whole_batch_that_leaves_out_too_many_keys_is_refused() {
    let limit = ReplicaConfig::MAX_UNLISTED;
    let victim = filled(1, usize::try_from(limit).unwrap() + 1);
    let seen = |writer| VectorClock::from_iter([(writer, 1)]);
    let first_write = seen(victim.id());
    let mut asked = Asked::new(victim, &open(0));

    // Who has seen none of the writes deletes none.
    let stranger = nothing_left(KeyRange::ALL, seen(ReplicaId::from_u128(77)));
    let Some(Reply::Batch(reply)) = asked.hears(&stranger) else { panic!() };
    assert_eq!((reply.verdict, asked.victim.len()), (Verdict::Joined, limit + 1));

    // In half of the range, there are fewer.
    let half = KeyRange::new(KeyHash::MIN, Some(KeyHash::from_u128(1 << 127))).unwrap();
    let Some(Reply::Batch(reply)) = asked.hears(&nothing_left(half, first_write.clone())) else { panic!() };
    assert_eq!(reply.verdict, Verdict::Joined);

    let held = asked.victim.len();
    write(&mut asked.victim, 100_000, "one that may have died is replaced");
    let before = (asked.victim.root(), asked.victim.context_hash());
    let Some(Reply::Batch(reply)) = asked.hears(&nothing_left(KeyRange::ALL, first_write)) else { panic!() };
    let rejection = Refusal::TooManyUnlisted { unlisted: held + 1, limit };
    assert_eq!(reply.verdict, Verdict::Rejected(rejection.to_string()));
    assert_eq!(outcome(&mut asked.session), Some(Outcome::Refused(rejection)));
    assert_eq!((asked.victim.root(), asked.victim.context_hash()), before);
}
