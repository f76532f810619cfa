//! A peer that asks again for what it was answered: it is answered from what is kept, so often and no more.

use alloc::vec::Vec;

use super::{Item, now, replica, write};
use crate::refusal::Refusal;
use crate::sync::session::*;

/// Hands the request that an opener's frame is to an answerer, and returns the frames of the reply.
fn answered(session: &mut Session, frame: &[u8], replica: &mut Replica<Item>) -> Vec<Vec<u8>> {
    hand_over(session, frame, replica);
    frames_of(session)
}

fn hand_over(session: &mut Session, frame: &[u8], replica: &mut Replica<Item>) {
    session.handle_frame(Frame::decode(frame, &SessionConfig::default()).unwrap(), replica, now()).unwrap();
}

fn frames_of(session: &mut Session) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| session.poll_frame()).collect()
}

/// An answerer and the frame that opened its session.
fn opened(config: SessionConfig) -> (Session, Replica<Item>, Vec<u8>) {
    let (mut a, mut b) = (replica::<Item>(1), replica(2));
    (0..500).for_each(|key| write(&mut b, key, "value"));
    let mut opener = Session::open_valid(1, &mut a, SessionConfig::default(), now());
    let frame = opener.poll_frame().unwrap();
    let session = Session::accept_valid(&Frame::decode(&frame, &config).unwrap(), 2, config, now()).unwrap();
    (session, b, frame)
}

#[test]
fn a_reply_is_repeated_max_repeats_times_and_then_the_session_ends() {
    let config = SessionConfig { max_repeats: 3, ..SessionConfig::default() };
    let (mut session, mut b, frame) = opened(config);
    let reply = answered(&mut session, &frame, &mut b);
    assert!(!reply.is_empty());
    for _ in 0..3 {
        assert_eq!(answered(&mut session, &frame, &mut b), reply);
        assert!(session.finished().is_none());
    }
    for _ in 0..3 {
        assert!(answered(&mut session, &frame, &mut b).is_empty());
        assert_eq!(session.finished().unwrap().outcome, Outcome::Refused(Refusal::TooManyRepeats { limit: 3 }));
    }
}

#[test]
fn a_reply_that_is_still_leaving_is_not_begun_again() {
    let config = SessionConfig { max_frame_bytes: 512, max_repeats: 1, ..SessionConfig::default() };
    let (mut session, mut b, frame) = opened(config);
    hand_over(&mut session, &frame, &mut b);
    let first = session.poll_frame().unwrap();
    for _ in 0..10 {
        hand_over(&mut session, &frame, &mut b);
    }
    let rest = frames_of(&mut session);
    assert!(!rest.is_empty() && !rest.contains(&first));
    assert_eq!(answered(&mut session, &frame, &mut b), [alloc::vec![first], rest].concat(), "all of it has left");
}

#[test]
fn repeated_replies_count_in_the_sessions_budget() {
    let config = SessionConfig { max_session_bytes: 2000, max_repeats: 100, ..SessionConfig::default() };
    let (mut session, mut b, frame) = opened(config);
    let sent: usize = (0..100).map(|_| answered(&mut session, &frame, &mut b).concat().len()).sum();
    assert_eq!(session.finished().unwrap().outcome, Outcome::Partial(PartialReason::Budget));
    assert!((1000..4000).contains(&sent), "{sent}");
}

#[test]
fn nothing_is_kept_for_a_peer_that_has_said_its_last_word() {
    let (mut session, mut b, frame) = opened(SessionConfig::default());
    assert!(!answered(&mut session, &frame, &mut b).is_empty());
    let header = Header { kind: FrameKind::Request, session: 2, exchange: 1 };
    let busy = header.encode(0, 1, &postcard::to_allocvec(&Request::Busy).unwrap(), true);
    assert!(answered(&mut session, &busy, &mut b).is_empty() && session.finished().is_some());
    assert!(answered(&mut session, &frame, &mut b).is_empty());
}

#[test]
fn the_word_that_a_session_has_had_its_share_is_repeated_like_any_other() {
    let (mut session, mut b, frame) = opened(SessionConfig::default());
    session.wind_up();
    let reply = answered(&mut session, &frame, &mut b);
    assert_eq!(session.finished().unwrap().outcome, Outcome::Partial(PartialReason::Budget));
    assert_eq!(answered(&mut session, &frame, &mut b), reply);
    assert!(!reply.is_empty());
}

#[test]
fn a_session_that_has_had_its_share_repeats_a_reply_that_was_lost_and_ends_with_the_next_message() {
    let (mut session, mut b, frame) = opened(SessionConfig::default());
    let reply = answered(&mut session, &frame, &mut b);
    session.wind_up();
    assert_eq!(answered(&mut session, &frame, &mut b), reply);
    assert!(session.finished().is_none() && !reply.is_empty());
    let header = Header { kind: FrameKind::Request, session: 2, exchange: 1 };
    let next = postcard::to_allocvec(&Request::Inventory(Vec::new())).unwrap();
    let word = answered(&mut session, &header.encode(0, 1, &next, true), &mut b);
    assert_eq!(word.len(), 1);
    let word = Frame::decode(&word[0], &SessionConfig::default()).unwrap().payload.to_vec();
    assert_eq!(message::read(&word), Some(Reply::Refused(RefusalCode::Budget)));
    assert_eq!(session.finished().unwrap().outcome, Outcome::Partial(PartialReason::Budget));
}

#[test]
fn what_is_asked_while_the_reply_before_is_leaving_is_not_worked_on() {
    let config = SessionConfig { max_frame_bytes: 512, ..SessionConfig::default() };
    let (mut session, mut b, frame) = opened(config);
    hand_over(&mut session, &frame, &mut b);
    let differs = session.poll_frame().unwrap();
    assert!(session.has_frames(), "the reply has several frames, of which one has left");
    // A peer need not have read the reply to know the number in it.
    let nonce = 2;
    let ask = |exchange| {
        let request = Request::Ask(crate::summary::compare::Ask::new([], crate::summary::Width::Short));
        let header = Header { kind: FrameKind::Request, session: nonce, exchange };
        header.encode(0, 1, &postcard::to_allocvec(&request).unwrap(), true)
    };
    for _ in 0..100 {
        for exchange in 1..10 {
            hand_over(&mut session, &ask(exchange), &mut b);
        }
    }
    assert_eq!(session.stats().round_trips, 1, "the opening");
    assert!(!differs.is_empty() && !frames_of(&mut session).is_empty());
    for exchange in 1..10 {
        hand_over(&mut session, &ask(exchange), &mut b);
        assert_eq!(session.stats().round_trips, 1 + exchange);
        assert!(!frames_of(&mut session).is_empty());
    }
}
