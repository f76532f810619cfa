//! Which answers are taken for one's own: a process whose memory is put back, and a clone, number their sessions and
//! requests as they did before, and earlier answers may still be on their way.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::now;
use crate::clock::Seed;
use crate::mutant::{Mutant, with};
use crate::replica::{Keyed, LastWriterWins, MemoryStore, Replica};
use crate::sync::session::exchange::reply_number;
use crate::sync::session::*;

type Item = Keyed<u32, String>;

fn replica(seed: u8) -> Replica<Item> {
    Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

fn write(replica: &mut Replica<Item>, key: u32) {
    replica.write(Keyed::new(key, key.to_string()), now()).unwrap();
}

fn decode(frame: &[u8]) -> Frame<'_> {
    Frame::decode(frame, &SessionConfig::default()).unwrap()
}

fn sent(session: &mut Session) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| session.poll_frame()).collect()
}

fn open(number: u64, replica: &mut Replica<Item>) -> (Session, Vec<Vec<u8>>) {
    let mut session = Session::open_valid(number, replica, SessionConfig::default(), now());
    let frames = sent(&mut session);
    (session, frames)
}

/// Hands frames to a session, and returns what it sends then.
fn hand(session: &mut Session, frames: &[Vec<u8>], replica: &mut Replica<Item>) -> Vec<Vec<u8>> {
    for frame in frames {
        session.handle_frame(decode(frame), replica, now()).unwrap();
    }
    sent(session)
}

/// Worked out from docs/protocol.md by a separate program.
#[test]
fn a_reply_has_this_number() {
    let header = Header { kind: FrameKind::Request, session: 0x0102_0304_0506_0708, exchange: 3 };
    let whole = header.encode(0, 1, b"abc", true);
    assert_eq!(reply_number(&decode(&whole)), Some(0xbb7a_15bb_8a07_c8e2));
    for frame in exchange::frames(header, &[b'x'; 1000], 400, true).unwrap() {
        assert_eq!(reply_number(&decode(&frame)), Some(0x0102_0304_0506_0708 ^ 0x44f8_3544_94a5_ba03), "by its tag");
    }
    let no_tag = header.encode(0, 2, b"abc", true);
    assert_eq!(reply_number(&decode(&no_tag)), None);
}

/// The bytes of an opening and of the answer that names it, worked out from docs/protocol.md by a separate program.
#[test]
fn an_opening_and_its_answer_are_these_frames() {
    let bytes = crate::sync::wire::tests::messages::bytes;
    let opening = bytes(
        "0280010203040506070800000100ac02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
         0102030405060708000000ac02000000000000012c00000000000000008080010000000000000009b2aa3bbea47eba70",
    );
    let busy = bytes("0281ce7b681e19420d95000001028a2feaf9183ce045");
    assert_eq!(encode_busy(&decode(&opening), true), Some(busy));
}

/// How a session ends whose number was that of an earlier one, which found another state equal to the peer's.
fn hears_an_earlier_equal() -> Option<Outcome> {
    let (mut a, mut b) = (replica(1), replica(2));
    let (_, asks) = open(7, &mut a);
    let mut answerer = Session::accept_valid(&decode(&asks[0]), 8, SessionConfig::default(), now()).unwrap();
    let equal = hand(&mut answerer, &asks, &mut b);
    // Memory is put back, and something is written: the peer has not seen it.
    write(&mut a, 1);
    let (mut again, _) = open(7, &mut a);
    hand(&mut again, &equal, &mut a);
    again.finished().map(|finished| finished.outcome)
}

#[test]
fn an_answer_to_an_opening_of_another_state_certifies_nothing() {
    assert_eq!(hears_an_earlier_equal(), None, "it waits for its own answer");
    let converged = with(Some(Mutant::SessionNumbersRepeat), hears_an_earlier_equal);
    assert_eq!(converged, Some(Outcome::Converged), "of a root that the peer never had");
}

/// The same for a batch: two copies of one process send different batches under one number to one session.
#[test]
fn the_reply_to_a_twins_batch_is_not_taken_and_not_repeated_for_ones_own() {
    let (mut a, mut b) = (replica(1), replica(2));
    write(&mut b, 100);
    let (mut session, asks) = open(7, &mut a);
    let mut answerer = Session::accept_valid(&decode(&asks[0]), 8, SessionConfig::default(), now()).unwrap();
    let differs = hand(&mut answerer, &asks, &mut b);
    let (mut twin, mut its_session) = (a.fork(MemoryStore::new(), LastWriterWins), session.clone());
    write(&mut a, 1);
    let batch = hand(&mut session, &differs, &mut a);
    let twins = hand(&mut its_session, &differs, &mut twin);
    assert_ne!(batch, twins);
    let reply = hand(&mut answerer, &batch, &mut b);
    assert_eq!(hand(&mut its_session, &reply, &mut twin), [] as [Vec<u8>; 0]);
    assert_eq!(twin.len(), 0, "nothing is joined");
    assert_eq!(
        hand(&mut answerer, &twins, &mut b),
        [] as [Vec<u8>; 0],
        "it has answered another one under this number"
    );
    assert_eq!(hand(&mut answerer, &batch, &mut b), reply, "which it repeats");
    hand(&mut session, &reply, &mut a);
    assert_eq!((a.len(), b.len()), (2, 2));
}

/// What both sides draw goes into the ids that either makes later: a copy of either had another session.
#[test]
fn a_session_goes_into_what_both_sides_make_ids_of() {
    let ids = |opener: u64, answerer: u64| {
        let (mut a, mut b) = (replica(1), replica(2));
        write(&mut a, 1);
        let (mut session, asks) = open(opener, &mut a);
        let first = decode(&asks[0]);
        let mut other = Session::accept_valid(&first, answerer, SessionConfig::default(), now()).unwrap();
        let differs = hand(&mut other, &asks, &mut b);
        hand(&mut session, &differs, &mut a);
        a.take_new_id(u64::MAX).unwrap();
        b.take_new_id(u64::MAX).unwrap();
        (a.id(), b.id())
    };
    let (a, b) = ids(7, 8);
    assert_eq!((a, b), ids(7, 8));
    assert!(ids(7, 9).0 != a && ids(7, 9).1 != b && ids(6, 8).1 != b);
}

/// Another opening under a number that is in use opens another session, so that it is answered.
#[test]
fn another_opening_under_the_same_number_is_not_for_the_same_session() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (_, asks) = open(7, &mut a);
    let mut answerer = Session::accept_valid(&decode(&asks[0]), 8, SessionConfig::default(), now()).unwrap();
    hand(&mut answerer, &asks, &mut b);
    write(&mut a, 1);
    let (_, again) = open(7, &mut a);
    assert!(answerer.is_for(&decode(&asks[0])));
    assert!(!answerer.is_for(&decode(&again[0])));
}
