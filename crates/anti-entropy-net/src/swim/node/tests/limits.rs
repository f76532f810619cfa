//! The limits are reached, and hold.

use std::time::Duration;

use super::{Net, address, cluster, config, digest, name, secs};
use crate::swim::config::SwimConfig;
use crate::swim::event::MembershipEvent;
use crate::swim::header::MAX_DATAGRAM_BYTES;

#[test]
fn further_names_than_allowed_are_not_let_in() {
    let mut net = Net::new(1);
    for number in 1..=6 {
        let mut config = config(number);
        if number < 4 {
            config.limits.max_members = 2;
        }
        net.start(config);
        if number == 3 {
            net.run_until(|net| net.is_complete());
        }
    }
    net.run(secs(60));
    assert_eq!(net.members(address(1)), [name(2), name(3)]);
    assert_eq!(net.members(address(2)), [name(1), name(3)]);
    assert!(net.stats(address(1)).refused.no_room > 0);
    for number in 1..=3 {
        assert_eq!(net.node(address(number)).foca.iter_membership_state().len(), 2);
    }
    // The others are not among each other's members either, for their only seed took none of them in.
    assert!(net.members(address(6)).iter().all(|name| name != "node-1"));
}

#[test]
fn news_of_further_names_are_left_out() {
    let mut net = Net::new(7);
    let mut few = config(1);
    few.limits.max_members = 2;
    net.start(few);
    net.start(config(2));
    net.start(config(3));
    net.run_until(|net| net.is_complete());
    // Node 4 reaches the others only, and node 1 hears of it from them.
    net.cut = Box::new(|from, to| [from, to].contains(&address(1)) && [from, to].contains(&address(4)));
    net.start(SwimConfig { seeds: vec![address(2).to_string()], ..config(4) });
    net.run(secs(30));
    assert_eq!(net.members(address(2)), [name(1), name(3), name(4)]);
    assert_eq!(net.members(address(1)), [name(2), name(3)]);
    assert_eq!(net.node(address(1)).foca.iter_membership_state().len(), 2);
    assert!(net.stats(address(1)).refused.no_room > 0);
}

#[test]
fn sessions_that_are_no_members_make_room() {
    let mut net = Net::new(2);
    let mut first = config(1);
    first.limits.max_members = 3;
    first.limits.max_sessions = 3;
    net.start(first);
    net.start(config(2));
    net.run_until(|net| net.is_complete());
    for _ in 0..10 {
        net.start(config(3));
        net.run(secs(30));
        assert!(net.is_complete());
    }
    assert!(net.stats(address(1)).sessions >= 11);
    assert_eq!(net.node(address(1)).sessions.len(), 2);
}

#[test]
fn only_so_many_hellos_wait_and_seeds_are_asked() {
    let mut net = Net::new(3);
    let mut config = config(1);
    config.seeds = (10..40).map(|number| address(number).to_string()).collect();
    config.limits.max_seed_addresses = 20;
    config.limits.max_pending_hellos = 5;
    net.start(config.clone());
    net.run(Duration::from_millis(10));
    assert_eq!(net.sent.len(), 5);
    config.limits.max_pending_hellos = 256;
    net.sent.clear();
    net.start(config);
    net.run(Duration::from_millis(10));
    assert_eq!(net.sent.len(), 20);
}

#[test]
fn only_so_many_datagrams_wait_for_a_reply() {
    let mut net = cluster(4, 2);
    let node = net.node(address(1));
    let mut silent = node.known.values().next().unwrap().identity.clone();
    silent.boot.0 = [9; 8];
    silent.address = address(99);
    for number in 0..10_u8 {
        node.send_message(secs(1), &silent, vec![number].into());
    }
    let waiting = node.hellos.end(address(99), silent.boot);
    assert_eq!(waiting.iter().map(|(_, message)| message[0]).collect::<Vec<_>>(), [6, 7, 8, 9]);
}

#[test]
fn many_spaces_take_turns_and_fill_datagrams() {
    let mut net = cluster(5, 2);
    for space in 0..64 {
        net.nodes[&address(1)].shared.announcements.set(space, digest(u8::try_from(space).unwrap())).unwrap();
    }
    net.nodes[&address(1)].shared.announcements.set(64, digest(0)).unwrap_err();
    drop(net.events(address(2)));
    net.sent.clear();
    net.run(secs(10));
    let mut announced: Vec<_> = net
        .events(address(2))
        .into_iter()
        .map(|event| match event {
            MembershipEvent::Announced { space, state, .. } => (space, state),
            event => panic!("{event:?}"),
        })
        .collect();
    announced.sort_unstable();
    assert_eq!(announced, (0..64).map(|space| (space, digest(u8::try_from(space).unwrap()))).collect::<Vec<_>>());
    let longest = net.sent.iter().map(|packet| packet.bytes.len()).max().unwrap();
    assert!((MAX_DATAGRAM_BYTES - 40..=MAX_DATAGRAM_BYTES).contains(&longest), "{longest}");
    // A member that takes fewer spaces is told of no more than those in the time after which they are told again.
    let mut few = config(3);
    few.limits.max_spaces = 7;
    few.timings.announce_refresh = secs(20);
    net.start(few);
    for time in [15, 20] {
        let mut announced = 0;
        for _ in 0..time {
            net.run(secs(1));
            let events = net.events(address(3));
            announced += events.iter().filter(|event| matches!(event, MembershipEvent::Announced { .. })).count();
        }
        assert_eq!(announced, 7);
    }
}

#[test]
fn the_longest_names_fit() {
    let mut net = Net::new(6);
    let long = |number: u16| SwimConfig {
        name: format!("{number}{}", "n".repeat(254)).as_str().into(),
        zone: Some("z".repeat(32)),
        ..config(number)
    };
    for number in 1..=5 {
        net.start(long(number));
    }
    net.run_until(|net| net.is_complete());
    net.run(secs(60));
    assert!(net.is_complete());
}

#[cfg(feature = "tracing")]
#[test]
fn so_many_refused_datagrams_a_second_are_logged() {
    let mut net = Net::new(8);
    let mut config = config(1);
    config.limits.max_warnings_per_second = 3;
    net.start(config);
    for seconds in [1, 2] {
        net.now = secs(seconds);
        let warnings = crate::swim::tests::log::warnings(|| {
            for _ in 0..100 {
                net.deliver(super::Packet { from: address(77), to: address(1), bytes: vec![1] });
            }
        });
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().all(|line| line.contains(&address(77).to_string())), "{warnings:?}");
    }
    assert_eq!(net.stats(address(1)).refused.length, 200);
}
