//! Every limit of a replica's configuration is reached, and holds.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use crate::KeyRange;
use crate::clock::{Dot, Now, Timestamp, WriterPolicy};
use crate::mutant::{Mutant, with};
use crate::refusal::Refusal;
use crate::replica::tests::disk::Disk;
use crate::replica::*;
use crate::sync::transfer::tests::plan;
use crate::sync::transfer::{Applied, BatchLimits, BatchPlan, PushOutcome};
use crate::sync::wire::{Inventory, Push};

type Item = Keyed<String, Vec<u8>>;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn open(seed: u8, config: ReplicaConfig) -> Replica<Item> {
    let opening = Opening { config, ..Opening::from(Seed::from_bytes([seed; 32])) };
    Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap()
}

fn item(key: &str, bytes: usize) -> Item {
    Keyed::new(key.to_string(), alloc::vec![7; bytes])
}

/// Writes at one replica and hands the push to another.
fn pushed(from: &mut Replica<Item>, to: &mut Replica<Item>, item: Item, time: Now) -> PushOutcome {
    let written = from.write(item, time).unwrap();
    let push = from.push_of(&written).unwrap().unwrap();
    to.receive_push(push, now()).unwrap()
}

/// Joins all that one replica holds at another.
fn send_everything(from: &mut Replica<Item>, to: &mut Replica<Item>) {
    let nothing = Inventory::new();
    let everything = BatchPlan { inline: true, ..plan(KeyRange::ALL, &nothing, BatchLimits::NONE) };
    let batch = from.make_batch(&everything).unwrap();
    let base = to.baseline();
    assert!(matches!(to.apply(batch, &base, now()).unwrap(), Applied::Joined(_)));
}

#[test]
fn long_values_and_keys_are_refused_and_change_nothing() {
    let mut replica = open(1, ReplicaConfig { max_value_bytes: 101, max_key_bytes: 11, ..ReplicaConfig::default() });
    // Postcard puts the length before the bytes.
    replica.write(item("k", 100), now()).unwrap();
    replica.write(item("0123456789", 1), now()).unwrap();
    let before = (replica.root(), replica.context_hash());
    let value = replica.write(item("k", 101), now());
    assert!(matches!(value, Err(Error::ValueTooLong { bytes: 102, limit: 101 })), "{value:?}");
    let key = replica.write(item("01234567890", 1), now());
    assert!(matches!(key, Err(Error::KeyTooLong { bytes: 12, limit: 11 })), "{key:?}");
    let both = replica.commit(Transaction::new().write(item("other", 1)).write(item("k", 101)), now());
    assert!(matches!(both, Err(Error::ValueTooLong { .. })));
    assert_eq!((replica.root(), replica.context_hash()), before);
}

#[test]
fn pushes_of_one_writer_too_many_are_refused() {
    let mut replica = open(1, ReplicaConfig { max_clock_replicas: 3, ..ReplicaConfig::default() });
    replica.write(item("own", 1), now()).unwrap();
    let mut others: Vec<_> = (2..5).map(|seed| open(seed, ReplicaConfig::default())).collect();
    for other in &mut others[..2] {
        assert_eq!(pushed(other, &mut replica, item("k", 1), now()), PushOutcome::Taken);
    }
    let before = (replica.root(), replica.context_hash());
    let refused = pushed(&mut others[2], &mut replica, item("k", 1), now());
    assert_eq!(refused, PushOutcome::Rejected(Refusal::TooManyReplicas { replicas: 4, limit: 3 }));
    assert_eq!((replica.root(), replica.context_hash()), before);
    assert_eq!(
        pushed(&mut others[0], &mut replica, item("again", 1), now()),
        PushOutcome::Taken,
        "known writers go on"
    );
}

/// The `life`-th opening of a store, which was not closed before.
fn reopen(disk: &Disk, life: u32, config: ReplicaConfig) -> Replica<Item> {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&life.to_be_bytes());
    let opening = Opening::from(Seed::from_bytes(seed)).with(|opening| opening.config = config);
    Replica::open(disk.clone(), LastWriterWins, opening).unwrap()
}

/// Writes once in each life of a store until that is refused. What was acknowledged is pushed to all peers, which take it.
fn restart_and_write(restarts: u32, peers: &mut [Replica<Item>]) -> (Vec<String>, Option<Error>) {
    let (disk, mut acknowledged) = (Disk::default(), Vec::new());
    for life in 0..restarts {
        let mut writer = reopen(&disk, life, ReplicaConfig::default());
        let key = alloc::format!("{life}");
        let before = (writer.root(), writer.context_hash());
        match writer.write(item(&key, 1), now()) {
            Ok(written) => {
                let push = writer.push_of(&written).unwrap().unwrap();
                for peer in peers.iter_mut() {
                    assert_eq!(peer.receive_push(push.clone(), now()).unwrap(), PushOutcome::Taken, "{key}");
                }
                acknowledged.push(key);
            }
            Err(error) => {
                assert_eq!((writer.root(), writer.context_hash()), before, "nothing is changed");
                return (acknowledged, Some(error));
            }
        }
    }
    (acknowledged, None)
}

#[test]
fn three_nodes_and_1023_crash_restarts_with_a_write_after_each() {
    let mut peers = [open(1, ReplicaConfig::default()), open(2, ReplicaConfig::default())];
    let first = peers[0].write(item("of a peer", 1), now()).unwrap();
    let push = peers[0].push_of(&first).unwrap().unwrap();
    assert_eq!(peers[1].receive_push(push, now()).unwrap(), PushOutcome::Taken);
    let (acknowledged, refused) = restart_and_write(1023, &mut peers);
    assert!(matches!(refused, Some(Error::TooManyReplicas { replicas: 923, limit: 922 })), "{refused:?}");
    for peer in &peers {
        assert!(acknowledged.iter().all(|key| peer.read(key).unwrap().value().is_some()));
        assert_eq!((acknowledged.len(), peer.len()), (922, 923));
    }
    // Who is new and only reads takes in everything.
    let mut reader = open(3, ReplicaConfig::default());
    send_everything(&mut peers[1], &mut reader);
    assert_eq!(reader.root(), peers[1].root());
    // Who writes under a known id goes on.
    let known = peers[0].write(item("again", 1), now()).unwrap();
    let push = peers[0].push_of(&known).unwrap().unwrap();
    assert_eq!(peers[1].receive_push(push, now()).unwrap(), PushOutcome::Taken);
}

#[test]
fn the_same_restarts_lose_writes_where_the_writer_does_not_look_at_its_limit() {
    with(Some(Mutant::OwnIdsBeyondTheLimit), || {
        let mut peer = open(1, ReplicaConfig { max_clock_replicas: 3, ..ReplicaConfig::default() });
        for seed in 2..=4 {
            pushed(&mut open(seed, ReplicaConfig::default()), &mut peer, item("k", 1), now());
        }
        let mut fifth = open(5, ReplicaConfig { max_clock_replicas: 3, ..ReplicaConfig::default() });
        let refused = pushed(&mut fifth, &mut peer, item("lost", 1), now());
        assert!(matches!(refused, PushOutcome::Rejected(Refusal::TooManyReplicas { .. })));
    });
}

#[test]
fn a_limit_is_raised_while_the_replica_runs() {
    let full = || ReplicaConfig { max_clock_replicas: 2, reserved_clock_percent: 0, ..ReplicaConfig::default() };
    let mut replica = open(1, full());
    for seed in 2..=3 {
        pushed(&mut open(seed, full()), &mut replica, item("of others", 1), now());
    }
    replica.watch();
    let refused = replica.write(item("k", 1), now());
    assert!(matches!(refused, Err(Error::TooManyReplicas { replicas: 3, limit: 2 })), "{refused:?}");
    // To delete takes an id as well, unless there is nothing to delete.
    let refused = replica.delete(&"of others".to_string(), now());
    assert!(matches!(refused, Err(Error::TooManyReplicas { .. })), "{refused:?}");
    assert!(replica.delete(&"nothing".to_string(), now()).unwrap().is_none());
    assert!(replica.poll_change().is_none());
    let wrong = replica.set_config(full().with(|config| config.max_clock_replicas = 0)).unwrap_err();
    assert_eq!((wrong.field.as_str(), replica.config()), ("max_clock_replicas", &full()));
    replica.set_config(full().with(|config| config.max_clock_replicas = 3)).unwrap();
    replica.write(item("k", 1), now()).unwrap();
    assert!(replica.poll_change().is_some());
}

#[test]
fn places_are_kept_for_others_that_begin_at_the_same_moment() {
    let config = || ReplicaConfig { max_clock_replicas: 10, reserved_clock_percent: 30, ..ReplicaConfig::default() };
    let mut replicas: Vec<_> = (1..=9).map(|seed| open(seed, config())).collect();
    let (known, racing) = replicas.split_at_mut(6);
    let mut late = open(11, config());
    for writer in known {
        let written = writer.write(item("k", 1), now()).unwrap();
        let push = writer.push_of(&written).unwrap().unwrap();
        for other in racing.iter_mut().chain([&mut late]) {
            assert_eq!(other.receive_push(push.clone(), now()).unwrap(), PushOutcome::Taken);
        }
    }
    let written: Vec<_> = racing.iter_mut().map(|writer| writer.write(item("k", 1), now()).unwrap()).collect();
    let push = |index: usize| racing[index].push_of(&written[index]).unwrap().unwrap();
    let pushes = [push(0), push(1), push(2)];
    for (at, replica) in racing.iter_mut().enumerate() {
        for (from, push) in pushes.iter().enumerate().filter(|(from, _)| *from != at) {
            assert_eq!(replica.receive_push(push.clone(), now()).unwrap(), PushOutcome::Taken, "{from} at {at}");
        }
    }
    // The next one is told.
    for push in pushes {
        assert_eq!(late.receive_push(push, now()).unwrap(), PushOutcome::Taken);
    }
    assert!(matches!(late.write(item("k", 1), now()), Err(Error::TooManyReplicas { replicas: 10, limit: 7 })));
}

#[test]
fn a_listed_writer_takes_a_kept_place_if_there_is_one_for_each_on_the_list() {
    let ids: Vec<_> = (1..=4).map(|seed| open(seed, ReplicaConfig::default()).id()).collect();
    for (most, fits) in [(4, true), (3, false)] {
        let writers = WriterPolicy::AllowList(ids.iter().copied().collect());
        let config =
            ReplicaConfig { max_clock_replicas: most, reserved_clock_percent: 99, writers, ..ReplicaConfig::default() };
        let mut replica = open(1, config);
        for seed in 2..=3 {
            pushed(&mut open(seed, ReplicaConfig::default()), &mut replica, item("k", 1), now());
        }
        assert_eq!(replica.write(item("k", 1), now()).is_ok(), fits, "{most}");
    }
}

#[test]
fn only_listed_writers_write_here() {
    let (mut listed, mut stranger) = (open(2, ReplicaConfig::default()), open(3, ReplicaConfig::default()));
    let writers = WriterPolicy::AllowList([listed.id()].into());
    let mut replica = open(1, ReplicaConfig { writers, ..ReplicaConfig::default() });
    assert_eq!(pushed(&mut listed, &mut replica, item("k", 1), now()), PushOutcome::Taken);
    let refused = pushed(&mut stranger, &mut replica, item("k", 1), now());
    assert_eq!(refused, PushOutcome::Rejected(Refusal::WriterNotAdmitted(stranger.id())));
    assert!(matches!(replica.write(item("k", 1), now()), Err(Error::NotAdmitted)));
    replica.admit(replica.id());
    replica.write(item("k", 1), now()).unwrap();
}

#[test]
fn a_timestamp_too_far_ahead_is_taken_in_and_not_followed() {
    let config = ReplicaConfig { max_clock_skew: Duration::from_secs(1), ..ReplicaConfig::default() };
    let (mut replica, mut ahead) = (open(1, config), open(2, ReplicaConfig::default()));
    let later = |ms| Now { unix_ms: now().unix_ms + ms, ..now() };
    assert_eq!(pushed(&mut ahead, &mut replica, item("a", 1), later(1000)), PushOutcome::Taken);
    assert_eq!((replica.last_timestamp().wall_ms, replica.stats().clock_skews), (now().unix_ms + 1000, 0));
    assert_eq!(pushed(&mut ahead, &mut replica, item("b", 1), later(1001)), PushOutcome::Taken);
    assert_eq!((replica.last_timestamp().wall_ms, replica.stats().clock_skews), (now().unix_ms + 1000, 1));
    assert!(matches!(replica.poll_notice(), Some(Notice::ClockSkew(_))));
    assert_eq!(replica.len(), 2);
}

#[test]
fn a_slow_subscriber_gets_a_notice_in_place_of_what_it_missed() {
    let limit = NonZeroUsize::new(4).unwrap();
    let mut replica = open(1, ReplicaConfig { max_pending_changes: limit, ..ReplicaConfig::default() });
    replica.watch();
    (0..10).for_each(|key| drop(replica.write(item(&key.to_string(), 1), now()).unwrap()));
    let changes: Vec<_> = core::iter::from_fn(|| replica.poll_change()).collect();
    assert_eq!(changes[0], Change::Missed(6));
    assert_eq!(changes.len(), 5);
}

#[test]
fn forged_pushes_are_refused_and_change_nothing() {
    let (mut victim, mut sender) = (open(1, ReplicaConfig::default()), open(2, ReplicaConfig::default()));
    let written = sender.write(item("k", 1), now()).unwrap();
    let honest = sender.push_of(&written).unwrap().unwrap();
    let before = (victim.root(), victim.context_hash(), victim.id());
    let forge = |change: &dyn Fn(&mut Push)| {
        let mut push = honest.clone();
        change(&mut push);
        push
    };
    let dot = |replica, counter| Dot { replica, counter };
    let other_hash = Refusal::Malformed("a key has another hash than is said");
    let no_value = Refusal::Unreadable(honest.key);
    for (what, push, outcome) in [
        (
            "another place",
            forge(&|push| push.key = KeyHash::from_u128(push.key.to_u128() ^ 1 << 120)),
            PushOutcome::Rejected(other_hash),
        ),
        (
            "no dot",
            forge(&|push| push.dot.counter = 0),
            PushOutcome::Rejected(Refusal::Malformed("a write has the number zero")),
        ),
        ("the last dot", forge(&|push| push.dot.counter = u64::MAX), PushOutcome::NotReady),
        ("saw more", forge(&|push| push.seen.push(dot(sender.id(), 9))), PushOutcome::NotReady),
        ("no value", forge(&|push| push.write.as_mut().unwrap().value.body.push(0)), PushOutcome::Rejected(no_value)),
    ] {
        assert_eq!(victim.receive_push(push, now()).unwrap(), outcome, "{what}");
        assert_eq!((victim.root(), victim.context_hash(), victim.id()), before, "{what}");
    }
    // A push that names writes of mine that I never made: a session finds out whether that is so.
    for _ in 0..2 {
        let claims = forge(&|push| push.seen.push(dot(victim.id(), 5)));
        let refused = victim.receive_push(claims, now()).unwrap();
        assert_eq!(refused, PushOutcome::Rejected(Refusal::ClaimsMyWrites { claimed: 5, made: 0 }));
        assert_eq!((victim.root(), victim.context_hash(), victim.id()), before);
    }
    assert_eq!(victim.receive_push(honest.clone(), now()).unwrap(), PushOutcome::Taken);
    assert_eq!(victim.receive_push(honest, now()).unwrap(), PushOutcome::Seen);
}

#[test]
fn the_last_timestamp_does_not_stop_writes() {
    let config = ReplicaConfig { max_clock_skew: Duration::MAX, ..ReplicaConfig::default() };
    let (mut replica, mut ahead) = (open(1, config), open(2, ReplicaConfig::default()));
    let last = Now { unix_ms: Timestamp::MAX.wall_ms, ..now() };
    assert_eq!(pushed(&mut ahead, &mut replica, item("a", 1), last), PushOutcome::Taken);
    replica.write(item("a", 2), now()).unwrap();
    assert_eq!(replica.read(&"a".to_string()).unwrap().siblings().len(), 1);
}

#[test]
fn a_write_that_leaves_too_many_versions_is_refused_and_says_so() {
    let config = || ReplicaConfig { max_siblings: 3, ..ReplicaConfig::default() };
    let (mut replica, mut other) = (open(1, config()), open(2, config()));
    let key = "k".to_string();
    for replica in [&mut replica, &mut other] {
        let nothing = replica.read(&key).unwrap().seen();
        (0..3).for_each(|_| drop(replica.write_seen(item("k", 1), &nothing, now()).unwrap()));
        let before = (replica.root(), replica.context_hash());
        let refused = replica.write_seen(item("k", 1), &nothing, now());
        assert!(matches!(refused, Err(Error::TooManySiblings { siblings: 4, limit: 3, .. })), "{refused:?}");
        assert_eq!((replica.root(), replica.context_hash()), before);
    }
    // Those of two replicas come to more together, which is no reason not to resolve some of them.
    send_everything(&mut other, &mut replica);
    let read = replica.read(&key).unwrap();
    assert_eq!(read.siblings().len(), 6);
    let some = read.seen_where(|version| version.dot.replica == replica.id());
    replica.write_seen(item("k", 2), &some, now()).unwrap();
    assert_eq!(replica.read(&key).unwrap().siblings().len(), 4);
    replica.delete(&key, now()).unwrap();
    replica.write(item("k", 1), now()).unwrap();
}

#[test]
fn a_write_that_is_too_long_for_a_peer_is_refused_unless_the_peer_takes_too_little() {
    let mut replica = open(1, ReplicaConfig { min_peer_message_bytes: 1500, ..ReplicaConfig::default() });
    replica.fit_messages(64 << 20);
    replica.write(item("k", 3000), now()).unwrap();
    // Less than is asked of peers: that one lacks the entry.
    replica.note_peer_limit(8, 1400);
    replica.write(item("k", 3001), now()).unwrap();
    replica.note_peer_limit(7, 2000);
    let refused = replica.write(item("k", 1500), now());
    assert!(matches!(refused, Err(Error::EntryTooLong { limit: 1000, .. })), "{refused:?}");
    replica.write(item("k", 800), now()).unwrap();
    replica.note_peer_limit(7, 1 << 20);
    replica.write(item("k", 3000), now()).unwrap();
}
