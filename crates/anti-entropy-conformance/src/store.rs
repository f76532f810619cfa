//! The laws of [`Store`].

/// The laws by name, to compare with [`Violation::law`].
pub mod law;
mod model;

use core::ops::ControlFlow;
use std::format;
use std::vec;
use std::vec::Vec;

use self::model::{Model, SLOTS, failed};
use super::Violation;
use anti_entropy::store::{Commit, MetaSlot};
use anti_entropy::{KeyHash, KeyRange, Store};

/// Lengths of records at which length prefixes, pages and buffers change over, up to a large value.
const LENGTHS: [usize; 13] = [0, 1, 127, 128, 255, 256, 4_095, 4_096, 16_383, 16_384, 65_535, 65_536, 1 << 20];
/// How many commits the random workload makes.
const COMMITS: usize = 150;
/// How many points of failure a store is asked to fail at.
const FAILURES: u32 = 24;

/// Checks the laws of [`Store`].
///
/// `open` gives a new, empty store at each call. `reopen` closes a store and opens it again from what it keeps, as after
/// a restart; where a store does not outlive its process, it gives back what it got.
///
/// Some 250 commits are made, and records of up to 1 MiB. The laws, by the names in [`law`]:
///
/// - [`law::NEW_IS_EMPTY`]: what `open` gives is empty.
/// - [`law::SUCCEEDS`]: no operation fails without a cause.
/// - [`law::EXACT`]: records and metadata come back byte for byte, whatever their length.
/// - [`law::REPLACES`]: records are replaced and removed.
/// - [`law::META_SLOTS`]: the slots of metadata do not touch each other or the records.
/// - [`law::WHOLE_COMMIT`]: after `commit` returned `Ok`, all of its changes are visible.
/// - [`law::SCAN_ORDER`], [`law::SCAN_RANGE`], [`law::SCAN_STOPS`]: `scan` visits each key of its range once, in
///   ascending order, until the visitor breaks.
/// - [`law::LOAD_AND_SCAN_AGREE`]: both see the same.
/// - [`law::EMPTY_COMMIT`]: a commit without changes changes nothing.
/// - [`law::REOPENING`]: closing and opening again changes nothing.
/// - [`law::ANY_SEQUENCE`]: after random commits the store holds what a map would hold.
///
/// That a commit survives a crash half way through cannot be seen from inside the process:
/// [`check_failed_commits`] goes further, with the author's help.
///
/// ```
/// use anti_entropy_conformance::check_store;
/// use anti_entropy::MemoryStore;
///
/// // A store in a file would be closed and opened again by the second closure.
/// check_store(MemoryStore::new, |store| store)?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_store<S: Store>(mut open: impl FnMut() -> S, mut reopen: impl FnMut(S) -> S) -> Result<(), Violation> {
    Model::default().expect(&open(), law::NEW_IS_EMPTY)?;
    check_exact(&mut open())?;
    check_replacing(&mut open())?;
    check_meta_slots(&mut open())?;
    check_whole_commit(&mut open())?;
    check_scans(&mut open())?;
    check_empty_commit(&mut open())?;
    check_reopening(open(), &mut reopen)?;
    check_any_sequence(open(), &mut reopen)
}

/// Checks that a commit that fails is kept as a whole or not at all, and that the error tells which.
///
/// `fail` arranges that the next commit fails at a point that it chooses, a different one for each number that it
/// gets, from 0 to 23: at the nth write, or after so many bytes. The commit may then succeed all the same, since it may have fewer such
/// points. `reopen` closes a store, opens it again from what it keeps, and ends the failure.
///
/// The laws, by the names in [`law`]:
///
/// - [`law::UNCHANGED`]: after an error of [`StoreError::unchanged`](anti_entropy::store::StoreError::unchanged) the store is
///   as before, at once and after reopening.
/// - [`law::ALL_OR_NOTHING`]: after any other error, reopening finds the whole commit or nothing of it.
/// - [`law::WHOLE_COMMIT`], [`law::REOPENING`]: after `Ok` all of it is there.
/// - [`law::SUCCEEDS`]: once reopened, the store works.
/// - [`law::FAILURE_INJECTED`]: at least one commit failed.
///
/// ```
/// use anti_entropy_conformance::check_failed_commits;
/// use anti_entropy::store::{Commit, MetaSlot, StoreError};
/// use anti_entropy::{MemoryStore, Store};
/// # use anti_entropy::{KeyHash, KeyRange};
/// # use core::ops::ControlFlow;
///
/// struct FullDisk(MemoryStore, bool);
/// impl Store for FullDisk {
///     fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
///         if self.1 { Err(StoreError::unchanged("no space left")) } else { self.0.commit(commit) }
///     }
///     // The rest as in the inner store.
/// #   fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> { self.0.load(key) }
/// #   fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> { self.0.meta(slot) }
/// #   fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>)
/// #       -> Result<(), StoreError> { self.0.scan(range, visit) }
/// }
/// let open = || FullDisk(MemoryStore::new(), false);
/// check_failed_commits(open, |store, _point| store.1 = true, |store| FullDisk(store.0, false))?;
/// # Ok::<(), anti_entropy_conformance::Violation>(())
/// ```
///
/// # Errors
/// A [`Violation`] with the first law that was found broken.
pub fn check_failed_commits<S: Store>(
    mut open: impl FnMut() -> S,
    mut fail: impl FnMut(&mut S, u32),
    mut reopen: impl FnMut(S) -> S,
) -> Result<(), Violation> {
    let mut failures = 0;
    for point in 0..FAILURES {
        let (mut store, mut before) = (open(), Model::default());
        before.commit(&mut store, many_changes(1))?;
        let (change, mut after) = (changes_to_many(), before.clone());
        after.apply(&change);
        fail(&mut store, point);
        let held = match store.commit(change) {
            Ok(()) => {
                after.expect(&store, law::WHOLE_COMMIT)?;
                store = reopen(store);
                after.expect(&store, law::REOPENING)?;
                after
            }
            Err(error) if error.may_have_changed() => {
                failures += 1;
                store = reopen(store);
                kept_or_not(&store, before, after)?
            }
            Err(_) => {
                failures += 1;
                before.expect(&store, law::UNCHANGED)?;
                store = reopen(store);
                before.expect(&store, law::UNCHANGED)?;
                before
            }
        };
        check_goes_on(store, held)?;
    }
    if failures == 0 {
        return Err(Violation::new(law::FAILURE_INJECTED, format!("none of {FAILURES} commits failed")));
    }
    Ok(())
}

fn kept_or_not(store: &impl Store, before: Model, after: Model) -> Result<Model, Violation> {
    let Some(not_before) = before.difference(store)? else { return Ok(before) };
    let Some(not_after) = after.difference(store)? else { return Ok(after) };
    let detail = format!("it is neither as before ({not_before}) nor as after the commit ({not_after})");
    Err(Violation::new(law::ALL_OR_NOTHING, detail))
}

fn check_goes_on(mut store: impl Store, mut held: Model) -> Result<(), Violation> {
    held.commit(&mut store, record(key(99), b"after the failure"))?;
    held.expect(&store, law::WHOLE_COMMIT)
}

fn check_exact(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    for (number, length) in (0..).zip(LENGTHS) {
        model.commit(store, record(key(number), &noise(length, number)))?;
        model.expect(store, law::EXACT)?;
    }
    for length in [0, 1, 4_096, 65_536] {
        for slot in SLOTS {
            model.commit(store, metadata(slot, &noise(length, 3)))?;
            let held = model::meta(store, slot)?;
            if held.as_deref() != Some(noise(length, 3).as_slice()) {
                let detail = format!("{length} bytes that were put into {slot:?} do not come back");
                return Err(Violation::new(law::EXACT, detail));
            }
        }
    }
    Ok(())
}

fn check_replacing(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    for length in [100, 10, 1_000, 0, 50] {
        model.commit(store, record(key(1), &noise(length, 5)))?;
        model.commit(store, record(key(2), &noise(length / 2, 6)))?;
        model.expect(store, law::REPLACES)?;
    }
    for removed in [key(1), key(1), key(7)] {
        let mut commit = Commit::default();
        commit.records.insert(removed, None);
        model.commit(store, commit)?;
        model.expect(store, law::REPLACES)?;
    }
    model.commit(store, record(key(1), b"again"))?;
    model.expect(store, law::REPLACES)
}

fn check_meta_slots(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    for (number, slot) in (0..).zip([SLOTS[1], SLOTS[0], SLOTS[1], SLOTS[0], SLOTS[0]]) {
        model.commit(store, metadata(slot, &noise(20, number)))?;
        model.expect(store, law::META_SLOTS)?;
        // Where a store that keeps metadata among the records might put it.
        for hash in [KeyHash::MIN, KeyHash::from_u128(number + 1), KeyHash::MAX] {
            model.commit(store, record(hash, &noise(10, number)))?;
            model.expect(store, law::META_SLOTS)?;
        }
    }
    Ok(())
}

fn check_whole_commit(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    model.commit(store, many_changes(1))?;
    model.expect(store, law::WHOLE_COMMIT)?;
    model.commit(store, changes_to_many())?;
    model.expect(store, law::WHOLE_COMMIT)
}

fn check_scans(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    let mut random = fastrand::Rng::with_seed(4);
    let mut keys: Vec<KeyHash> = pool().collect();
    // One at a time and in no order, as writes come.
    random.shuffle(&mut keys);
    for hash in &keys {
        model.commit(store, record(*hash, hash.as_bytes()))?;
    }
    model.expect_in(store, KeyRange::ALL, law::SCAN_RANGE)?;
    keys.sort_unstable();
    let between = |hash: &KeyHash| [*hash, KeyHash::from_u128(hash.to_u128().saturating_add(1))];
    let ends: Vec<KeyHash> = keys.iter().flat_map(between).collect();
    for lo in &ends {
        for hi in ends.iter().map(|hi| Some(*hi)).chain([None]) {
            if let Some(range) = KeyRange::new(*lo, hi) {
                model.expect_in(store, range, law::SCAN_RANGE)?;
            }
        }
    }
    for visits in [1, 2, keys.len() / 2, keys.len()] {
        check_stop(store, visits)?;
    }
    Ok(())
}

fn check_stop(store: &impl Store, visits: usize) -> Result<(), Violation> {
    let mut visited = 0;
    let scanned = store.scan(KeyRange::ALL, &mut |_, _| {
        visited += 1;
        if visited >= visits { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    scanned.map_err(|error| failed("a scan that was stopped", &error))?;
    if visited == visits {
        return Ok(());
    }
    Err(Violation::new(law::SCAN_STOPS, format!("the visitor broke at record {visits} and was called {visited} times")))
}

fn check_empty_commit(store: &mut impl Store) -> Result<(), Violation> {
    let mut model = Model::default();
    for commit in [Commit::default(), many_changes(2), Commit::default()] {
        model.commit(store, commit)?;
        model.expect(store, law::EMPTY_COMMIT)?;
    }
    Ok(())
}

fn check_reopening<S: Store>(mut store: S, reopen: &mut impl FnMut(S) -> S) -> Result<(), Violation> {
    let mut model = Model::default();
    let large = record(key(500), &noise(1 << 20, 9));
    for commit in [Commit::default(), many_changes(3), changes_to_many(), large] {
        model.commit(&mut store, commit)?;
        store = reopen(store);
        model.expect(&store, law::REOPENING)?;
    }
    store = reopen(store);
    model.expect(&store, law::REOPENING)
}

fn check_any_sequence<S: Store>(mut store: S, reopen: &mut impl FnMut(S) -> S) -> Result<(), Violation> {
    let mut model = Model::default();
    let mut random = fastrand::Rng::with_seed(7);
    let keys: Vec<KeyHash> = pool().collect();
    for number in 0..COMMITS {
        let mut commit = Commit::default();
        for _ in 0..random.usize(0..8) {
            let bytes = random.u8(0..3).ne(&0).then(|| noise(random.usize(0..64), random.u128(..)));
            commit.records.insert(keys[random.usize(0..keys.len())], bytes);
        }
        for slot in SLOTS {
            if random.u8(0..3) == 0 {
                commit.meta.insert(slot, noise(random.usize(0..40), random.u128(..)));
            }
        }
        model.commit(&mut store, commit)?;
        let (one, other) = (keys[random.usize(0..keys.len())], keys[random.usize(0..keys.len())]);
        if let Some(range) = KeyRange::new(one, Some(other)) {
            model.expect_in(&store, range, law::ANY_SEQUENCE)?;
        }
        if number % 10 == 9 {
            model.expect(&store, law::ANY_SEQUENCE)?;
            store = reopen(store);
            model.expect(&store, law::REOPENING)?;
        }
    }
    Ok(())
}

/// Spreads small numbers over the space of hashes.
fn key(number: u128) -> KeyHash {
    KeyHash::from_u128(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Some hashes: far apart, neighbours, and both ends of the space.
fn pool() -> impl Iterator<Item = KeyHash> {
    let close = (0..6).map(|number| KeyHash::from_u128((0x80 << 120) + number));
    (0..14).map(key).chain(close).chain([KeyHash::MIN, KeyHash::from_u128(1), KeyHash::MAX])
}

/// Bytes in which every length and every number shows.
fn noise(length: usize, number: u128) -> Vec<u8> {
    let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0);
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(low).fill(&mut bytes);
    bytes
}

fn record(key: KeyHash, bytes: &[u8]) -> Commit {
    let mut commit = Commit::default();
    commit.records.insert(key, Some(bytes.to_vec()));
    commit
}

fn metadata(slot: MetaSlot, bytes: &[u8]) -> Commit {
    let mut commit = Commit::default();
    commit.meta.insert(slot, bytes.to_vec());
    commit
}

/// A record at every key of the pool, and all metadata.
fn many_changes(number: u128) -> Commit {
    let mut commit = Commit::default();
    for (index, hash) in (0..).zip(pool()) {
        commit.records.insert(hash, Some(noise(30, index + 100 * number)));
    }
    for (index, slot) in (50..).zip(SLOTS) {
        commit.meta.insert(slot, noise(30, index + 100 * number));
    }
    commit
}

/// New records, replaced and removed ones in one commit, for a store that holds [`many_changes`].
fn changes_to_many() -> Commit {
    let mut commit = Commit::default();
    for (index, hash) in (0..).zip(pool()) {
        let bytes = (index % 3 != 0).then(|| noise(40, 1_000 + index));
        commit.records.insert(hash, bytes);
    }
    commit.records.extend((20..30).map(|number| (key(number), Some(noise(20, number)))));
    commit.meta.extend(SLOTS.map(|slot| (slot, noise(25, 2_000))));
    commit
}
