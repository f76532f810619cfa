//! Two replicas and a link that loses, repeats, reorders and damages frames.

mod adversary;
mod bounds;
mod copies;
mod history;
mod holes;
mod many_writers;
mod mixed;
mod numbers;
mod parts;
mod repeats;
mod sketch;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::*;
use crate::clock::Seed;
use crate::refusal::Refusal;
use crate::replica::{Keyed, LastWriterWins, MemoryStore, Replicated};
use crate::sync::wire::encode_version_refusal;

pub(super) type Item = Keyed<String, Vec<u8>>;

pub(super) fn replica<V: Replicated>(seed: u8) -> Replica<V>
where
    LastWriterWins: crate::replica::Resolver<V>,
{
    Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

/// What a side with the default limits takes in.
pub(super) fn takes() -> message::Takes {
    message::Takes { max_message_bytes: 64 << 20, unreadable: BTreeMap::new() }
}

pub(super) fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

pub(super) fn write(replica: &mut Replica<Item>, key: usize, value: &str) {
    replica.write(Keyed::new(key.to_string(), value.as_bytes().to_vec()), now()).unwrap();
}

/// How a link treats frames, per thousand.
#[derive(Clone, Copy, Default)]
pub(super) struct Link {
    pub(super) lost: u32,
    pub(super) repeated: u32,
    pub(super) reordered: u32,
    pub(super) damaged: u32,
}

pub(super) struct Pair<V: Replicated> {
    pub(super) opener: Session,
    pub(super) answerer: Option<Session>,
    pub(super) a: Replica<V>,
    pub(super) b: Replica<V>,
    pub(super) link: Link,
    pub(super) random: fastrand::Rng,
    pub(super) config: SessionConfig,
    pub(super) now: Now,
    /// Frames on their way, and whether they go to the answerer.
    pub(super) flying: Vec<(bool, Vec<u8>)>,
}

impl<V: Replicated> Pair<V> {
    pub(super) fn new(mut a: Replica<V>, b: Replica<V>, config: SessionConfig, link: Link, seed: u64) -> Self {
        let opener = Session::open_valid(1, &mut a, config, now());
        let random = fastrand::Rng::with_seed(seed);
        Self { opener, answerer: None, a, b, link, random, config, now: now(), flying: Vec::new() }
    }

    fn chance(&mut self, per_thousand: u32) -> bool {
        self.random.u32(0..1000) < per_thousand
    }

    /// Runs the session to its end; `each` may write in between.
    pub(super) fn run(&mut self, mut each: impl FnMut(&mut Self)) -> Finished {
        for _ in 0..100_000 {
            if let Some(finished) = self.collect() {
                return finished;
            }
            each(self);
            if self.flying.is_empty() {
                let next = [Some(&mut self.opener), self.answerer.as_mut()].into_iter().flatten();
                let due = next.filter_map(|session| match session.poll_output() {
                    SessionOutput::Wait(until) => Some(until),
                    _ => None,
                });
                self.now.elapsed = due.min().unwrap_or(self.now.elapsed);
                self.opener.handle_timeout(self.now);
                if let Some(answerer) = &mut self.answerer {
                    answerer.handle_timeout(self.now);
                }
            } else {
                self.deliver();
            }
        }
        panic!("the session does not end");
    }

    fn collect(&mut self) -> Option<Finished> {
        while let Some(SessionOutput::Send(frame)) = self.answerer.as_mut().map(Session::poll_output) {
            self.flying.push((false, frame));
        }
        loop {
            match self.opener.poll_output() {
                SessionOutput::Send(frame) => self.flying.push((true, frame)),
                SessionOutput::Done(finished) => return Some(finished),
                SessionOutput::Wait(_) => return None,
            }
        }
    }

    /// Delivers what is still on its way when the opener is through.
    pub(super) fn deliver_all(&mut self) {
        while !self.flying.is_empty() {
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        let index = if self.chance(self.link.reordered) { self.random.usize(0..self.flying.len()) } else { 0 };
        let (to_answerer, mut bytes) = self.flying.remove(index);
        if self.chance(self.link.repeated) {
            self.flying.push((to_answerer, bytes.clone()));
        }
        if self.chance(self.link.lost) {
            return;
        }
        if self.chance(self.link.damaged) {
            let at = self.random.usize(0..bytes.len());
            bytes[at] ^= 1 << self.random.u32(0..8);
        }
        let Ok(frame) = Frame::decode(&bytes, &SessionConfig::default()) else { return };
        if to_answerer {
            if self.answerer.is_none() {
                let nonce = self.random.u64(..);
                self.answerer = Session::accept_valid(&frame, nonce, self.config, self.now);
            }
            if let Some(answerer) = &mut self.answerer {
                answerer.handle_frame(frame, &mut self.b, self.now).unwrap();
            }
        } else {
            self.opener.handle_frame(frame, &mut self.a, self.now).unwrap();
        }
    }
}

fn differing_pair(keys: usize) -> (Replica<Item>, Replica<Item>) {
    let (mut a, mut b) = (replica(1), replica(2));
    for key in 0..keys {
        match key % 3 {
            0 => write(&mut a, key, "a"),
            1 => write(&mut b, key, "b"),
            _ => {
                write(&mut a, key, "a's");
                write(&mut b, key, "b's");
            }
        }
    }
    (a, b)
}

fn small_steps() -> SessionConfig {
    SessionConfig {
        batch_entries: NonZeroUsize::new(7).unwrap(),
        batch_bytes: 600,
        answer_bytes: 300,
        max_frame_bytes: SessionConfig::MIN_FRAME_BYTES,
        ..SessionConfig::default()
    }
}

#[test]
fn equal_replicas_part_after_one_round_trip() {
    let mut pair = Pair::new(replica::<Item>(1), replica(2), SessionConfig::default(), Link::default(), 0);
    let finished = pair.run(|_| {});
    assert_eq!(finished.outcome, Outcome::Converged);
    assert_eq!(finished.stats.round_trips, 1);
    let bytes = finished.stats.bytes_sent + finished.stats.bytes_received;
    assert!(bytes <= 120, "{bytes} bytes to find nothing");
}

#[test]
fn differing_replicas_converge_in_every_size_of_step() {
    for keys in [1, 2, 3, 30, 300] {
        for config in [SessionConfig::default(), small_steps()] {
            let (a, b) = differing_pair(keys);
            let mut pair = Pair::new(a, b, config, Link::default(), 0);
            let finished = pair.run(|_| {});
            assert_eq!(finished.outcome, Outcome::Converged, "{keys} keys");
            assert_eq!(pair.a.root(), pair.b.root());
            assert_eq!(pair.a.context_hash(), pair.b.context_hash());
            assert_eq!(pair.a.context().pieces_len(), 1);
            assert_eq!(pair.a.len(), keys as u64);
            assert_eq!(pair.a.conflicts(), keys / 3);
        }
    }
}

#[test]
fn an_empty_replica_is_filled_and_one_that_fills_gets_nothing() {
    for swap in [false, true] {
        let (mut a, b) = (replica(1), replica(2));
        (0..5000).for_each(|key| write(&mut a, key, "value"));
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
        let finished = pair.run(|_| {});
        assert_eq!(finished.outcome, Outcome::Converged);
        assert_eq!((pair.a.len(), pair.b.len()), (5000, 5000));
        // Postcard puts the length before the five bytes.
        let expected = if swap { 0 } else { 5000 * 6 };
        assert_eq!(finished.stats.value_bytes_sent, expected);
    }
}

#[test]
fn deletes_travel_and_stay() {
    let (a, b) = differing_pair(60);
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    pair.run(|_| {});
    let Pair { mut a, b, .. } = pair;
    for key in 0..30 {
        a.delete(&key.to_string(), now()).unwrap();
    }
    // The replica that still has the keys opens: it must not bring them back.
    let mut pair = Pair::new(b, a, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    assert_eq!((pair.a.len(), pair.b.len()), (30, 30));
}

#[test]
fn equal_entries_with_other_contexts_join_their_contexts() {
    let (mut a, b) = (replica(1), replica(2));
    write(&mut a, 1, "passing");
    a.delete(&"1".to_string(), now()).unwrap();
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    assert_eq!(pair.a.context_hash(), pair.b.context_hash());
}

#[test]
fn an_opener_that_writes_before_it_hears_equal_has_not_converged() {
    let mut pair = Pair::new(replica::<Item>(1), replica(2), SessionConfig::default(), Link::default(), 0);
    let mut wrote = false;
    let finished = pair.run(|pair| {
        if !core::mem::replace(&mut wrote, true) {
            write(&mut pair.a, 1, "meanwhile");
        }
    });
    assert_eq!((finished.outcome, finished.root), (Outcome::Progress, None));
}

#[test]
fn a_store_that_lost_a_record_does_not_spread_the_loss() {
    for swap in [false, true] {
        let (a, b) = differing_pair(9);
        let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
        assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
        let Pair { mut a, mut b, .. } = pair;
        a.lose_record_for_test(crate::KeyHash::of("4"));
        assert_eq!((a.len(), b.len()), (8, 9));
        let (opener, answerer) = if swap { (b, a) } else { (a, b) };
        let mut pair = Pair::new(opener, answerer, SessionConfig::default(), Link::default(), 0);
        let finished = pair.run(|_| {});
        assert!(matches!(finished.outcome, Outcome::Refused(_)), "{finished:?}");
        (a, b) = if swap { (pair.b, pair.a) } else { (pair.a, pair.b) };
        assert_eq!((a.len(), b.len()), (8, 9), "the healthy side keeps what it has");
        assert_eq!(a.stats().histories_differ + b.stats().histories_differ, 1);
    }
}

#[test]
fn writes_during_a_session_are_never_lost() {
    for seed in 0..40 {
        let (a, b) = differing_pair(90);
        let mut pair = Pair::new(a, b, small_steps(), Link::default(), seed);
        let mut written = 0;
        let outcome = pair.run(|pair| {
            if written < 200 {
                let key = pair.random.usize(0..120);
                let side = if pair.random.bool() { &mut pair.a } else { &mut pair.b };
                if pair.random.u32(0..4) == 0 {
                    side.delete(&key.to_string(), now()).unwrap();
                } else {
                    write(side, key, &alloc::format!("during {written}"));
                }
                written += 1;
            }
        });
        assert!(matches!(outcome.outcome, Outcome::Progress | Outcome::Converged), "{outcome:?}");
        let Pair { a, b, .. } = pair;
        let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), seed);
        assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged, "seed {seed}");
        assert_eq!(pair.a.root(), pair.b.root());
        assert!(pair.a.audit().unwrap().discrepancies.is_empty());
    }
}

#[test]
fn loss_repetition_reordering_and_damage_cost_time_only() {
    let link = Link { lost: 200, repeated: 200, reordered: 300, damaged: 100 };
    for seed in 0..30 {
        let (a, b) = differing_pair(60);
        let config = SessionConfig { idle_timeout: Duration::from_secs(3600), ..small_steps() };
        let mut pair = Pair::new(a, b, config, link, seed);
        let finished = pair.run(|_| {});
        // The very last reply can be lost for good: the answerer is through by then.
        assert_eq!(finished.outcome, Outcome::Converged, "seed {seed}");
        assert_eq!(pair.a.root(), pair.b.root());
        assert_eq!(pair.a.context().pieces_len(), 1);
    }
}

#[test]
fn an_interrupted_session_is_continued_by_the_next() {
    for steps in 1..60 {
        let (a, b) = differing_pair(90);
        let mut pair = Pair::new(a, b, small_steps(), Link::default(), 0);
        let mut left = steps;
        pair.run(|pair| {
            left -= 1;
            if left == 0 {
                pair.opener.abort(PartialReason::Shutdown, pair.now);
                pair.flying.clear();
            }
        });
        let Pair { a, b, .. } = pair;
        let mut pair = Pair::new(a, b, small_steps(), Link::default(), 0);
        assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged, "after {steps} steps");
        assert_eq!(pair.a.context().pieces_len(), 1);
        assert_eq!(pair.a.root(), pair.b.root());
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let link = Link { lost: 1000, ..Link::default() };
    let mut pair = Pair::new(replica::<Item>(1), replica(2), SessionConfig::default(), link, 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Partial(PartialReason::TimedOut));
}

#[test]
fn sides_with_other_settings_refuse_each_other() {
    let (a, b) = differing_pair(3);
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    pair.config.schema_id = 5;
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Refused(Refusal::SchemaId));
}

#[test]
fn the_budget_of_a_session_ends_it_and_the_next_goes_on() {
    let (mut a, mut b) = differing_pair(300);
    for rounds in 1..100 {
        let config = SessionConfig { max_session_bytes: 6000, ..small_steps() };
        let mut pair = Pair::new(a, b, config, Link::default(), 0);
        let finished = pair.run(|_| {});
        (a, b) = (pair.a, pair.b);
        if finished.outcome == Outcome::Converged {
            assert!(rounds > 3, "the budget was never reached");
            return;
        }
        assert_eq!(finished.outcome, Outcome::Partial(PartialReason::Budget));
    }
    panic!("no progress within a budget");
}

#[test]
fn an_entry_longer_than_a_frame_goes_in_parts() {
    let (mut a, b) = (replica::<Item>(1), replica(2));
    a.write(Keyed::new("large".to_string(), alloc::vec![9; 100_000]), now()).unwrap();
    let mut pair = Pair::new(a, b, small_steps(), Link { lost: 100, ..Link::default() }, 3);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    assert_eq!(pair.b.len(), 1);
}

#[test]
fn a_message_longer_than_the_limit_is_refused_and_nothing_is_lost() {
    let (mut a, b) = (replica::<Item>(1), replica(2));
    a.write(Keyed::new("large".to_string(), alloc::vec![9; 100_000]), now()).unwrap();
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    pair.config.max_message_bytes = 50_000;
    // An opener that does not care what the answerer takes: it sends the frames of a session with greater limits.
    let mut opener = Session::open_valid(1, &mut pair.a, SessionConfig::default(), now());
    let header = Header { kind: FrameKind::Request, session: 1, exchange: 0 };
    let SessionOutput::Send(opening) = opener.poll_output() else { panic!("an opener opens") };
    let opening = Frame::decode(&opening, &SessionConfig::default()).unwrap();
    let mut answerer = Session::accept_valid(&opening, 2, pair.config, now()).unwrap();
    answerer.handle_frame(opening, &mut pair.b, now()).unwrap();
    while let SessionOutput::Send(_) = answerer.poll_output() {}
    let long = alloc::vec![0; 100_000];
    let header = Header { session: 2, exchange: 1, ..header };
    for frame in exchange::frames(header, &long, 60_000, true).unwrap() {
        let frame = Frame::decode(&frame, &SessionConfig::default()).unwrap();
        answerer.handle_frame(frame, &mut pair.b, now()).unwrap();
    }
    while let SessionOutput::Send(_) = answerer.poll_output() {}
    let SessionOutput::Done(done) = answerer.poll_output() else { panic!("it is refused") };
    assert_eq!(done.outcome, Outcome::Refused(Refusal::MessageTooLong));
    assert_eq!((pair.a.len(), pair.b.len()), (1, 0));
}

#[test]
fn another_protocol_version_is_refused_with_a_reason() {
    let mut opener = Session::open_valid(9, &mut replica::<Item>(1), SessionConfig::default(), now());
    let SessionOutput::Send(mut frame) = opener.poll_output() else { panic!("an opener opens") };
    frame[0] = 77;
    let error = Frame::decode(&frame, &SessionConfig::default()).unwrap_err();
    assert_eq!(error, Refusal::FrameVersion { version: 77, session: 9 });
    // From a peer that speaks our version it comes of damage to the version's byte, and the frame is repeated.
    let refusal = encode_version_refusal(9, true);
    opener
        .handle_frame(Frame::decode(&refusal, &SessionConfig::default()).unwrap(), &mut replica::<Item>(1), now())
        .unwrap();
    assert!(matches!(opener.poll_output(), SessionOutput::Wait(_)));
    let header = Header { kind: FrameKind::Refusal, session: 9, exchange: 0 };
    let mut refusal = header.encode(0, 1, &[3, 4], false);
    refusal[0] = 3;
    let unchecked = SessionConfig { checksum: false, ..SessionConfig::default() };
    opener.handle_frame(Frame::decode(&refusal, &unchecked).unwrap(), &mut replica::<Item>(1), now()).unwrap();
    let SessionOutput::Done(finished) = opener.poll_output() else { panic!("a refused session ends") };
    assert_eq!(finished.outcome, Outcome::Refused(Refusal::Version { min: 3, max: 4 }));
}

#[test]
fn a_message_of_very_many_fragments_is_refused_at_once() {
    let mut replica = replica::<Item>(1);
    for (limit, fragments, refused) in [(1 << 20, 4097, false), (1 << 20, 4098, true), (64 << 20, u32::MAX, true)] {
        let config = SessionConfig { max_message_bytes: limit, ..SessionConfig::default() };
        let mut session = Session::open_valid(7, &mut replica, config, now());
        let header = Header { kind: FrameKind::Reply, session: session.exchange.reply_number(), exchange: 0 };
        for fragment in [0, 1] {
            let bytes = header.encode(fragment, fragments, &[7; 8], true);
            session
                .handle_frame(Frame::decode(&bytes, &SessionConfig::default()).unwrap(), &mut replica, now())
                .unwrap();
        }
        while let SessionOutput::Send(_) = session.poll_output() {}
        let too_long = Outcome::Refused(Refusal::MessageTooLong);
        assert_eq!(matches!(session.poll_output(), SessionOutput::Done(done) if done.outcome == too_long), refused);
    }
}

/// A peer that lost its answer makes another one under the same number: pieces of both must not become one message.
#[test]
fn fragments_of_two_messages_are_not_mixed() {
    use crate::sync::session::exchange::{Exchange, Received, frames};
    let config = SessionConfig::default();
    let header = Header { kind: FrameKind::Reply, session: 7, exchange: 0 };
    let fragments = |filling: u8| frames(header, &[filling; 1000], 400, true).unwrap();
    let (old, new) = (fragments(1), fragments(2));
    let mut opener = Exchange::opener(7, &config);
    let mut hand = |bytes: &[u8]| opener.receive(Frame::decode(bytes, &SessionConfig::default()).unwrap(), &config);
    for piece in [&old[0], &old[1], &new[2], &new[0]] {
        assert_eq!(hand(piece), Received::Piece);
    }
    assert_eq!(hand(&new[1]), Received::Message(vec![2; 1000]));
    // What has the tag of another message is lost, as if it had not arrived.
    let mut opener = Exchange::opener(7, &config);
    let mut forged = Frame::decode(&old[2], &SessionConfig::default()).unwrap().payload.to_vec();
    *forged.last_mut().unwrap() = 9;
    let forged = header.encode(2, 3, &forged, true);
    for (piece, expected) in [(&old[0], Received::Piece), (&old[1], Received::Piece), (&forged, Received::Nothing)] {
        assert_eq!(opener.receive(Frame::decode(piece, &SessionConfig::default()).unwrap(), &config), expected);
    }
}

#[test]
fn frames_of_other_sessions_are_ignored() {
    let (a, b) = differing_pair(3);
    let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
    pair.collect();
    pair.deliver();
    let mut answerer = pair.answerer.take().unwrap();
    while let SessionOutput::Send(_) = answerer.poll_output() {}
    let close = postcard::to_allocvec(&Request::Abort).unwrap();
    for (kind, session) in [(FrameKind::Request, 1), (FrameKind::Request, 5), (FrameKind::Reply, 1)] {
        let bytes = Header { kind, session, exchange: 1 }.encode(0, 1, &close, true);
        answerer.handle_frame(Frame::decode(&bytes, &SessionConfig::default()).unwrap(), &mut pair.b, now()).unwrap();
        assert!(matches!(answerer.poll_output(), SessionOutput::Wait(_)), "{kind:?} of session {session}");
    }
}

/// With a full context a batch may end only at certain cuts, however much there is to take in.
#[test]
fn a_full_context_takes_in_more_than_is_handled_at_a_time() {
    use crate::replica::{Opening, ReplicaConfig};
    for limit in [1usize, 2, 3] {
        let config =
            ReplicaConfig { max_context_pieces: NonZeroUsize::new(limit).unwrap(), ..ReplicaConfig::default() };
        let opening = Opening { config, ..Seed::from_bytes([1; 32]).into() };
        let a: Replica<Item> = Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap();
        let mut b = replica(2);
        (0..5000).for_each(|key| write(&mut b, key, "value"));
        let (mut a, mut b) = (a, b);
        for _ in 0..3 {
            let mut pair = Pair::new(a, b, SessionConfig::default(), Link::default(), 0);
            pair.run(|_| {});
            (a, b) = (pair.a, pair.b);
        }
        assert_eq!(a.len(), b.len(), "limit {limit}");
    }
}
