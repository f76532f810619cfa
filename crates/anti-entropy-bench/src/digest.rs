//! What the summary costs.

use std::hint::black_box;

use anti_entropy::KeyHash;
use anti_entropy::clock::{Dot, ReplicaId, Timestamp};
use anti_entropy::summary::{MerkleTree, Snapshot};
use anti_entropy_bench::{Entry, Item, entries, entry_of, item};
use serde::Serialize;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::measure::{Progress, Samples, Unit, float, live_bytes, processor_time, time};

/// What was measured at one number of entries. Times are medians; units are times of SHA-256 over 64 bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) entries: u64,
    sha256_64b_ns: f64,
    build_ns_per_entry: f64,
    upsert_root_ns_median: f64,
    batch1000_ns_per_op: f64,
    bytes_per_entry: f64,
    snapshot_ns: f64,
    root_compare_ns: f64,
    build_units: f64,
    /// From items in the order of their keys' hashes, as a store yields them.
    build_sorted_units: f64,
    /// From hashes: keys and values are hashed beforehand.
    build_tree_units: f64,
    upsert_root_units: f64,
    batch1000_units: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 9] = [
        "entries",
        "SHA-256 of 64 B = 1 unit",
        "build, an entry",
        "build, sorted",
        "upsert + root, median",
        "batch of 1,000, an op",
        "memory, an entry",
        "snapshot",
        "compare roots",
    ];

    pub(crate) const GOALS: [&str; 9] =
        ["goal", "", "<= 4 units", "", "<= 25 units", "<= 14 units", "<= 72 B", "<= 100 ns", "<= 50 ns"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            format!("{:.1} ns", self.sha256_64b_ns),
            format!("{:.2} units", self.build_units),
            format!("{:.2} units", self.build_sorted_units),
            format!("{:.1} units", self.upsert_root_units),
            format!("{:.1} units", self.batch1000_units),
            format!("{:.1} B", self.bytes_per_entry),
            format!("{:.1} ns", self.snapshot_ns),
            format!("{:.1} ns", self.root_compare_ns),
        ]
    }
}

/// Measures a tree of so many entries.
pub(crate) fn measure(count: u64, progress: &Progress) -> Row {
    let mut unit = Unit::default();
    let [build, build_sorted, build_tree] = measure_build(count, &mut unit, progress);
    let (mut tree, bytes_per_entry) = measure_memory(count);
    let upsert = measure_upserts(count, &mut tree, &mut unit, progress);
    let batch = measure_batches(count, &mut tree, &mut unit, progress);
    let snapshot = measure_snapshots(&mut tree, &mut unit);
    let root_compare = measure_comparisons(&mut tree, &mut unit);
    let unit = unit.median();
    Row {
        entries: count,
        sha256_64b_ns: unit,
        build_ns_per_entry: build,
        upsert_root_ns_median: upsert,
        batch1000_ns_per_op: batch,
        bytes_per_entry,
        snapshot_ns: snapshot,
        root_compare_ns: root_compare,
        build_units: build / unit,
        build_sorted_units: build_sorted / unit,
        build_tree_units: build_tree / unit,
        upsert_root_units: upsert / unit,
        batch1000_units: batch / unit,
    }
}

/// The time to build a tree and its root, divided by the number of entries: from unsorted items, from items in the
/// order of their keys' hashes, and from hashes.
fn measure_build(count: u64, unit: &mut Unit, progress: &Progress) -> [f64; 3] {
    let items: Vec<Item> = (0..count).map(|number| item(number, 0)).collect();
    let mut sorted: Vec<(KeyHash, Item)> = items.iter().map(|item| (entry(item).0, item.clone())).collect();
    sorted.sort_by_key(|(hash, _)| *hash);
    let sorted: Vec<Item> = sorted.into_iter().map(|(_, item)| item).collect();
    let entries: Vec<Entry> = items.iter().map(entry).collect();

    let [mut unsorted_ns, mut sorted_ns, mut tree_ns] = [Samples::default(), Samples::default(), Samples::default()];
    for round in 1..=repetitions(count, 5, 3_000_000) {
        progress.show(&format!("{count} entries: building, round {round}"));
        let per_entry = 1.0 / float(count);
        unit.sample();
        unsorted_ns.add(processor_time(|| hashed(items.iter().map(entry))).0 * per_entry);
        unit.sample();
        sorted_ns.add(processor_time(|| hashed(sorted.iter().map(entry))).0 * per_entry);
        unit.sample();
        tree_ns.add(processor_time(|| hashed(entries.iter().copied())).0 * per_entry);
    }
    [unsorted_ns.median(), sorted_ns.median(), tree_ns.median()]
}

/// The entry that a replica puts into its summary for an item.
fn entry(item: &Item) -> Entry {
    let dot = Dot { replica: ReplicaId::from_u128(7), counter: 1 };
    entry_of(item, dot, Timestamp { wall_ms: 1_700_000_000_000, logical: 0 })
}

fn hashed(entries: impl Iterator<Item = Entry>) -> MerkleTree {
    let mut tree = MerkleTree::from_entries(entries);
    tree.root();
    tree
}

/// A tree, and its bytes on the heap divided by the number of entries.
fn measure_memory(count: u64) -> (MerkleTree, f64) {
    let region = Region::new(ALLOCATOR);
    let tree = hashed(entries(0..count, 0).into_iter());
    let change = region.change();
    let live = live_bytes(change);
    (tree, float(live as u64) / float(count))
}

/// The time to put one entry into the tree and compute the root. Entries with changed values and new keys take turns.
fn measure_upserts(count: u64, tree: &mut MerkleTree, unit: &mut Unit, progress: &Progress) -> f64 {
    const UPSERTS: u64 = 20_000;
    let mut samples = Samples::default();
    let mut random = fastrand::Rng::with_seed(1);
    progress.show(&format!("{count} entries: single changes"));
    for round in 0..UPSERTS / 2 {
        if round % 100 == 0 {
            unit.sample();
        }
        for number in [random.u64(..count), count + round] {
            let [(key, fingerprint)] = entries([number], round + 1)[..] else { continue };
            let upsert = time(|| {
                tree.insert(key, fingerprint);
                black_box(tree.root())
            });
            samples.add(upsert.0);
        }
        take_out(tree, [count + round]);
    }
    samples.median()
}

/// The time to put a thousand entries into the tree at once and compute the root, divided by a thousand. Half of the
/// entries have changed values, half new keys.
fn measure_batches(count: u64, tree: &mut MerkleTree, unit: &mut Unit, progress: &Progress) -> f64 {
    const BATCH: u64 = 1000;
    let mut samples = Samples::default();
    let mut random = fastrand::Rng::with_seed(2);
    progress.show(&format!("{count} entries: batches"));
    for round in 0..100 {
        let new = count..count + BATCH / 2;
        let changed = (0..BATCH / 2).map(|_| random.u64(..count));
        let mut batch = entries(changed.chain(new.clone()), round + 100_000);
        random.shuffle(&mut batch);
        unit.sample();
        let extend = processor_time(|| {
            tree.extend(batch);
            black_box(tree.root())
        });
        samples.add(extend.0 / float(BATCH));
        take_out(tree, new);
    }
    samples.median()
}

/// Removes new keys again, so that the tree keeps its size.
fn take_out(tree: &mut MerkleTree, numbers: impl IntoIterator<Item = u64>) {
    for (key, _) in entries(numbers, 0) {
        tree.remove(key);
    }
    tree.root();
}

/// Taking a snapshot of a hashed tree, and dropping it.
fn measure_snapshots(tree: &mut MerkleTree, unit: &mut Unit) -> f64 {
    many_times(unit, || drop(black_box(tree.snapshot())))
}

/// Comparing the roots of two snapshots.
fn measure_comparisons(tree: &mut MerkleTree, unit: &mut Unit) -> f64 {
    let (ours, theirs): (Snapshot, Snapshot) = (tree.snapshot(), tree.snapshot());
    many_times(unit, || {
        black_box(black_box(&ours).root() == black_box(&theirs).root());
    })
}

/// The mean time of work that takes less time than reading a clock.
fn many_times(unit: &mut Unit, mut work: impl FnMut()) -> f64 {
    const TIMES: u64 = 10_000;
    let mut samples = Samples::default();
    for _ in 0..20 {
        unit.sample();
        samples.add(time(|| (0..TIMES).for_each(|_| work())).0 / float(TIMES));
    }
    samples.median()
}

/// How often to repeat work whose time grows with the number of entries.
fn repetitions(count: u64, at_least: u64, entries_in_all: u64) -> u64 {
    (entries_in_all / count.max(1)).clamp(at_least, 50)
}
