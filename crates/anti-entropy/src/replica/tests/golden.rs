//! What is hashed and what is kept on disk, byte for byte. The numbers were worked out from docs/protocol.md by a
//! separate program, and must not change within a format.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::pattern::Pattern;
use crate::clock::{Dot, Now, Timestamp, VectorClock};
use crate::replica::format::{self, Identity};
use crate::replica::serde_encode;
use crate::replica::version::{Record, Sibling, fingerprint};
use crate::replica::*;
use crate::summary::Fingerprint;
use crate::{KeyHash, KeyRange};

type Item = Keyed<String, String>;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn dot(replica: u128, counter: u64) -> Dot {
    Dot { replica: ReplicaId::from_u128(replica), counter }
}

const FIRST: Timestamp = Timestamp { wall_ms: 1_700_000_000_000, logical: 3 };
const SECOND: Timestamp = Timestamp { wall_ms: 1_700_000_000_001, logical: 0 };

fn colour(value: &str) -> Item {
    Keyed::new("colour".to_string(), value.to_string())
}

fn written<V: Replicated>(dot: Dot, timestamp: Timestamp, value: V) -> Sibling<V> {
    let encoded = value.encode();
    Sibling::of(dot, timestamp, value, encoded)
}

fn green() -> Record<Item> {
    let mut record = Record::empty("colour".to_string());
    record.siblings = vec![written(dot(1, 300), FIRST, colour("green"))];
    record
}

#[test]
fn hashes_have_these_values() {
    assert_eq!(KeyHash::of_encoded(&serde_encode("colour")).as_bytes()[..], bytes("e569b20c286b630fb505b08f28deb4d6"));
    let green = ContentHash::of(FIRST, &colour("green"));
    let red = ContentHash::of(SECOND, &colour("red"));
    assert_eq!(green.as_bytes()[..], bytes("a3aeec4dc64c6b6172cfc6ac2a88cb977b9182b2018a5a06a285ada8b50b579f"));
    assert_eq!(red.as_bytes()[..], bytes("613f7e80e25f30a81970155157c4dfda40c2979abb8da2d7f7bb7ea48e608082"));
    let one = fingerprint(&serde_encode("colour"), [(dot(1, 300), green)].into_iter());
    assert_eq!(one.as_bytes()[..], bytes("c7136e65fb904643d556ac78cb534c240d0ec013a47729e1e899897562c367e8"));
    let two = fingerprint(&serde_encode("colour"), [(dot(1, 300), green), (dot(2, 1), red)].into_iter());
    assert_eq!(two.as_bytes()[..], bytes("5e05ffaf38926ce6a8f52bb1b76c1b256fe3542287aeaee3531497618da42203"));
    let part = Part::from(&b"embedding"[..]).hash();
    assert_eq!(part.as_bytes()[..], bytes("f5d413442e6caaff95dc08a8dd63655a0b615d0b0969733fa1e66a81bf5165fb"));
}

#[test]
fn roots_have_these_values() {
    let root = |entries: &[(KeyHash, Fingerprint)]| {
        let mut tree: MerkleTree = MerkleTree::from_entries(entries.iter().copied());
        tree.root().as_bytes().to_vec()
    };
    assert_eq!(root(&[]), bytes("374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb"));
    assert_eq!(
        root(&[(green().key_hash(), green().fingerprint())]),
        bytes("0bdd9a66d9a26849d12023e45118e0077c5e3a7b7c6ca3dbea86150c6c980a3b")
    );
    let many: Vec<_> =
        (0..17u8).map(|n| (KeyHash::from_u128(u128::from(n) << 120), Fingerprint::from_bytes([n; 32]))).collect();
    assert_eq!(root(&many), bytes("9fa14ef438363f4bb45d4b1e8eef2680345d55f9dffb118d72b29d85e0ab9e8b"));
}

fn context() -> Context {
    let mut context = Context::new(ReplicaId::from_u128(1));
    context.resume(300);
    context
}

#[test]
fn contexts_and_seeds_have_these_hashes() {
    let mut context = context();
    assert_eq!(
        context.hash().to_bytes()[..],
        bytes("d17e5cfd7f09ba53f52b98dc62b6c5c5b8b95f2cc3a89de5784b6d65bf1831d3")
    );
    let upper = KeyRange::new(KeyHash::from_u128(1 << 127), None).unwrap();
    context.join_range(&upper, &VectorClock::from_iter([(ReplicaId::from_u128(2), 5)]));
    assert_eq!(
        context.hash().to_bytes()[..],
        bytes("25b9f179b119c418cd2775847af7754c03e59fc9df917da7ee4f1333527d7b40")
    );
    let seed = Seed::from_bytes(core::array::from_fn(|at| u8::try_from(at).unwrap()));
    assert_eq!(seed.replica_id(0).to_bytes()[..], bytes("cb4bee317e52aadd6e512d84ff11d38f"));
    // The marker of an opening.
    assert_eq!(seed.replica_id(u64::MAX).to_bytes()[..], bytes("8a67c5d9efe6bbdf303defb60613441f"));
    let replica = Replica::<Item>::open(MemoryStore::new(), LastWriterWins, seed).unwrap();
    assert_eq!(replica.marker.to_bytes()[..], bytes("8a67c5d9efe6bbdf303defb60613441f"));
}

#[test]
fn the_disk_has_these_bytes() {
    let identity = Identity {
        id: ReplicaId::from_u128(1),
        counter: 300,
        marker: core::array::from_fn(|at| u8::try_from(at).unwrap()),
        last_timestamp: FIRST,
        commits: 300,
    };
    let golden = bytes("0100000000000000000000000000000001ac02000102030405060708090a0b0c0d0e0f80d095ffbc3103ac02");
    assert_eq!(format::encode_identity(&identity), golden);
    assert_eq!(format::decode_identity(&golden), Ok(identity));

    let mut context = context();
    let upper = KeyRange::new(KeyHash::from_u128(1 << 127), None).unwrap();
    context.join_range(&upper, &VectorClock::from_iter([(ReplicaId::from_u128(2), 5)]));
    let golden = bytes(
        "0100000000000000000000000000000001ac02000180000000000000000000000000000000010000000000000000000000000000000205",
    );
    assert_eq!(format::encode_context(&context), golden);
    assert_eq!(format::decode_context(&golden).as_ref(), Ok(&context));

    // The upper half has seen five writes of 2, the lower half none.
    let raised = bytes(concat!(
        "0103",
        "0000000000000000000000000000000203ac02",
        "000000000000000000000000000000020101",
        "0000000000000000000000000000000701ffffffffffffffffff01",
    ));
    let decoded = format::decode_raised(&raised).unwrap();
    assert_eq!(format::encode_raised(&decoded), raised);
    let mut pieces = context.clone();
    assert!(pieces.resume_raised(decoded));
    let seen = |at, replica| pieces.counter(at, ReplicaId::from_u128(replica));
    assert_eq!([seen(KeyHash::MIN, 2), seen(KeyHash::MAX, 2)], [1, 300]);
    assert_eq!([seen(KeyHash::MIN, 7), seen(KeyHash::MAX, 7)], [u64::MAX; 2]);

    let golden = bytes("010706636f6c6f75720100000000000000000000000000000001ac0280d095ffbc31030605677265656e00");
    assert_eq!(StoredRecord::of(&green()).encode(), golden);
    let decoded: Record<Item> = format::decode_record(&golden).unwrap();
    assert_eq!(decoded.fingerprint(), green().fingerprint());
    for end in 0..golden.len() {
        assert!(format::decode_record::<Item>(&golden[..end]).is_err(), "cut to {end} bytes");
    }
    assert_eq!(
        format::decode_record::<Item>(&[2, 0]).map(|record| record.key).unwrap_err(),
        format::FormatError::OtherFormat(2)
    );

    let pattern = |confidence| Pattern { id: 9, confidence, embedding: Part::from(&b"embedding"[..]) };
    let mut record = Record::empty(9u32);
    let mut inherits = written(dot(1, 300), FIRST, pattern(7));
    inherits.inherited = vec![true];
    record.siblings = vec![inherits, written(dot(2, 1), SECOND, pattern(8))];
    let golden = bytes(
        "0101090200000000000000000000000000000001ac0280d095ffbc31030107010109656d62656464696e67000000000000000000000000000000020181d095ffbc31000108010009656d62656464696e67",
    );
    assert_eq!(StoredRecord::of(&record).encode(), golden);
    let decoded: Record<Pattern> = format::decode_record(&golden).unwrap();
    assert_eq!(decoded.fingerprint(), record.fingerprint());
    let inherited: Vec<_> = decoded.siblings.iter().map(|sibling| sibling.inherited[0]).collect();
    assert_eq!(inherited, [true, false]);
}

#[test]
fn an_open_store_has_these_slots() {
    let now = Now { elapsed: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };
    let mut replica = Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([7; 32])).unwrap();
    let written = replica.write(colour("green"), now).unwrap();
    let record = replica.store.load(written.key).unwrap().unwrap();
    let identity = replica.store.meta(MetaSlot::Identity).unwrap().unwrap();
    let context = replica.store.meta(MetaSlot::Context).unwrap().unwrap();
    assert_eq!([record[0], identity[0], context[0]], [1; 3]);
    assert_eq!(format::decode_identity(&identity).unwrap().counter, 1);
    // A write changes the counter beside the context, and not the context.
    assert_eq!(format::decode_context(&context).unwrap().own_counter(), 0);
}
