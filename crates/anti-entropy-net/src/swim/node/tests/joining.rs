//! Who finds whom, and who is missed.

use super::{Net, address, cluster, config, name, secs};
use crate::swim::boot_id::BootId;
use crate::swim::config::SwimConfig;
use crate::swim::event::{Member, MembershipEvent};

#[test]
fn all_find_each_other_through_one_seed() {
    let mut net = cluster(1, 5);
    let events = net.events(address(3));
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(events.iter().all(|event| matches!(event, MembershipEvent::Up { .. })), "{events:?}");
    net.run(secs(300));
    assert!(net.is_complete());
    for number in 1..=5 {
        assert_eq!(net.events(address(number)).len(), if number == 3 { 0 } else { 4 });
        let stats = net.stats(address(number));
        assert_eq!((stats.refused.not_opened, stats.refused.malformed, stats.rejoins), (0, 0, 0), "{stats:?}");
    }
}

#[test]
fn one_that_crashes_is_missed_and_one_that_leaves_at_once() {
    let mut net = cluster(2, 5);
    (1..=5).for_each(|number| drop(net.events(address(number))));
    net.nodes.remove(&address(5));
    net.run(secs(30));
    for number in 1..=4 {
        assert_eq!(net.events(address(number)), [MembershipEvent::Down { peer: name(5).as_str().into() }], "{number}");
    }
    net.leave(address(4));
    net.run(secs(1));
    for number in 1..=3 {
        assert_eq!(net.events(address(number)), [MembershipEvent::Down { peer: name(4).as_str().into() }], "{number}");
    }
}

#[test]
fn one_that_restarts_replaces_its_earlier_life() {
    let mut net = cluster(3, 3);
    for restarted in [2, 1] {
        (1..=3).for_each(|number| drop(net.events(address(number))));
        // The first has no other seed than itself: the others must find it.
        net.start(config(restarted));
        net.run(secs(120));
        assert!(net.is_complete());
        let events = net.events(address(3));
        let changed = events.iter().any(|event| match event {
            MembershipEvent::Up { member } | MembershipEvent::Changed { member } => member.generation == 2,
            _ => false,
        });
        assert!(changed, "{events:?}");
    }
}

#[test]
fn loss_neither_flaps_for_ever_nor_forgets() {
    let mut rejoins = 0;
    for seed in 0..5 {
        let mut net = Net::new(seed);
        net.loss_percent = 30;
        for number in 1..=5 {
            net.start(config(number));
        }
        net.run(secs(600));
        net.loss_percent = 0;
        net.run(secs(60));
        assert!(net.is_complete(), "seed {seed}");
        for number in 1..=5 {
            rejoins += net.stats(address(number)).rejoins;
        }
    }
    // Of 25 nodes in 10 minutes each, a third of whose datagrams are lost, few are ever taken for dead.
    assert!(rejoins <= 5, "{rejoins}");
}

#[test]
fn zones_and_addresses_are_told() {
    let mut net = Net::new(4);
    net.start(SwimConfig { zone: Some("north".into()), ..config(1) });
    net.start(config(2));
    net.run_until(|net| net.is_complete());
    let members = net.nodes[&address(2)].shared.mailbox.members();
    let member = Member {
        name: name(1).as_str().into(),
        address: address(1),
        transport: config(1).transport,
        zone: Some("north".into()),
        generation: 1,
    };
    assert_eq!(members, std::slice::from_ref(&member));
    // The same name with another zone and other addresses.
    drop(net.events(address(2)));
    net.nodes.remove(&address(1));
    let moved = SwimConfig { seeds: vec![address(2).to_string()], zone: None, name: member.name, ..config(9) };
    net.start(moved.clone());
    net.run(secs(60));
    let events = net.events(address(2));
    assert_eq!(events.len(), 1, "{events:?}");
    let MembershipEvent::Changed { member } = &events[0] else { panic!("{events:?}") };
    assert_eq!((member.address, member.transport, &member.zone), (address(9), moved.transport, &None));
}

#[test]
fn one_that_restarts_without_seeds_is_found_by_who_still_sends_to_its_earlier_life() {
    let mut net = cluster(5, 3);
    net.run(secs(10));
    net.start(SwimConfig { seeds: Vec::new(), ..config(1) });
    net.run(secs(3));
    assert!(net.is_complete());
    // The others asked neither a seed nor their failure detector.
    assert!(net.events(address(2)).iter().all(|event| !matches!(event, MembershipEvent::Down { .. })));
}

#[test]
fn all_that_restart_at_once_find_each_other() {
    let mut net = cluster(6, 4);
    for _ in 0..5 {
        for number in 1..=4 {
            net.start(config(number));
        }
        net.run(secs(30));
        assert!(net.is_complete());
    }
}

#[test]
fn halves_come_together_again_even_if_they_forgot_each_other() {
    for forget in [secs(24 * 60 * 60), secs(60)] {
        let mut net = Net::new(7);
        for number in 1..=6 {
            let mut config = config(number);
            config.timings.forget_down_after = forget;
            config.seeds = vec![address(1).to_string(), address(2).to_string()];
            net.start(config);
        }
        net.run_until(|net| net.is_complete());
        // The even ones and the odd ones.
        net.cut = Box::new(|from, to| (from.port() ^ to.port()) & 1 == 1);
        net.run(secs(600));
        assert!((1..=6).all(|number| net.members(address(number)).len() == 2));
        net.cut = Box::new(|_, _| false);
        net.run(secs(180));
        assert!(net.is_complete(), "{forget:?}");
    }
}

#[test]
fn two_processes_of_one_name_get_in_each_others_way_seldom() {
    let mut net = cluster(8, 3);
    let twin = SwimConfig { name: name(3).as_str().into(), ..config(4) };
    net.start(twin);
    net.run(secs(300));
    let rejoins = |net: &Net| net.stats(address(3)).rejoins + net.stats(address(4)).rejoins;
    let before = rejoins(&net);
    net.run(secs(600));
    let after = rejoins(&net);
    assert!(before > 2 && after - before <= 2 * 600 / 30, "{before} {after}");
    assert_eq!(net.members(address(1)), [name(2), name(3)]);
}

#[test]
fn one_that_comes_back_and_hears_nobody_misses_the_others() {
    let mut net = cluster(9, 3);
    // Nobody hears it, and so it is told that it is down.
    net.cut = Box::new(|from, _| from == address(3));
    net.run_until(|net| net.stats(address(3)).rejoins == 1);
    net.cut = Box::new(|from, to| [from, to].contains(&address(3)));
    net.flying.clear();
    net.run(secs(60));
    assert_eq!(net.members(address(3)), [""; 0]);
    net.cut = Box::new(|_, _| false);
    net.run(secs(120));
    assert!(net.is_complete());
}

#[test]
fn a_hello_that_was_answered_uses_up_no_attempts_of_the_next_one() {
    let mut net = Net::new(10);
    net.start(SwimConfig { seeds: Vec::new(), ..config(1) });
    net.run(secs(10));
    // The first is answered at once, as it were, and nobody is there for the second.
    let now = net.now;
    let node = net.node(address(1));
    node.say_hello(now, address(9));
    node.hellos.end(address(9), BootId::UNKNOWN);
    node.say_hello(now, address(9));
    net.collect(address(1));
    assert_eq!(net.sent.len(), 2);
    let mut times = Vec::new();
    while net.step(now + secs(60)) {
        let sent = net.sent.len() - 2;
        times.resize(sent, net.now.checked_sub(now).unwrap().as_millis());
    }
    assert_eq!(times, [250, 750, 1_750]);
}
