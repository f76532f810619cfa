//! A decoder of sketches that is handed forged cells, damaged honest ones and honest ones, in chunks of any size; and a
//! sketch that follows changes, against one made afresh.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use anti_entropy::summary::sketch::{
    Cell, Chunk, DecodeFailure, DecodeStatus, Decoder, DecoderLimits, Encoder, Sketch, SketchConfig,
};
use anti_entropy::summary::{Difference, Fingerprint, MerkleTree};
use anti_entropy::{KeyHash, KeyRange};
use libfuzzer_sys::fuzz_target;

// Changes of both sides, and what happens: forged chunks, damaged honest ones, honest ones.
type Changes = Vec<(u8, u8)>;

const MAX_CELLS: usize = 3000;

fuzz_target!(|input: (Changes, Changes, Vec<(u8, u8, Vec<u8>)>)| {
    let (ours, theirs, steps) = input;
    let (ours, sketch) = follow(&ours);
    let (theirs, _) = follow(&theirs);
    let mut peer = encoder(&theirs);
    let limits = DecoderLimits::default().with(|config| {
        config.max_cells = MAX_CELLS;
        config.max_symbols = 2000;
    });
    let mut decoder = Decoder::new(Encoder::from_sketch(&sketch, encoder(&ours).snapshot().clone()), limits)
        .expect("the limits are valid");
    let mut misled = false;
    for (what, size, bytes) in steps {
        let honest = peer.chunk(decoder.cells(), size.into());
        let forged = match what % 4 {
            0 => Chunk::from_bytes(&bytes).ok(),
            1 => damaged(&honest, what, &bytes),
            2 => Chunk::new(decoder.cells(), vec![Cell::from_bytes([what; Cell::LEN]); size.into()]),
            _ => Some(honest.clone()),
        };
        let Some(forged) = forged else { continue };
        misled |= forged != honest;
        handle(&mut decoder, &forged);
    }
    while let DecodeStatus::NeedsMore { cells } = decoder.status() {
        let start = decoder.cells();
        handle(&mut decoder, &peer.chunk(start, cells));
    }
    let found = decoder.differences();
    if !misled {
        match decoder.status() {
            DecodeStatus::Complete => {
                let held = |found: Difference| found.ours.map(|fingerprint| (found.key, fingerprint));
                let found = found.expect("honest cells").into_iter();
                let found: Vec<_> = found.map(|found| (found.key.prefix_u64(), held(found))).collect();
                assert_eq!(found, differing(&ours, &theirs));
            }
            // By chance, of a thousand tries; or of too few cells, for which there would have to be thousands.
            status => assert_eq!(status, DecodeStatus::Failed(DecodeFailure::Inconsistent)),
        }
    }
});

/// Takes in a chunk; the limits hold, and what it says is what it has.
fn handle(decoder: &mut Decoder, chunk: &Chunk) {
    let before = (decoder.cells(), decoder.status());
    let status = decoder.handle_chunk(chunk);
    assert_eq!(status, decoder.status());
    assert!(decoder.cells() <= MAX_CELLS && decoder.found().len() <= decoder.cells().min(2000));
    match before.1 {
        DecodeStatus::NeedsMore { cells } => assert!(cells > 0 && before.0 + cells <= MAX_CELLS),
        over => assert_eq!((decoder.cells(), status), (before.0, over), "nothing happens behind the end"),
    }
    let symbols: BTreeSet<_> = decoder.found().iter().map(|found| found.symbol).collect();
    assert_eq!(symbols.len(), decoder.found().len(), "no symbol is read off twice");
    let encoded = postcard::to_allocvec(chunk).expect("chunks encode");
    assert_eq!(Chunk::from_bytes(&encoded).as_ref(), Ok(chunk));
    assert_eq!(postcard::from_bytes::<Chunk>(&encoded).as_ref(), Ok(chunk));
}

/// The set that changes lead to, and the sketch that followed them.
fn follow(changes: &Changes) -> (BTreeMap<KeyHash, Fingerprint>, Sketch) {
    let some = |number| NonZeroU32::new(number).expect("it is not zero");
    let config = SketchConfig::default().with(|config| {
        config.min_cells = some(2);
        config.max_cells = some(64);
        config.entries_per_cell = some(3);
    });
    let mut tree: MerkleTree = MerkleTree::new();
    let mut sketch = Sketch::new(config.clone()).expect("the settings are valid");
    for (place, value) in changes {
        let key = KeyHash::from_u128(u128::from(*place) << 120 | u128::from(value % 2) << 70);
        let after = (value % 8 > 1).then_some(Fingerprint::from_bytes([*value; 32]));
        let before = match after {
            Some(after) => tree.insert(key, after),
            None => tree.remove(key),
        };
        sketch.update(key, before, after);
        if let Some(range) = sketch.missing() {
            sketch.grow(tree.range(&range), usize::from(*value) % 5);
        }
    }
    let cells = sketch.cells().len();
    assert_eq!(sketch.cells(), Encoder::new(tree.snapshot()).cells(0..cells));
    assert!(
        Sketch::from_entries(tree.range(&KeyRange::ALL), config).expect("the settings are valid").cells().len() <= 64
    );
    (tree.range(&KeyRange::ALL).collect(), sketch)
}

fn encoder(set: &BTreeMap<KeyHash, Fingerprint>) -> Encoder {
    Encoder::new(MerkleTree::from_entries(set.iter().map(|(key, value)| (*key, *value))).snapshot())
}

fn differing(
    ours: &BTreeMap<KeyHash, Fingerprint>,
    theirs: &BTreeMap<KeyHash, Fingerprint>,
) -> Vec<(u64, Option<(KeyHash, Fingerprint)>)> {
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).copied().collect();
    let differ = keys.into_iter().filter(|key| ours.get(key) != theirs.get(key));
    differ.map(|key| (key.prefix_u64(), ours.get(&key).map(|fingerprint| (key, *fingerprint)))).collect()
}

fn damaged(chunk: &Chunk, at: u8, bytes: &[u8]) -> Option<Chunk> {
    let mut encoded = chunk.to_bytes();
    for (byte, change) in encoded.iter_mut().skip(usize::from(at)).zip(bytes) {
        *byte ^= change;
    }
    Chunk::from_bytes(&encoded).ok()
}
