//! What members announce, and when it is told.

use std::time::Duration;

use super::{Net, address, cluster, config, digest, name, secs};
use crate::swim::event::MembershipEvent;

fn announced(number: u16, state: u8) -> MembershipEvent {
    MembershipEvent::Announced { peer: name(number).as_str().into(), space: 5, state: digest(state) }
}

#[test]
fn a_member_that_is_up_is_told_with_what_it_announces() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        net.loss_percent = 10;
        for number in 1..=4 {
            let address = net.start(config(number));
            net.nodes[&address].shared.announcements.set(5, digest(u8::try_from(number).unwrap())).unwrap();
        }
        net.run(secs(30));
        for number in 1..=4 {
            let events = net.events(address(number));
            let ups = events.iter().enumerate().filter_map(|(at, event)| match event {
                MembershipEvent::Up { member } => Some((at, member.name.clone())),
                _ => None,
            });
            let mut count = 0;
            for (at, up) in ups {
                count += 1;
                let follows = &events[at + 1];
                assert!(
                    matches!(follows, MembershipEvent::Announced { peer, .. } if *peer == up),
                    "{seed}: {events:?}"
                );
            }
            assert_eq!(count, 3, "seed {seed}: {events:?}");
        }
    }
}

#[test]
fn nothing_is_told_before_it_is_known_what_a_member_announces_or_the_wait_is_over() {
    let mut net = cluster(1, 2);
    net.nodes[&address(2)].shared.announcements.set(5, digest(9)).unwrap();
    // Node 3 hears of node 2 from node 1, and cannot reach it.
    net.cut = Box::new(|from, to| from == address(2) && to == address(3) || from == address(3) && to == address(2));
    let began = net.now;
    net.start(config(3));
    let mut events = Vec::new();
    net.run_until(|net| {
        events.extend(net.events(address(3)));
        events.len() == 2
    });
    let waited = net.now.checked_sub(began).unwrap();
    assert!((secs(1)..secs(2)).contains(&waited), "{waited:?}");
    assert!(events.iter().all(|event| matches!(event, MembershipEvent::Up { .. })), "{events:?}");
}

#[test]
fn a_state_is_told_when_it_changes_and_again_while_it_stays() {
    let mut net = cluster(2, 2);
    net.nodes[&address(2)].shared.announcements.set(5, digest(1)).unwrap();
    net.run(secs(3));
    assert_eq!(net.events(address(1)).last(), Some(&announced(2, 1)));
    let mut times = Vec::new();
    let end = net.now + secs(20);
    while net.step(end) {
        for event in net.events(address(1)) {
            assert_eq!(event, announced(2, 1));
            times.push(net.now);
        }
    }
    assert!(times.len() >= 6, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + secs(2)), "{times:?}");
    net.nodes[&address(2)].shared.announcements.set(5, digest(2)).unwrap();
    net.run(Duration::from_millis(1_200));
    assert_eq!(net.events(address(1)), [announced(2, 2)]);
}

#[test]
fn a_late_datagram_does_not_bring_an_old_state_back() {
    let mut net = cluster(3, 2);
    net.nodes[&address(2)].shared.announcements.set(5, digest(1)).unwrap();
    net.run(secs(5));
    // The next one from node 2 is held up.
    let sent = net.sent.len();
    net.cut = Box::new(|from, _| from == address(2));
    net.run_until(|net| net.sent[sent..].iter().any(|packet| packet.from == address(2)));
    let late = net.sent.iter().rfind(|packet| packet.from == address(2)).unwrap().clone();
    net.cut = Box::new(|_, _| false);
    net.nodes[&address(2)].shared.announcements.set(5, digest(2)).unwrap();
    net.run(secs(3));
    assert_eq!(net.events(address(1)).last(), Some(&announced(2, 2)));
    let refused = net.stats(address(1)).refused;
    net.deliver(late);
    assert_eq!(net.stats(address(1)).refused, refused, "it is a good datagram");
    assert!(net.events(address(1)).is_empty());
}

#[test]
fn spaces_that_come_and_go_are_told_however_many_there_were() {
    let mut net = cluster(12, 2);
    for space in 0..200 {
        net.nodes[&address(1)].shared.announcements.set(space, digest(1)).unwrap();
        net.run(secs(5));
        let events = net.events(address(2));
        let told =
            |event: &MembershipEvent| matches!(event, MembershipEvent::Announced { space: told, .. } if *told == space);
        assert!(events.iter().any(told), "{space}: {events:?}");
        assert!(net.nodes[&address(1)].shared.announcements.remove(space));
    }
}
