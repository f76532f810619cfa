//! A store that holds anything: opening it fails with an error, or gives a replica that works and opens again.
#![no_main]

mod common;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use anti_entropy::clock::Seed;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{
    Continuity, KeyHash, KeyRange, LastWriterWins, MemoryStore, Opening, Replica, ReplicaConfig, Store,
};
use common::{Item, item, now, sound};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

/// Id, counter, timestamp, body, and parts with whether they were inherited.
type Sibling = (([u8; 16], u64), (u64, u32), Vec<u8>, Vec<(bool, Vec<u8>)>);
/// Counters of replicas.
type Clock = Vec<([u8; 16], u64)>;
/// Id, counter, marker, timestamp.
type Identity = ([u8; 16], u64, [u8; 16], (u64, u32));

const FORMAT: u8 = 1;

// Well-formed pieces, and bytes that then change them here and there.
fuzz_target!(|input: (Identity, Clock, Vec<([u8; 16], Clock)>, Vec<(u8, Vec<Sibling>)>, Vec<(u8, u16, u8)>, bool)| {
    let (identity, base, rest, records, damage, proven) = input;
    let mut contents = vec![encode(&identity), encode(&(identity.0, identity.1, base, rest))];
    contents.extend(records.iter().map(|(key, siblings)| encode(&((1u8, *key), siblings))));
    for (which, at, change) in damage {
        let count = contents.len();
        let content = &mut contents[usize::from(which) % count];
        let length = content.len();
        content[usize::from(at) % length] ^= change;
    }
    let mut contents = contents.into_iter();
    let mut commit = Commit::default();
    commit.meta.insert(MetaSlot::Identity, contents.next().expect("the identity"));
    commit.meta.insert(MetaSlot::Context, contents.next().expect("the context"));
    commit.records = contents.zip(&records).map(|(bytes, (key, _))| (place(*key), Some(bytes))).collect();
    let store = Shared::default();
    store.0.lock().unwrap().commit(commit).expect("memory does not fail");

    let continuity = if proven { Continuity::Vouched } else { Continuity::Unproven };
    let Ok(mut replica) = open(&store, 1, continuity) else { return };
    sound(&mut replica);
    for (key, _) in records.iter().take(20) {
        let held = replica.read(key).expect("what was checked is read");
        assert_eq!(held.siblings().is_empty(), held.value().is_none());
        // The counter may be the last one.
        let _ = replica.write(item(*key, 1, 1), now());
        let _ = replica.delete(key, now());
    }
    let _ = replica.write(item(7, 7, 7), now());
    sound(&mut replica);
    let (root, seen) = (replica.root(), replica.context_hash());
    drop(replica);
    let mut again = open(&store, 2, Continuity::Vouched).expect("what a replica wrote it can read");
    assert_eq!((again.root(), again.context_hash()), (root, seen));
});

fn open(store: &Shared, seed: u8, continuity: Continuity) -> Result<Replica<Item>, anti_entropy::Error> {
    let opening = Opening::from(Seed::from_bytes([seed; 32])).with(|config| {
        config.continuity = continuity;
        config.config = ReplicaConfig::default();
    });
    Replica::open(store.clone(), LastWriterWins, opening)
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("vectors and numbers encode")
}

/// The place of a key that encodes as one byte.
fn place(key: u8) -> KeyHash {
    let hash = Sha256::digest([0x10, key]);
    KeyHash::from_bytes(*hash.first_chunk().expect("32 bytes start with 16"))
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<MemoryStore>>);

impl Store for Shared {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.lock().unwrap().scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(commit)
    }
}
