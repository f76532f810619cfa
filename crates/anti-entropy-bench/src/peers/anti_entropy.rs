//! This crate, as it is: sessions that descend the Merkle tree.

use anti_entropy::KeyHash;
use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy::replica::Keyed;
use anti_entropy::summary::MerkleTree;
use anti_entropy_bench::{Pair, entries, entry_of, find};

use super::data::{Data, Entry};
use super::{Finding, Peer};

/// Finds with the tree.
pub(crate) struct Tree;

impl Peer for Tree {
    const NAME: &'static str = "anti-entropy (tree)";
    const NOTES: &'static str = "bytes of whole frames, checksummed and bounded; names keys by 128-bit hashes, values \
                                 are not moved; SHA-256 of key, content and entry; an entry's fingerprint covers its \
                                 versions, deletes need nothing";
    const MEMORY: &'static str = "the tree";
    const DATA_BYTES: u64 = 0;
    type Side = MerkleTree;
    type Pair = Pair;

    fn build(entries: &[Entry]) -> MerkleTree {
        let mut tree = MerkleTree::from_entries(entries.iter().map(|&entry| hashed(entry)));
        tree.root();
        tree
    }

    fn upsert(tree: &mut MerkleTree, entry: Entry) {
        let (key, fingerprint) = hashed(entry);
        tree.insert(key, fingerprint);
        tree.root();
    }

    fn pair(data: Data, fewer_differences: Option<Pair>) -> Pair {
        let mut pair = fewer_differences
            .unwrap_or_else(|| Pair::new(data.entries, |_| {}).expect("a store in memory takes what is written"));
        pair.differ_at(data.differences).expect("a store in memory takes what is written");
        pair
    }

    fn reconcile(pair: &mut Pair) -> Finding {
        let found = find(pair).expect("a store in memory can be read");
        Finding {
            keys: found.keys.into_iter().map(named).collect(),
            bytes: found.bytes,
            messages: 2 * u64::from(found.round_trips),
            cpu: found.cpu,
        }
    }

    fn name(number: u64) -> u128 {
        named(entries([number], 0)[0].0)
    }
}

/// What a replica puts into its tree for an entry that was written once.
fn hashed((key, value): Entry) -> anti_entropy_bench::Entry {
    let mut bytes = [0; 32];
    for (bytes, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(value) {
        *bytes = limb.to_le_bytes();
    }
    let dot = Dot { replica: ReplicaId::from_u128(7), counter: 1 };
    entry_of(&Keyed::new(key.to_le_bytes(), bytes), dot, Timestamp { wall_ms: 1_700_000_000_000, logical: 0 })
}

fn named(key: KeyHash) -> u128 {
    u128::from_be_bytes(key.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Tree>();
    }
}
