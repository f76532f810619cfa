//! Nodes that are put back to an image of their memory, and images that run twice.

use std::collections::BTreeMap;

use anti_entropy::PeerId;

use super::{Image, Net, address, cluster, digest, name, secs};
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
    for nodes in [2, 3, 12] {
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
