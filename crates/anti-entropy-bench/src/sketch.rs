//! What the rateless sketch costs: keeping its cells up to date, and finding what differs with them.

use std::hint::black_box;

use anti_entropy::KeyRange;
use anti_entropy::summary::MerkleTree;
use anti_entropy::summary::sketch::{Cell, DecodeStatus, Decoder, DecoderLimits, Encoder, Sketch, SketchConfig};
use anti_entropy_bench::{Entry, entries};
use serde::Serialize;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::measure::{Progress, Samples, Unit, float, live_bytes, processor_time, time};

/// The cost of keeping a sketch. Times are medians; units are times of SHA-256 over 64 bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    cells: usize,
    bytes_per_entry: f64,
    sha256_64b_ns: f64,
    /// One changed value, which toggles two symbols, with changes of the tree in between.
    upsert_ns: f64,
    upsert_units: f64,
    /// One changed value among a thousand in a row.
    batched_upsert_ns: f64,
    build_ns_per_entry: f64,
    /// Doubling the number of cells from a snapshot.
    double_ns_per_entry: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 7] = [
        "entries",
        "cells",
        "memory, an entry",
        "upsert",
        "in batches",
        "build, an entry",
        "as many cells again, an entry",
    ];

    pub(crate) const GOALS: [&str; 7] = ["goal", "", "<= 1.2 B", "<= 8 units", "", "", ""];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.cells.to_string(),
            format!("{:.2} B", self.bytes_per_entry),
            format!("{:.0} ns, {:.1} units", self.upsert_ns, self.upsert_units),
            format!("{:.0} ns", self.batched_upsert_ns),
            format!("{:.0} ns", self.build_ns_per_entry),
            format!("{:.0} ns", self.double_ns_per_entry),
        ]
    }
}

/// The cost of finding changed keys. Means over different sets of keys; times are medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FindingRow {
    entries: u64,
    /// The number of keys with a changed value; each differs in two symbols.
    differences: u64,
    runs: u64,
    /// How many decoders were misled by a checksum that matched by chance.
    misled: u64,
    /// The least number of cells with which decoding completes.
    cells: f64,
    cells_per_symbol: f64,
    bytes: f64,
    decode_us: f64,
    /// Looking up this side's entries of the symbols.
    look_up_us: f64,
    /// If 64 cells are sent first, and then as many as the decoder asks for.
    round_trips: f64,
    asked_bytes: f64,
}

impl FindingRow {
    pub(crate) const HEADERS: [&str; 9] = [
        "entries",
        "changed keys",
        "cells",
        "cells, a symbol",
        "bytes",
        "decoding",
        "looking up",
        "trips from 64 cells",
        "bytes then",
    ];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.differences.to_string(),
            format!("{:.1}", self.cells),
            format!("{:.2}", self.cells_per_symbol),
            format!("{:.0}", self.bytes),
            format!("{:.1} us", self.decode_us),
            format!("{:.1} us", self.look_up_us),
            format!("{:.1}", self.round_trips),
            format!("{:.0}", self.asked_bytes),
        ]
    }
}

/// A set, and its sketch.
struct Side {
    tree: MerkleTree,
    sketch: Sketch,
}

impl Side {
    fn encoder(&mut self) -> Encoder {
        Encoder::from_sketch(&self.sketch, self.tree.snapshot())
    }

    fn change(&mut self, changes: impl IntoIterator<Item = Entry>) {
        for (key, fingerprint) in changes {
            let before = self.tree.insert(key, fingerprint);
            self.sketch.update(key, before, Some(fingerprint));
        }
    }
}

/// Measures a sketch of `count` entries, and finding each number of differences with it.
pub(crate) fn measure(count: u64, differences: &[u64], progress: &Progress, mut each: impl FnMut(FindingRow)) -> Row {
    let mut unit = Unit::default();
    progress.show(&format!("{count} entries: building"));
    let tree = MerkleTree::from_entries(entries(0..count, 0));
    let build =
        || Sketch::from_entries(tree.range(&KeyRange::ALL), SketchConfig::default()).expect("the defaults are valid");
    let mut build_ns = Samples::default();
    for _ in 0..3 {
        unit.sample();
        build_ns.add(processor_time(build).0 / float(count));
    }
    let region = Region::new(ALLOCATOR);
    let sketch = build();
    let change = region.change();
    let live = live_bytes(change);
    let mut side = Side { tree, sketch };
    let double_ns_per_entry = measure_doubling(count, &mut side);
    let batched_upsert_ns = measure_batches(count, &mut side, &mut unit);
    let upsert_ns = measure_upserts(count, &mut side, &mut unit, progress);
    for &differences in differences.iter().filter(|&&differences| differences <= count) {
        progress.show(&format!("{count} entries: finding {differences} differences"));
        each(measure_finding(count, differences, &mut side));
    }
    let unit = unit.median();
    Row {
        entries: count,
        cells: side.sketch.cells().len(),
        bytes_per_entry: float(live as u64) / float(count),
        sha256_64b_ns: unit,
        upsert_ns,
        upsert_units: upsert_ns / unit,
        batched_upsert_ns,
        build_ns_per_entry: build_ns.median(),
        double_ns_per_entry,
    }
}

fn measure_doubling(count: u64, side: &mut Side) -> f64 {
    let mut samples = Samples::default();
    for _ in 0..3 {
        let mut encoder = side.encoder();
        let cells = side.sketch.cells().len();
        samples.add(processor_time(|| black_box(encoder.cells(cells..cells + 1)).len()).0 / float(count));
    }
    samples.median()
}

/// The time to change a value in the sketch. The tree is changed and hashed in between, as in a replica, and not timed.
fn measure_upserts(count: u64, side: &mut Side, unit: &mut Unit, progress: &Progress) -> f64 {
    let mut samples = Samples::default();
    let mut random = fastrand::Rng::with_seed(1);
    progress.show(&format!("{count} entries: single changes"));
    for round in 0..20_000 {
        if round % 100 == 0 {
            unit.sample();
        }
        let [(key, fingerprint)] = entries([random.u64(..count)], round + 1)[..] else { continue };
        let before = side.tree.insert(key, fingerprint);
        black_box(side.tree.root());
        samples.add(time(|| side.sketch.update(key, before, Some(fingerprint))).0);
    }
    samples.median()
}

/// The time to change a thousand values in the sketch one after the other, divided by a thousand.
fn measure_batches(count: u64, side: &mut Side, unit: &mut Unit) -> f64 {
    const BATCH: u64 = 1000;
    let mut samples = Samples::default();
    let mut random = fastrand::Rng::with_seed(2);
    for round in 0..100 {
        let batch = entries((0..BATCH).map(|_| random.u64(..count)), round + 100_000);
        let befores: Vec<_> = batch.iter().map(|(key, fingerprint)| side.tree.insert(*key, *fingerprint)).collect();
        unit.sample();
        let updates = processor_time(|| {
            for ((key, fingerprint), before) in batch.into_iter().zip(befores) {
                side.sketch.update(key, before, Some(fingerprint));
            }
        });
        samples.add(updates.0 / float(BATCH));
    }
    samples.median()
}

fn measure_finding(count: u64, differences: u64, ours: &mut Side) -> FindingRow {
    let runs = (20_000 / differences.max(1)).clamp(5, 400);
    let [mut decode, mut look_up] = [Samples::default(), Samples::default()];
    let (mut cells, mut asked_cells, mut trips, mut misled) = (0, 0, 0, 0);
    let mut random = fastrand::Rng::with_seed(3);
    for run in 0..runs {
        let mut theirs = Side { tree: ours.tree.snapshot().to_tree(), sketch: ours.sketch.clone() };
        let mut numbers = std::collections::BTreeSet::new();
        while (numbers.len() as u64) < differences {
            numbers.insert(random.u64(..count));
        }
        theirs.change(entries(numbers, 200_000 + run));
        let mut peer = theirs.encoder();
        let (needed, _, status) = trips_from(ours, &mut peer, 1, |decoder, _| 1 + decoder.cells() / 1000);
        misled += u64::from(status != DecodeStatus::Complete);
        cells += needed;
        let mut decoder = Decoder::new(ours.encoder(), DecoderLimits::default()).expect("the defaults are valid");
        let chunk = peer.chunk(0, needed);
        decode.add(processor_time(|| decoder.handle_chunk(&chunk)).0 / 1e3);
        look_up.add(processor_time(|| black_box(decoder.differences()).is_ok()).0 / 1e3);
        let (asked, rounds, _) = trips_from(ours, &mut peer, 64, |_, wanted| wanted);
        asked_cells += asked;
        trips += rounds;
    }
    let mean = |sum: usize| float(sum as u64) / float(runs);
    FindingRow {
        entries: count,
        differences,
        runs,
        misled,
        cells: mean(cells),
        cells_per_symbol: mean(cells) / float(2 * differences),
        bytes: mean(cells * Cell::LEN),
        decode_us: decode.median(),
        look_up_us: look_up.median(),
        round_trips: mean(trips),
        asked_bytes: mean(asked_cells * Cell::LEN),
    }
}

/// Sends `first` cells and then as many as `next` says, until the decoder is done. Returns the numbers of cells and
/// chunks.
fn trips_from(
    ours: &mut Side,
    peer: &mut Encoder,
    first: usize,
    next: impl Fn(&Decoder, usize) -> usize,
) -> (usize, usize, DecodeStatus) {
    let mut decoder = Decoder::new(ours.encoder(), DecoderLimits::default()).expect("the defaults are valid");
    let (mut size, mut trips) = (first, 0);
    loop {
        trips += 1;
        match decoder.handle_chunk(&peer.chunk(decoder.cells(), size)) {
            DecodeStatus::NeedsMore { cells } => size = next(&decoder, cells),
            status => return (decoder.cells(), trips, status),
        }
    }
}
