//! Whole batches: those that list all that their sender holds in a range, whatever the receiver has.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use super::plan;
use crate::clock::{Now, RangeClocks, ReplicaId, Seed, VectorClock};
use crate::refusal::Refusal;
use crate::replica::tests::disk::Disk;
use crate::replica::*;
use crate::summary::{Difference, Fingerprint, Snapshot};
use crate::sync::transfer::*;
use crate::sync::wire::*;
use crate::{KeyHash, KeyRange};

type Item = Keyed<u32, String>;

const NO_LIMITS: BatchLimits = BatchLimits::NONE;

fn now() -> Now {
    Now { elapsed: Duration::ZERO, unix_ms: 1_700_000_000_000 }
}

fn replica(seed: u8) -> Replica<Item> {
    on(MemoryStore::new(), seed)
}

fn on(store: impl Store + 'static, seed: u8) -> Replica<Item> {
    Replica::open(store, LastWriterWins, Seed::from_bytes([seed; 32])).unwrap()
}

fn write(replica: &mut Replica<Item>, keys: impl IntoIterator<Item = u32>, value: &str) {
    keys.into_iter().for_each(|key| drop(replica.write(Keyed::new(key, value.to_string()), now()).unwrap()));
}

fn delete(replica: &mut Replica<Item>, keys: impl IntoIterator<Item = u32>) {
    keys.into_iter().for_each(|key| drop(replica.delete(&key, now()).unwrap()));
}

/// All that a replica holds.
fn whole(sender: &mut Replica<Item>) -> Batch {
    whole_from(sender, KeyHash::MIN, NO_LIMITS)
}

fn whole_from(sender: &mut Replica<Item>, from: KeyHash, limits: BatchLimits) -> Batch {
    sender.make_batch(&plan(KeyRange::new(from, None).unwrap(), &Inventory::new(), limits)).unwrap()
}

/// All that a replica holds, by names as far as `receiver` has seen it.
fn whole_to(sender: &mut Replica<Item>, receiver: &Replica<Item>) -> Batch {
    let seen = receiver.context().pieces(&KeyRange::ALL);
    let nothing = Inventory::new();
    sender.make_batch(&BatchPlan { seen: Some(&seen), ..plan(KeyRange::ALL, &nothing, NO_LIMITS) }).unwrap()
}

/// What a replica holds, as the difference to what `base` says of another.
fn difference(sender: &mut Replica<Item>, base: &Snapshot, inventory: &Inventory) -> Batch {
    let mine = sender.summary();
    let differences = mine.diff(base).collect();
    let plan = BatchPlan { base: BatchBase::Snapshot, differences, ..plan(KeyRange::ALL, inventory, NO_LIMITS) };
    sender.make_batch(&plan).unwrap()
}

fn apply(receiver: &mut Replica<Item>, batch: Batch) -> Applied {
    let base = receiver.baseline();
    receiver.apply(batch, &base, now()).unwrap()
}

fn joined(receiver: &mut Replica<Item>, batch: Batch) -> Joined {
    match apply(receiver, batch) {
        Applied::Joined(joined) => joined,
        other => panic!("{other:?}"),
    }
}

fn rejected(receiver: &mut Replica<Item>, batch: Batch) -> Refusal {
    let before = (receiver.root(), receiver.context_hash(), receiver.id());
    match apply(receiver, batch) {
        Applied::Rejected(rejection) => {
            assert_eq!((receiver.root(), receiver.context_hash(), receiver.id()), before);
            rejection
        }
        other => panic!("{other:?}"),
    }
}

fn one_way(sender: &mut Replica<Item>, receiver: &mut Replica<Item>) {
    let batch = whole_to(sender, receiver);
    joined(receiver, batch);
}

/// What the receiver of a batch answers (rule 6) is taken in as well.
fn answered(receiver: &mut Replica<Item>, joined_there: &Joined, sender: &mut Replica<Item>) -> Joined {
    let reply = difference(receiver, &joined_there.theirs, &joined_there.inventory);
    joined(sender, reply)
}

fn assert_equal(a: &mut Replica<Item>, b: &mut Replica<Item>) {
    assert_eq!((a.root(), a.context_hash()), (b.root(), b.context_hash()));
    assert!(a.audit().unwrap().discrepancies.is_empty() && b.audit().unwrap().discrepancies.is_empty());
}

/// Counts the records that are read.
struct Counting(MemoryStore, Arc<AtomicUsize>);

impl Store for Counting {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.load(key)
    }

    fn scan(
        &self,
        range: KeyRange,
        visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.scan(range, &mut |key, record| {
            self.1.fetch_add(1, Ordering::Relaxed);
            visit(key, record)
        })
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.0.commit(commit)
    }
}

/// A replica with so many keys, and a count of what is read of them.
fn counting(seed: u8, keys: u32) -> (Replica<Item>, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let mut replica = on(Counting(MemoryStore::new(), reads.clone()), seed);
    write(&mut replica, 0..keys, "held");
    (replica, reads)
}

/// How many records it takes to join a batch.
fn reads_to_join(receiver: &mut Replica<Item>, reads: &AtomicUsize, batch: Batch) -> (usize, Joined) {
    let base = receiver.baseline();
    reads.store(0, Ordering::Relaxed);
    match receiver.apply(batch, &base, now()).unwrap() {
        Applied::Joined(joined) => (reads.load(Ordering::Relaxed), joined),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_base_is_one_byte() {
    assert_eq!(postcard::to_allocvec(&BatchBase::Snapshot).unwrap(), [0]);
    assert_eq!(postcard::to_allocvec(&BatchBase::Nothing).unwrap(), [1]);
    assert!(postcard::from_bytes::<BatchBase>(&[2]).is_err());
}

#[test]
fn a_replica_that_holds_nothing_says_so_in_a_few_bytes_and_is_told_everything() {
    let (mut empty, mut full) = (replica(1), replica(2));
    write(&mut full, 0..300, "held");
    let (root, batch) = (full.root(), whole(&mut empty));
    assert_eq!(postcard::to_allocvec(&batch.clone().whole()).unwrap().len(), 38);
    let joined = joined(&mut full, batch);
    assert!(joined.theirs.is_empty() && joined.inventory.is_empty() && joined.changed.is_empty());
    assert_eq!(full.root(), root);
    assert_eq!(answered(&mut full, &joined, &mut empty).changed.len(), 300);
    assert_equal(&mut empty, &mut full);
}

#[test]
fn nothing_is_read_for_a_peer_that_has_seen_nothing_that_is_held() {
    let (mut full, reads) = counting(1, 1_000);
    let mut fresh = replica(2);
    let (read, _) = reads_to_join(&mut full, &reads, whole(&mut fresh));
    assert_eq!(read, 0);
    // Its own first writes are read, and what is held at these keys; 990 others are not.
    write(&mut fresh, 995..1_005, "new");
    let batch = whole(&mut fresh);
    let (read, joined) = reads_to_join(&mut full, &reads, batch.clone());
    assert_eq!((read, joined.changed.len()), (10, 10));
    // From then on both have seen those writes, and whatever is not listed might be one of them that was deleted.
    let (read, joined) = reads_to_join(&mut full, &reads, batch);
    assert_eq!((read, joined.changed.len()), (1_005, 0));
}

#[test]
fn only_those_pieces_are_read_of_which_the_peer_has_seen_something() {
    let (mut full, reads) = counting(1, 1_000);
    let quarter = KeyRange::new(KeyHash::MIN, Some(KeyHash::from_u128(1 << 126))).unwrap();
    // A transfer that broke off: the peer has a quarter, and deletes half of it.
    let mut stale = replica(2);
    let first = full.make_batch(&plan(quarter, &Inventory::new(), NO_LIMITS)).unwrap();
    joined(&mut stale, first);
    let held: Vec<u32> = (0..1_000).filter(|key| stale.read(key).unwrap().value().is_some()).collect();
    delete(&mut stale, held.iter().copied().step_by(2));
    let batch = whole_to(&mut stale, &full);
    assert_eq!(batch.clocks.len(), 2);
    let (read, joined) = reads_to_join(&mut full, &reads, batch);
    assert_eq!((read, joined.changed.len()), (held.len(), held.len().div_ceil(2)));
    assert!(200 < held.len() && held.len() < 300);
    answered(&mut full, &joined, &mut stale);
    assert_equal(&mut full, &mut stale);
}

#[test]
fn what_is_not_listed_dies_where_its_sender_has_seen_it() {
    let (mut sender, mut receiver) = (replica(1), replica(2));
    write(&mut sender, 0..10, "old");
    one_way(&mut sender, &mut receiver);
    delete(&mut sender, 0..5);
    // One of the deleted keys is written on at the receiver, and one of its own is unknown to the sender.
    write(&mut receiver, [0, 20], "new");
    let batch = whole_to(&mut sender, &receiver);
    assert_eq!(batch.value_bytes().all, 0, "what the receiver has seen is named");
    let joined = joined(&mut receiver, batch);
    let deleted: BTreeSet<KeyHash> = (1..5u32).map(|key| KeyHash::of(&key)).collect();
    assert_eq!(joined.changed.iter().copied().collect::<BTreeSet<_>>(), deleted);
    assert_eq!((joined.theirs.root(), receiver.len()), (sender.root(), 7));
    let back = answered(&mut receiver, &joined, &mut sender);
    assert_eq!(back.changed.len(), 2);
    assert_equal(&mut sender, &mut receiver);
}

/// One sibling is covered by the sender's clock and one is not.
#[test]
fn of_siblings_at_an_unlisted_key_those_die_that_the_sender_has_seen() {
    let (mut sender, mut receiver) = (replica(1), replica(2));
    write(&mut sender, [7], "seen");
    write(&mut receiver, [7], "unseen");
    one_way(&mut sender, &mut receiver);
    assert_eq!(receiver.conflicts(), 1);
    delete(&mut sender, [7]);
    let batch = whole(&mut sender);
    assert!(batch.changes.is_empty());
    assert_eq!(joined(&mut receiver, batch).changed, [KeyHash::of(&7u32)]);
    assert_eq!((receiver.len(), receiver.conflicts()), (1, 0));
    assert_eq!(receiver.read(&7).unwrap().value().unwrap().value, "unseen");
}

#[test]
fn a_whole_batch_lists_no_absent_key_and_leaves_none_out() {
    let (mut sender, mut receiver) = (replica(1), replica(2));
    write(&mut sender, 0..10, "listed");
    write(&mut receiver, 5..15, "held");
    let mut absent = whole(&mut sender);
    absent.changes.make_mut().insert(0, KeyState::Absent(KeyHash::from_u128(5)));
    let malformed = Refusal::Malformed("a whole batch lists a key at which nothing is held");
    assert_eq!(rejected(&mut receiver, absent), malformed);
    let mut under = whole(&mut sender);
    under.changes.make_mut().insert(0, KeyState::AbsentUnder(KeyPrefix(0)));
    assert_eq!(rejected(&mut receiver, under), malformed);
    let mut shorter = whole(&mut sender);
    shorter.changes.make_mut().pop();
    assert_eq!(rejected(&mut receiver, shorter), Refusal::NotCertified);
    // Nor is it what it is not: against the receiver's snapshot, the same changes stand for another state.
    let difference = Batch { base: BatchBase::Snapshot, ..whole(&mut sender) };
    assert_eq!(rejected(&mut receiver, difference), Refusal::NotCertified);
}

/// A store that lost a record, and says by a whole batch that it is not there: no delete.
#[test]
fn equal_clocks_and_an_unlisted_key_are_an_alarm() {
    let (mut healthy, reads) = counting(1, 50);
    let mut damaged = replica(2);
    one_way(&mut healthy, &mut damaged);
    let lost = KeyHash::of(&3u32);
    damaged.lose_record_for_test(lost);
    let batch = whole_to(&mut damaged, &healthy);
    reads.store(0, Ordering::Relaxed);
    assert_eq!(rejected(&mut healthy, batch), Refusal::EqualClocksDiffer(lost));
    assert_eq!(reads.load(Ordering::Relaxed), 49, "the listed keys");
    assert!(matches!(healthy.poll_notice(), Some(Notice::HistoriesDiffer { key }) if key == lost));
    // All of it is lost: nothing is listed, and nothing is read.
    (0..50u32).for_each(|key| damaged.lose_record_for_test(KeyHash::of(&key)));
    let batch = whole_to(&mut damaged, &healthy);
    reads.store(0, Ordering::Relaxed);
    assert!(matches!(rejected(&mut healthy, batch), Refusal::EqualClocksDiffer(_)));
    assert_eq!((reads.load(Ordering::Relaxed), healthy.len()), (0, 50));
}

#[test]
fn a_whole_batch_of_the_same_state_changes_nothing() {
    let (mut sender, mut receiver) = (replica(1), replica(2));
    write(&mut sender, 0..50, "held");
    one_way(&mut sender, &mut receiver);
    let batch = whole_to(&mut sender, &receiver);
    let joined = joined(&mut receiver, batch);
    assert!(joined.changed.is_empty());
    assert_eq!((joined.theirs.root(), joined.inventory.len()), (sender.root(), 50));
    assert_equal(&mut sender, &mut receiver);
}

#[test]
fn whole_batches_end_at_the_limits_and_at_cuts_and_go_on_behind_them() {
    let in_parts = [
        BatchLimits { max_entries: 7, ..NO_LIMITS },
        BatchLimits { max_bytes: 700, ..NO_LIMITS },
        BatchLimits { max_entries: 1, max_bytes: 1, ..NO_LIMITS },
    ];
    for limits in in_parts {
        let (mut sender, mut receiver) = (replica(1), replica(2));
        write(&mut receiver, 0..40, "old");
        one_way(&mut receiver, &mut sender);
        delete(&mut sender, 0..20);
        write(&mut sender, 30..70, "new");
        let (mut from, mut batches) = (Some(KeyHash::MIN), 0);
        while let Some(lo) = from {
            let batch = whole_from(&mut sender, lo, limits);
            assert!(batch.changes.len() <= limits.max_entries);
            assert_eq!(batch.range().lo(), lo);
            (from, batches) = (batch.range().hi(), batches + 1);
            joined(&mut receiver, batch);
        }
        assert!(batches >= 50 / limits.max_entries.min(25), "{limits:?}: {batches}");
        assert_equal(&mut sender, &mut receiver);
    }
}

#[test]
fn a_whole_batch_ends_at_the_cuts_that_it_is_given() {
    let mut sender = replica(1);
    write(&mut sender, 0..100, "held");
    let cuts: Vec<KeyHash> = [1 << 125, 1 << 126, 3 << 126].map(KeyHash::from_u128).into();
    let inventory = Inventory::new();
    let limits = BatchLimits { max_entries: 40, ..NO_LIMITS };
    let batch = sender.make_batch(&BatchPlan { cuts: Some(&cuts), ..plan(KeyRange::ALL, &inventory, limits) }).unwrap();
    // There is room for more than a quarter of the keys; the next cut behind these is where it may end.
    assert_eq!(batch.range().hi(), Some(cuts[2]));
    assert_eq!(batch.changes.len() as u64, sender.summary().count(&batch.range()));
}

/// A cut may be a key: where an earlier range ended before it.
#[test]
fn no_batch_ends_at_a_key_that_it_names_by_its_prefix() {
    let (mut sender, mut receiver) = (replica(1), replica(2));
    write(&mut receiver, 0..20, "held");
    let theirs = receiver.summary();
    let under = |(key, theirs): (KeyHash, Fingerprint)| Difference::under(key.prefix_u64(), theirs.into());
    let differences: Vec<Difference> = theirs.range(&KeyRange::ALL).map(under).collect();
    let keys: Vec<KeyHash> = theirs.range(&KeyRange::ALL).map(|(key, _)| key).collect();
    let (nothing, limits) = (Inventory::new(), BatchLimits { max_entries: 1, ..NO_LIMITS });
    let plan = plan(KeyRange::ALL, &nothing, limits);
    let with_cuts =
        BatchPlan { base: BatchBase::Snapshot, differences: differences.clone(), cuts: Some(&keys), ..plan };
    let batch = sender.make_batch(&with_cuts).unwrap();
    assert_eq!((batch.changes.len(), batch.range()), (20, KeyRange::ALL));
    joined(&mut receiver, batch);
    let batch = sender.make_batch(&BatchPlan { cuts: None, ..with_cuts }).unwrap();
    assert_eq!(batch.changes.len(), 1);
    joined(&mut receiver, batch);
}

#[test]
fn clocks_of_several_pieces_are_joined_each_where_it_holds() {
    let (mut receiver, _) = counting(1, 100);
    let middle = KeyHash::from_u128(1 << 127);
    let seen: VectorClock = receiver.context().whole_clock().unwrap();
    let pieces = vec![(KeyHash::MIN, seen), (middle, VectorClock::from_iter([(ReplicaId::from_u128(9), 1)]))];
    let clocks = RangeClocks::new(KeyRange::ALL, pieces).unwrap();
    let lower = KeyRange::new(KeyHash::MIN, Some(middle)).unwrap();
    // In the lower half the clocks are equal, and what is held there is not listed.
    let digest = Snapshot::<sha2::Sha256>::default().root();
    let batch = Batch { clocks, base: BatchBase::Nothing, digest, changes: Lazy::default() };
    let first = receiver.summary().range(&lower).next().unwrap().0;
    assert_eq!(rejected(&mut receiver, batch.clone()), Refusal::EqualClocksDiffer(first));
    // After one write more, which the batch does not cover, the lower half counts as deleted. The upper half does not.
    let upper = receiver.len() - receiver.summary().count(&lower);
    write(&mut receiver, [100], "more");
    let joined = joined(&mut receiver, batch);
    assert_eq!((receiver.len(), joined.changed.len() as u64), (upper + 1, 100 - upper));
}

/// Random histories: a whole batch does what a batch against the receiver's snapshot does.
#[test]
fn a_whole_batch_and_a_difference_come_to_the_same() {
    let mut changed = 0;
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let store = Disk::default();
        let (mut sender, mut receiver) = (replica(1), on(store.clone(), 2));
        for step in 0..random.u32(1..40) {
            let key = random.u32(0..6);
            let side = if random.bool() { &mut sender } else { &mut receiver };
            match random.u32(0..6) {
                0 => one_way(&mut receiver, &mut sender),
                1 => one_way(&mut sender, &mut receiver),
                2 => delete(side, [key]),
                _ => write(side, [key], &step.to_string()),
            }
        }
        let copy = store.copy();
        let mut other = receiver.fork(copy.clone(), LastWriterWins);
        let batch = difference(&mut sender, &receiver.summary(), &Inventory::new());
        let of_difference = joined(&mut receiver, batch);
        let batch = if random.bool() { whole(&mut sender) } else { whole_to(&mut sender, &other) };
        let mut left = random.u32(1..4);
        let failing = Disk::of(copy).with_commit(move |store, commit| {
            left = left.checked_sub(1).ok_or_else(|| StoreError::unchanged("on purpose"))?;
            store.commit(commit)
        });
        in_steps(other.fork(failing, LastWriterWins), &batch, &mut sender);
        let of_whole = joined(&mut other, batch);
        assert_equal(&mut receiver, &mut other);
        assert_eq!(of_whole.theirs.root(), of_difference.theirs.root(), "seed {seed}");
        assert_eq!(of_whole.changed, of_difference.changed, "seed {seed}");
        let held_by_sender: Vec<KeyHash> = sender.summary().iter().map(|(key, _)| key).collect();
        assert_eq!(of_whole.inventory.keys().copied().collect::<Vec<_>>(), held_by_sender, "seed {seed}");
        changed += of_whole.changed.len();
    }
    assert!(changed > 300, "{changed}");
}

/// A batch that is joined key by key, until the store fails: what was joined is sound, and the next batch brings the rest.
fn in_steps(mut receiver: Replica<Item>, batch: &Batch, sender: &mut Replica<Item>) {
    receiver.set_config(ReplicaConfig::default().with(|config| config.max_loaded_bytes = 0)).unwrap();
    let base = receiver.baseline();
    let before = receiver.context().clone();
    let _failed_or_not = receiver.apply(batch.clone(), &base, now());
    assert!(receiver.audit().unwrap().discrepancies.is_empty());
    assert!(receiver.context().includes(&before));
    // What it holds below its cut is what it would hold if the batch had ended there.
    let mut third = replica(3);
    one_way(&mut receiver, &mut third);
    one_way(sender, &mut third);
    let mut fourth = replica(4);
    one_way(sender, &mut fourth);
    one_way(&mut receiver, &mut fourth);
    assert_equal(&mut third, &mut fourth);
    third.set_config(ReplicaConfig::default().with(|config| config.max_loaded_bytes = 0)).unwrap();
    one_way(sender, &mut third);
    assert_equal(&mut third, &mut fourth);
}

/// Whether there is room for a batch is found out before anything of it is joined, however many commits it takes.
#[test]
fn a_batch_for_which_there_is_room_is_joined_to_its_end_in_any_number_of_commits() {
    let part = |percent: u128| KeyHash::from_u128(u128::MAX / 100 * percent);
    let seen = |replica: &mut Replica<Item>, from: u128, to: Option<u128>, writer: u128, counter: u64| {
        let clock = VectorClock::from_iter([(ReplicaId::from_u128(writer), counter)]);
        replica.context.join_range(&KeyRange::new(part(from), to.map(part)).unwrap(), &clock);
    };
    for max_loaded_bytes in (1..20).map(|step| step * 10_000) {
        let (mut sender, mut receiver) = (replica(1), replica(2));
        write(&mut sender, 0..200, &"x".repeat(1000));
        for (from, counter) in [(0, 5), (92, 6), (95, 7)] {
            seen(&mut sender, from, None, 7, counter);
        }
        // What the sender has seen makes one piece of those below the middle, and leaves those above it.
        (0..8).for_each(|piece| {
            seen(&mut receiver, 5 * piece, Some(5 * piece + 5), 7, 1 + u64::try_from(piece % 2).unwrap());
        });
        [80, 85, 90].into_iter().zip(1..).for_each(|(from, counter)| seen(&mut receiver, from, None, 8, counter));
        let config = ReplicaConfig::default().with(|config| {
            (config.max_context_pieces, config.max_loaded_bytes) = (core::num::NonZeroUsize::MIN, max_loaded_bytes);
        });
        receiver.set_config(config).unwrap();
        let (batch, baseline) = (whole(&mut sender), receiver.baseline());
        let mut joined = receiver.context().clone();
        joined.join(&batch.clocks);
        assert!(
            joined.pieces_len() > ReplicaConfig::PIECES_OF_PEERS
                && joined.pieces_len() < receiver.context().pieces_len()
        );
        let applied = receiver.apply(batch, &baseline, now()).unwrap();
        assert!(matches!(applied, Applied::Joined(_)), "{max_loaded_bytes}: {applied:?}");
        assert_eq!((receiver.root(), receiver.context()), (sender.root(), &joined));
    }
}
