//! What a member can do to another one's id: it opens sessions, claims writes and writes batches under it.

use alloc::string::ToString;

use super::member::{HOUR, MEMBER, MINUTE, SECOND, by_rounds_alone, honest, replicas, told};
use super::{Cluster, Item, name};
use crate::clock::{Dot, Now, ReplicaId, Seed, Tally};
use crate::gossip::*;
use crate::refusal::Refusal;
use crate::replica::{Claim, Keyed, LastWriterWins, Life, MemoryStore, Replica};
use crate::summary::{Root, Width};
use crate::sync::session::{encode_push, encode_push_frame};
use crate::sync::transfer::{BatchLimits, BatchPlan, Unreadable};
use crate::sync::wire::message::{BatchRequest, Open, Request, Seen, State, Takes};
use crate::sync::wire::{Batch, BatchBase, Header, Inventory, Push};
use crate::sync::{FrameKind, SessionConfig};
use crate::{KeyHash, KeyRange, PeerId};

/// Opens a session in the member's name, under an id.
fn open_as(cluster: &mut Cluster<Item>, victim: usize, number: u64, own: u64) {
    let state = State { seen: Seen { root: Root::from_bytes([9; 32]), context: 0 }, filled: None };
    let (width, tally) = (Width::Short, Tally::default());
    let open = Open { schema_id: 0, state, width, cuts: None, entries: 1, tally, max_cells: 0, own };
    say(cluster, victim, number, 0, &Request::Open(open));
}

fn say(cluster: &mut Cluster<Item>, victim: usize, session: u64, exchange: u32, request: &Request) {
    let header = Header { kind: FrameKind::Request, session, exchange };
    let frame = header.encode(0, 1, &postcard::to_allocvec(request).unwrap(), true);
    cluster.fly(&name(MEMBER), &name(victim), &frame);
}

#[test]
fn a_member_that_opens_under_anothers_id_does_not_use_up_the_places_of_all() {
    let mut cluster = honest(2, &GossipConfig::default());
    let mut number = 0;
    for second in 0..600 {
        cluster.write(0, second % 50, &second.to_string());
        number += 2;
        open_as(&mut cluster, 0, number, 9);
        cluster.run(SECOND / 2, |_| false);
        if let Some(differs) = told(&mut cluster, 0) {
            open_as(&mut cluster, 0, number + 1, differs.own);
        }
        cluster.run(SECOND / 2, |_| false);
    }
    let now = cluster.now;
    let named = [replicas(&mut cluster, 0), replicas(&mut cluster, 1)];
    let written = cluster.engine(0).write(Keyed::new(1, "after".to_string()), now).is_ok();
    let status = cluster.engine(0).status(now);
    let member = status.peers.iter().find(|peer| peer.peer == name(MEMBER)).unwrap();
    let (failures, renamings) = (member.failures, cluster.engine(0).replica.stats().renamings);
    let most = named.into_iter().max();
    assert!(most < Some(50), "{named:?} replicas, {renamings} renamings, {failures} failures, can write: {written}");
}

/// All that one replica would send of itself to another.
fn batch(sender: &mut Replica<Item>, receiver: &mut Replica<Item>) -> Batch {
    let (mine, theirs) = (sender.summary(), receiver.summary());
    let plan = BatchPlan {
        range: KeyRange::ALL,
        base: BatchBase::Snapshot,
        differences: mine.diff(&theirs).collect(),
        compared: None,
        seen: None,
        inventory: &Inventory::new(),
        inline: true,
        cuts: None,
        limits: BatchLimits::NONE,
        unreadable: &Unreadable::default(),
    };
    sender.make_batch(&plan).unwrap()
}

/// Of two hours in which the first node writes once a minute: how often the second one lacked the write of a minute before,
/// and how many ids the first one took.
fn two_hours(mut member: impl FnMut(&mut Cluster<Item>)) -> (u32, u64) {
    let mut cluster = honest(2, &by_rounds_alone());
    cluster.write(1, 500, "another");
    let mut behind = 0;
    for minute in 0..120_u32 {
        let before = minute.checked_sub(1).map(|before| before.to_string());
        behind += u32::from(before.is_some() && cluster.value(1, 7) != before);
        cluster.write(0, 7, &minute.to_string());
        member(&mut cluster);
        cluster.run(59 * SECOND, |_| false);
    }
    (behind, cluster.engine(0).replica.stats().renamings)
}

#[test]
fn a_member_that_writes_under_anothers_id_does_not_part_that_one_from_its_peers() {
    let alone = two_hours(|cluster| {
        cluster.run(SECOND, |_| false);
    });
    let mut own = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([77; 32])).unwrap();
    let mut life = Life { opening: 10, began_at: u64::MAX };
    let beside = two_hours(|cluster| {
        // It says to the other one that it is the first, in another life.
        let id = cluster.engine(0).replica.id().first_eight();
        life.opening += 1;
        open_as(cluster, 1, life.opening, id);
        cluster.run(SECOND, |_| false);
        let Some(differs) = told(cluster, 1) else { return };
        own.write(Keyed::new(1001, life.opening.to_string()), cluster.now).unwrap();
        let batch = batch(&mut own, &mut cluster.engine(1).replica).whole();
        let takes = Takes { max_message_bytes: 64 << 20, unreadable: [].into() };
        let request = BatchRequest { batch, state: None, claim: Claim::default(), life, takes };
        say(cluster, 1, differs.nonce, 1, &Request::Batch(request));
    });
    assert!(
        beside.0 <= alone.0 + 5 && beside.1 <= 1,
        "writes late, and ids taken: {beside:?}, and {alone:?} without it"
    );
}

/// The member opens a session and claims to have seen 2^40 of the victim's writes.
fn claim(cluster: &mut Cluster<Item>, own: &mut Replica<Item>, victim: usize, number: u64) {
    open_as(cluster, victim, number, 9);
    cluster.run(SECOND, |_| false);
    if let Some(differs) = told(cluster, victim) {
        let batch = batch(own, &mut cluster.engine(victim).replica).whole();
        let takes = Takes { max_message_bytes: 64 << 20, unreadable: [].into() };
        let claim = Claim::of(1 << 40);
        let request = BatchRequest { batch, state: None, claim, life: Life::default(), takes };
        say(cluster, victim, differs.nonce, 1, &Request::Batch(request));
    }
}

fn of_member() -> Replica<Item> {
    let now = Now { unix_ms: 1_700_000_000_000, ..Now::default() };
    let mut own = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([77; 32])).unwrap();
    own.write(Keyed::new(1000, "the member's".to_string()), now).unwrap();
    own
}

#[test]
fn a_member_that_claims_anothers_writes_again_and_again_takes_few_of_the_places_of_all() {
    let (mut cluster, mut own) = (honest(2, &by_rounds_alone()), of_member());
    for step in 0..24 * 60_u64 {
        cluster.write(0, u32::try_from(step % 50).unwrap(), &step.to_string());
        claim(&mut cluster, &mut own, 0, step);
        cluster.run(59 * SECOND, |_| false);
    }
    let renamings = cluster.engine(0).replica.stats().renamings;
    let named = replicas(&mut cluster, 1);
    assert!(named < 30, "{named} replicas and {renamings} renamings in a day");
}

#[test]
fn where_no_new_id_is_left_a_claim_is_refused_until_one_is_and_others_are_not_affected() {
    let (mut cluster, mut own) =
        (honest(2, &by_rounds_alone().with(|config| config.max_renamings_per_day = 1)), of_member());
    let mut number = 0;
    let mut claimed = |cluster: &mut Cluster<Item>| {
        cluster.write(0, 1, &number.to_string());
        claim(cluster, &mut own, 0, number);
        number += 1;
        cluster.run(10 * MINUTE, |_| false);
        cluster.engine(0).replica.stats().renamings
    };
    assert_eq!([claimed(&mut cluster), claimed(&mut cluster), claimed(&mut cluster)], [1, 1, 1]);
    let refused = |(at, event): &(PeerId, Event<u32>)| {
        let is_refused =
            matches!(event, Event::Refused { reason: Refusal::NoNewIdLeft, peer } if *peer == name(MEMBER));
        is_refused && *at == name(0)
    };
    assert_eq!(cluster.events.iter().filter(|event| refused(event)).count(), 2);
    assert_eq!(cluster.value(1, 1).as_deref(), Some("2"));
    assert_eq!(cluster.value(0, 1000), None, "nothing of a session with such a claim is joined");
    cluster.run(24 * HOUR, |_| false);
    assert_eq!([claimed(&mut cluster), claimed(&mut cluster)], [2, 2]);
    assert_eq!(cluster.value(1, 1).as_deref(), Some("4"));
}

#[test]
fn an_id_under_which_nothing_was_written_is_given_up_whatever_is_left() {
    let (mut cluster, mut own) =
        (honest(2, &by_rounds_alone().with(|config| config.max_renamings_per_day = 0)), of_member());
    cluster.write(1, 1, "another");
    claim(&mut cluster, &mut own, 0, 1);
    cluster.run(MINUTE, |_| false);
    assert_eq!(cluster.engine(0).replica.stats().renamings, 1);
    assert_eq!(replicas(&mut cluster, 0), 1);
}

/// The member tells node 1 that node 0 has deleted something, under the name of its next write. Node 3 is told of that write by
/// node 0, and so confirms it, before node 1 says that it knows it for another one.
fn name_used_up_at_one(route: PushRoute) -> (Cluster<Item>, ReplicaId) {
    let config = GossipConfig::default().with(|config| config.push_route = route);
    let mut cluster = honest(4, &config);
    cluster.write(0, 1, "one");
    cluster.run(MINUTE, |_| false);
    let of = cluster.engine(0).replica.id();
    let [seen, dot] = [1, 2].map(|counter| Dot { replica: of, counter });
    let push = Push { key: KeyHash::MIN, dot, seen: [seen].into(), write: None };
    let config = SessionConfig::default();
    let now = cluster.now;
    let lie = encode_push_frame(&encode_push(&push, &config).unwrap(), &config);
    cluster.engine(1).handle_frame(&name(MEMBER), &lie, now);
    cluster.split(&[0, 3], &[1]);
    cluster.write(0, 4, "acknowledged");
    let roots = |cluster: &mut Cluster<Item>| [0, 3].map(|node| cluster.engine(node).replica.root());
    assert!(cluster.run(3 * MINUTE, |cluster| roots(cluster)[0] == roots(cluster)[1]));
    cluster.run(3 * MINUTE, |_| false);
    cluster.cut.clear();
    cluster.converge(HOUR);
    let held = [0, 1, 3].map(|node| cluster.value(node, 4));
    assert!(held.iter().all(|value| value.as_deref() == Some("acknowledged")), "{held:?}");
    (cluster, of)
}

#[test]
fn a_write_whose_name_a_member_has_used_up_at_one_is_written_anew_whoever_else_has_seen_it() {
    let (mut cluster, of) = name_used_up_at_one(PushRoute::Tree);
    assert_ne!(cluster.engine(0).replica.id(), of);
    assert_eq!(cluster.engine(0).replica.conflicts(), 0, "what comes back under the old name is no sibling");
}

#[test]
fn where_writers_push_their_own_writes_a_member_pushes_nothing_in_anothers_name() {
    let (mut cluster, of) = name_used_up_at_one(PushRoute::Direct);
    assert_eq!(cluster.engine(0).replica.id(), of);
}
