//! Micro-benchmarks of frames, and of whole sessions in memory.

use std::hint::black_box;
use std::time::Instant;

use anti_entropy::clock::Seed;
use anti_entropy::session::{Finished, Frame, Outcome, Session, SessionOutput};
use anti_entropy::{Keyed, LastWriterWins, MemoryStore, Replica, SessionConfig, Transaction};
use anti_entropy_bench::{Item, Pair, item, now};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// The frames of an opening request and of a first batch.
fn frames() -> [Vec<u8>; 2] {
    let config = SessionConfig::default();
    let [mut ours, mut theirs] = [1, 2].map(open);
    let many = (0..100).map(|number| item(number, 0)).fold(Transaction::new(), Transaction::write);
    ours.commit(many, now()).expect("a replica in memory takes writes");
    let mut opener = Session::open(1, &mut ours, config, now()).expect("the settings are valid");
    let opening = send(&mut opener);
    let first = decode(&opening);
    let mut answerer = Session::accept(&first, 2, config, now())
        .expect("the settings are valid")
        .expect("the first frame opens the session");
    answerer.handle_frame(first, &mut theirs, now()).expect("a store in memory does not fail");
    let reply = send(&mut answerer);
    opener.handle_frame(decode(&reply), &mut ours, now()).expect("a store in memory does not fail");
    [opening, send(&mut opener)]
}

fn open(seed: u8) -> Replica<Item> {
    Replica::open(MemoryStore::new(), LastWriterWins, Seed::from_bytes([seed; 32])).expect("an empty store opens")
}

fn send(session: &mut Session) -> Vec<u8> {
    match session.poll_output() {
        SessionOutput::Send(frame) => frame,
        other => panic!("no frame: {other:?}"),
    }
}

fn decode(bytes: &[u8]) -> Frame<'_> {
    Frame::decode(bytes, &SessionConfig::default()).expect("no frame is damaged")
}

/// Reading a frame, which checks its checksum.
fn frame_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame decode");
    for frame in frames() {
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(frame.len()), |bencher| {
            bencher.iter(|| decode(black_box(&frame)).payload.len());
        });
    }
    group.finish();
}

/// Opening a session, which is mostly writing its first frame.
fn frame_encode(criterion: &mut Criterion) {
    let mut replica = open(1);
    replica.write(Keyed::new([1; 16], [1; 32]), now()).expect("a replica in memory takes writes");
    criterion.bench_function("frame encode (opening)", |bencher| {
        bencher.iter(|| {
            send(&mut Session::open(1, &mut replica, SessionConfig::default(), now()).expect("the settings are valid"))
        });
    });
}

/// Runs a session to its end.
fn synchronise(pair: &mut Pair) -> Finished {
    let config = SessionConfig::default();
    let mut opener = Session::open(1, &mut pair.ours, config, now()).expect("the settings are valid");
    let mut answerer: Option<Session> = None;
    loop {
        match opener.poll_output() {
            SessionOutput::Send(bytes) => {
                let frame = decode(&bytes);
                let answerer = answerer.get_or_insert_with(|| {
                    Session::accept(&frame, 2, config, now())
                        .expect("the settings are valid")
                        .expect("the first frame opens the session")
                });
                answerer.handle_frame(frame, &mut pair.theirs, now()).expect("a store in memory does not fail");
            }
            SessionOutput::Done(finished) => return finished,
            SessionOutput::Wait(_) => {
                let reply = send(answerer.as_mut().expect("the opening frame came before"));
                opener.handle_frame(decode(&reply), &mut pair.ours, now()).expect("a store in memory does not fail");
            }
        }
    }
}

/// A whole session: comparing, exchanging entries both ways, confirming.
fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session among 100000");
    group.sample_size(20);
    let mut pair = Pair::new(100_000, |_| {}).expect("replicas in memory take writes");
    for differences in [0, 1, 100] {
        let mut version = 0;
        group.bench_function(BenchmarkId::from_parameter(differences), |bencher| {
            // The replicas are equal after each session; the next one finds new differences.
            bencher.iter_custom(|iterations| {
                (0..iterations)
                    .map(|_| {
                        version += 1;
                        let changes = (0..differences).map(|number| item(number * 991, version));
                        let changes = changes.fold(Transaction::new(), Transaction::write);
                        pair.ours.commit(changes, now()).expect("a replica in memory takes writes");
                        let started = Instant::now();
                        let finished = synchronise(&mut pair);
                        let elapsed = started.elapsed();
                        assert_eq!(finished.outcome, Outcome::Converged);
                        elapsed
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frame_encode, frame_decode, session);
criterion_main!(benches);
