//! Generated keys and values, the same in every run, and the hashes that a replica computes of them.

use std::time::Duration;

use anti_entropy::clock::{Dot, Now, ReplicaId, Timestamp};
use anti_entropy::summary::Fingerprint;
use anti_entropy::value::ContentHash;
use anti_entropy::{KeyHash, Keyed};
use sha2::{Digest, Sha256};

/// A key as the benchmarks use it.
pub type Key = [u8; 16];
/// A value as the benchmarks use it.
pub type Value = [u8; 32];
/// What the benchmarks' replicas hold.
pub type Item = Keyed<Key, Value>;
/// An item as a summary holds it.
pub type Entry = (KeyHash, Fingerprint);

/// The time that replicas and sessions are told. It stands still: nothing that is measured waits.
pub const fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

/// The key with a number. Different numbers have different keys.
pub fn key(number: u64) -> Key {
    let mut key = [0; 16];
    fastrand::Rng::with_seed(number).fill(&mut key);
    // Random bytes might be the same for two numbers; the number itself is not.
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// The value of the key with a number. Each `version` is another value.
pub fn value(number: u64, version: u64) -> Value {
    let mut value = [0; 32];
    fastrand::Rng::with_seed(!number ^ version.rotate_left(40)).fill(&mut value);
    value
}

/// The item with a number.
pub fn item(number: u64, version: u64) -> Item {
    Keyed::new(key(number), value(number, version))
}

/// The entry that a replica puts into its summary for an item that was written once.
///
/// It takes three hashes: of the key (17 bytes), of the content (45), and of key, content hash and dot (89).
pub fn entry_of(item: &Item, dot: Dot, timestamp: Timestamp) -> Entry {
    let content = ContentHash::of(timestamp, item);
    let mut message = [0; 89];
    message[0] = 0x12;
    message[1..9].copy_from_slice(&(item.key.len() as u64).to_be_bytes());
    message[9..25].copy_from_slice(&item.key);
    message[25..33].copy_from_slice(&1_u64.to_be_bytes());
    message[33..49].copy_from_slice(&dot.replica.to_bytes());
    message[49..57].copy_from_slice(&dot.counter.to_be_bytes());
    message[57..].copy_from_slice(content.as_bytes());
    (key_hash(&item.key), Fingerprint::from_bytes(Sha256::digest(message).into()))
}

fn key_hash(key: &Key) -> KeyHash {
    let mut message = [0x10; 17];
    message[1..].copy_from_slice(key);
    let full: [u8; 32] = Sha256::digest(message).into();
    KeyHash::from_bytes(*full.first_chunk().expect("32 bytes start with 16"))
}

/// The summary's entries of the items with these numbers.
pub fn entries(numbers: impl IntoIterator<Item = u64>, version: u64) -> Vec<Entry> {
    let timestamp = Timestamp { wall_ms: 1_700_000_000_000, logical: 0 };
    let replica = ReplicaId::from_u128(7);
    let entry = |number| entry_of(&item(number, version), Dot { replica, counter: number + 1 }, timestamp);
    numbers.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use anti_entropy::clock::Seed;
    use anti_entropy::{LastWriterWins, MemoryStore, Replica};

    use super::*;

    /// If they were not, the benchmark of building a tree would count other work than a replica does.
    #[test]
    fn entries_are_what_a_replica_makes_of_items() {
        let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([3; 32])).unwrap();
        let written = replica.write(item(5, 0), crate::now()).unwrap();
        let read = replica.read(&key(5)).unwrap();
        let version = &read.siblings()[0];
        let entry = entry_of(&item(5, 0), written.dot, version.timestamp);
        assert_eq!(replica.summary().iter().collect::<Vec<_>>(), [entry]);
    }
}
