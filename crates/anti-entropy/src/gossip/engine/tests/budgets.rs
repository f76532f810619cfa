//! What one member can fill up for others: places in clocks, limits of messages, memory.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

use super::member::{HOUR, MEMBER, MINUTE, SECOND, by_rounds_alone, honest, replicas, told};
use super::{Cluster, Item, name};
use crate::KeyHash;
use crate::clock::{Dot, Now, ReplicaId, Tally};
use crate::gossip::*;
use crate::replica::{Error, Keyed, LastWriterWins, ReplicaConfig};
use crate::summary::{Root, Width};
use crate::sync::session::{encode_push, encode_push_frame};
use crate::sync::wire::message::{Filled, Open, Request, Seen, State};
use crate::sync::wire::{Header, Push};
use crate::sync::{Frame, FrameKind, SessionConfig};

/// A frame with the first write of a replica that does not exist: a delete of what another one wrote.
fn invented(of: u128, seen: Dot) -> Vec<u8> {
    let dot = Dot { replica: ReplicaId::from_u128(of), counter: 1 };
    let push = Push { key: KeyHash::from_u128(of << 64), dot, seen: alloc::vec![seen], write: None };
    let config = SessionConfig::default();
    encode_push_frame(&encode_push(&push, &config).unwrap(), &config)
}

/// The member pushes first writes of these replicas to one node.
fn invent(cluster: &mut Cluster<Item>, at: usize, of: core::ops::Range<u128>) {
    let now = cluster.now;
    let seen = Dot { replica: cluster.engine(at).replica.id(), counter: 1 };
    for of in of {
        cluster.engine(at).handle_frame(&name(MEMBER), &invented(of, seen), now);
    }
}

/// A node takes in the first write of a replica that does not exist, whoever sent it.
fn take_in(cluster: &mut Cluster<Item>, node: usize, of: u128, seen: Dot, now: Now) {
    let frame = invented(of, seen);
    let frame = Frame::decode(&frame, &SessionConfig::default()).unwrap();
    let push = postcard::from_bytes::<Push>(frame.payload).unwrap();
    cluster.engine(node).replica.receive_push(push, now).unwrap();
}

#[test]
fn ids_that_take_next_to_nothing_do_not_push_out_the_limits_that_count() {
    let mut cluster = honest(1, &by_rounds_alone());
    let replica = &mut cluster.engine(0).replica;
    let floor = u64::try_from(replica.config().min_peer_message_bytes).unwrap();
    replica.note_peer_limit(7, floor + 1);
    assert!(replica.least_peer_limit().is_some());
    (100..1200).for_each(|id| replica.note_peer_limit(id, 1));
    replica.note_peer_limit(7, floor + 1);
    assert!(replica.least_peer_limit().is_some(), "the honest peer's limit is forgotten");
}

#[test]
fn a_node_whose_limit_was_raised_no_longer_limits_the_writes_of_others() {
    let limits = ReplicaConfig { min_peer_message_bytes: 1000, max_value_bytes: 10_000, ..ReplicaConfig::default() };
    let small = |bytes| {
        let session =
            SessionConfig { max_message_bytes: bytes, batch_bytes: 10, answer_bytes: 10, ..SessionConfig::default() };
        GossipConfig { session, ..by_rounds_alone() }
    };
    let mut cluster = honest(2, &by_rounds_alone());
    cluster.engine(0).set_limits(limits.clone(), small(1 << 20)).unwrap();
    cluster.engine(1).set_limits(limits, small(20_000)).unwrap();
    cluster.write(0, 1, "one");
    cluster.converge(10 * MINUTE);
    let now = cluster.now;
    // Three versions of 9,000 bytes.
    let wide = |engine: &mut Engine<Item>| {
        let nothing = engine.replica().read(&6).unwrap().seen();
        (0..3).try_for_each(|_| engine.write_seen(Keyed::new(6, "x".repeat(9_000)), &nothing, now).map(drop))
    };
    assert!(matches!(wide(cluster.engine(0)), Err(Error::EntryTooLong { .. })));
    // The operator takes that node out.
    cluster.engine(0).remove_peer(&name(1));
    let written = wide(cluster.engine(0));
    assert!(written.is_ok(), "nobody is left who takes less: {}", written.unwrap_err());
}

#[test]
fn what_a_member_invents_is_not_charged_to_the_honest_peer_that_hands_it_on() {
    // 0 is in the middle; 1 and 3 reach the others by it alone.
    let mut cluster = honest(4, &by_rounds_alone());
    cluster.split(&[1], &[3]);
    (0..2).for_each(|node| cluster.write(node, u32::try_from(node).unwrap(), "mine"));
    cluster.run(5 * MINUTE, |_| false);
    invent(&mut cluster, 0, 1000..1512);
    cluster.run(5 * MINUTE, |_| false);
    let before = replicas(&mut cluster, 1);
    // A node writes for the first time, and the one in the middle goes on.
    cluster.write(3, 3, "a new writer");
    cluster.run(2 * MINUTE, |_| false);
    cluster.write(0, 7, "an old writer");
    let begun = cluster.now.elapsed;
    let in_time = cluster.run(2 * HOUR, |cluster| cluster.value(1, 7).is_some());
    let took = cluster.now.elapsed.saturating_sub(begun);
    assert!(in_time && took < 10 * MINUTE, "{before} replicas before; it took {took:?}");
}

#[test]
fn a_member_that_waits_for_an_hour_does_not_take_all_places_at_once_either() {
    let mut cluster = honest(2, &GossipConfig::default());
    (0..2).for_each(|node| cluster.write(node, u32::try_from(node).unwrap(), "mine"));
    invent(&mut cluster, 0, 1..2);
    cluster.run(HOUR + MINUTE, |_| false);
    invent(&mut cluster, 0, 1000..2100);
    let (took, limits) = (replicas(&mut cluster, 0), cluster.engine(0).replica.config().clone());
    assert!(
        took <= limits.new_replicas_per_hour + 10,
        "{took} of {} places within a moment",
        limits.max_clock_replicas
    );
}

#[test]
fn an_opening_has_room_for_the_cuts_of_every_context_that_settings_allow() {
    let limits = |pieces| ReplicaConfig::default().with(|config| config.max_context_pieces = pieces);
    let pieces =
        (1..=10_000).rev().filter_map(NonZeroUsize::new).find(|pieces| limits(*pieces).validate().is_ok()).unwrap();
    assert_eq!(pieces.get(), ReplicaConfig::MAX_CONTEXT_PIECES);
    let mut cluster = honest(1, &by_rounds_alone());
    let seen = Seen { root: Root::from_bytes([9; 32]), context: 0 };
    let state = State { seen, filled: Some(Filled { seen, keys: u64::MAX, peer_limit: Some(u64::MAX) }) };
    let cuts = (1..pieces.get() * ReplicaConfig::PIECES_OF_PEERS).map(|cut| KeyHash::from_u128((cut as u128) << 100));
    let (tally, cuts) = (Tally::default(), Some(cuts.collect()));
    let (width, entries, max_cells) = (Width::Short, u64::MAX, u32::MAX);
    let open = Open { schema_id: 0, state, width, cuts, entries, tally, max_cells, own: 9 };
    let message = postcard::to_allocvec(&Request::Open(open)).unwrap();
    let header = Header { kind: FrameKind::Request, session: 5, exchange: 0 };
    let hash: [u8; 32] = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&message)).into();
    let (now, pieces) = (cluster.now, message.chunks(60_000));
    let count = u32::try_from(pieces.len()).unwrap();
    for (index, piece) in (0..).zip(pieces) {
        let frame = header.encode(index, count, &[&hash[..8], piece].concat(), true);
        cluster.engine(0).handle_frame(&name(MEMBER), &frame, now);
    }
    cluster.run(SECOND, |_| false);
    assert!(told(&mut cluster, 0).is_some(), "an opening of {} bytes is refused", message.len());
}

#[test]
fn a_node_whose_first_peer_invents_replicas_can_join_the_others_all_the_same() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &by_rounds_alone(), 1);
    cluster.split(&[0], &[1, 2]);
    cluster.write(0, 1, "honest");
    cluster.write(MEMBER, 2, "the member's");
    let first_of = |engine: &Engine<Item>| Dot { replica: engine.replica.id(), counter: 1 };
    let (seen, honest) = (first_of(cluster.engine(MEMBER)), first_of(cluster.engine(0)));
    let now = cluster.now;
    // Its own replica limits nobody.
    (1000..2020).for_each(|of| take_in(&mut cluster, MEMBER, of, seen, now));
    // Of the honest nodes there were ten at some time.
    (1..10).for_each(|of| take_in(&mut cluster, 0, of, honest, now));
    // The new node, 1, meets the member first.
    cluster.run(5 * MINUTE, |_| false);
    let took_in = replicas(&mut cluster, 1);
    cluster.cut.clear();
    cluster.split(&[MEMBER], &[0, 1]);
    let joined = cluster.run(24 * HOUR, |cluster| cluster.value(1, 1).is_some());
    let written = {
        let now = cluster.now;
        cluster.engine(1).write(Keyed::new(3, "new".to_string()), now).err().map(|error| error.to_string())
    };
    assert!(joined, "a day later, with {took_in} replicas from the member; {written:?}");
}

#[test]
fn a_new_node_takes_in_at_once_what_two_peers_name() {
    let mut cluster = Cluster::new(3, &LastWriterWins, &by_rounds_alone(), 1);
    cluster.split(&[2], &[0, 1]);
    cluster.write(0, 1, "one");
    let seen = Dot { replica: cluster.engine(0).replica.id(), counter: 1 };
    let now = cluster.now;
    (1000..1900).for_each(|of| take_in(&mut cluster, 0, of, seen, now));
    // 1 has seen nobody's writes either, and waits for a second peer in vain.
    assert!(!cluster.run(8 * MINUTE, |cluster| cluster.value(1, 1).is_some()));
    assert!(cluster.run(12 * MINUTE, |cluster| cluster.value(1, 1).is_some()));
    cluster.cut.clear();
    let begun = cluster.now.elapsed;
    assert!(cluster.run(HOUR, |cluster| cluster.value(2, 1).is_some()));
    let took = cluster.now.elapsed.saturating_sub(begun);
    assert!(took < 5 * MINUTE, "it took {took:?}");
}

#[test]
fn two_nodes_exchange_their_own_whatever_replicas_a_member_invents_at_each() {
    let mut cluster = honest(2, &GossipConfig::default());
    (0..2).for_each(|node| cluster.write(node, u32::try_from(node).unwrap(), "mine"));
    cluster.split(&[0], &[1]);
    invent(&mut cluster, 0, 1000..1512);
    invent(&mut cluster, 1, 2000..2512);
    cluster.write(0, 7, "written during the minute in which they were parted");
    cluster.run(MINUTE, |_| false);
    cluster.cut.clear();
    let have = |cluster: &mut Cluster<Item>| cluster.value(1, 7).is_some() && cluster.value(0, 1).is_some();
    let in_time = cluster.run(10 * MINUTE, have);
    let (named, now) = ([replicas(&mut cluster, 0), replicas(&mut cluster, 1)], cluster.now);
    let failures: Vec<u32> = cluster.engine(0).status(now).peers.iter().map(|peer| peer.failures).collect();
    assert!(in_time, "ten minutes later: {named:?} replicas, failures {failures:?}");
}

#[test]
fn several_nodes_take_in_what_a_member_invents_at_each_since_two_of_them_name_it() {
    let honest_nodes = [0, 1, 3, 4];
    let mut cluster = honest(5, &GossipConfig::default());
    for one in honest_nodes {
        cluster.split(&[one], &honest_nodes);
    }
    for (node, first) in honest_nodes.into_iter().zip((1_000..).step_by(1_000)) {
        cluster.write(node, u32::try_from(node).unwrap(), "mine");
        invent(&mut cluster, node, first..first + 600);
        // An equal part of all places.
        assert_eq!(replicas(&mut cluster, node), 1 + 1024 / 5);
    }
    cluster.cut.clear();
    let in_time = cluster.run(HOUR, |cluster| honest_nodes.iter().all(|node| replicas(cluster, *node) == 4 + 4 * 204));
    let named = honest_nodes.map(|node| replicas(&mut cluster, node));
    assert!(in_time, "an hour later: {named:?}");
}

#[test]
fn a_node_that_takes_short_messages_only_is_told_clocks_of_a_thousand_replicas() {
    for bytes in [64 << 10, 28_000, 20_000] {
        let session = SessionConfig {
            max_message_bytes: bytes,
            batch_bytes: bytes / 4,
            answer_bytes: bytes / 4,
            ..SessionConfig::default()
        };
        let mut cluster = honest(2, &by_rounds_alone());
        let limits = ReplicaConfig { max_value_bytes: 1000, ..ReplicaConfig::default() };
        cluster.engine(1).set_limits(limits, GossipConfig { session, ..by_rounds_alone() }).unwrap();
        cluster.write(0, 1, "one");
        let seen = Dot { replica: cluster.engine(0).replica.id(), counter: 1 };
        let now = cluster.now;
        (1000..1900).for_each(|of| take_in(&mut cluster, 0, of, seen, now));
        let in_time = cluster.run(HOUR, |cluster| cluster.value(1, 1).is_some());
        assert!(in_time, "with messages of {bytes} bytes");
    }
}

#[test]
fn more_siblings_than_are_written_converge_and_are_resolved() {
    let mut cluster = honest(2, &GossipConfig::default());
    let limits = ReplicaConfig { max_siblings: 100, ..ReplicaConfig::default() };
    cluster.split(&[0], &[1]);
    let now = cluster.now;
    for node in 0..2 {
        cluster.engine(node).set_limits(limits.clone(), GossipConfig::default()).unwrap();
        let nothing = cluster.engine(node).replica.read(&7).unwrap().seen();
        for value in 0..100 {
            cluster.engine(node).write_seen(Keyed::new(7, value.to_string()), &nothing, now).unwrap();
        }
    }
    cluster.cut.clear();
    cluster.converge(HOUR);
    assert_eq!(cluster.engine(0).replica.read(&7).unwrap().siblings().len(), 200);
    cluster.write(0, 7, "resolved");
    cluster.converge(HOUR);
    assert_eq!(cluster.value(1, 7).as_deref(), Some("resolved"));
}
