//! What a write costs beside many versions: values that are decoded are counted.

use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use std::thread_local;

use serde::{Deserialize, Deserializer, Serialize};

use super::disk::Disk;
use crate::clock::Now;
use crate::replica::*;

thread_local! {
    static DECODED: Cell<usize> = const { Cell::new(0) };
}

/// A value that counts how often one was decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Counted(u32);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.set(DECODED.get() + 1);
        u32::deserialize(deserializer).map(Self)
    }
}

type Item = Keyed<u8, Counted>;

const KEY: u8 = 7;

fn item(value: u32) -> Item {
    Keyed::new(KEY, Counted(value))
}

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn open(store: impl Store + 'static) -> Replica<Item> {
    Replica::open(store, KeepAll, Seed::from_bytes([1; 32])).unwrap()
}

/// What `work` returns, and how many values it decodes.
fn decoded_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = DECODED.get();
    let done = work();
    (done, DECODED.get() - before)
}

/// Writes so many versions, none of which has seen another.
fn write_siblings(replica: &mut Replica<Item>, siblings: u32) {
    let nothing = Seen { key: KeyHash::of_encoded(&[KEY]), dots: Vec::new() };
    for value in 0..siblings {
        replica.write_seen(item(value), &nothing, now()).unwrap();
    }
}

#[test]
fn a_write_decodes_none_of_the_versions_that_it_replaces() {
    let mut replica = open(MemoryStore::new());
    for siblings in [1, 10, 100] {
        write_siblings(&mut replica, siblings);
        // What is written is read back once.
        let (written, decoded) = decoded_by(|| replica.write(item(1000), now()).unwrap());
        assert_eq!((written.seen.len() >= siblings as usize, decoded), (true, 1), "{siblings} siblings");
        write_siblings(&mut replica, siblings);
        let (deleted, decoded) = decoded_by(|| replica.delete(&KEY, now()).unwrap());
        assert_eq!((deleted.is_some(), decoded), (true, 0), "{siblings} siblings");
        assert!(replica.is_empty());
    }
}

#[test]
fn a_write_decodes_the_versions_that_stay_beside_it_once() {
    let disk = Disk::default();
    let mut replica = open(disk.clone());
    let ((), decoded) = decoded_by(|| write_siblings(&mut replica, 100));
    assert_eq!(decoded, 100 + 1, "each write its own, and the second one the first");
    drop(replica);
    let mut replica = open(disk);
    let read = replica.read(&KEY).unwrap();
    let some = read.seen_where(|version| version.value.value.0 < 10);
    let (_, decoded) = decoded_by(|| replica.write_seen(item(1000), &some, now()).unwrap());
    assert_eq!(decoded, 90 + 1, "those that stay, of which nothing is known since the opening");
    let (_, decoded) = decoded_by(|| replica.write_seen(item(1001), &some, now()).unwrap());
    assert_eq!(decoded, 1);
    let other = read.seen_where(|version| version.value.value.0 == 50);
    let (_, decoded) = decoded_by(|| replica.delete_seen(&KEY, &other, now()).unwrap());
    assert_eq!(decoded, 0);
    assert_eq!(replica.read(&KEY).unwrap().siblings().len(), 91);
    assert_eq!(replica.audit().unwrap().discrepancies, []);
}

#[test]
fn the_push_of_a_write_decodes_that_alone() {
    let mut replica = open(MemoryStore::new());
    write_siblings(&mut replica, 50);
    let nothing = Seen { key: KeyHash::of_encoded(&[KEY]), dots: Vec::new() };
    let written = replica.write_seen(item(1000), &nothing, now()).unwrap();
    let (push, decoded) = decoded_by(|| replica.push_of(&written).unwrap());
    assert_eq!((push.is_some(), decoded), (true, 1));
}

#[test]
fn what_a_commit_that_failed_would_have_left_is_not_taken_for_what_is_there() {
    let disk = Disk::default();
    let mut fails = false;
    let hooked = disk.with_commit(move |store, commit| {
        fails = !fails && commit.records.values().flatten().any(|record| record.ends_with(&[99, 0]));
        if fails { Err(StoreError::unchanged("no space")) } else { store.commit(commit) }
    });
    let mut replica = open(hooked);
    write_siblings(&mut replica, 3);
    let nothing = Seen { key: KeyHash::of_encoded(&[KEY]), dots: Vec::new() };
    let refused = replica.write_seen(item(99), &nothing, now());
    assert!(matches!(refused, Err(Error::Store(_))), "{refused:?}");
    // Under the same name.
    replica.write_seen(item(50), &nothing, now()).unwrap();
    assert_eq!(replica.audit().unwrap().discrepancies, []);
    replica.write_seen(item(51), &nothing, now()).unwrap();
    assert_eq!(replica.audit().unwrap().discrepancies, []);
}

#[test]
fn a_round_decodes_only_versions_that_are_to_be_written_back_here() {
    struct Compacts;
    impl Resolver<Item> for Compacts {
        fn resolve(&self, _: &u8, siblings: &[Version<Item>]) -> Option<Item> {
            siblings.first().map(|version| version.value.clone())
        }

        fn compacts(&self) -> bool {
            true
        }
    }
    let disk = Disk::default();
    let mut replica = Replica::open(disk.clone(), Compacts, Seed::from_bytes([2; 32])).unwrap();
    write_siblings(&mut replica, 20);
    drop(replica);
    // Under another id, whose writes these are not.
    let mut other = Replica::<Item>::open(disk.clone(), Compacts, Seed::from_bytes([1; 32])).unwrap();
    let (written, decoded) = decoded_by(|| other.compact_some(10, now()).unwrap());
    assert_eq!((written.len(), decoded), (0, 0));
    let nothing = Seen { key: KeyHash::of_encoded(&[KEY]), dots: Vec::new() };
    let own = other.write_seen(item(1000), &nothing, now()).unwrap().dot;
    let last = other.read(&KEY).unwrap().siblings().last().map(|version| version.dot);
    let written = other.compact_some(10, now()).unwrap();
    assert_eq!(
        (written.len(), last == Some(own)),
        (1, true),
        "the seeds were chosen so that its id is the greater one"
    );
    assert_eq!(other.read(&KEY).unwrap().siblings().len(), 1);
}

#[test]
fn the_largest_entries_are_known_before_and_after_an_opening_and_one_beyond_half_of_a_limit_is_named() {
    let disk = Disk::default();
    let opening = || Opening::from(Seed::from_bytes([1; 32])).with(|opening| opening.config.max_siblings = 20);
    let mut replica = Replica::<Item>::open(disk.clone(), KeepAll, opening()).unwrap();
    assert_eq!((replica.largest_entry(), replica.most_siblings()), (None, None));
    let hash = KeyHash::of_encoded(&[KEY]);
    replica.write(Keyed::new(1, Counted(0)), now()).unwrap();
    assert_eq!((replica.largest_entry().unwrap().0, replica.most_siblings()), (KeyHash::of_encoded(&[1]), None));
    write_siblings(&mut replica, 10);
    assert_eq!(replica.poll_notice(), None);
    write_siblings(&mut replica, 2);
    let bytes = replica.load(hash).unwrap().unwrap().max_len_bytes();
    let before: Vec<_> = core::iter::from_fn(|| replica.poll_notice()).collect();
    assert!(matches!(*before, [Notice::LargeEntry { hash: named, siblings: 11, .. }] if named == hash), "{before:?}");
    assert_eq!((replica.largest_entry(), replica.most_siblings()), (Some((hash, bytes)), Some((hash, 12))));
    drop(replica);
    let mut replica = Replica::<Item>::open(disk, KeepAll, opening()).unwrap();
    assert_eq!((replica.largest_entry(), replica.most_siblings()), (Some((hash, bytes)), Some((hash, 12))));
    replica.delete(&KEY, now()).unwrap();
    assert_eq!((replica.largest_entry().unwrap().0, replica.most_siblings()), (KeyHash::of_encoded(&[1]), None));
}

#[test]
fn an_entry_that_fills_half_of_a_message_is_named() {
    let mut replica = open(MemoryStore::new());
    replica.fit_messages(1000);
    let room = replica.max_written_bytes().unwrap();
    let before = core::iter::repeat_with(|| {
        write_siblings(&mut replica, 1);
        replica.poll_notice()
    });
    let named = before.take(20).flatten().next();
    let Some(Notice::LargeEntry { bytes, siblings, .. }) = named else { panic!("{named:?}") };
    assert!(bytes > room / 2 && bytes - bytes / siblings <= room / 2, "{bytes} bytes, {siblings} siblings, {room}");
}
