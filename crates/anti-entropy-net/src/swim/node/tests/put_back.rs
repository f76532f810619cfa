//! Nodes that are put back to an image of their memory, and images that run twice.

use std::collections::BTreeMap;

use anti_entropy::PeerId;

use super::{Image, Net, address, cluster, config, digest, name, secs};
use crate::snapshot::PutBack;
use crate::swim::contents::Heard;
use crate::swim::event::MembershipEvent;
use crate::swim::header::Header;

/// How far back.
const HALF_AN_HOUR: u64 = 30 * 60;

/// A cluster, and an image of its last node from half an hour ago.
fn half_an_hour_ago(seed: u64, nodes: u16) -> (Net, Image, std::time::Duration) {
    let mut net = cluster(seed, nodes);
    net.run(secs(60));
    let (image, taken) = (net.images[&address(nodes)].clone(), net.now);
    net.run(secs(HALF_AN_HOUR));
    (net, image, taken)
}

/// Whether all others are told what this node announces now.
fn all_hear(net: &mut Net, number: u16, state: u8) -> bool {
    let others: Vec<_> = net.nodes.keys().copied().filter(|other| *other != address(number)).collect();
    others.into_iter().all(|other| {
        let session =
            net.node(other).known.get(&PeerId::from(name(number).as_str())).map(|known| known.announced.get(5));
        session.flatten().is_some_and(|(known, _)| known == digest(state))
    })
}

#[test]
fn one_that_is_put_back_by_half_an_hour_is_a_member_again_within_30_seconds() {
    for nodes in [2, 3, 8] {
        let (mut net, image, taken) = half_an_hour_ago(1, nodes);
        let last = address(nodes);
        net.put_back(last, image, taken);
        net.nodes[&last].shared.announcements.set(5, digest(9)).unwrap();
        net.run(secs(30));
        assert!(net.is_complete() && all_hear(&mut net, nodes, 9), "{nodes} nodes: {:?}", net.stats(last));
        // And stays one.
        for number in 1..nodes {
            net.events(address(number));
        }
        net.run(secs(300));
        for number in 1..nodes {
            let events = net.events(address(number));
            let flaps = events.iter().any(|event| matches!(event, MembershipEvent::Down { .. }));
            assert!(net.is_complete() && !flaps, "{nodes} nodes: {events:?}");
        }
    }
}

#[test]
fn one_that_is_put_back_uses_no_nonce_twice() {
    let (mut net, image, taken) = half_an_hour_ago(2, 3);
    net.put_back(address(3), image, taken);
    net.run(secs(HALF_AN_HOUR));
    let mut by_nonce = BTreeMap::new();
    for packet in net.sent.iter().filter(|packet| packet.from == address(3)) {
        let nonce = Header::decode(&packet.bytes).unwrap().nonce;
        let before = by_nonce.insert(nonce, &packet.bytes);
        assert!(before.is_none_or(|before| *before == packet.bytes), "two datagrams with one nonce");
    }
}

#[test]
fn it_is_told_by_what_peers_have_heard_and_only_once() {
    let (mut net, image, taken) = half_an_hour_ago(3, 3);
    let last = address(3);
    assert_eq!((net.stats(last).put_backs, net.stats(last).rejoins), (0, 0));
    net.put_back(last, image, taken);
    net.run(secs(5));
    let noticed = net.nodes[&last].shared.put_back.lock().how.take();
    assert!(matches!(noticed, Some(PutBack::PeerKnowsMore { .. })), "{noticed:?}");
    net.run(secs(600));
    assert_eq!((net.stats(last).put_backs, net.stats(last).rejoins), (1, 1));
    assert!((1..=2).all(|number| net.stats(address(number)).put_backs == 0));
}

#[test]
fn one_whose_peers_have_all_restarted_meanwhile_or_given_it_up_is_a_member_again_too() {
    for (restarted, down_secs) in [(true, 0), (false, 300), (true, 300)] {
        let (mut net, image, taken) = half_an_hour_ago(4, 3);
        let last = address(3);
        if down_secs > 0 {
            net.nodes.remove(&last);
            net.run(secs(down_secs));
        }
        for number in [1, 2].into_iter().filter(|_| restarted) {
            net.start(config(number));
        }
        net.run(secs(5));
        net.put_back(last, image, taken);
        net.nodes[&last].shared.announcements.set(5, digest(9)).unwrap();
        net.run(secs(30));
        let stats = net.stats(last);
        assert!(net.is_complete() && all_hear(&mut net, 3, 9), "{restarted} {down_secs}: {stats:?}");
    }
}

#[test]
fn one_that_hears_nobody_comes_back_once_and_is_not_taken_for_put_back() {
    let mut net = cluster(5, 3);
    net.run(secs(10));
    net.cut = Box::new(|from, to| [from, to].contains(&address(3)));
    net.run(secs(600));
    let stats = net.stats(address(3));
    assert_eq!((stats.rejoins, stats.put_backs), (1, 0));
    net.cut = Box::new(|_, _| false);
    net.run(secs(120));
    assert!(net.is_complete());
}

#[test]
fn a_member_that_lies_about_what_it_has_heard_costs_a_boot_id_a_minute_at_most() {
    let mut net = cluster(6, 2);
    let last = address(2);
    for _ in 0..600 {
        let now = net.now;
        net.node(last).heed(now, Heard(u64::MAX), &PeerId::from("node-1"));
        net.collect(last);
        net.run(secs(1));
    }
    let rejoins = net.stats(last).rejoins;
    assert!((2..=6 + 600 / 30).contains(&rejoins), "{rejoins}");
    net.run(secs(120));
    assert!(net.is_complete());
}
