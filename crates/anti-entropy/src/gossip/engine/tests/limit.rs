//! Every limit of the engine's configuration is reached, and holds.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::{NonZeroU64, NonZeroUsize};
use core::time::Duration;

use crate::clock::{Dot, Now, ReplicaId, Seed};
use crate::gossip::*;
use crate::refusal::Refusal;
use crate::replica::{Error, Keyed, LastWriterWins, MemoryStore, Replica, ReplicaConfig, Transaction};
use crate::sync::session::{encode_push, encode_push_frame};
use crate::sync::wire::message::Reply;
use crate::sync::wire::{Header, Push};
use crate::sync::{Frame, FrameKind, Session, SessionConfig};
use crate::{KeyHash, PeerId};

type Item = Keyed<u32, String>;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn replica(seed: u8) -> Replica<Item> {
    Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

fn peer(index: usize) -> PeerId {
    PeerId::from(alloc::format!("peer-{index}").as_str())
}

fn engine(peers: usize, config: GossipConfig) -> Engine<Item> {
    let mut engine = Engine::new(replica(1), config, 1, now()).unwrap();
    (0..peers).for_each(|index| engine.add_peer(peer(index), None));
    engine
}

fn item(key: u32) -> Item {
    Keyed::new(key, "value".to_string())
}

/// Frames, and to whom.
type Sent = Vec<(PeerId, Vec<u8>)>;

/// What an engine sends, and what it reports.
fn drain(engine: &mut Engine<Item>, now: Now) -> (Sent, Vec<Event<u32>>) {
    let (mut frames, mut events) = (Vec::new(), Vec::new());
    loop {
        match engine.poll_output(now) {
            EngineOutput::Send { to, frame } => frames.push((to, frame)),
            EngineOutput::Event(event) => events.push(event),
            EngineOutput::Wait(_) => return (frames, events),
        }
    }
}

/// How many pushes there are in all frames together.
fn pushes(frames: &[(PeerId, Vec<u8>)]) -> usize {
    let frames = frames.iter().map(|(_, frame)| Frame::decode(frame, &SessionConfig::default()).unwrap());
    frames.filter(|frame| frame.kind == FrameKind::Push).map(|frame| pushes_in(frame.payload)).sum()
}

fn pushes_in(mut payload: &[u8]) -> usize {
    let mut count = 0;
    while !payload.is_empty() {
        payload = postcard::take_from_bytes::<Push>(payload).unwrap().1;
        count += 1;
    }
    count
}

#[test]
fn what_a_transaction_has_more_than_max_pushes_is_left_to_the_rounds() {
    let config = GossipConfig { max_pushes: 3, push_fanout: 2, ..GossipConfig::default() };
    for (writes, expected) in [(2, 4), (3, 6), (4, 6), (100, 6)] {
        let mut engine = engine(5, config.clone());
        let transaction = (0..writes).fold(Transaction::new(), |all, key| all.write(item(key)));
        engine.commit(transaction, now()).unwrap();
        assert_eq!(pushes(&drain(&mut engine, now()).0), expected);
    }
}

#[test]
fn pushes_that_nobody_sends_are_bounded() {
    let config = GossipConfig { max_queued_pushes: 6, push_fanout: 2, ..GossipConfig::default() };
    let mut engine = engine(5, config);
    (0..1000).for_each(|key| drop(engine.write(item(key), now()).unwrap()));
    assert_eq!(pushes(&drain(&mut engine, now()).0), 6);
    engine.write(item(1000), now()).unwrap();
    assert_eq!(pushes(&drain(&mut engine, now()).0), 2, "there is room again");
}

#[test]
fn events_that_nobody_polls_give_way_and_are_counted() {
    let config = GossipConfig { max_events: NonZeroUsize::new(4).unwrap(), ..GossipConfig::default() };
    let mut engine = engine(1, config);
    (0..10).for_each(|_| engine.handle_frame(&peer(0), b"no frame", now()));
    let events = drain(&mut engine, now()).1;
    assert_eq!(events.len(), 5);
    assert_eq!(events[0], Event::Missed(6));
}

#[test]
fn a_write_that_fits_into_no_message_is_refused_and_the_limit_is_raised_while_the_engine_runs() {
    let small = |bytes| {
        let session =
            SessionConfig { max_message_bytes: bytes, batch_bytes: 10, answer_bytes: 10, ..SessionConfig::default() };
        GossipConfig { session, ..GossipConfig::default() }
    };
    let limits = ReplicaConfig { max_value_bytes: 1000, max_clock_replicas: 4, ..ReplicaConfig::default() };
    let mut engine = Engine::new(replica(1), GossipConfig::default(), 1, now()).unwrap();
    engine.set_limits(limits.clone(), small(1000)).unwrap();
    let long = |bytes| Keyed::new(1, "x".repeat(bytes));
    let nothing_seen = engine.replica().read(&1).unwrap().seen();
    engine.write(long(400), now()).unwrap();
    let before = (engine.replica().context_hash(), engine.status(now()).entries);
    let refused = engine.write(long(900), now());
    assert!(matches!(refused, Err(Error::EntryTooLong { limit: 640, .. })), "{refused:?}");
    // A sibling beside what is held: together they are too long.
    let refused = engine.write_seen(long(400), &nothing_seen, now());
    assert!(matches!(refused, Err(Error::EntryTooLong { limit: 640, .. })), "{refused:?}");
    assert_eq!((engine.replica().context_hash(), engine.status(now()).entries), before);
    // Limits that contradict each other are refused, and nothing is changed.
    let wrong = engine.set_limits(limits.clone(), small(999)).unwrap_err();
    assert_eq!((wrong.field.as_str(), engine.config()), ("replica.max_value_bytes", &small(1000)));
    engine.set_limits(limits, small(2000)).unwrap();
    engine.write(long(900), now()).unwrap();
}

#[test]
fn what_the_transport_carries_stays_the_limit_of_frames() {
    let mut engine = engine(1, GossipConfig::default());
    engine.fit_transport(1200, true);
    engine.set_limits(ReplicaConfig::default(), GossipConfig::default()).unwrap();
    assert_eq!((engine.config().session.max_frame_bytes, engine.config().session.checksum), (1200, false));
}

#[test]
fn events_and_rounds_keep_to_limits_that_were_lowered() {
    let mut engine = engine(1, GossipConfig::default());
    (0..10).for_each(|_| engine.handle_frame(&peer(0), b"no frame", now()));
    let few = NonZeroUsize::new(4).unwrap();
    let second = Duration::from_secs(1);
    let lower = GossipConfig { max_events: few, interval: second, min_interval: second, ..GossipConfig::default() };
    engine.set_limits(ReplicaConfig::default(), lower).unwrap();
    let events = drain(&mut engine, now()).1;
    assert_eq!((events.len(), &events[0]), (5, &Event::Missed(6)));
}

/// The first frame of a session from somebody who holds something else.
fn opening(nonce: u64) -> Vec<u8> {
    let mut other = replica(2);
    other.write(item(u32::MAX), now()).unwrap();
    let mut session = Session::open_valid(nonce, &mut other, SessionConfig::default(), now());
    match session.poll_output() {
        crate::sync::SessionOutput::Send(frame) => frame,
        other => panic!("{other:?}"),
    }
}

fn open_sessions(engine: &mut Engine<Item>) -> usize {
    engine.status(now()).sessions
}

#[test]
fn no_more_sessions_are_answered_than_half_of_max_sessions() {
    let most = NonZeroUsize::new(6).unwrap();
    let config = GossipConfig { max_sessions: most, max_transfers: most, ..GossipConfig::default() };
    let mut engine = engine(10, config);
    for index in 0..10 {
        engine.handle_frame(&peer(index), &opening(index as u64), now());
        assert!(open_sessions(&mut engine) <= 3);
    }
    assert_eq!(engine.status(now()).engine.sessions_accepted, 3);
    // The others are told, and need not wait for an answer.
    let told: Vec<PeerId> =
        drain(&mut engine, now()).0.into_iter().map(|(to, _)| to).filter(|to| *to >= peer(3)).collect();
    assert_eq!(told, (3..10).map(peer).collect::<Vec<_>>());
    // When they have timed out, others have their turn.
    let later = now().after(Duration::from_secs(60));
    engine.handle_timeout(later);
    drain(&mut engine, later);
    engine.handle_frame(&peer(7), &opening(77), later);
    assert_eq!(engine.status(later).engine.sessions_accepted, 4);
}

#[test]
fn no_more_sessions_are_opened_than_half_of_max_sessions() {
    let config = GossipConfig { max_sessions: NonZeroUsize::new(6).unwrap(), ..GossipConfig::default() };
    let mut engine = engine(10, config);
    for index in 0..10 {
        assert!(engine.sync_now(&peer(index), now()));
    }
    assert_eq!(open_sessions(&mut engine), 3);
    assert_eq!(engine.status(now()).engine.sessions_opened, 3);
}

#[test]
fn a_round_talks_to_fanout_peers() {
    let config = GossipConfig { fanout: 4, ..GossipConfig::default() };
    let mut engine = engine(10, config.clone());
    engine.handle_timeout(now().after(config.min_interval));
    assert_eq!(engine.status(now()).engine.sessions_opened, 4);
}

#[test]
fn no_more_transfers_run_than_max_transfers() {
    for (most, busy) in [(1, 4), (2, 3), (5, 0)] {
        let config = GossipConfig { max_transfers: NonZeroUsize::new(most).unwrap(), ..GossipConfig::default() };
        let mut engine = engine(5, config);
        (0..5).for_each(|index| engine.handle_frame(&peer(index), &opening(index as u64), now()));
        let (frames, events) = drain(&mut engine, now());
        // A busy reply is the message 02 and nothing else.
        let answers = frames
            .iter()
            .filter(|(_, frame)| Frame::decode(frame, &SessionConfig::default()).unwrap().payload == [2])
            .count();
        assert_eq!((frames.len(), answers), (5, busy));
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Diverged { .. })).count(), most);
    }
}

#[test]
fn a_peer_in_another_transfer_is_tried_again_after_busy_retry() {
    let config = GossipConfig { busy_retry: Duration::from_millis(300), ..GossipConfig::default() };
    let mut engine = engine(1, config);
    engine.write(item(1), now()).unwrap();
    engine.sync_now(&peer(0), now());
    let frames = drain(&mut engine, now()).0;
    let open = frames
        .iter()
        .map(|(_, frame)| Frame::decode(frame, &SessionConfig::default()).unwrap())
        .find(Frame::opens)
        .unwrap();
    let busy = crate::sync::session::encode_busy(&open, true).unwrap();
    engine.handle_frame(&peer(0), &busy, now());
    drain(&mut engine, now());
    // Half of it to one and a half, so that replicas that are in each other's way do not meet again.
    for (ms, opened) in [(149, 1), (451, 2)] {
        let later = now().after(Duration::from_millis(ms));
        engine.handle_timeout(later);
        assert_eq!(engine.status(later).engine.sessions_opened, opened, "after {ms} ms");
    }
}

/// To whom the engine opens its only session, which the peer answers as busy at once.
fn opened_and_busy(engine: &mut Engine<Item>, now: Now) -> PeerId {
    engine.handle_timeout(now);
    let frames = drain(engine, now).0;
    let is_opening = |frame: &[u8]| Frame::decode(frame, &SessionConfig::default()).unwrap().opens();
    let (to, opening) = frames.into_iter().rfind(|(_, frame)| is_opening(frame)).expect("a session is opened");
    let opening = Frame::decode(&opening, &SessionConfig::default()).unwrap();
    engine.handle_frame(&to, &crate::sync::session::encode_busy(&opening, true).unwrap(), now);
    drain(engine, now);
    to
}

#[test]
fn who_has_waited_longest_for_room_goes_first() {
    let never = Duration::from_secs(1_000_000);
    let most = NonZeroUsize::new(2).unwrap();
    let config = GossipConfig { max_sessions: most, interval: never, min_interval: never, ..GossipConfig::default() };
    let mut engine = engine(4, config);
    (0..4).for_each(|index| assert!(engine.sync_now(&peer(index), now())));
    let mut opened = Vec::new();
    for step in 0..8 {
        // Whoever was busy is due again before the next one of the others is through.
        opened.push(opened_and_busy(&mut engine, now().after(Duration::from_secs(10 * step))));
        if step == 0 {
            // Asked again, which is no reason to wait for longer.
            assert!(engine.sync_now(&peer(3), now().after(Duration::from_secs(5))));
        }
    }
    for turn in opened.chunks_mut(4) {
        turn.sort();
        assert_eq!(turn, (0..4).map(peer).collect::<Vec<_>>());
    }
}

#[test]
fn of_the_sessions_that_are_over_the_oldest_makes_room() {
    let most = NonZeroUsize::new(6).unwrap();
    let mut engine = engine(20, GossipConfig { max_sessions: most, ..GossipConfig::default() });
    // Sessions of peers that are equal are over with the first answer.
    let mut equal = replica(1);
    for index in 0..20 {
        let now = now().after(Duration::from_millis(index as u64));
        let mut session = Session::open_valid(index as u64, &mut equal, SessionConfig::default(), now);
        let crate::sync::SessionOutput::Send(opening) = session.poll_output() else {
            panic!("it has something to say")
        };
        engine.handle_frame(&peer(index), &opening, now);
        drain(&mut engine, now);
        let held: Vec<usize> = (0..20).filter(|other| engine.sessions.iter().any(|s| s.peer == peer(*other))).collect();
        assert_eq!(held, (0..=index).skip((index + 1).saturating_sub(3)).collect::<Vec<_>>());
    }
}

/// A transfer that this peer has opened: the engine's number of it.
fn opened_transfer(engine: &mut Engine<Item>, from: &PeerId, nonce: u64) -> u64 {
    engine.handle_frame(from, &opening(nonce), now());
    let sent = drain(engine, now()).0;
    let frame = Frame::decode(&sent[0].1, &SessionConfig::default()).unwrap();
    match postcard::from_bytes(frame.payload).unwrap() {
        Reply::Differs(differs) => differs.nonce,
        other => panic!("{other:?}"),
    }
}

/// The fragments of a message, of 900 bytes each, that does not come to its end.
fn fragments(session: u64, count: u32) -> Vec<Vec<u8>> {
    let header = Header { kind: FrameKind::Request, session, exchange: 1 };
    (0..count).map(|fragment| header.encode(fragment, 200, &[7; 908], true)).collect()
}

#[test]
fn who_sends_messages_without_an_end_loses_them_and_no_other_does() {
    let session =
        SessionConfig { max_message_bytes: 100_000, batch_bytes: 10, answer_bytes: 10, ..SessionConfig::default() };
    let max_transfers = NonZeroUsize::new(2).unwrap();
    let config = GossipConfig { session, max_held_bytes: 100_000, max_transfers, ..GossipConfig::default() };
    let limits = ReplicaConfig { max_value_bytes: 1000, ..ReplicaConfig::default() };
    let mut engine = engine(2, GossipConfig::default());
    engine.set_limits(limits, config).unwrap();
    let (hog, other) = (peer(0), peer(1));
    let (hogs, others) = (opened_transfer(&mut engine, &hog, 1), opened_transfer(&mut engine, &other, 2));
    let held = |engine: &Engine<Item>, of: &PeerId| {
        engine.sessions.iter().filter(|open| open.peer == *of).map(|open| open.session.held_bytes()).sum::<usize>()
    };
    for frame in fragments(hogs, 100) {
        engine.handle_frame(&hog, &frame, now());
    }
    assert_eq!((held(&engine, &hog), engine.stats().fragment_bytes_dropped), (90_000, 0));
    for frame in fragments(others, 30) {
        engine.handle_frame(&other, &frame, now());
    }
    assert_eq!((held(&engine, &hog), held(&engine, &other)), (0, 27_000));
    assert_eq!(engine.stats().fragment_bytes_dropped, 90_000);
    for frame in fragments(hogs, 100) {
        engine.handle_frame(&hog, &frame, now());
    }
    assert_eq!(held(&engine, &other), 27_000);
    assert!((70_000..73_001).contains(&held(&engine, &hog)), "{}", held(&engine, &hog));
}

#[test]
fn of_the_sessions_that_are_over_those_of_the_peer_that_has_most_make_room() {
    let most = NonZeroUsize::new(12).unwrap();
    let mut engine = engine(2, GossipConfig { max_sessions: most, ..GossipConfig::default() });
    let mut equal = replica(1);
    // The honest peer is the first, and its session is the oldest.
    for index in 0..20 {
        let now = now().after(Duration::from_secs(index));
        let mut session = Session::open_valid(index, &mut equal, SessionConfig::default(), now);
        let crate::sync::SessionOutput::Send(opening) = session.poll_output() else {
            panic!("it has something to say")
        };
        engine.handle_frame(&peer(usize::from(index > 0)), &opening, now);
        drain(&mut engine, now);
        assert!(engine.sessions.iter().any(|session| session.peer == peer(0)), "after {index}");
    }
}

/// A frame with the first write of a replica that nobody knows: a delete of what an engine wrote.
fn first_write(of: u128, engine: &Engine<Item>) -> Vec<u8> {
    let dot = |replica| Dot { replica, counter: 1 };
    let seen = alloc::vec![dot(engine.replica().id())];
    let push = Push { key: KeyHash::from_u128(of << 64), dot: dot(ReplicaId::from_u128(of)), seen, write: None };
    let config = SessionConfig::default();
    encode_push_frame(&encode_push(&push, &config).unwrap(), &config)
}

#[test]
fn a_peer_that_invents_replicas_uses_up_its_own_places_and_nobody_elses() {
    let mut engine = engine(2, GossipConfig::default());
    let limits = ReplicaConfig::default().with(|config| config.new_replicas_per_hour = 5);
    engine.set_limits(limits, GossipConfig::default()).unwrap();
    engine.write(item(1), now()).unwrap();
    let first_write = |of| first_write(of, &engine);
    let frames: Vec<_> = (0..=12).map(first_write).collect();
    (1..=10).for_each(|of| engine.handle_frame(&peer(0), &frames[of], now()));
    let refused = drain(&mut engine, now()).1.into_iter().filter(|event| {
        let grows = |rejection: &Refusal| matches!(rejection, Refusal::GrowsTooFast { new: 1, left: 0 });
        matches!(event, Event::PushRejected { peer: from, rejection } if *from == peer(0) && grows(rejection))
    });
    // The engine itself is one.
    assert_eq!((refused.count(), engine.replica().context().replicas_len()), (5, 6));
    engine.handle_frame(&peer(1), &frames[11], now());
    assert_eq!(engine.replica().context().replicas_len(), 7, "another peer has its own");
    let later = now().after(Duration::from_secs(3600));
    (6..=12).for_each(|of| engine.handle_frame(&peer(0), &frames[of], later));
    assert_eq!(engine.replica().context().replicas_len(), 12, "five more in the next hour");
}

#[test]
fn pushes_of_a_peer_for_which_more_was_done_than_may_be_are_dropped_until_that_is_paid_off() {
    let session = SessionConfig { max_sketch_pass: 0, ..SessionConfig::default() };
    let config =
        GossipConfig { peer_work_per_second: NonZeroU64::new(100).unwrap(), session, ..GossipConfig::default() };
    let mut engine = engine(2, config);
    engine.write(item(1), now()).unwrap();
    let frame = first_write(1, &engine);
    let mut handled = |from: usize, frames: u64, now: Now| {
        let before = engine.stats();
        (0..frames).for_each(|_| engine.handle_frame(&peer(from), &frame, now));
        let after = engine.stats();
        let pushes = |stats: &EngineStats| stats.pushes_taken + stats.pushes_seen;
        (pushes(&after) - pushes(&before), after.frames_put_off - before.frames_put_off)
    };
    // Each frame with one push counts 32: four seconds' worth, and one that was begun before that was used up.
    assert_eq!(handled(0, 100, now()), (13, 87));
    assert_eq!(handled(1, 3, now()), (3, 0), "another peer has its own");
    let later = now().after(Duration::from_secs(10));
    assert_eq!(handled(0, 100, later), (13, 87), "no more is saved up");
}
