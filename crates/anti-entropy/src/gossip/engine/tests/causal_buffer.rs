//! Pushes that come before what they need.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Cluster, Item, name};
use crate::gossip::*;
use crate::replica::{Keyed, LastWriterWins};

/// Nothing but pushes.
fn config() -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    GossipConfig { interval: never, min_interval: never, ..GossipConfig::default() }
}

fn total(cluster: &Cluster<Item>, counter: fn(&EngineStats) -> u64) -> u64 {
    cluster.engines.values().map(|engine| counter(&engine.stats())).sum()
}

/// How many pushes of 25 replicas along a tree are taken, if 200 writes come so fast that frames overtake each other.
fn taken_of_4800(max_buffered_pushes: usize) -> u64 {
    let config = GossipConfig { push_route: PushRoute::Tree, max_buffered_pushes, ..config() };
    let mut cluster = Cluster::new(25, &LastWriterWins, &config, 1);
    for write in 0..200 {
        cluster.write(write as usize % 5, write, "value");
        cluster.run(Duration::from_micros(500), |_| false);
    }
    cluster.run(Duration::from_millis(100), |_| false);
    assert_eq!(cluster.equal(), max_buffered_pushes > 0);
    total(&cluster, |stats| stats.pushes_taken)
}

#[test]
fn pushes_that_overtake_each_other_all_arrive() {
    assert_eq!(taken_of_4800(64), 4_800);
    let without = taken_of_4800(0);
    assert!(without < 2_000, "{without}");
}

/// Frames of one push each, one for every write in order, none of them sent.
fn frames(cluster: &mut Cluster<Item>, values: &[&str]) -> Vec<Vec<u8>> {
    let now = cluster.now;
    let engine = cluster.engine(0);
    let mut frame_of = |(key, value): (u32, &&str)| {
        engine.write(Keyed::new(key, (*value).to_string()), now).unwrap();
        loop {
            match engine.poll_output(now) {
                EngineOutput::Send { frame, .. } => return frame,
                EngineOutput::Event(_) => {}
                EngineOutput::Wait(_) => panic!("a write is pushed at once"),
            }
        }
    };
    (0..).zip(values).map(&mut frame_of).collect()
}

fn deliver(cluster: &mut Cluster<Item>, frames: &[Vec<u8>]) -> EngineStats {
    let now = cluster.now;
    for frame in frames {
        cluster.engine(1).handle_frame(&name(0), frame, now);
    }
    cluster.engine(1).stats()
}

#[test]
fn no_more_wait_than_max_buffered_pushes_and_the_oldest_give_way() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { max_buffered_pushes: 3, ..config() }, 1);
    let sent = frames(&mut cluster, &["value"; 10]);
    let stats = deliver(&mut cluster, &sent[1..]);
    assert_eq!((stats.pushes_taken, stats.pushes_not_ready), (0, 6));
    // The last three are kept; all before them have to come again.
    assert_eq!(deliver(&mut cluster, &sent[..6]).pushes_taken, 6);
    assert_eq!(deliver(&mut cluster, &sent[6..7]).pushes_taken, 10);
    assert!(cluster.equal());
}

#[test]
fn no_more_wait_than_max_buffered_bytes() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { max_buffered_bytes: 1_000, ..config() }, 1);
    let long = "x".repeat(400);
    let sent = frames(&mut cluster, &["value", &long, &long, &long]);
    assert_eq!(deliver(&mut cluster, &sent[1..]).pushes_not_ready, 1);
    assert_eq!(deliver(&mut cluster, &sent[..2]).pushes_taken, 4);
    // One that is longer than all of them may be is not kept at all.
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig { max_buffered_bytes: 300, ..config() }, 1);
    let sent = frames(&mut cluster, &["value", &long]);
    assert_eq!(deliver(&mut cluster, &sent[1..]).pushes_not_ready, 1);
}

#[test]
fn one_that_waits_for_a_write_of_somebody_else_is_taken_behind_it() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &config(), 1);
    let first = frames(&mut cluster, &["one"]);
    let now = cluster.now;
    cluster.engine(2).handle_frame(&name(0), &first[0], now);
    cluster.engine(2).write(Keyed::new(0, "two".to_string()), now).unwrap();
    let EngineOutput::Send { frame, .. } = cluster.engine(2).poll_output(now) else {
        panic!("a write is pushed at once")
    };
    cluster.engine(1).handle_frame(&name(2), &frame, now);
    assert_eq!(cluster.value(1, 0), None);
    assert_eq!(deliver(&mut cluster, &first).pushes_taken, 2);
    assert_eq!(cluster.value(1, 0).as_deref(), Some("two"));
}

#[test]
fn what_waits_in_vain_is_left_to_rounds_that_come_faster_then() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &GossipConfig::default(), 1);
    let sent = frames(&mut cluster, &["value"; 3]);
    let soon = |cluster: &mut Cluster<Item>| {
        let (now, engine) = (cluster.now.elapsed, cluster.engine(1));
        engine.next_round.saturating_sub(now) <= engine.config.min_interval * 2
    };
    let minute = cluster.now.elapsed + Duration::from_secs(60);
    cluster.engine(1).next_round = minute;
    let copies = [sent[1].clone(), sent[1].clone(), sent[2].clone()];
    let stats = deliver(&mut cluster, &copies);
    assert_eq!((stats.pushes_seen, stats.pushes_not_ready), (1, 0), "a copy is not kept");
    assert!(!soon(&mut cluster), "what is missing may be on its way");
    let overdue = cluster.now.after(GossipConfig::default().session.resend_after);
    let now = cluster.now;
    let EngineOutput::Wait(until) = cluster.engine(1).poll_output(now) else { panic!("there is nothing to do") };
    assert_eq!(until, overdue.elapsed);
    cluster.engine(1).handle_timeout(overdue);
    cluster.now = overdue;
    assert_eq!(cluster.engine(1).stats().pushes_not_ready, 2);
    assert!(soon(&mut cluster) && cluster.engine(1).pushing.next_overdue_at().is_none());
}

#[test]
fn what_came_from_a_peer_that_is_removed_is_forgotten() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &config(), 1);
    let sent = frames(&mut cluster, &["value"; 2]);
    deliver(&mut cluster, &sent[1..]);
    cluster.engine(1).remove_peer(&name(0));
    cluster.engine(1).add_peer(name(0), None);
    assert_eq!(deliver(&mut cluster, &sent[..1]).pushes_taken, 1);
}

#[test]
fn what_a_session_made_ready_is_taken_when_overdue_in_whatever_order_it_came() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &GossipConfig { push_fanout: 1, ..config() }, 1);
    let sent = frames(&mut cluster, &["one", "two", "three"]);
    let now = cluster.now;
    cluster.engine(2).handle_frame(&name(0), &sent[0], now);
    deliver(&mut cluster, &[sent[2].clone(), sent[1].clone()]);
    assert!(cluster.engine(1).sync_now(&name(2), now));
    let overdue = now.elapsed + GossipConfig::default().session.resend_after;
    cluster.run(overdue.saturating_sub(Duration::from_millis(1)), |_| false);
    assert_eq!((cluster.value(1, 0).is_some(), cluster.value(1, 1).is_some()), (true, false));
    cluster.run(Duration::from_millis(10), |_| false);
    let stats = cluster.engine(1).stats();
    assert_eq!((stats.pushes_taken, stats.pushes_not_ready), (2, 0));
}

#[test]
fn who_sends_pushes_that_are_never_ready_pushes_out_its_own_and_no_other() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &config(), 1);
    let sent = frames(&mut cluster, &["a"; 200]);
    let now = cluster.now;
    // The second write of an honest peer comes before its first.
    cluster.engines.get_mut(&name(2)).unwrap().handle_frame(&name(1), &sent[1], now);
    for frame in &sent[3..] {
        cluster.engines.get_mut(&name(2)).unwrap().handle_frame(&name(0), frame, now);
    }
    cluster.engines.get_mut(&name(2)).unwrap().handle_frame(&name(1), &sent[0], now);
    assert_eq!(cluster.engine(2).stats().pushes_taken, 2);
}
