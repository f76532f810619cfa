//! Sessions that find what differs by a sketch, and what they do where one leads nowhere.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::{Item, Link, Pair, now, replica, write};
use crate::clock::Seed;
use crate::replica::{LastWriterWins, MemoryStore, Opening, ReplicaConfig};
use crate::summary::Fingerprint;
use crate::summary::sketch::{Cell, Chunk, Sketch, SketchConfig, Symbol};
use crate::sync::discovery::{end_of_whole_batch, max_sketch_cells};
use crate::sync::session::*;
use crate::sync::wire::BatchBase;
use crate::sync::wire::Header;
use crate::sync::wire::message::{First, Open, Reply, Request};
use crate::{KeyHash, KeyRange};

/// Two replicas with the same entries.
fn twins(entries: usize) -> (Replica<Item>, Replica<Item>) {
    let (mut a, b) = (replica(1), replica(2));
    (0..entries).for_each(|key| write(&mut a, key, "the same on both sides"));
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    (pair.a, pair.b)
}

fn synchronise(a: Replica<Item>, b: Replica<Item>, config: SessionConfig) -> (Pair<Item>, Finished) {
    let mut pair = Pair::new(a, b, config, Link::default(), 0);
    let finished = pair.run(|_| {});
    assert_eq!(finished.outcome, Outcome::Converged);
    assert_eq!((pair.a.root(), pair.a.context_hash()), (pair.b.root(), pair.b.context_hash()));
    pair.deliver_all();
    (pair, finished)
}

fn bytes(stats: SessionStats) -> u64 {
    stats.bytes_sent + stats.bytes_received
}

#[test]
fn one_change_takes_two_round_trips_whoever_made_it() {
    let value = "x".repeat(100);
    for changed_by_opener in [true, false] {
        let (mut a, mut b) = twins(3000);
        write(if changed_by_opener { &mut a } else { &mut b }, 77, &value);
        let (pair, finished) = synchronise(a, b, SessionConfig::default());
        assert_eq!((finished.stats.round_trips, finished.stats.sketches_failed), (2, 0));
        assert!(bytes(finished.stats) <= 1500, "{} bytes", bytes(finished.stats));
        // Both sides know it, whoever had the last word.
        let answerer = pair.answerer.and_then(|answerer| answerer.finished()).unwrap();
        assert_eq!((answerer.outcome, answerer.root), (Outcome::Converged, finished.root));
    }
}

#[test]
fn what_either_side_lacks_changed_or_deleted_is_found() {
    for changes in [1, 10, 100, 700] {
        let (mut a, mut b) = twins(3000);
        for change in 0..changes {
            let key = change * 4;
            match change % 5 {
                0 => write(&mut a, key, "changed here"),
                1 => write(&mut b, key, "changed there"),
                2 => write(&mut a, 10_000 + key, "new here"),
                3 => write(&mut b, 10_000 + key, "new there"),
                _ => drop(b.delete(&key.to_string(), now()).unwrap()),
            }
        }
        let (mut pair, finished) = synchronise(a, b, SessionConfig::default());
        assert_eq!((finished.stats.sketches_failed, finished.stats.uncertified), (0, 0), "{changes} changes");
        assert_eq!(finished.stats.differences, changes as u64);
        assert!(pair.a.sketch_is_sound_for_test() && pair.b.sketch_is_sound_for_test());
    }
}

#[test]
fn without_a_sketch_trees_are_compared() {
    let off = SessionConfig { max_sketch_cells: 0, ..SessionConfig::default() };
    for (opener_off, answerer_off) in [(true, true), (true, false), (false, true)] {
        let (mut a, b) = twins(3000);
        write(&mut a, 77, "changed");
        let opener = if opener_off { off } else { SessionConfig::default() };
        let mut pair = Pair::new(a, b, opener, Link::default(), 0);
        pair.config = if answerer_off { off } else { SessionConfig::default() };
        let finished = pair.run(|_| {});
        assert_eq!(finished.outcome, Outcome::Converged);
        assert!(finished.stats.round_trips > 2 && finished.stats.sketches_failed == 0);
    }
}

/// The tally counts writes, and all of them may be of one key.
#[test]
fn a_key_that_was_written_often_costs_a_bounded_number_of_cells() {
    let (mut a, b) = twins(3000);
    (0..20_000).for_each(|_| write(&mut a, 77, "again"));
    let (_, finished) = synchronise(a, b, SessionConfig { max_sketch_pass: u64::MAX, ..SessionConfig::default() });
    assert_eq!(finished.stats.differences, 1);
    // Listing all entries would take 72,000.
    assert!(bytes(finished.stats) < 72_000, "{}", bytes(finished.stats));
}

/// The opener writes the very key that only the answerer had when the two were compared, and of which the sketch tells
/// no more than a prefix; and others that have nothing to do with it.
#[test]
fn writes_between_the_comparison_and_the_batch_are_put_together_with_what_was_found() {
    let (a, mut b) = twins(100);
    write(&mut b, 5000, "there");
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    let mut rounds = 0;
    let finished = pair.run(|pair| {
        rounds += 1;
        // The answer to the opening is on its way.
        if rounds == 2 {
            write(&mut pair.a, 5000, "here");
            write(&mut pair.a, 3, "here");
            pair.a.delete(&"4".to_string(), now()).unwrap();
        }
    });
    assert_eq!((finished.outcome, finished.stats.round_trips), (Outcome::Converged, 2));
    assert_eq!((finished.stats.uncertified, finished.stats.sketches_failed), (0, 0));
    assert_eq!(pair.a.root(), pair.b.root());
    assert_eq!((pair.b.conflicts(), pair.b.len()), (1, 100));
}

#[test]
fn an_answerer_that_missed_the_last_word_ends_in_progress_and_is_in_nobodys_way() {
    let (a, mut b) = twins(100);
    write(&mut b, 5, "there");
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    let mut answerer = pair.answerer.unwrap();
    assert!(answerer.finished().is_none() && !answerer.is_transferring());
    answerer.handle_timeout(Now { elapsed: SessionConfig::default().idle_timeout, ..now() });
    assert_eq!(answerer.finished().unwrap().outcome, Outcome::Progress);
}

/// Cells that a replica does not keep take a pass over all entries, which is not for large stores.
#[test]
fn beyond_the_cells_that_are_kept_large_stores_compare_trees() {
    let some = |number| NonZeroU32::new(number).unwrap();
    let config = ReplicaConfig {
        sketch: SketchConfig::default().with(|config| {
            config.min_cells = some(16);
            config.max_cells = some(16);
        }),
        ..ReplicaConfig::default()
    };
    let opening = Opening { config, ..Opening::from(Seed::from_bytes([3; 32])) };
    let mut few: Replica<Item> = Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
    (0..50).for_each(|key| write(&mut few, key, "few"));
    let passes = SessionConfig::default();
    assert_eq!(max_sketch_cells(&few, &passes), passes.max_sketch_cells);
    let no_passes = SessionConfig { max_sketch_pass: 49, ..passes };
    assert_eq!(max_sketch_cells(&few, &no_passes), 16);
    let small_budget = SessionConfig { max_session_bytes: 760, ..passes };
    assert_eq!(max_sketch_cells(&few, &small_budget), 10);

    for (config, fails) in [(passes, false), (no_passes, true)] {
        let (mut a, b) = twins(2000);
        (0..30).for_each(|key| write(&mut a, key, "changed"));
        let b_config = ReplicaConfig {
            sketch: SketchConfig::default().with(|config| {
                config.min_cells = some(16);
                config.max_cells = some(16);
            }),
            ..ReplicaConfig::default()
        };
        let opening = Opening { config: b_config, ..Opening::from(Seed::from_bytes([4; 32])) };
        let c: Replica<Item> = Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
        let (pair, _) = synchronise(b, c, SessionConfig::default());
        let (_, finished) = synchronise(a, pair.b, config);
        assert_eq!(finished.stats.round_trips > 2, fails);
    }
}

/// Changes the cells of the first answer, as a lying member would, with everything around them made to fit.
fn poison(frame: &[u8], change: &mut dyn FnMut(&mut Vec<Cell>)) -> Vec<u8> {
    let read = Frame::decode(frame, &SessionConfig::default()).unwrap();
    let Some(Reply::Differs(mut differs)) = message::read::<Reply>(read.payload) else { return frame.to_vec() };
    let First::Cells(chunk) = &differs.first else { return frame.to_vec() };
    let mut cells = chunk.cells().to_vec();
    change(&mut cells);
    differs.first = First::Cells(Chunk::new(chunk.start(), cells).unwrap());
    let message = postcard::to_allocvec(&Reply::Differs(differs)).unwrap();
    Header { kind: read.kind, session: read.session, exchange: read.exchange }.encode(0, 1, &message, true)
}

/// The cell in which only this symbol is: the first one of a set of one entry.
fn cell_of(symbol: Symbol) -> Cell {
    let mut fingerprint = [0; Fingerprint::LEN];
    fingerprint[..8].copy_from_slice(&symbol.fingerprint.to_be_bytes());
    let entry = (KeyHash::from_prefix(symbol.key), Fingerprint::from_bytes(fingerprint));
    Sketch::from_entries([entry], SketchConfig::default()).unwrap().cells()[0]
}

fn add(cells: &mut [Cell], symbol: Symbol) {
    let length = cells.len();
    for index in symbol.indices().take_while(|&index| index < length) {
        let mut bytes = cells[index].to_bytes();
        let alone = cell_of(symbol).to_bytes();
        bytes[..18].iter_mut().zip(alone).for_each(|(byte, other)| *byte ^= other);
        bytes[18] = bytes[18].wrapping_add(alone[18]);
        cells[index] = Cell::from_bytes(bytes);
    }
}

type Poison<'a> = &'a mut dyn FnMut(&mut Vec<Cell>);

/// Whatever a peer sends for a sketch, the session ends converged, by the trees.
#[test]
fn poisoned_sketches_cost_time_and_nothing_else() {
    let invented = Symbol { key: 7 << 60, fingerprint: 9 };
    let mut random = fastrand::Rng::with_seed(1);
    let poisons: [(&str, Poison<'_>, u32, u32); 5] = [
        ("an invented entry", &mut |cells| add(cells, invented), 0, 1),
        ("nothing differs", &mut |cells| cells.truncate(0), 1, 0),
        ("noise", &mut |cells| cells.fill_with(|| Cell::from_bytes([(); 19].map(|()| random.u8(..)))), 1, 0),
        ("ones", &mut |cells| cells.fill(Cell::from_bytes([255; 19])), 1, 0),
        ("zeros", &mut |cells| cells.fill(Cell::default()), 1, 0),
    ];
    for (what, change, failed, uncertified) in poisons {
        let (mut a, mut b) = twins(300);
        (0..2).for_each(|key| write(&mut a, key, "changed here"));
        (2..4).for_each(|key| write(&mut b, key, "changed there"));
        let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
        let finished = pair.run(|pair| {
            for (to_answerer, frame) in &mut pair.flying {
                if !*to_answerer {
                    *frame = poison(frame, change);
                }
            }
        });
        assert_eq!(finished.outcome, Outcome::Converged, "{what}");
        assert_eq!(pair.a.root(), pair.b.root());
        assert!(finished.stats.sketches_failed >= failed, "{what}");
        assert_eq!(pair.answerer.unwrap().stats().uncertified, uncertified, "{what}");
    }
}

/// Hands a reply to an opener, and returns what it says.
fn reply(session: &mut Session, exchange: u32, reply: &Reply, victim: &mut Replica<Item>) -> Request {
    let header = Header { kind: FrameKind::Reply, session: session.exchange.reply_number(), exchange };
    let bytes = header.encode(0, 1, &postcard::to_allocvec(reply).unwrap(), true);
    session.handle_frame(Frame::decode(&bytes, &SessionConfig::default()).unwrap(), victim, now()).unwrap();
    request_of(session)
}

fn request_of(session: &mut Session) -> Request {
    let SessionOutput::Send(frame) = session.poll_output() else { panic!("it says nothing") };
    message::read(Frame::decode(&frame, &SessionConfig::default()).unwrap().payload).unwrap()
}

fn differs(chunk: Chunk) -> Reply {
    super::adversary::differs(First::Cells(chunk))
}

#[test]
fn cells_that_were_not_asked_for_end_the_session() {
    let mut victim: Replica<Item> = replica(1);
    (0..100).for_each(|key| write(&mut victim, key, "value"));
    let config = SessionConfig { max_sketch_cells: 40, ..SessionConfig::default() };
    let noise = |start, count| Chunk::new(start, vec![Cell::from_bytes([255; 19]); count]).unwrap();
    let refused = Some(Outcome::Refused(Refusal::Malformed("cells that were not asked for")));
    let opened = |victim: &mut Replica<Item>| {
        let mut session = Session::open_valid(1, victim, config, now());
        assert!(matches!(request_of(&mut session), Request::Open(Open { max_cells: 40, .. })));
        session
    };
    // More than the opening allows; not from the start on.
    for chunk in [noise(0, 41), noise(1, 10)] {
        let mut session = opened(&mut victim);
        assert_eq!(reply(&mut session, 0, &differs(chunk), &mut victim), Request::Abort);
        assert_eq!(session.finished().map(|finished| finished.outcome), refused);
    }
    // More than was asked for, or others.
    for chunk in [noise(10, 31), noise(0, 10), noise(500, 1)] {
        let mut session = opened(&mut victim);
        let few = differs(noise(0, 10));
        let Request::Cells { start: 10, count } = reply(&mut session, 0, &few, &mut victim) else { panic!("no cells") };
        assert!(count <= 30);
        assert_eq!(reply(&mut session, 1, &Reply::Cells(chunk), &mut victim), Request::Abort);
        assert_eq!(session.finished().map(|finished| finished.outcome), refused);
    }
    // None at all: the trees. All that were allowed: the trees.
    for (first, second) in [(10, Some(0)), (40, None)] {
        let mut session = opened(&mut victim);
        let mut request = reply(&mut session, 0, &differs(noise(0, first)), &mut victim);
        if let Some(second) = second {
            request = reply(&mut session, 1, &Reply::Cells(noise(first, second)), &mut victim);
        }
        assert!(matches!(request, Request::Ask(_)), "{request:?}");
    }
    let mut session = opened(&mut victim);
    assert_eq!(reply(&mut session, 0, &Reply::Cells(noise(0, 1)), &mut victim), Request::Abort);
}

/// Who talks to several peers asks for few cells to begin with, and for more where it goes on.
#[test]
fn the_first_answer_has_no_more_cells_than_were_asked_for() {
    for (max_first_cells, round_trips) in [(1 << 16, 2..=2), (64, 3..=4)] {
        let (mut a, b) = twins(3000);
        (0..30).for_each(|key| write(&mut a, key, "changed"));
        let config = SessionConfig { max_first_cells, ..SessionConfig::default() };
        let (_, finished) = synchronise(a, b, config);
        assert!(round_trips.contains(&finished.stats.round_trips), "{:?}", finished.stats);
        assert_eq!(finished.stats.sketches_failed, 0);
    }
}

#[test]
fn an_answerer_makes_no_more_cells_than_its_limit() {
    let (mut a, mut b) = twins(100);
    write(&mut a, 7, "changed");
    let config = SessionConfig { max_sketch_cells: 40, ..SessionConfig::default() };
    let mut opener = Session::open_valid(1, &mut a, SessionConfig::default(), now());
    let SessionOutput::Send(frame) = opener.poll_output() else { panic!("it says nothing") };
    let frame = Frame::decode(&frame, &SessionConfig::default()).unwrap();
    let mut answerer = Session::accept_valid(&frame, 5, config, now()).unwrap();
    answerer.handle_frame(frame, &mut b, now()).unwrap();
    let SessionOutput::Send(_) = answerer.poll_output() else { panic!("it says nothing") };
    let asked = [(0, u32::MAX, 0..40), (u32::MAX, u32::MAX, 40..40), (39, 5, 39..40), (12, 3, 12..15), (50, 1, 40..40)];
    for (exchange, (start, count, range)) in (1..).zip(asked) {
        let message = postcard::to_allocvec(&Request::Cells { start, count }).unwrap();
        let bytes = Header { kind: FrameKind::Request, session: 5, exchange }.encode(0, 1, &message, true);
        answerer.handle_frame(Frame::decode(&bytes, &SessionConfig::default()).unwrap(), &mut b, now()).unwrap();
        let SessionOutput::Send(frame) = answerer.poll_output() else { panic!("it says nothing") };
        let reply = message::read::<Reply>(Frame::decode(&frame, &SessionConfig::default()).unwrap().payload);
        let Some(Reply::Cells(chunk)) = reply else { panic!("no cells: {reply:?}") };
        assert_eq!(chunk.start()..chunk.end(), range);
        let mut all = crate::summary::sketch::Encoder::of_range(b.summary(), KeyRange::ALL);
        assert_eq!(chunk.cells(), all.cells(range));
    }
}

/// Nothing is compared, and nothing named: but for values, an entry takes its key, its name and its time.
#[test]
fn an_empty_replica_is_filled_in_order_and_without_finding_anything() {
    let mut full: Replica<Item> = replica(1);
    (0..5000).for_each(|key| write(&mut full, key, "value"));
    let mut asked = 0;
    let mut pair = Pair::new(replica(2), full, SessionConfig::default(), Link::default(), 0);
    let finished = pair.run(|pair| {
        for (to_answerer, frame) in &pair.flying {
            let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
            if let (true, 1, Some(Request::Ask(_) | Request::Cells { .. })) =
                (*to_answerer, frame.fragments, message::read(frame.payload))
            {
                asked += 1;
            }
        }
    });
    assert_eq!((finished.outcome, pair.a.len(), asked), (Outcome::Converged, 5000, 0));
    assert_eq!((finished.stats.differences, finished.stats.whole_batches), (5000, 1));
    assert!(finished.stats.bytes_sent < 1000, "{} bytes asked", finished.stats.bytes_sent);
    assert!(finished.stats.bytes_received < 5000 * 64, "{} bytes", finished.stats.bytes_received);
}

/// What the batches stand against that are on their way to the answerer, each in one frame.
fn bases_flying(pair: &Pair<Item>) -> impl Iterator<Item = BatchBase> + '_ {
    pair.flying.iter().filter(|(to_answerer, _)| *to_answerer).filter_map(|(_, frame)| {
        let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
        assert_eq!(frame.fragments, 1);
        match message::read(frame.payload) {
            Some(Request::Batch(request)) => Some(request.batch.base),
            _ => None,
        }
    })
}

/// A replica that was left behind when the other had a fifth of what it has now. What was deleted meanwhile goes, what it
/// wrote or deleted itself stays, and what both hold is named.
#[test]
fn a_very_stale_replica_says_what_it_holds() {
    let (mut stale, mut fresh) = twins(1000);
    (1000..6000).for_each(|key| write(&mut fresh, key, "new there"));
    (0..200).for_each(|key: usize| drop(fresh.delete(&key.to_string(), now()).unwrap()));
    (150..250).for_each(|key| write(&mut stale, key, "changed here"));
    (300..400).for_each(|key: usize| drop(stale.delete(&key.to_string(), now()).unwrap()));
    (7000..7010).for_each(|key| write(&mut stale, key, "new here"));
    let config = SessionConfig { max_frame_bytes: 1 << 20, ..SessionConfig::default() };
    let mut pair = Pair::new(stale, fresh, config, Link::default(), 0);
    let mut bases = Vec::new();
    let finished = pair.run(|pair| bases.extend(bases_flying(pair)));
    assert_eq!(finished.outcome, Outcome::Converged);
    assert_eq!((pair.a.root(), pair.a.context_hash()), (pair.b.root(), pair.b.context_hash()));
    assert_eq!(bases, [BatchBase::Nothing; 2]);
    assert_eq!(pair.a.len(), 6000 - 150 - 100 + 10);
    // The 100 values that were changed and the 10 that are new, and none that both had.
    assert!(finished.stats.value_bytes_sent < 110 * 14, "{}", finished.stats.value_bytes_sent);
    assert_eq!(pair.a.conflicts(), 0);
}

/// A transfer that breaks off goes on where it was.
#[test]
fn a_bulk_transfer_is_resumed() {
    let mut full: Replica<Item> = replica(1);
    (0..5000).for_each(|key| write(&mut full, key, "a value of some length, so that it takes a few batches"));
    let config = SessionConfig { batch_bytes: 8 << 10, max_session_bytes: 100 << 10, ..SessionConfig::default() };
    let (mut empty, mut received, mut sessions, mut whole) = (replica(2), 0, 0, 0);
    loop {
        let mut pair = Pair::new(empty, full, config, Link::default(), 0);
        let (held, mut bases) = (pair.a.len(), Vec::new());
        let finished = pair.run(|pair| bases.extend(bases_flying(pair)));
        // Up to a quarter, it is cheaper to say what is held than to find what is lacking.
        let base = if held * 4 <= 5000 { BatchBase::Nothing } else { BatchBase::Snapshot };
        assert!(!bases.is_empty() && bases.iter().all(|sent| *sent == base), "{held} held: {bases:?}");
        whole += u32::from(base == BatchBase::Nothing);
        received += finished.stats.bytes_received;
        sessions += 1;
        (empty, full) = (pair.a, pair.b);
        if finished.outcome == Outcome::Converged {
            break;
        }
        assert_eq!(finished.outcome, Outcome::Partial(PartialReason::Budget));
    }
    assert!(sessions > 4 && received < 5000 * 170, "{sessions} sessions, {received} bytes");
    assert!(whole > 1, "{whole} sessions in whole batches");
    assert_eq!(empty.root(), full.root());
    assert_eq!(empty.context().pieces_len(), 1);
}

/// All entries of the receiver that a whole batch does not list may have to be read: so its range is bounded.
#[test]
fn whole_batches_are_bounded_by_what_the_receiver_holds() {
    let end = |start: u128, entries| end_of_whole_batch(KeyHash::from_u128(start), entries, 4096);
    assert_eq!(end(0, 4096), Some(KeyHash::from_u128(u128::MAX / 4096 * 4096)));
    assert_eq!(end(1 << 127, 4096), None);
    assert_eq!(end(0, 1 << 20), Some(KeyHash::from_u128(u128::MAX / (1 << 20) * 4096)));
    assert_eq!([end(5, 0), end(0, 100)], [None, None]);

    let (mut stale, mut fresh) = twins(500);
    (1000..10_000).for_each(|key| write(&mut fresh, key, "new there"));
    (0..10).for_each(|key| write(&mut stale, key, "new here"));
    let mut batches = 0;
    let mut pair = Pair::new(stale, fresh, SessionConfig::default(), Link::default(), 0);
    let finished = pair.run(|pair| {
        for (to_answerer, frame) in &pair.flying {
            let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
            if let (true, Some(Request::Batch(_))) = (*to_answerer, message::read(frame.payload)) {
                batches += 1;
            }
        }
    });
    assert_eq!((finished.outcome, batches), (Outcome::Converged, 3));
    assert_eq!(finished.stats.whole_batches, 3);
}
