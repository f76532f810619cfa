//! The Merkle tree against a map, and against its definition worked out from scratch.
#![no_main]

use std::collections::BTreeMap;

use anti_entropy::summary::{Fingerprint, MerkleTree, Root, Snapshot};
use anti_entropy::{KeyHash, KeyRange};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

type Model = BTreeMap<KeyHash, Fingerprint>;

// What happens, and to which key: a place, and how many low bits of a second place replace those of the first, so that
// keys share prefixes of all lengths.
fuzz_target!(|operations: Vec<(u8, u8, u8, u8)>| {
    let mut tree: MerkleTree = MerkleTree::new();
    let mut model = Model::new();
    let mut kept: Option<(Snapshot, Model)> = None;
    for (what, place, low, value) in operations {
        let key = key(place, low);
        match what % 8 {
            0..=3 => {
                let fingerprint = Fingerprint::from_bytes([value; 32]);
                assert_eq!(tree.insert(key, fingerprint), model.insert(key, fingerprint));
            }
            4 | 5 => assert_eq!(tree.remove(key), model.remove(&key)),
            6 => kept = Some((tree.snapshot(), model.clone())),
            _ => {
                if let Some(range) = KeyRange::new(key, (value != 0).then(|| self::key(value, low))) {
                    compare(&tree.snapshot(), &model, &range, kept.as_ref());
                }
            }
        }
        assert_eq!((tree.len(), tree.get(key)), (model.len() as u64, model.get(&key).copied()));
    }
    assert_eq!(tree.root(), digest(&entries(&model)));
    let afresh: MerkleTree = MerkleTree::from_entries(model.iter().map(|(key, value)| (*key, *value)));
    let mut afresh = afresh;
    assert_eq!(afresh.root(), tree.root());
    compare(&tree.snapshot(), &model, &KeyRange::ALL, kept.as_ref());
});

fn key(place: u8, low: u8) -> KeyHash {
    let shift = u32::from(low % 128);
    KeyHash::from_u128(u128::from_be_bytes([place; 16]) ^ (u128::from(low) << shift))
}

fn entries(model: &Model) -> Vec<(KeyHash, Fingerprint)> {
    model.iter().map(|(key, value)| (*key, *value)).collect()
}

fn compare(snapshot: &Snapshot, model: &Model, range: &KeyRange, kept: Option<&(Snapshot, Model)>) {
    let inside: Vec<_> = entries(model).into_iter().filter(|(key, _)| range.contains(*key)).collect();
    assert_eq!(snapshot.range(range).collect::<Vec<_>>(), inside);
    assert_eq!(snapshot.count(range), inside.len() as u64);
    let expected = digest(&inside);
    assert_eq!(snapshot.range_digest(range), expected);
    assert_eq!(snapshot.restrict(range).root(), expected);
    assert_eq!(snapshot.restrict(range).to_tree().root(), expected);
    let Some((older, was)) = kept else { return };
    assert_eq!(older.root(), digest(&entries(was)), "a snapshot stands still");
    let found: Vec<_> = snapshot
        .diff_range(older, range)
        .map(|found| (found.key, found.ours, found.theirs.and_then(|theirs| theirs.full())))
        .collect();
    let mut keys: Vec<_> = model.keys().chain(was.keys()).filter(|key| range.contains(**key)).collect();
    keys.sort();
    keys.dedup();
    let differ = keys.into_iter().filter(|key| model.get(key) != was.get(key));
    let expected: Vec<_> = differ.map(|key| (*key, model.get(key).copied(), was.get(key).copied())).collect();
    assert_eq!(found, expected);
}

/// The definition, word for word.
fn digest(entries: &[(KeyHash, Fingerprint)]) -> Root {
    let mut message = vec![0; 16];
    if entries.len() <= 16 {
        message[12..].copy_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
        for (key, fingerprint) in entries {
            message.extend(key.as_bytes());
            message.extend(fingerprint.as_bytes());
        }
        return Root::from_bytes(Sha256::digest(&message).into());
    }
    let [first, last] = [entries[0], entries[entries.len() - 1]].map(|(key, _)| key.to_u128());
    let depth = (first ^ last).leading_zeros() & !1;
    message[0] = 1;
    message[1] = u8::try_from(depth).unwrap();
    message[8..].copy_from_slice(&(entries.len() as u64).to_be_bytes());
    for part in 0..4 {
        let inside = |entry: &&(KeyHash, Fingerprint)| entry.0.to_u128() >> (126 - depth) & 3 == part;
        let inside: Vec<_> = entries.iter().filter(inside).copied().collect();
        if !inside.is_empty() {
            message[2] |= 1 << part;
            message.extend(digest(&inside).as_bytes());
        }
    }
    Root::from_bytes(Sha256::digest(&message).into())
}
