//! Clocks of many ids, as a cluster gets them whose nodes start anew again and again: what a session takes then.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

use super::{Item, Link, Pair, now, replica, write};
use crate::KeyRange;
use crate::clock::{RangeClocks, ReplicaId, Seed};
use crate::sync::session::*;
use crate::sync::transfer::Applied;
use crate::sync::wire::message::Verdict;
use crate::sync::wire::{Batch, BatchBase, HasSeen};

/// Some writers, each of which has made some writes that were deleted since.
fn writers(first: u64, count: u64) -> impl Iterator<Item = (ReplicaId, u64)> {
    let seed = Seed::from_bytes([99; 32]);
    (first..first + count).map(move |number| (seed.replica_id(number), number % 300 + 1))
}

/// Lets a replica see writes that left nothing, as from a peer that has seen them.
fn see(replica: &mut Replica<Item>, range: KeyRange, writers: impl Iterator<Item = (ReplicaId, u64)>) {
    let base = replica.baseline();
    let batch = Batch {
        clocks: RangeClocks::new(range, vec![(range.lo(), writers.collect())]).unwrap(),
        base: BatchBase::Snapshot,
        digest: base.summary.range_digest(&range),
        changes: Vec::new().into(),
    };
    assert!(matches!(replica.apply(batch, &base, now()).unwrap(), Applied::Joined(_)));
}

/// Two equal replicas that have seen so many writers beside each other.
fn equal_pair(count: u64) -> (Replica<Item>, Replica<Item>) {
    let (mut a, mut b) = (replica(1), replica(2));
    (0..10).for_each(|key| write(&mut a, key, "a"));
    see(&mut a, KeyRange::ALL, writers(0, count));
    write(&mut b, 10, "b");
    let (_, a, b) = session(a, b);
    (a, b)
}

/// A session that makes both equal.
fn session(a: Replica<Item>, b: Replica<Item>) -> (Finished, Replica<Item>, Replica<Item>) {
    session_with(SessionConfig::default(), a, b, |_| {})
}

fn session_with(
    config: SessionConfig,
    a: Replica<Item>,
    b: Replica<Item>,
    each: impl FnMut(&mut Pair<Item>),
) -> (Finished, Replica<Item>, Replica<Item>) {
    let mut pair = Pair::new(a, b, config, Link::default(), 0);
    let finished = pair.run(each);
    pair.deliver_all();
    assert_eq!(finished.outcome, Outcome::Converged);
    assert_eq!((pair.a.root(), pair.a.context_hash()), (pair.b.root(), pair.b.context_hash()));
    (finished, pair.a, pair.b)
}

/// The bytes of a session after one write of the opener, and after one of the answerer.
fn bytes_for_one_write(ids: u64) -> [u64; 2] {
    [true, false].map(|opener_writes| {
        let (mut a, mut b) = equal_pair(ids);
        write(if opener_writes { &mut a } else { &mut b }, 3, "changed");
        bytes(&session(a, b).0)
    })
}

/// Most of it is the sketches of keys and clocks: who wrote makes a difference of a value and of a counter.
#[test]
fn one_write_takes_a_few_hundred_bytes_more_where_there_are_a_thousand_writers() {
    assert_eq!(bytes_for_one_write(1), [652, 834]);
    assert_eq!(bytes_for_one_write(1000), [999, 1181]);
}

fn bytes(finished: &Finished) -> u64 {
    finished.stats.bytes_sent + finished.stats.bytes_received
}

/// As after restarts of both: an id is new to whoever has not heard of it.
#[test]
fn writers_that_only_one_side_knows_are_told_by_their_names() {
    let (mut a, mut b) = equal_pair(1000);
    see(&mut a, KeyRange::ALL, writers(2000, 3));
    see(&mut b, KeyRange::ALL, writers(3000, 4));
    let (finished, a, b) = session(a, b);
    assert!(bytes(&finished) < 2500, "{finished:?}");
    assert_eq!((finished.stats.uncertified, a.context().replicas_len()), (0, 1000 + 2 + 3 + 4));
    assert_eq!((a.context().pieces_len(), b.context().pieces_len()), (1, 1));
}

/// Of whom the opener knew eight bytes when it worked out the answerer's clock, it may know the id by its next batch.
#[test]
fn a_writer_that_the_opener_gets_to_know_meanwhile_is_no_stranger() {
    let (mut a, mut b) = equal_pair(100);
    (0..5).for_each(|key| write(&mut a, key, "changed"));
    see(&mut b, KeyRange::ALL, writers(2000, 1));
    let config = SessionConfig { batch_entries: NonZeroUsize::MIN, ..SessionConfig::default() };
    let mut pair = Pair::new(a, b, config, Link::default(), 0);
    let (mut batches, mut uncertified) = (0, 0);
    let finished = pair.run(|pair| {
        if batches == 2 {
            see(&mut pair.a, KeyRange::ALL, writers(2000, 1));
        }
        for (_, frame) in &pair.flying {
            let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
            if frame.kind == FrameKind::Request {
                batches += u32::from(matches!(message::read(frame.payload), Some(Request::Batch(_))));
            } else if let Some(Reply::Batch(reply)) = message::read(frame.payload) {
                uncertified += u32::from(reply.verdict != Verdict::Joined);
            }
        }
    });
    assert_eq!((finished.outcome, batches, uncertified), (Outcome::Converged, 5, 0));
}

/// What an interrupted transfer and a key that was left out leave behind.
#[test]
fn pieces_and_holes_go_with_the_cells() {
    let at = KeyHash::from_u128;
    for holder_opens in [true, false] {
        let (mut a, b) = equal_pair(500);
        let [cut, hole] = [1 << 126, 1 << 127].map(at);
        see(&mut a, KeyRange::new(cut, Some(hole)).unwrap(), writers(2000, 2));
        see(&mut a, KeyRange::new(at((1 << 127) + 1), None).unwrap(), writers(2000, 2));
        assert_eq!((a.context().pieces_len(), a.context().holes_len()), (2, 1));
        let before = a.context_hash();
        let (opener, answerer) = if holder_opens { (a, b) } else { (b, a) };
        let (finished, a, b) = session(opener, answerer);
        assert!(bytes(&finished) < 2000, "{finished:?}");
        assert_eq!((finished.stats.uncertified, a.context_hash(), b.context_hash()), (0, before, before));
    }
}

#[test]
fn where_too_many_writers_differ_clocks_go_whole() {
    let (mut a, mut b) = equal_pair(600);
    see(&mut a, KeyRange::ALL, writers(2000, 150));
    see(&mut b, KeyRange::ALL, writers(3000, 150));
    let (finished, a, _) = session(a, b);
    // The opener's, and what the answerer's differ from them in.
    assert!((13_500..19_000).contains(&bytes(&finished)), "{finished:?}");
    assert_eq!((finished.stats.uncertified, a.context().replicas_len()), (0, 902));
}

/// How the answerer tells its clocks, if it tells them at all.
fn told(config: SessionConfig, ids: u64) -> Option<HasSeen> {
    let (mut a, b) = equal_pair(ids);
    write(&mut a, 3, "changed");
    let mut told = None;
    session_with(config, a, b, |pair| {
        let Some((false, frame)) = pair.flying.first() else { return };
        let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
        if let Some(Reply::Differs(differs)) = message::read(frame.payload) {
            told = Some(differs.seen);
        }
    });
    told
}

#[test]
fn the_limits_of_clocks_are_kept() {
    let config = SessionConfig::default();
    assert!(matches!(told(config, 62), Some(HasSeen::Whole(_))), "with 64 counters");
    let cells = |config, ids| match told(config, ids) {
        Some(HasSeen::Cells(cells)) => Some(cells.cells.end()),
        Some(HasSeen::Untold) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(cells(config, 63), Some(20));
    assert_eq!(cells(SessionConfig { max_clock_cells: 17, ..config }, 63), Some(17));
    assert_eq!(cells(SessionConfig { max_clock_cells: 0, ..config }, 63), None);
    // Clocks take no more than a sixteenth of a message, or of a session.
    let small = SessionConfig { max_session_bytes: 64 * 26 * 16, ..config };
    assert!(matches!(told(small, 62), Some(HasSeen::Whole(_))));
    let smaller = SessionConfig { max_session_bytes: 64 * 26 * 16 - 1, ..config };
    assert_eq!(cells(smaller, 62), Some(20));
    assert_eq!(cells(SessionConfig { max_session_bytes: 19 * 18 * 16, ..config }, 62), Some(18));
    assert!(SessionConfig { max_clock_counters: (1 << 20) + 1, ..config }.validate().is_err());
    assert!(SessionConfig { max_clock_cells: 1 << 21, ..config }.validate().is_err());
}

/// An answerer that lies about its clocks: what the opener makes of that is not what it has, and is not joined.
#[test]
fn a_clock_that_was_worked_out_wrongly_is_not_joined() {
    for (opener_writes, of_the_opener) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut a, mut b) = equal_pair(100);
        write(if opener_writes { &mut a } else { &mut b }, 3, "changed");
        let other = equal_pair(101).0;
        let liar = if of_the_opener { &a } else { &other };
        let lie = clocks::tell(liar, &liar.tally(), &SessionConfig::default());
        let mut forged = 0;
        let (finished, a, _) = session_with(SessionConfig::default(), a, b, |pair| {
            for (_, bytes) in pair.flying.iter_mut().filter(|(to_answerer, _)| !to_answerer) {
                let frame = Frame::decode(bytes, &SessionConfig::default()).unwrap();
                if let Some(Reply::Differs(mut differs)) = message::read(frame.payload)
                    && matches!(differs.seen, HasSeen::Cells(_))
                {
                    forged += 1;
                    differs.seen = lie.clone();
                    let message = postcard::to_allocvec(&Reply::Differs(differs)).unwrap();
                    let header = Header { kind: FrameKind::Reply, session: frame.session, exchange: frame.exchange };
                    *bytes = header.encode(0, 1, &message, true);
                }
            }
        });
        assert_eq!((forged, a.context().replicas_len(), a.stats().histories_differ), (1, 102, 0));
        assert_eq!(finished.outcome, Outcome::Converged);
    }
}
