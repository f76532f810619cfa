//! Micro-benchmarks of vector clocks and contexts.

use anti_entropy::clock::{Context, ReplicaId, VectorClock};
use anti_entropy::{KeyHash, KeyRange};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

/// A clock of so many writers, with counters that differ from those of other seeds.
fn clock(writers: u128, seed: u64) -> VectorClock {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clock = VectorClock::new();
    for writer in 1..=writers {
        clock.set(ReplicaId::from_u128(writer << 64), random.u64(1..1_000_000));
    }
    clock
}

fn vector_clock_join(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vector clock join");
    for writers in [3, 30, 300] {
        let (ours, theirs) = (clock(writers, 1), clock(writers, 2));
        group.bench_function(BenchmarkId::from_parameter(writers), |bencher| {
            bencher.iter_batched_ref(|| ours.clone(), |ours| ours.join(&theirs), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Joining the context of a peer: in one piece, as after a transfer that ended, and in many.
fn context_join(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("context join");
    for (writers, pieces) in [(30, 1), (30, 16), (300, 16)] {
        let mut ours = Context::new(ReplicaId::from_u128(1));
        ours.join_range(&KeyRange::ALL, &clock(writers, 1));
        let mut theirs = Context::new(ReplicaId::from_u128(2));
        for piece in 0..pieces {
            let lo = KeyHash::from_u128(u128::from(piece) << 120);
            let range = KeyRange::new(lo, None).unwrap_or(KeyRange::ALL);
            theirs.join_range(&range, &clock(writers, 2 + piece));
        }
        let theirs = theirs.pieces(&KeyRange::ALL);
        group.bench_function(BenchmarkId::new(format!("{writers} writers"), pieces), |bencher| {
            bencher.iter_batched_ref(|| ours.clone(), |ours| ours.join(&theirs), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, vector_clock_join, context_join);
criterion_main!(benches);
