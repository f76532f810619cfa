//! Who finds whom, and who is missed.

use super::{Net, address, cluster, config, name, secs};
use crate::swim::event::Event;

#[test]
fn all_find_each_other_through_one_seed() {
    let mut net = cluster(1, 5);
    let events = net.events(address(3));
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(events.iter().all(|event| matches!(event, Event::Up { .. })), "{events:?}");
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
        assert_eq!(net.events(address(number)), [Event::Down { peer: name(5).as_str().into() }], "{number}");
    }
    net.leave(address(4));
    net.run(secs(1));
    for number in 1..=3 {
        assert_eq!(net.events(address(number)), [Event::Down { peer: name(4).as_str().into() }], "{number}");
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
            Event::Up { member } | Event::Changed { member } => member.generation == 2,
            _ => false,
        });
        assert!(changed, "{events:?}");
    }
}

#[test]
fn loss_neither_flaps_for_ever_nor_forgets() {
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
            println!("{seed} {number} {:?}", net.stats(address(number)));
        }
    }
}
