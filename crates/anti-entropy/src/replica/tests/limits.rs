//! Every limit of a replica's configuration is reached, and holds.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use crate::clock::{Dot, Now, Timestamp, WriterPolicy};
use crate::refusal::Refusal;
use crate::replica::*;
use crate::sync::transfer::PushOutcome;
use crate::sync::wire::Push;

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
    // A push that names writes of mine that I never made: a new name the first time, then no more.
    let claims = forge(&|push| push.seen.push(dot(victim.id(), 5)));
    let mut again = claims.clone();
    assert_eq!(victim.receive_push(claims, now()).unwrap(), PushOutcome::NotReady);
    assert_ne!(victim.id(), before.2);
    again.seen[0].replica = victim.id();
    let refused = victim.receive_push(again, now()).unwrap();
    assert_eq!(refused, PushOutcome::Rejected(Refusal::ClaimsMyWrites { claimed: 5, made: 0 }));
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
