//! What strangers send, with recordings of what members sent.

use super::{Net, Packet, address, cluster, config, digest, secs, test};
use crate::cluster_name::ClusterName;
use crate::swim::boot_id::BootId;
use crate::swim::config::SwimConfig;
use crate::swim::contents::encode_hello;
use crate::swim::header::{HELLO_BYTES, Kind};
use crate::swim::key::{ClusterKey, ClusterKeys};
use crate::swim::refusal::DatagramRefusalReason::{self, *};
use crate::swim::seal::Sealer;
use crate::swim::tests::SeededEntropy;

const REASONS: [DatagramRefusalReason; 13] = [
    Length,
    OtherVersion,
    UnknownKind,
    OtherCluster,
    NotOpened,
    Replayed,
    TooOld,
    NoSession,
    Unasked,
    OwnEcho,
    Malformed,
    TooMany,
    NoRoom,
];

fn refused(net: &Net, number: u16) -> u64 {
    REASONS.iter().map(|&reason| net.stats(address(number)).refused.count(reason)).sum()
}

/// Hands over a datagram and returns why it was refused, and how many bytes were sent because of it.
fn hand_over(net: &mut Net, packet: &Packet) -> (Option<DatagramRefusalReason>, usize) {
    let (before, sent) = (net.stats(packet.to), net.sent.len());
    net.deliver(packet.clone());
    let after = net.stats(packet.to);
    let reason = (before.refused != after.refused).then(|| after.last_refusal.unwrap().reason);
    if let Some(reason) = reason {
        assert_eq!(after.refused.count(reason), before.refused.count(reason) + 1);
    }
    let answers = net.sent.split_off(sent);
    (reason, answers.iter().map(|answer| answer.bytes.len()).sum())
}

fn is_hello(packet: &Packet) -> bool {
    packet.bytes[1] == Kind::Hello as u8
}

#[test]
fn another_cluster_key_stays_out() {
    let mut net = cluster(1, 3);
    net.start(SwimConfig { keys: ClusterKey::new([8; 32]).into(), ..config(4) });
    net.run(secs(120));
    assert!(net.members(address(4)).is_empty());
    assert_eq!(net.members(address(1)), ["node-2", "node-3"]);
    let refused = net.stats(address(1)).refused;
    assert!(refused.not_opened > 0 && refused.length == 0, "{refused:?}");
}

#[test]
fn another_cluster_with_the_same_key_stays_out_and_both_names_are_told() {
    let mut net = cluster(11, 3);
    let staging = ClusterName::new("staging").unwrap();
    net.start(SwimConfig { cluster: staging.clone(), ..config(4) });
    net.start(SwimConfig { cluster: staging, seeds: vec![address(4).to_string()], ..config(5) });
    net.run(secs(120));
    assert_eq!(net.members(address(1)), ["node-2", "node-3"]);
    assert_eq!(net.members(address(4)), ["node-5"]);
    let stats = net.stats(address(1));
    let told = stats.last_refusal.unwrap().to_string();
    assert!(stats.refused.other_cluster > 0 && stats.refused.not_opened == 0, "{:?}", stats.refused);
    assert!(["test", "staging", "give both one name"].iter().all(|word| told.contains(word)), "{told}");
}

#[test]
fn a_key_is_changed_in_three_steps_and_not_in_one() {
    let keys = |bytes: &[u8]| {
        let mut keys = bytes.iter().map(|&byte| ClusterKey::new([byte; 32]));
        ClusterKeys::new(keys.next().unwrap(), keys)
    };
    for (steps, stays_whole) in [(&[&[7, 9][..], &[9, 7], &[9]][..], true), (&[&[9]], false)] {
        let mut net = cluster(12, 3);
        (1..=3).for_each(|number| drop(net.events(address(number))));
        for step in steps {
            for number in 1..=3 {
                net.node(address(number)).set_keys(keys(step));
                net.run(secs(30));
            }
        }
        let refused: u64 = (1..=3).map(|number| net.stats(address(number)).refused.not_opened).sum();
        let events = (1..=3).map(|number| net.events(address(number)).len()).sum::<usize>();
        assert_eq!((refused == 0, events == 0), (stays_whole, stays_whole), "{steps:?}: {refused} {events}");
    }
}

#[test]
fn what_is_not_whole_is_refused() {
    let mut net = cluster(2, 2);
    net.run(secs(10));
    let data = net.sent.iter().rfind(|packet| packet.to == address(2)).unwrap().clone();
    let mut changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = data.clone();
        change(&mut packet.bytes);
        let (reason, answered) = hand_over(&mut net, &packet);
        assert!(answered <= packet.bytes.len(), "{packet:?}");
        reason
    };
    for end in 0..data.bytes.len() {
        let reason = if end < 58 { Length } else { NotOpened };
        assert_eq!(changed(&|bytes| bytes.truncate(end)), Some(reason), "{end}");
    }
    for bit in 16..data.bytes.len() * 8 {
        assert_eq!(changed(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8)), Some(NotOpened), "{bit}");
    }
    assert_eq!(changed(&|bytes| bytes[0] = 1), Some(OtherVersion));
    assert_eq!(changed(&|bytes| bytes[1] = 6), Some(UnknownKind));
    for kind in [1, 2, 3, 5] {
        assert_eq!(changed(&|bytes| bytes[1] = kind), Some(NotOpened), "{kind}");
    }
    assert_eq!(changed(&|bytes| bytes.resize(1_232, 0)), Some(NotOpened));
    assert_eq!(changed(&|bytes| bytes.resize(1_233, 0)), Some(Length));
    assert_eq!(changed(&|_| ()), Some(Replayed));
}

#[test]
fn recordings_change_nothing_in_the_same_life() {
    let mut net = cluster(3, 3);
    net.run(secs(100));
    (1..=3).for_each(|number| drop(net.events(address(number))));
    net.flying.clear();
    let recorded = net.sent.clone();
    // What overtook its sender's introduction was not taken then, and is taken now.
    let taken = recorded.iter().filter(|packet| hand_over(&mut net, packet).0.is_none()).count();
    assert!(taken < 10, "{taken}");
    for packet in recorded {
        let (reason, answered) = hand_over(&mut net, &packet);
        let expected = match packet.bytes[1] {
            // Introductions are refused for what they answer, before anything else is looked at.
            2 | 3 => matches!(reason, Some(Replayed | TooOld | Unasked)),
            _ => matches!(reason, Some(Replayed | TooOld)),
        };
        assert!(expected, "{reason:?} {packet:?}");
        assert_eq!(answered, 0);
        // To somebody else it is nothing, or a hello that was never meant for it.
        let other = Packet { to: address(1 + (packet.to.port() - 7_000) % 3), ..packet };
        let (reason, answered) = hand_over(&mut net, &other);
        assert!(matches!(reason, Some(NotOpened | OwnEcho | Replayed | TooOld)) || is_hello(&other), "{reason:?}");
        assert!(answered <= other.bytes.len());
    }
    net.run(secs(1));
    assert!((1..=3).all(|number| net.events(address(number)).is_empty()));
}

#[test]
fn recordings_change_nothing_in_the_next_life() {
    let mut net = cluster(4, 3);
    net.run(secs(100));
    let recorded: Vec<_> = net.sent.iter().filter(|packet| packet.to == address(2)).cloned().collect();
    net.flying.clear();
    // It restarts, and nobody can be reached.
    net.cut = Box::new(|_, _| true);
    net.start(SwimConfig { seeds: Vec::new(), ..config(2) });
    for packet in recorded {
        net.now += secs(1);
        let (reason, answered) = hand_over(&mut net, &packet);
        assert!(answered <= packet.bytes.len(), "{answered} to {packet:?}");
        let expected = match packet.bytes[1] {
            1 => None,
            5 => Some(Unasked),
            _ => Some(NotOpened),
        };
        assert_eq!(reason, expected, "{packet:?}");
    }
    let stats = net.stats(address(2));
    assert_eq!((stats.sessions, stats.hellos_sent), (0, 0));
    assert!(net.node(address(2)).known.is_empty() && net.events(address(2)).is_empty());
    assert_eq!(net.node(address(2)).foca.iter_membership_state().len(), 0);
}

#[test]
fn recordings_of_an_earlier_life_do_not_bring_it_back() {
    let mut net = cluster(5, 3);
    net.run(secs(100));
    let recorded: Vec<_> = net.sent.iter().filter(|packet| packet.from == address(2)).cloned().collect();
    net.start(config(2));
    net.run(secs(30));
    (1..=3).for_each(|number| drop(net.events(address(number))));
    net.flying.clear();
    for packet in recorded {
        let (reason, answered) = hand_over(&mut net, &packet);
        assert!(answered <= packet.bytes.len());
        let harmless = matches!(reason, Some(NoSession | Unasked)) || is_hello(&packet);
        assert!(harmless, "{reason:?} {packet:?}");
        net.now += secs(1);
    }
    assert!([1, 3].iter().all(|&number| net.events(address(number)).is_empty()));
    let members = net.nodes[&address(1)].shared.mailbox.members();
    assert_eq!(members[0].generation, 2, "{members:?}");
}

#[test]
fn answers_to_strangers_are_no_longer_than_what_they_answer_and_few() {
    let mut net = cluster(6, 2);
    let hello = net.sent.iter().find(|packet| is_hello(packet)).unwrap().clone();
    assert_eq!(hello.bytes.len(), HELLO_BYTES);
    let data = net.sent.iter().rfind(|packet| packet.to == address(1)).unwrap().clone();
    let asker = net.node(address(2)).foca.identity().clone();
    // Node 1 restarts without knowing anybody; there is more to announce than fits into a reply.
    let mut config = SwimConfig { seeds: Vec::new(), ..config(1) };
    config.limits.max_replies_per_second = 10;
    config.limits.max_notices_per_second = 5;
    net.cut = Box::new(|_, _| true);
    net.flying.clear();
    net.start(config);
    for space in 0..60 {
        net.nodes[&address(1)].shared.announcements.set(space, digest(1)).unwrap();
    }
    net.now += secs(10);
    // A hundred hellos, each of another life.
    let hellos = (100..200_u64).map(|boot| {
        let boot = BootId(boot.to_be_bytes());
        let mut asker = asker.clone();
        asker.boot = boot;
        let entropy = Box::new(SeededEntropy::new(1));
        let mut sealer = Sealer::new(&ClusterKey::new([7; 32]).into(), test(), boot, entropy).unwrap();
        let bytes = sealer.seal(Kind::Hello, BootId::UNKNOWN, &encode_hello(&test(), &asker)).unwrap();
        Packet { bytes, ..hello.clone() }
    });
    for (packets, limit, full) in [(hellos.collect(), 10, TooMany), (vec![data; 100], 5, NotOpened)] {
        let answers: Vec<_> = packets.iter().map(|packet| hand_over(&mut net, packet)).collect();
        assert!(answers.iter().zip(&packets).all(|((_, bytes), packet)| *bytes <= packet.bytes.len()));
        assert_eq!(answers.iter().filter(|(_, bytes)| *bytes > 0).count(), limit);
        assert_eq!(answers[99], (Some(full), 0));
    }
    assert_eq!(refused(&net, 1), 190);
    // A recording is replied to once, and uses up nothing that those who join need.
    net.now += secs(10);
    let answers: Vec<_> = (0..100).map(|_| hand_over(&mut net, &hello)).collect();
    assert_eq!((answers[0].0, answers[0].1 > 0), (None, true));
    assert!(answers[1..].iter().all(|answer| *answer == (Some(Replayed), 0)));
}

#[test]
fn a_notice_makes_nobody_say_hello_to_strangers() {
    let mut net = cluster(7, 2);
    net.run(secs(10));
    // Node 2 restarts, and tells node 1 that it could not open what was meant for its earlier life.
    net.start(SwimConfig { seeds: Vec::new(), ..config(2) });
    let sent = net.sent.len();
    net.run_until(|net| net.sent[sent..].iter().any(|packet| packet.bytes[1] == Kind::Lost as u8));
    let notice = net.sent.last().unwrap().clone();
    assert_eq!(notice.bytes.len(), 58);
    let moved = Packet { from: address(77), ..notice };
    assert_eq!(hand_over(&mut net, &moved), (Some(Unasked), 0));
    net.run(secs(1));
    assert!(net.is_complete(), "the notice itself has led to a new session");
    assert_eq!(hand_over(&mut net, &moved).0, Some(Replayed));
}

#[test]
fn hellos_that_are_sent_back_keep_nobody_from_its_seeds() {
    let mut net = Net::new(8);
    net.start(config(1));
    net.start(config(2));
    let mut seen = 0;
    net.run_until(|net| {
        let new: Vec<_> = net.sent[seen..].iter().filter(|packet| is_hello(packet)).cloned().collect();
        seen = net.sent.len();
        for hello in new {
            // From anywhere, and at once from where it was sent to.
            for from in [address(77), hello.to] {
                let back = Packet { from, to: hello.from, ..hello.clone() };
                assert_eq!(hand_over(net, &back).1, 0);
            }
        }
        net.is_complete()
    });
    assert!(seen > 0);
}

#[test]
fn a_notice_is_heeded_once() {
    let mut net = cluster(9, 3);
    net.run(secs(10));
    net.start(SwimConfig { seeds: Vec::new(), ..config(2) });
    let sent = net.sent.len();
    let is_notice = |packet: &&Packet| packet.bytes[1] == Kind::Lost as u8 && packet.to == address(1);
    net.run_until(|net| net.sent[sent..].iter().any(|packet| is_notice(&packet)));
    let notice = net.sent.iter().rfind(is_notice).unwrap().clone();
    // The life that sent it ends, and with it the session that knows its counters.
    net.start(config(2));
    net.run(secs(60));
    let before = net.stats(address(1)).hellos_sent;
    let copies = 100;
    for _ in 0..copies {
        // As if another member had sent it.
        net.deliver(Packet { from: address(3), ..notice.clone() });
        net.run(secs(1));
    }
    let stats = net.stats(address(1));
    assert!(stats.hellos_sent <= before + 1, "{} hellos", stats.hellos_sent - before);
    assert!(stats.refused.replayed >= copies - 1, "{:?}", stats.refused);
}

#[test]
fn garbage_from_strangers_does_not_use_up_what_peers_are_told() {
    let found_after = |garbage: bool| {
        let mut net = cluster(10, 2);
        net.run(secs(10));
        // Its first seed is silent, and as long as it waits for that it says hello to nobody else.
        let mut restarted = config(2);
        restarted.seeds.insert(0, address(50).to_string());
        restarted.limits.max_pending_hellos = 1;
        net.start(restarted);
        let began = net.now;
        let mut lost = 0;
        while net.members(address(2)).is_empty() {
            if garbage {
                let mut bytes = vec![2; 58];
                bytes[1] = Kind::Data as u8;
                let strangers = Packet { from: address(77), to: address(2), bytes };
                (0..20).for_each(|_| net.deliver(strangers.clone()));
            }
            net.run(std::time::Duration::from_millis(20));
            lost = net.sent.iter().filter(|packet| packet.bytes[1] == Kind::Lost as u8).count();
            assert!(net.now < began + secs(60));
        }
        (net.now.checked_sub(began).unwrap(), lost)
    };
    let (without, _) = found_after(false);
    let (with, lost) = found_after(true);
    assert!(lost > 16, "the strangers' share is used up: {lost}");
    assert!(with <= without + std::time::Duration::from_millis(500), "{with:?} instead of {without:?}");
}
