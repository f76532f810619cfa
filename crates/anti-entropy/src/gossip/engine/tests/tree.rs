//! Pushes that go along a tree: how many there are, how far they come, and what happens when an inner node is gone.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Cluster, Item, name};
use crate::PeerId;
use crate::clock::Now;
use crate::gossip::*;
use crate::replica::{Keyed, LastWriterWins};
use crate::sync::{Frame, SessionConfig};

const NODES: usize = 25;
/// The longest that a frame flies in the tests' network.
const HOP: Duration = Duration::from_millis(5);

/// Nothing but pushes along a tree.
fn config(push_fanout: usize) -> GossipConfig {
    let never = Duration::from_secs(1_000_000);
    let tree = GossipConfig { push_route: PushRoute::Tree, push_fanout, ..GossipConfig::default() };
    GossipConfig { interval: never, min_interval: never, ..tree }
}

fn total(cluster: &Cluster<Item>, counter: fn(&EngineStats) -> u64) -> u64 {
    cluster.engines.values().map(|engine| counter(&engine.stats())).sum()
}

fn sent(cluster: &Cluster<Item>) -> u64 {
    total(cluster, |stats| stats.pushes_sent)
}

/// The nodes from the root of the tree downwards.
pub(super) fn by_rank(nodes: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..nodes).collect();
    all.sort_by_key(|index| tree::rank(&name(*index)));
    all
}

#[test]
fn every_write_reaches_all_with_one_push_each() {
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config(3), 1);
    for (writes, node) in (1..).zip(0..NODES) {
        cluster.write(node, 7, &node.to_string());
        assert!(cluster.run(6 * HOP, Cluster::equal), "three levels up and three down");
        cluster.run(6 * HOP, |_| false);
        assert_eq!(sent(&cluster), writes * 24);
    }
    let counts = |counter| total(&cluster, counter);
    assert_eq!((counts(|stats| stats.pushes_taken), counts(|stats| stats.pushes_seen)), (25 * 24, 0));
    let most = cluster.engines.values().map(|engine| engine.stats().pushes_sent).max().unwrap();
    assert!(most <= 25 * 4, "nobody sends more than to a parent and three children");
    let firsthand = counts(|stats| stats.pushes_sent - stats.pushes_relayed);
    assert!((25..=25 * 4).contains(&firsthand), "{firsthand}");
}

#[test]
fn in_a_star_every_write_is_everywhere_after_two_hops() {
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config(NODES - 1), 1);
    for node in 0..NODES {
        cluster.write(node, 7, &node.to_string());
        assert!(cluster.run(2 * HOP, Cluster::equal));
    }
    assert_eq!(sent(&cluster), 25 * 24);
}

#[test]
fn a_push_that_comes_again_is_not_relayed_again() {
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config(3), 1);
    cluster.repeated_percent = 100;
    cluster.write(4, 1, "value");
    cluster.run(20 * HOP, |_| false);
    assert!(cluster.equal());
    assert_eq!((sent(&cluster), total(&cluster, |stats| stats.pushes_seen)), (24, 24));
}

#[test]
fn a_dead_inner_node_is_routed_around_once_it_is_noticed_and_comes_back() {
    let config = GossipConfig { push_route: PushRoute::Tree, ..GossipConfig::lan() };
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config, 1);
    let ranked = by_rank(NODES);
    // The root: below it are three subtrees that know of each other by it alone.
    let (dead, living) = (ranked[0], &ranked[1..]);
    cluster.split(&[dead], living);
    let noticed =
        |cluster: &mut Cluster<Item>| living.iter().all(|node| cluster.engine(*node).peers[&name(dead)].is_silent());
    assert!(cluster.run(Duration::from_secs(600), noticed), "everybody tries it at some time");
    for node in living {
        let before = sent(&cluster);
        cluster.write(*node, 1, &node.to_string());
        let all_have_it =
            |cluster: &mut Cluster<Item>| living.iter().all(|other| cluster.value(*other, 1) == Some(node.to_string()));
        assert!(cluster.run(6 * HOP, all_have_it));
        assert_eq!(sent(&cluster) - before, 23);
    }
    cluster.cut.clear();
    let found = |cluster: &mut Cluster<Item>| {
        cluster.equal() && cluster.engines.values().all(|engine| engine.peers.values().all(|peer| !peer.is_silent()))
    };
    assert!(cluster.run(Duration::from_secs(1_200), found));
    let before = sent(&cluster);
    cluster.write(dead, 2, "back");
    assert!(cluster.run(6 * HOP, Cluster::equal));
    assert_eq!(sent(&cluster) - before, 24);
}

#[test]
fn what_a_session_brought_before_its_push_is_relayed_all_the_same() {
    let delay = 10 * HOP;
    let mut cluster = Cluster::new(5, &LastWriterWins, &GossipConfig { push_delay: delay, ..config(4) }, 1);
    let ranked = by_rank(5);
    let (root, writer) = (ranked[0], ranked[4]);
    for (key, relayed) in [(1, 3), (2, 6)] {
        cluster.write(writer, key, "value");
        let now = cluster.now;
        assert!(cluster.engine(root).sync_now(&name(writer), now));
        let has_it = |cluster: &mut Cluster<Item>| cluster.value(root, key).is_some();
        assert!(cluster.run(9 * HOP, has_it), "the session is faster than the push");
        assert!(cluster.run(3 * delay, Cluster::equal), "the others know of it by pushes alone");
        cluster.run(3 * delay, |_| false);
        assert_eq!(cluster.engine(root).stats().pushes_seen, u64::from(key));
        assert_eq!(total(&cluster, |stats| stats.pushes_relayed), relayed);
    }
}

#[test]
fn whoever_does_not_know_its_name_pushes_directly() {
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config(3), 1);
    cluster.engines.values_mut().for_each(|engine| engine.set_name(None));
    cluster.write(0, 1, "value");
    cluster.run(10 * HOP, |_| false);
    assert_eq!((sent(&cluster), total(&cluster, |stats| stats.pushes_taken)), (3, 3));
}

#[cfg(feature = "std")]
#[test]
fn a_name_that_was_told_counts_more_than_the_transport_s() {
    let mut cluster: Cluster<Item> = Cluster::new(2, &LastWriterWins, &config(3), 1);
    cluster.engine(0).suggest_name(Some(name(7)));
    assert_eq!(cluster.engine(0).pushing.name(), Some(&name(0)));
    cluster.engine(0).set_name(None);
    cluster.engine(0).suggest_name(Some(name(7)));
    assert_eq!(cluster.engine(0).pushing.name(), Some(&name(7)));
}

/// To whom a write goes now.
fn targets(engine: &mut Engine<Item>, now: Now) -> BTreeSet<PeerId> {
    let mut targets = BTreeSet::new();
    engine.write(Keyed::new(1, "value".to_string()), now).unwrap();
    loop {
        match engine.poll_output(now) {
            EngineOutput::Send { to, .. } => assert!(targets.insert(to)),
            EngineOutput::Event(_) => {}
            EngineOutput::Wait(_) => return targets,
        }
    }
}

#[test]
fn the_tree_follows_the_peers_that_there_are() {
    let mut cluster = Cluster::new(5, &LastWriterWins, &config(1), 1);
    let (now, ranked) = (cluster.now, by_rank(5));
    let at = |rank: usize| name(ranked[rank]);
    let engine = cluster.engine(ranked[2]);
    assert_eq!(targets(engine, now), [at(1), at(3)].into());
    engine.remove_peer(&at(1));
    assert_eq!(targets(engine, now), [at(0), at(3)].into());
    engine.add_peer(at(1), None);
    assert_eq!(targets(engine, now), [at(1), at(3)].into());
    engine.set_name(Some(at(4)));
    assert_eq!(targets(engine, now), [at(3)].into(), "there is nobody of the earlier name");
}

/// The frames that an engine sends now, and to whom.
fn frames(engine: &mut Engine<Item>, now: Now) -> Vec<(PeerId, Vec<u8>)> {
    let output = core::iter::from_fn(|| match engine.poll_output(now) {
        EngineOutput::Send { to, frame } => Some(Some((to, frame))),
        EngineOutput::Event(_) => Some(None),
        EngineOutput::Wait(_) => None,
    });
    output.flatten().collect()
}

#[test]
fn what_is_relayed_is_what_came() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &config(1), 1);
    let (now, ranked) = (cluster.now, by_rank(3));
    cluster.write(ranked[0], 1, "value");
    let first = frames(cluster.engine(ranked[0]), now);
    cluster.engine(ranked[1]).handle_frame(&name(ranked[0]), &first[0].1, now);
    let second = frames(cluster.engine(ranked[1]), now);
    let payload =
        |frames: &[(PeerId, Vec<u8>)]| Frame::decode(&frames[0].1, &SessionConfig::default()).unwrap().payload.to_vec();
    assert_eq!((first.len(), second.len(), &second[0].0), (1, 1, &name(ranked[2])));
    assert_eq!(payload(&first), payload(&second));
    let stats = cluster.engine(ranked[1]).stats();
    assert_eq!((stats.pushes_sent, stats.pushes_relayed), (1, 1));
    assert_eq!(stats.value_bytes_sent, "value".len() as u64 + 1);
}

/// What an engine with so many neighbours relays of a write of so many bytes.
fn relayed(config: &GossipConfig, bytes: usize) -> EngineStats {
    let ranked = by_rank(NODES);
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &GossipConfig { push_fanout: 24, ..config.clone() }, 1);
    let (now, hub) = (cluster.now, ranked[0]);
    cluster.engine(ranked[1]).config = self::config(24);
    cluster.write(ranked[1], 1, &"x".repeat(bytes));
    let frame = frames(cluster.engine(ranked[1]), now).remove(0).1;
    cluster.engine(hub).handle_frame(&name(ranked[1]), &frame, now);
    frames(cluster.engine(hub), now);
    cluster.engine(hub).stats()
}

#[test]
fn relays_keep_to_the_limits() {
    let stats = relayed(&GossipConfig { max_queued_pushes: 5, ..config(24) }, 10);
    assert_eq!((stats.pushes_taken, stats.pushes_relayed, stats.pushes_dropped), (1, 5, 18));
    let session = SessionConfig { max_frame_bytes: 512, ..SessionConfig::default() };
    let short_frames = GossipConfig { session, ..config(24) };
    assert_eq!(relayed(&short_frames, 300).pushes_relayed, 23);
    assert_eq!(relayed(&short_frames, 600).pushes_relayed, 0);
    assert_eq!(relayed(&GossipConfig { push: false, ..config(24) }, 10).pushes_relayed, 0);
}

#[test]
fn a_peer_that_is_heard_while_a_session_with_it_times_out_stays_in_the_tree() {
    let mut cluster = Cluster::new(2, &LastWriterWins, &config(3), 1);
    let start = cluster.now;
    // As with a peer that was started anew, and knows nothing of the session.
    cluster.engine(0).sync_now(&name(1), start);
    frames(cluster.engine(0), start);
    cluster.write(1, 1, "value");
    let push = frames(cluster.engine(1), start).remove(0).1;
    for (heard, silent) in [(true, false), (false, true)] {
        let timed_out = start.after(SessionConfig::default().idle_timeout * if heard { 1 } else { 3 });
        if heard {
            cluster.engine(0).handle_frame(&name(1), &push, start.after(Duration::from_secs(5)));
        } else {
            let since = start.after(SessionConfig::default().idle_timeout * 2);
            cluster.engine(0).sync_now(&name(1), since);
            frames(cluster.engine(0), since);
        }
        cluster.engine(0).handle_timeout(timed_out);
        frames(cluster.engine(0), timed_out);
        let peer = &cluster.engine(0).peers[&name(1)];
        let failures = peer.status(&name(1), timed_out.elapsed).failures;
        assert_eq!((failures > 0, peer.is_silent()), (true, silent));
    }
}

#[test]
fn who_has_much_relayed_leaves_room_for_what_others_push() {
    let config = GossipConfig { max_queued_pushes: 60, ..config(24) };
    let ranked = by_rank(NODES);
    let mut cluster = Cluster::new(NODES, &LastWriterWins, &config, 1);
    let (now, hub) = (cluster.now, ranked[0]);
    let pushed = |cluster: &mut Cluster<Item>, by: usize, keys: core::ops::Range<u32>| {
        keys.for_each(|key| cluster.write(by, key, "value"));
        frames(cluster.engine(by), now).remove(0).1
    };
    // Ten from one, each to 23 others, and one from another: the queue of the hub is full after the third.
    let (many, one) = (pushed(&mut cluster, ranked[1], 0..10), pushed(&mut cluster, ranked[2], 10..11));
    cluster.engine(hub).handle_frame(&name(ranked[1]), &many, now);
    assert_eq!((cluster.engine(hub).queued_len(), cluster.engine(hub).stats().pushes_dropped), (60, 230 - 60));
    cluster.engine(hub).handle_frame(&name(ranked[2]), &one, now);
    cluster.write(hub, 11, "value");
    assert_eq!(
        (cluster.engine(hub).queued_len(), cluster.engine(hub).stats().pushes_dropped),
        (60, 230 + 23 + 24 - 60)
    );
    frames(cluster.engine(hub), now);
    let stats = cluster.engine(hub).stats();
    // Even shares at least; who is left with less than that loses none.
    assert_eq!((stats.pushes_sent, stats.pushes_sent - stats.pushes_relayed), (60, 20));
}
