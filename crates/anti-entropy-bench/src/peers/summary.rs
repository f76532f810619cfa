//! `anti-entropy-summary`: sets of hashes in a tree and a sketch, without replicas, sessions or frames.

use anti_entropy_summary::compare::{Answer, Ask, Comparison, answer, first_answer};
use anti_entropy_summary::sketch::{Chunk, DecodeStatus, Decoder, DecoderLimits, Encoder, Sketch, SketchConfig};
use anti_entropy_summary::{Fingerprint, KeyHash, MerkleTree, Width};
use sha2::{Digest, Sha256};

use super::data::{Data, Entry};
use super::{Finding, Peer, Wire};

/// Finds with a sketch, and with the tree if decoding fails.
pub(crate) struct Sketched;

/// Finds with the tree alone.
pub(crate) struct Tree;

/// A tree whose root is hashed, and the sketch of its entries.
pub(crate) type TreeAndSketch = (MerkleTree, Sketch);

/// How many cells are sent at first. Neither side knows how many keys differ.
const FIRST_CELLS: usize = 64;

impl Peer for Sketched {
    const NAME: &'static str = "anti-entropy-summary (sketch)";
    const NOTES: &'static str = "a set of key hashes and fingerprints, here SHA-256 of the value; messages are the \
                                 benchmark's, in bincode: a root, 64 cells, then as many as the decoder asks for; \
                                 names keys by 64 bits of their hashes, values are not moved";
    const MEMORY: &'static str = "the tree and the sketch";
    const DATA_BYTES: u64 = 0;
    type Side = TreeAndSketch;
    type Pair = (TreeAndSketch, TreeAndSketch);

    fn build(entries: &[Entry]) -> TreeAndSketch {
        with_sketch(Tree::build(entries))
    }

    fn upsert(side: &mut TreeAndSketch, entry: Entry) {
        insert(side, hashed(entry));
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        (Self::build(&data.ours()), Self::build(&data.theirs()))
    }

    fn reconcile((ours, theirs): &mut Self::Pair) -> Finding {
        Finding::measure(|wire| {
            let keys = by_sketch(ours, theirs, wire).unwrap_or_else(|| by_tree(&mut ours.0, &mut theirs.0, wire));
            keys.into_iter().map(short).collect()
        })
    }

    fn name(number: u64) -> u128 {
        short(key_hash(super::data::name(number)))
    }
}

impl Peer for Tree {
    const NAME: &'static str = "anti-entropy-summary (tree)";
    const NOTES: &'static str = "the same without a sketch: the comparison's questions and answers, in bincode, no \
                                 bound on a message; names keys by 128-bit hashes";
    const MEMORY: &'static str = "the tree";
    const DATA_BYTES: u64 = 0;
    type Side = MerkleTree;
    type Pair = (MerkleTree, MerkleTree);

    fn build(entries: &[Entry]) -> MerkleTree {
        tree_of(entries.iter().copied().map(hashed))
    }

    fn upsert(tree: &mut MerkleTree, entry: Entry) {
        let (key, fingerprint) = hashed(entry);
        tree.insert(key, fingerprint);
        tree.root();
    }

    fn pair(data: Data, _: Option<Self::Pair>) -> Self::Pair {
        (Self::build(&data.ours()), Self::build(&data.theirs()))
    }

    fn reconcile((ours, theirs): &mut Self::Pair) -> Finding {
        Finding::measure(|wire| by_tree(ours, theirs, wire).into_iter().map(KeyHash::to_u128).collect())
    }

    fn name(number: u64) -> u128 {
        key_hash(super::data::name(number)).to_u128()
    }
}

/// A tree whose root is hashed.
pub(crate) fn tree_of(entries: impl IntoIterator<Item = (KeyHash, Fingerprint)>) -> MerkleTree {
    let mut tree = MerkleTree::from_entries(entries);
    tree.root();
    tree
}

/// A tree with the sketch of its entries.
pub(crate) fn with_sketch(mut tree: MerkleTree) -> TreeAndSketch {
    let sketch = Sketch::from_entries(&tree.snapshot(), SketchConfig::default()).expect("the defaults are valid");
    (tree, sketch)
}

/// Puts an entry into both, and hashes the root.
pub(crate) fn insert((tree, sketch): &mut TreeAndSketch, (key, fingerprint): (KeyHash, Fingerprint)) {
    let before = tree.insert(key, fingerprint);
    sketch.update(key, before, Some(fingerprint));
    if let Some(range) = sketch.missing() {
        sketch.grow(tree.range(&range), 16);
    }
    tree.root();
}

/// Finds the hashes of the keys that differ with a sketch. `None` if decoding fails.
fn by_sketch(
    (tree, sketch): &mut TreeAndSketch,
    (their_tree, their_sketch): &mut TreeAndSketch,
    wire: &mut Wire,
) -> Option<Vec<KeyHash>> {
    let mut decoder =
        Decoder::new(Encoder::new(tree.snapshot()), DecoderLimits::default()).expect("the defaults are valid");
    let mut peer = Encoder::new(their_tree.snapshot());
    let root: [u8; 32] = wire.send(&tree.root().to_bytes());
    let differ = root != their_tree.root().to_bytes();
    let mut reply: Option<Chunk> = wire.send(&differ.then(|| chunk(&mut peer, their_sketch, 0, FIRST_CELLS)));
    while let Some(received) = reply {
        provide(decoder.ours_mut(), sketch, received.end());
        match decoder.handle_chunk(&received) {
            DecodeStatus::Complete => {
                let differences = decoder.differences().ok()?;
                return Some(differences.into_iter().map(|difference| difference.key).collect());
            }
            DecodeStatus::NeedsMore { cells } => {
                let (start, count): (usize, usize) = wire.send(&(decoder.cells(), cells));
                reply = Some(wire.send(&chunk(&mut peer, their_sketch, start, count)));
            }
            DecodeStatus::Failed(_) => return None,
        }
    }
    Some(Vec::new())
}

fn chunk(encoder: &mut Encoder, sketch: &Sketch, start: usize, count: usize) -> Chunk {
    provide(encoder, sketch, start + count);
    encoder.chunk(start, count)
}

/// Gives an encoder the cells up to `end` that the sketch keeps. The encoder makes the others from all entries.
fn provide(encoder: &mut Encoder, sketch: &Sketch, end: usize) {
    let kept = sketch.cells();
    encoder.provide(kept.get(encoder.made()..end.min(kept.len())).unwrap_or(&[]));
}

/// Finds the hashes of the keys that differ by comparing trees.
fn by_tree(ours: &mut MerkleTree, theirs: &mut MerkleTree, wire: &mut Wire) -> Vec<KeyHash> {
    let theirs = theirs.snapshot();
    let root: [u8; 32] = wire.send(&ours.root().to_bytes());
    let differ = root != theirs.root().to_bytes();
    let reply: Option<Answer> = wire.send(&differ.then(|| first_answer(&theirs, Width::Short, usize::MAX)));
    let Some(first) = reply else { return Vec::new() };
    let mut comparison = Comparison::new(ours.snapshot(), Width::Short);
    comparison.handle_answer(&first).expect("the answer fits the question");
    while let Some(ask) = comparison.next_ask(usize::MAX) {
        let asked: Ask = wire.send(&ask);
        let received: Answer = wire.send(&answer(&theirs, &asked, usize::MAX));
        comparison.handle_answer(&received).expect("the answer fits the question");
    }
    comparison.take_found(None, usize::MAX).into_iter().map(|difference| difference.key).collect()
}

fn hashed((key, value): Entry) -> (KeyHash, Fingerprint) {
    let mut hash = Sha256::new();
    for limb in value {
        hash.update(limb.to_le_bytes());
    }
    (key_hash(key), Fingerprint::from_bytes(hash.finalize().into()))
}

fn key_hash(key: u128) -> KeyHash {
    let hash: [u8; 32] = Sha256::digest(key.to_le_bytes()).into();
    KeyHash::from_bytes(*hash.first_chunk().expect("32 bytes start with 16"))
}

/// The bits of a key's hash that a sketch knows.
fn short(key: KeyHash) -> u128 {
    key.to_u128() >> 64
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
