//! Micro-benchmarks of the summary.

use std::hint::black_box;

use anti_entropy::summary::{MerkleTree, Snapshot};
use anti_entropy::{KeyHash, KeyRange};
use anti_entropy_bench::entries;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];

fn tree(count: u64) -> MerkleTree {
    let mut tree = MerkleTree::from_entries(entries(0..count, 0));
    tree.root();
    tree
}

/// A value changes, and the root is asked for.
fn upsert_and_root(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("upsert and root");
    for count in SIZES {
        let mut tree = tree(count);
        let mut random = fastrand::Rng::with_seed(1);
        let mut version = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let change = || {
                version += 1;
                entries([random.u64(..count)], version)
            };
            bencher.iter_batched(
                change,
                |change| {
                    tree.extend(change);
                    tree.root()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A thousand values change, and the root is asked for: without a snapshot, and with one that shares all nodes.
fn batch_and_root(criterion: &mut Criterion) {
    const BATCH: u64 = 1000;
    let mut group = criterion.benchmark_group("batch of 1000 and root");
    group.throughput(Throughput::Elements(BATCH));
    for (name, shared) in [("alone", false), ("under a snapshot", true)] {
        for count in SIZES {
            let mut tree = tree(count);
            let mut random = fastrand::Rng::with_seed(2);
            let mut version = 0;
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter_batched(
                    || {
                        version += 1;
                        entries((0..BATCH).map(|_| random.u64(..count)), version)
                    },
                    |changes| {
                        let snapshot = shared.then(|| tree.snapshot());
                        tree.extend(changes);
                        (tree.root(), snapshot)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn snapshot(criterion: &mut Criterion) {
    let mut tree = tree(100_000);
    criterion.bench_function("snapshot", |bencher| bencher.iter(|| tree.snapshot()));
}

/// The digest of a range whose ends lie anywhere.
fn range_digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range digest");
    for count in SIZES {
        let snapshot: Snapshot = tree(count).snapshot();
        let mut random = fastrand::Rng::with_seed(3);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || {
                    let (lo, hi) = (random.u128(..u128::MAX / 2), random.u128(u128::MAX / 2..));
                    KeyRange::new(KeyHash::from_u128(lo), Some(KeyHash::from_u128(hi))).unwrap_or(KeyRange::ALL)
                },
                |range| snapshot.range_digest(&range),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// What differs between two snapshots in one process.
fn diff(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("diff");
    let ours: Snapshot = tree(1_000_000).snapshot();
    for differences in [0, 1, 100, 10_000] {
        let mut changed = ours.to_tree();
        changed.extend(entries(0..differences, 1));
        let theirs = changed.snapshot();
        group.bench_function(BenchmarkId::from_parameter(differences), |bencher| {
            bencher.iter(|| black_box(&ours).diff(&theirs).count());
        });
    }
    group.finish();
}

criterion_group!(benches, upsert_and_root, batch_and_root, snapshot, range_digest, diff);
criterion_main!(benches);
