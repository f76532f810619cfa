//! Random histories in which sketches, trees and whole batches meet cuts, small budgets and lossy links.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroUsize};

use super::{Item, Link, Pair, now, replica, write};
use crate::KeyRange;
use crate::clock::{RangeClocks, ReplicaId, Seed};
use crate::replica::{LastWriterWins, MemoryStore, Opening, ReplicaConfig};
use crate::summary::sketch::SketchConfig;
use crate::sync::session::*;
use crate::sync::transfer::Applied;
use crate::sync::wire::message::{BatchRequest, First};
use crate::sync::wire::{Batch, BatchBase, HasSeen, KeyState};

fn with(seed: u8, config: ReplicaConfig) -> Replica<Item> {
    let opening = Opening { config, ..Opening::from(Seed::from_bytes([seed; 32])) };
    Replica::open(MemoryStore::new(), LastWriterWins, opening).unwrap()
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Two equal replicas, of which the first has no room for more pieces of its context.
fn twins_with_one_full() -> (Replica<Item>, Replica<Item>) {
    let mut filled = replica(1);
    (0..100).for_each(|key| write(&mut filled, key, "the same on both sides"));
    let full = with(3, ReplicaConfig { max_context_pieces: some(2), ..ReplicaConfig::default() });
    let mut pair = Pair::new(full, filled, SessionConfig::default(), Link::default(), 0);
    assert_eq!(pair.run(|_| {}).outcome, Outcome::Converged);
    (pair.a, pair.b)
}

/// Cuts a context, as a transfer with a third replica does that broke off.
fn cut(replica: &mut Replica<Item>, at: KeyHash) {
    let range = KeyRange::new(at, None).unwrap();
    let mut clock = replica.context().whole_clock().unwrap();
    clock.set(ReplicaId::from_u128(77), 5);
    let base = replica.baseline();
    let batch = Batch {
        clocks: RangeClocks::new(range, vec![(at, clock)]).unwrap(),
        base: BatchBase::Snapshot,
        digest: base.summary.range_digest(&range),
        changes: Vec::new().into(),
    };
    assert!(matches!(replica.apply(batch, &base, now()).unwrap(), Applied::Joined(_)));
}

/// A sketch tells of a key that is only held there no more than a prefix, in the middle of which a batch has to end.
#[test]
fn batches_that_end_at_a_cut_inside_a_prefix_converge() {
    let (mut a, mut b) = twins_with_one_full();
    let new = [5000, 5001].map(|key: usize| {
        write(&mut b, key, "there");
        KeyHash::of(&key.to_string())
    });
    cut(&mut a, new[0].min(new[1]));
    assert_eq!(a.cuts_if_full(), Some(vec![new[0].min(new[1])]));
    let config = SessionConfig { batch_entries: some(1), ..SessionConfig::default() };
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let mut pair = Pair::new(a, b, config, Link::default(), 0);
        outcomes.push(pair.run(|_| {}).outcome);
        (a, b) = (pair.a, pair.b);
    }
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Refused(_))), "{outcomes:?}");
    assert_eq!(outcomes.last(), Some(&Outcome::Converged));
    assert_eq!((a.root(), a.context_hash(), a.len()), (b.root(), b.context_hash(), 102));
}

/// What the three have written, each to keys of its own, so that all of it is there in the end.
struct Writes {
    random: fastrand::Rng,
    count: u32,
    expected: BTreeMap<usize, String>,
}

impl Writes {
    /// One of three deletes.
    fn write(&mut self, replica: &mut Replica<Item>, owner: usize) {
        let key = self.random.usize(0..60) * 3 + owner;
        self.count += 1;
        if self.random.u32(0..3) == 0 {
            replica.delete(&key.to_string(), now()).unwrap();
            self.expected.remove(&key);
        } else {
            let value = format!("{owner}-{}", self.count);
            write(replica, key, &value);
            self.expected.insert(key, value);
        }
    }
}

/// What the histories are about.
#[derive(Debug, Default)]
struct Seen {
    whole_batches: u32,
    sketches: u32,
    clock_cells: u32,
    absent_under: u32,
    ended_early: u32,
}

impl Seen {
    fn count_flying(&mut self, flying: &[(bool, Vec<u8>)]) {
        for (to_answerer, frame) in flying {
            let Ok(frame) = Frame::decode(frame, &SessionConfig::default()) else { continue };
            if frame.fragments == 1 && *to_answerer {
                self.count_request(message::read(frame.payload));
            } else if let (1, Some(Reply::Differs(differs))) = (frame.fragments, message::read(frame.payload)) {
                self.sketches += u32::from(matches!(differs.first, First::Cells(_)));
                self.clock_cells += u32::from(matches!(differs.seen, HasSeen::Cells(_)));
            }
        }
    }

    fn count_request(&mut self, request: Option<Request>) {
        let Some(Request::Batch(BatchRequest { batch, .. })) = request else { return };
        let is_under = |change: &KeyState| matches!(change, KeyState::AbsentUnder(_));
        self.whole_batches += u32::from(batch.base == BatchBase::Nothing);
        self.absent_under += u32::from(batch.changes.iter().any(|change| is_under(&change)));
    }
}

/// Three replicas that write and meet at random.
struct History {
    seed: u64,
    max_context_pieces: usize,
    replicas: [Option<Replica<Item>>; 3],
    writes: Writes,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let max_context_pieces = [2, 4, 256][random.usize(0..3)];
        let [two, four, many] = [2, 4, 64].map(|number| NonZeroU32::new(number).unwrap());
        let sketch = SketchConfig::default().with(|config| {
            config.min_cells = four;
            config.max_cells = many;
            config.entries_per_cell = two;
        });
        let config = ReplicaConfig { max_context_pieces: some(max_context_pieces), sketch, ..ReplicaConfig::default() };
        let replicas = [1, 2, 3].map(|seed| Some(with(seed, config.clone())));
        let writes = Writes { random, count: 0, expected: BTreeMap::new() };
        Self { seed, max_context_pieces, replicas, writes }
    }

    fn fill(&mut self) {
        for (owner, replica) in self.replicas.iter_mut().flatten().enumerate() {
            let keys = [0, 3, 150][self.writes.random.usize(0..3)];
            (0..keys).for_each(|_| self.writes.write(replica, owner));
        }
    }

    fn random_config(&mut self) -> SessionConfig {
        let random = &mut self.writes.random;
        SessionConfig {
            bulk_after: [0, 0, 1000][random.usize(0..3)],
            batch_entries: some([1, 3, 100][random.usize(0..3)]),
            batch_bytes: [200, 100_000][random.usize(0..2)],
            answer_bytes: 300,
            max_sketch_cells: [0, 20, 1 << 16][random.usize(0..3)],
            max_session_bytes: [3000, 1 << 30][random.usize(0..2)],
            max_clock_counters: [0, 3, 64][random.usize(0..3)],
            max_clock_cells: [3, 128][random.usize(0..2)],
            max_frame_bytes: SessionConfig::MIN_FRAME_BYTES,
            ..SessionConfig::default()
        }
    }

    /// A session of two at random, some of them while both are being written.
    fn meet(&mut self, step: u64, seen: &mut Seen) {
        const LOSSY: Link = Link { lost: 150, repeated: 150, reordered: 200, damaged: 50 };
        let (i, j) = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)][self.writes.random.usize(0..6)];
        let config = self.random_config();
        let link = if self.writes.random.bool() { Link::default() } else { LOSSY };
        let per_cent = self.writes.random.u32(0..4) * 5;
        let (a, b) = (self.replicas[i].take().unwrap(), self.replicas[j].take().unwrap());
        let mut pair = Pair::new(a, b, config, link, self.seed * 100 + step);
        let writes = &mut self.writes;
        let finished = pair.run(|pair| {
            seen.count_flying(&pair.flying);
            for (replica, owner) in [(&mut pair.a, i), (&mut pair.b, j)] {
                if writes.random.u32(0..100) < per_cent {
                    writes.write(replica, owner);
                }
            }
        });
        pair.deliver_all();
        let there = pair.answerer.as_ref().and_then(Session::finished).map(|finished| finished.outcome);
        for outcome in [Some(finished.outcome), there].into_iter().flatten() {
            self.check_outcome(&outcome, seen);
        }
        (self.replicas[i], self.replicas[j]) = (Some(pair.a), Some(pair.b));
        assert!(self.replicas.iter_mut().flatten().all(Replica::sketch_is_sound_for_test));
    }

    /// Cuts that only one side has add up where contexts have room for few pieces, and the peer may not have room for
    /// all of them: the one refusal that sessions which go through mend.
    fn check_outcome(&self, outcome: &Outcome, seen: &mut Seen) {
        match outcome {
            Outcome::Partial(PartialReason::Uncertified) => panic!("seed {}: not certified", self.seed),
            Outcome::Partial(_) => seen.ended_early += 1,
            Outcome::Refused(Refusal::ByPeer(reason)) if reason.contains("pieces") => {
                assert!(self.max_context_pieces < 256, "seed {}: {reason}", self.seed);
                seen.ended_early += 1;
            }
            Outcome::Refused(reason) => panic!("seed {}: {reason}", self.seed),
            _ => {}
        }
    }

    /// Sessions over perfect links, until all are equal.
    fn heal(&mut self) {
        const MAX_ROUNDS: u64 = 12;
        for round in 0..MAX_ROUNDS {
            let config = SessionConfig { bulk_after: (round % 2) * 1000, ..SessionConfig::default() };
            let mut converged = true;
            for (i, j) in [(0, 1), (1, 2), (2, 0)] {
                let (a, b) = (self.replicas[i].take().unwrap(), self.replicas[j].take().unwrap());
                let mut pair = Pair::new(a, b, config, Link::default(), 0);
                let outcome = pair.run(|_| {}).outcome;
                converged &= outcome == Outcome::Converged;
                assert!(!matches!(outcome, Outcome::Refused(_)), "seed {} round {round}: {outcome:?}", self.seed);
                (self.replicas[i], self.replicas[j]) = (Some(pair.a), Some(pair.b));
            }
            let mut states = self.replicas.iter_mut().flatten().map(|replica| (replica.root(), replica.context_hash()));
            let first = states.next();
            if converged && states.all(|state| Some(state) == first) {
                return;
            }
        }
        panic!("seed {}: not equal after {MAX_ROUNDS} rounds", self.seed);
    }

    /// Nothing is lost, and nothing that was deleted is back.
    fn check(&mut self) {
        for replica in self.replicas.iter_mut().flatten() {
            assert_eq!(replica.len(), self.writes.expected.len() as u64, "seed {}", self.seed);
            assert!(replica.audit().unwrap().discrepancies.is_empty(), "seed {}", self.seed);
        }
        let replica = self.replicas[0].as_ref().unwrap();
        for (key, value) in &self.writes.expected {
            let read = replica.read(&key.to_string()).unwrap();
            assert_eq!(read.value().map(|item| item.value.as_slice()), Some(value.as_bytes()), "seed {}", self.seed);
        }
    }
}

#[test]
fn whatever_three_replicas_do_nothing_is_lost_or_revived() {
    let mut seen = Seen::default();
    for seed in 0..150 {
        let mut history = History::new(seed);
        history.fill();
        (0..14).for_each(|step| history.meet(step, &mut seen));
        history.heal();
        history.check();
    }
    assert!(seen.whole_batches > 50 && seen.sketches > 100 && seen.absent_under > 100, "{seen:?}");
    assert!(seen.ended_early > 100 && seen.clock_cells > 300, "{seen:?}");
}
