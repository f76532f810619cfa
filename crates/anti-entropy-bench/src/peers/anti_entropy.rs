//! `anti-entropy`: sessions with the default settings, and sessions that compare trees and send no sketch.

use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy::summary::MerkleTree;
use anti_entropy::{KeyHash, Keyed, SessionConfig};
use anti_entropy_bench::{Pair, by_tree, entries, entry_of, find_with, short};

use super::data::{Data, Entry};
use super::summary::{TreeAndSketch, insert, tree_of, with_sketch};
use super::{Finding, Peer};

/// Finds with a session of the default settings.
pub(crate) struct Sketched;

/// Finds with a session that sends no sketch.
pub(crate) struct Tree;

impl Peer for Sketched {
    const NAME: &'static str = "anti-entropy (sketch)";
    const NOTES: &'static str = "sessions as they are by default: bytes of whole frames, checksummed and bounded; guesses \
                                 by clocks how many cells to send; names keys by 64 bits of their hashes, and goes by \
                                 these here; what it finds is certified by the tree before it is taken in, which is not \
                                 counted";
    const MEMORY: &'static str = "the tree and the sketch";
    const DATA_BYTES: u64 = 0;
    type Side = TreeAndSketch;
    type Pair = Pair;

    fn build(entries: &[Entry]) -> TreeAndSketch {
        with_sketch(Tree::build(entries))
    }

    fn upsert(side: &mut TreeAndSketch, entry: Entry) {
        insert(side, hashed(entry));
    }

    fn pair(data: Data, fewer_differences: Option<Pair>) -> Pair {
        Tree::pair(data, fewer_differences)
    }

    fn reconcile(pair: &mut Pair) -> Finding {
        found_with(pair, SessionConfig::default(), |key| short(key).into())
    }

    fn name(number: u64) -> u128 {
        short(entries([number], 0)[0].0).into()
    }
}

impl Peer for Tree {
    const NAME: &'static str = "anti-entropy (tree)";
    const NOTES: &'static str = "the same without sketches; names keys by 128-bit hashes, values \
                                 are not moved; SHA-256 of key, content and entry; an entry's fingerprint covers its \
                                 versions, deletes need nothing";
    const MEMORY: &'static str = "the tree";
    const DATA_BYTES: u64 = 0;
    type Side = MerkleTree;
    type Pair = Pair;

    fn build(entries: &[Entry]) -> MerkleTree {
        tree_of(entries.iter().copied().map(hashed))
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
        found_with(pair, by_tree(), named)
    }

    fn name(number: u64) -> u128 {
        named(entries([number], 0)[0].0)
    }
}

fn found_with(pair: &mut Pair, config: SessionConfig, name: impl Fn(KeyHash) -> u128) -> Finding {
    let found = find_with(pair, config).expect("a store in memory can be read");
    Finding {
        keys: found.keys.into_iter().map(name).collect(),
        bytes: found.bytes,
        messages: 2 * u64::from(found.round_trips),
        cpu: found.cpu,
    }
}

/// The entry that a replica puts into its tree for an entry that was written once.
fn hashed((key, value): Entry) -> anti_entropy_bench::Entry {
    let mut bytes = [0; 32];
    for (bytes, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(value) {
        *bytes = limb.to_le_bytes();
    }
    let dot = Dot { replica: ReplicaId::from_u128(7), counter: 1 };
    entry_of(&Keyed::new(key.to_le_bytes(), bytes), dot, Timestamp { wall_ms: 1_700_000_000_000, logical: 0 })
}

fn named(key: KeyHash) -> u128 {
    key.to_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_found() {
        super::super::tests::finds_exactly::<Tree>();
        super::super::tests::finds_exactly::<Sketched>();
    }
}
