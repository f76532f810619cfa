//! What one member does, slow, broken or hostile, keeps the others from nothing.

use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use super::member::{HOUR, MEMBER, by_rounds_alone, honest};
use super::{Cluster, Item, name};
use crate::clock::Tally;
use crate::gossip::*;
use crate::replica::LastWriterWins;
use crate::summary::compare::Ask;
use crate::summary::{Root, Width};
use crate::sync::wire::Header;
use crate::sync::wire::message::{Open, Reply, Request, Seen, State};
use crate::sync::{Frame, FrameKind, Outcome, PartialReason, SessionConfig};

/// Two honest nodes, of which the first holds something, and a third one that is the test's.
fn cluster(config: &GossipConfig) -> Cluster<Item> {
    let mut cluster = honest(2, config);
    (0..100).for_each(|key| cluster.write(0, key, "value"));
    cluster
}

/// How long the honest nodes take to become equal while `member` does its worst each `pause`.
fn time_to_converge(config: &GossipConfig, pause: Duration, mut member: impl FnMut(&mut Cluster<Item>)) -> Duration {
    let mut cluster = cluster(config);
    while cluster.now.elapsed < 24 * HOUR {
        member(&mut cluster);
        if cluster.run(pause, Cluster::equal) {
            return cluster.now.elapsed;
        }
    }
    let entries: Vec<u64> = cluster.engines.values().map(|engine| engine.replica.len()).collect();
    panic!("after a day they have {entries:?} entries");
}

/// A member that opens sessions with one victim, and does not mean to end them.
struct Opener {
    victim: usize,
    /// The number of its session.
    own: u64,
    /// The victim's number of the session, once it has answered.
    theirs: Option<u64>,
    exchange: u32,
}

impl Opener {
    fn new(victim: usize) -> Self {
        Self { victim, own: 1000 * victim as u64, theirs: None, exchange: 0 }
    }

    /// Reads what has come from the victim. Returns how many bytes have.
    fn listen(&mut self, cluster: &mut Cluster<Item>) -> usize {
        let heard = cluster.take_heard(&name(MEMBER), &name(self.victim));
        for frame in &heard {
            let frame = Frame::decode(frame, &SessionConfig::default()).unwrap();
            if frame.kind != FrameKind::Reply || frame.fragments != 1 {
                continue;
            }
            match postcard::from_bytes::<Reply>(frame.payload) {
                Ok(Reply::Differs(differs)) => self.theirs = Some(differs.nonce),
                Ok(Reply::Busy | Reply::Refused(_)) => self.theirs = None,
                _ => {}
            }
        }
        heard.iter().map(Vec::len).sum()
    }

    /// Opens a session, in a state that nobody else is in.
    fn open(&mut self, cluster: &mut Cluster<Item>) {
        (self.own, self.theirs, self.exchange) = (self.own + 1, None, 0);
        let state = State { seen: Seen { root: Root::from_bytes([9; 32]), context: 0 }, filled: None };
        let (width, tally) = (Width::Short, Tally::default());
        let open = Open { schema_id: 0, state, width, cuts: None, entries: 1, tally, max_cells: 0, own: 9 };
        self.say(&Request::Open(open), self.own, cluster);
    }

    fn ask(&mut self, cluster: &mut Cluster<Item>) {
        let Some(theirs) = self.theirs else { return };
        self.exchange += 1;
        self.say(&Request::Ask(Ask::new([], Width::Short)), theirs, cluster);
    }

    fn say(&self, request: &Request, session: u64, cluster: &mut Cluster<Item>) {
        let header = Header { kind: FrameKind::Request, session, exchange: self.exchange };
        let frame = header.encode(0, 1, &postcard::to_allocvec(request).unwrap(), true);
        cluster.fly(&name(MEMBER), &name(self.victim), &frame);
    }
}

#[test]
fn a_transfer_that_does_not_move_keeps_nobody_waiting() {
    let alone = time_to_converge(&by_rounds_alone(), Duration::from_secs(1), |_| {});
    let mut openers = [Opener::new(0), Opener::new(1)];
    let beside = time_to_converge(&by_rounds_alone(), Duration::from_secs(10), |cluster| {
        for opener in &mut openers {
            // It asks as long as it is answered, and opens anew when it is not.
            if opener.listen(cluster) > 0 { opener.ask(cluster) } else { opener.open(cluster) }
        }
    });
    assert!(beside <= 3 * alone, "{beside:?}, and {alone:?} without that member");
}

#[test]
fn a_transfer_that_never_ends_keeps_nobody_waiting_for_longer_than_its_turn() {
    let alone = time_to_converge(&by_rounds_alone(), Duration::from_secs(1), |_| {});
    let mut openers = [Opener::new(0), Opener::new(1)];
    let mut asked = 0;
    // More than twice a second: it moves, by the count of messages.
    let beside = time_to_converge(&by_rounds_alone(), Duration::from_millis(400), |cluster| {
        for opener in &mut openers {
            opener.listen(cluster);
            asked += u32::from(opener.theirs.is_some());
            if opener.theirs.is_some() { opener.ask(cluster) } else { opener.open(cluster) }
        }
    });
    assert!(asked > 10, "it had a transfer");
    assert!(beside <= 3 * alone, "{beside:?}, and {alone:?} without that member");
}

#[test]
fn transfers_that_are_left_for_new_ones_keep_nobody_waiting() {
    let alone = time_to_converge(&by_rounds_alone(), Duration::from_secs(1), |_| {});
    let mut openers = [Opener::new(0), Opener::new(1)];
    let (mut steps, mut asked) = (0, 0);
    // Each has a lease of two seconds when it begins.
    let beside = time_to_converge(&by_rounds_alone(), Duration::from_millis(100), |cluster| {
        steps += 1;
        for opener in &mut openers {
            opener.listen(cluster);
            asked += u32::from(opener.theirs.is_some());
            if steps % 3 == 0 { opener.open(cluster) } else { opener.ask(cluster) }
        }
    });
    assert!(asked > 10, "it had transfers");
    assert!(beside <= 3 * alone, "{beside:?}, and {alone:?} without that member");
}

#[test]
fn a_transfer_that_does_not_move_ends_and_is_a_failure() {
    let mut cluster = cluster(&by_rounds_alone());
    let mut opener = Opener::new(0);
    opener.open(&mut cluster);
    let has_stalled = |cluster: &mut Cluster<Item>| {
        let stalled = Outcome::Partial(PartialReason::Stalled);
        let is_it = |event: &Event<u32>| matches!(event, Event::SessionEnded { peer, finished } if *peer == name(MEMBER) && finished.outcome == stalled);
        cluster.events.iter().any(|(_, event)| is_it(event))
    };
    let mut asked = 0;
    while !cluster.run(Duration::from_secs(10), has_stalled) {
        opener.listen(&mut cluster);
        opener.ask(&mut cluster);
        asked += 1;
    }
    // It was heard each time well before `idle_timeout`.
    assert!((3..6).contains(&asked), "{asked}");
    let now = cluster.now;
    let status = cluster.engine(0).status(now);
    assert_eq!(status.peers.iter().find(|peer| peer.peer == name(MEMBER)).unwrap().failures, 1);
}

/// Opens a session at its victim in which the reply to its last request, all cells of a sketch, is a long one.
fn asks_for_much(opener: &mut Opener, cluster: &mut Cluster<Item>) {
    opener.own += 1;
    let state = State { seen: Seen { root: Root::from_bytes([9; 32]), context: 0 }, filled: None };
    let (width, tally) = (Width::Short, Tally::default());
    let open = Open { schema_id: 0, state, width, cuts: None, entries: 100, tally, max_cells: 1 << 16, own: 9 };
    (opener.theirs, opener.exchange) = (None, 0);
    opener.say(&Request::Open(open), opener.own, cluster);
}

#[test]
fn who_asks_again_and_again_is_sent_its_share_and_no_more() {
    // As much as is sent anyway takes a while.
    let slow = NonZeroU64::new(100_000).unwrap();
    let config = GossipConfig { bytes_per_second: slow, burst_bytes: slow, ..by_rounds_alone() };
    let alone = time_to_converge(&config, Duration::from_secs(1), |_| {});
    let mut opener = Opener::new(0);
    let mut sent_to_it = 0;
    let beside = time_to_converge(&config, Duration::from_millis(10), |cluster| {
        sent_to_it += opener.listen(cluster);
        match opener.theirs {
            _ if cluster.now.elapsed.as_millis() % 60_000 == 0 => asks_for_much(&mut opener, cluster),
            Some(theirs) => {
                opener.exchange = 1;
                opener.say(&Request::Cells { start: 0, count: 1 << 16 }, theirs, cluster);
            }
            None => {}
        }
    });
    assert!(sent_to_it > 1 << 18, "it was sent {sent_to_it} bytes");
    assert!(beside <= 3 * alone, "{beside:?}, and {alone:?} without that member");
}

#[test]
fn who_failed_is_not_answered_either_until_its_back_off_is_over() {
    let mut cluster = cluster(&by_rounds_alone());
    let mut opener = Opener::new(0);
    let mut is_answered = |cluster: &mut Cluster<Item>, after: Duration| {
        cluster.run(after, |_| false);
        opener.open(cluster);
        cluster.run(Duration::from_millis(20), |_| false);
        opener.listen(cluster);
        let is_answered = opener.theirs.is_some();
        if let Some(theirs) = opener.theirs {
            opener.exchange += 1;
            opener.say(&Request::Abort, theirs, cluster);
        }
        is_answered
    };
    let second = Duration::from_secs(1);
    // Two seconds after the first failure, four after the second, and so on.
    for (after, expected) in [(1, true), (1, false), (2, true), (3, false), (2, true), (7, false), (2, true)] {
        assert_eq!(is_answered(&mut cluster, second * after), expected, "after {after} s");
    }
}

#[test]
fn who_opens_and_closes_all_the_time_is_answered_a_few_times_a_second() {
    let mut cluster = cluster(&by_rounds_alone());
    cluster.split(&[0], &[1]);
    let mut opener = Opener::new(0);
    for _ in 0..10_000 {
        opener.open(&mut cluster);
        cluster.run(Duration::from_millis(1), |_| false);
    }
    let accepted = cluster.engine(0).stats().sessions_accepted;
    // One in each `busy_retry`, and a few at once.
    assert!((50..=50 + 9).contains(&accepted), "{accepted}");
}

#[test]
fn peers_that_are_filled_take_turns_and_are_sent_little_twice() {
    let rate = NonZeroU64::new(20_000).unwrap();
    let turn = Duration::from_secs(2);
    let config = GossipConfig { bytes_per_second: rate, burst_bytes: rate, transfer_turn: turn, ..by_rounds_alone() };
    let mut cluster = Cluster::new(4, &LastWriterWins, &config, 1);
    // The others cannot help each other: all of it comes from the first.
    cluster.split(&[1], &[2, 3]);
    cluster.split(&[2], &[3]);
    (0..1500).for_each(|key| cluster.write(0, key, &"x".repeat(200)));
    let entries = |cluster: &mut Cluster<Item>| [1, 2, 3].map(|node| cluster.engine(node).replica.len());
    let is_first_full = |cluster: &mut Cluster<Item>| entries(cluster).into_iter().max() == Some(1500);
    assert!(cluster.run(HOUR, is_first_full));
    let then = entries(&mut cluster);
    assert!(then.iter().all(|entries| *entries > 300), "{then:?}");
    cluster.converge(HOUR);
    let sent = cluster.engine(0).stats().value_bytes_sent;
    let needed: u64 = cluster.engines.values().map(|engine| engine.replica.stats().value_bytes_needed).sum();
    assert!(sent * 4 <= needed * 5, "{sent} of {needed}");
}

/// What is done for a member that always asks for the last cell, which takes a pass over all entries and is short; and how
/// long the honest nodes take beside it.
fn work_for_who_asks_for_passes(per_second: u64) -> (EngineStats, Duration, Duration) {
    let session = SessionConfig { max_sketch_pass: 2000, ..SessionConfig::default() };
    let config =
        GossipConfig { peer_work_per_second: NonZeroU64::new(per_second).unwrap(), session, ..by_rounds_alone() };
    let mut opener = Opener::new(0);
    let mut last = None;
    let mut member = |cluster: &mut Cluster<Item>| {
        opener.listen(cluster);
        match opener.theirs {
            Some(theirs) if opener.exchange == 0 => {
                opener.exchange = 1;
                opener.say(&Request::Cells { start: (1 << 16) - 1, count: 1 }, theirs, cluster);
            }
            _ => asks_for_much(&mut opener, cluster),
        }
        let now = cluster.now;
        let status = cluster.engine(0).status(now);
        let put_off = |peer: &crate::PeerId| status.peers.iter().find(|status| status.peer == *peer).unwrap().put_off;
        assert_eq!(put_off(&name(1)), Duration::ZERO, "that is the honest one");
        last = Some((status.engine, put_off(&name(MEMBER))));
    };
    let mut cluster = cluster(&config);
    let mut converged = None;
    while cluster.now.elapsed < Duration::from_secs(60) {
        member(&mut cluster);
        cluster.run(Duration::from_millis(20), |_| false);
        converged = converged.or_else(|| cluster.equal().then_some(cluster.now.elapsed));
    }
    let (stats, put_off) = last.unwrap();
    (stats, put_off, converged.unwrap_or(Duration::MAX))
}

#[test]
fn so_much_work_is_done_for_one_peer_and_no_more() {
    let (rate, pass) = (10_000, 100 + (1 << 16));
    let (limited, put_off, beside) = work_for_who_asks_for_passes(rate);
    // A minute's worth, what is done at once, and the pass that was begun last.
    assert!(limited.work_for_peers <= (60 + 4) * rate + pass, "{limited:?}");
    assert!(limited.work_for_peers >= 60 * rate, "it had as much as it may: {limited:?}");
    assert!(limited.frames_put_off > 0 && !put_off.is_zero());
    let alone = time_to_converge(&by_rounds_alone(), Duration::from_secs(1), |_| {});
    assert!(beside <= 3 * alone, "{beside:?}, and {alone:?} without that member");
    let (unlimited, put_off, _) = work_for_who_asks_for_passes(u64::MAX);
    assert!(unlimited.work_for_peers > 10 * limited.work_for_peers, "{unlimited:?}");
    assert_eq!((unlimited.frames_put_off, put_off), (0, Duration::ZERO));
}
