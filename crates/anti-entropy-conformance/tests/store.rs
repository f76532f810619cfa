//! The store kit: the store in memory passes, and stores broken on purpose fail in the law that they break.

use std::ops::ControlFlow;

use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::{KeyHash, KeyRange, MemoryStore, Store};
use anti_entropy_conformance::store::law;
use anti_entropy_conformance::{check_failed_commits, check_store, with_commit, with_load};

type Visit<'a> = &'a mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>;

#[test]
fn the_memory_store_conforms() {
    check_store(MemoryStore::new, |store| store).unwrap();
    check_store(|| Box::new(MemoryStore::new()) as Box<dyn Store>, |store| store).unwrap();
}

#[test]
fn a_function_replaces_one_method_of_a_store_and_no_other() {
    check_store(|| with_commit(MemoryStore::new(), MemoryStore::commit), |store| store).unwrap();
    check_store(|| with_load(MemoryStore::new(), MemoryStore::load), |store| store).unwrap();
    let fails = |_: &mut MemoryStore, _| Err(StoreError::unchanged("on purpose"));
    let violation = check_store(|| with_commit(MemoryStore::new(), fails), |store| store).unwrap_err();
    assert_eq!(violation.law, law::SUCCEEDS, "{violation}");
    let finds_nothing = |_: &MemoryStore, _| Ok(None);
    let violation = check_store(|| with_load(MemoryStore::new(), finds_nothing), |store| store).unwrap_err();
    assert_eq!(violation.law, law::LOAD_AND_SCAN_AGREE, "{violation}");
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    StartsWithMeta,
    CommitFails,
    LongRecordsCutOff,
    EmptyRecordIsNone,
    OneSlotForBoth,
    SlotsKeptAmongRecords,
    SecondHalfOfCommitLost,
    MetaOfCommitLost,
    KeepsRemoved,
    KeepsFirstRecord,
    ScansDescending,
    ScansTwice,
    IgnoresUpperBound,
    IncludesUpperBound,
    ExcludesLowerBound,
    NeverVisitsTheTop,
    GoesOnAfterBreak,
    LoadIsStale,
    EmptyCommitClears,
    ForgetsMetaOnReopen,
    ForgetsLastCommitOnReopen,
    ForgetsRecordsNowAndThen,
}

struct Broken {
    inner: MemoryStore,
    before: MemoryStore,
    fault: Fault,
    commits: u32,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        let mut inner = MemoryStore::new();
        if fault == Fault::StartsWithMeta {
            let mut commit = Commit::default();
            commit.meta.insert(MetaSlot::Context, Vec::new());
            inner.commit(commit).expect("memory does not fail");
        }
        Self { before: inner.clone(), inner, fault, commits: 0 }
    }

    fn reopen(self) -> Self {
        let mut inner = match self.fault {
            Fault::ForgetsLastCommitOnReopen => self.before.clone(),
            _ => self.inner,
        };
        if self.fault == Fault::ForgetsMetaOnReopen {
            let mut kept = MemoryStore::new();
            kept.commit(Commit { records: all(&inner), ..Commit::default() }).expect("memory does not fail");
            inner = kept;
        }
        Self { inner, ..self }
    }
}

fn all(store: &MemoryStore) -> std::collections::BTreeMap<KeyHash, Option<Vec<u8>>> {
    let mut records = std::collections::BTreeMap::new();
    let mut put = |key, bytes: &[u8]| {
        records.insert(key, Some(bytes.to_vec()));
        ControlFlow::Continue(())
    };
    store.scan(KeyRange::ALL, &mut put).expect("memory does not fail");
    records
}

impl Store for Broken {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        if self.fault == Fault::LoadIsStale { self.before.load(key) } else { self.inner.load(key) }
    }

    fn scan(&self, range: KeyRange, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut records: Vec<_> = all(&self.inner).into_iter().collect();
        records.retain(|(key, _)| match self.fault {
            Fault::IgnoresUpperBound => *key >= range.lo(),
            Fault::IncludesUpperBound => range.contains(*key) || range.hi() == Some(*key),
            Fault::ExcludesLowerBound => range.contains(*key) && (range.lo() != *key || range == KeyRange::ALL),
            Fault::NeverVisitsTheTop => range.contains(*key) && (*key != KeyHash::MAX || range == KeyRange::ALL),
            _ => range.contains(*key),
        });
        match self.fault {
            Fault::ScansDescending => records.reverse(),
            Fault::ScansTwice => records = records.iter().flat_map(|record| [record.clone(), record.clone()]).collect(),
            _ => {}
        }
        for (key, bytes) in records {
            if visit(key, &bytes.unwrap_or_default()).is_break() && self.fault != Fault::GoesOnAfterBreak {
                break;
            }
        }
        Ok(())
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.meta(if self.fault == Fault::OneSlotForBoth { MetaSlot::Identity } else { slot })
    }

    fn commit(&mut self, mut commit: Commit) -> Result<(), StoreError> {
        self.before = self.inner.clone();
        self.commits += 1;
        let changes = commit.records.len();
        match self.fault {
            Fault::CommitFails => return Err(StoreError::unchanged("on purpose")),
            Fault::LongRecordsCutOff => {
                commit.records.values_mut().flatten().for_each(|bytes| bytes.truncate(65_535));
            }
            Fault::EmptyRecordIsNone => {
                commit
                    .records
                    .values_mut()
                    .for_each(|record| *record = record.take().filter(|bytes| !bytes.is_empty()));
            }
            Fault::OneSlotForBoth => {
                commit.meta = commit.meta.into_values().map(|bytes| (MetaSlot::Identity, bytes)).collect();
            }
            Fault::SlotsKeptAmongRecords => {
                if let Some(bytes) = commit.meta.get(&MetaSlot::Context) {
                    commit.records.insert(KeyHash::MAX, Some(bytes.clone()));
                }
            }
            Fault::SecondHalfOfCommitLost => {
                commit.records = commit.records.into_iter().take(changes.div_ceil(2)).collect();
            }
            Fault::MetaOfCommitLost if changes > 1 => commit.meta.clear(),
            Fault::KeepsRemoved => commit.records.retain(|_, record| record.is_some()),
            Fault::KeepsFirstRecord => {
                commit.records.retain(|key, _| self.inner.load(*key).is_ok_and(|held| held.is_none()));
            }
            Fault::EmptyCommitClears if commit == Commit::default() => self.inner = MemoryStore::new(),
            Fault::ForgetsRecordsNowAndThen if self.commits.is_multiple_of(97) => commit.records.clear(),
            _ => {}
        }
        self.inner.commit(commit)
    }
}

#[test]
fn a_broken_store_fails_in_the_law_it_breaks() {
    let faults = [
        (Fault::StartsWithMeta, law::NEW_IS_EMPTY),
        (Fault::CommitFails, law::SUCCEEDS),
        (Fault::LongRecordsCutOff, law::EXACT),
        (Fault::EmptyRecordIsNone, law::EXACT),
        (Fault::OneSlotForBoth, law::META_SLOTS),
        (Fault::SlotsKeptAmongRecords, law::META_SLOTS),
        (Fault::SecondHalfOfCommitLost, law::WHOLE_COMMIT),
        (Fault::MetaOfCommitLost, law::WHOLE_COMMIT),
        (Fault::KeepsRemoved, law::REPLACES),
        (Fault::KeepsFirstRecord, law::REPLACES),
        (Fault::ScansDescending, law::SCAN_ORDER),
        (Fault::ScansTwice, law::SCAN_ORDER),
        (Fault::IgnoresUpperBound, law::SCAN_RANGE),
        (Fault::IncludesUpperBound, law::SCAN_RANGE),
        (Fault::ExcludesLowerBound, law::SCAN_RANGE),
        (Fault::NeverVisitsTheTop, law::SCAN_RANGE),
        (Fault::GoesOnAfterBreak, law::SCAN_STOPS),
        (Fault::LoadIsStale, law::LOAD_AND_SCAN_AGREE),
        (Fault::EmptyCommitClears, law::EMPTY_COMMIT),
        (Fault::ForgetsMetaOnReopen, law::REOPENING),
        (Fault::ForgetsLastCommitOnReopen, law::REOPENING),
        (Fault::ForgetsRecordsNowAndThen, law::ANY_SEQUENCE),
    ];
    check_store(|| Broken::new(Fault::None), Broken::reopen).unwrap();
    for (fault, law) in faults {
        let violation = check_store(|| Broken::new(fault), Broken::reopen).unwrap_err();
        assert_eq!(violation.law, law, "{fault:?}: {violation}");
    }
}

/// How a store behaves when it fails at its nth change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Atomically,
    AtomicallyUnknown,
    KeepsPartAndClaimsUnchanged,
    KeepsPart,
    ShowsPartUntilReopened,
    ClaimsSuccess,
    StaysBroken,
    Never,
}

struct Fallible {
    kept: MemoryStore,
    shown: MemoryStore,
    failing: Failing,
    /// How many changes succeed.
    left: Option<usize>,
}

impl Fallible {
    fn new(failing: Failing) -> Self {
        Self { kept: MemoryStore::new(), shown: MemoryStore::new(), failing, left: None }
    }

    fn reopen(self) -> Self {
        let left = self.left.filter(|_| self.failing == Failing::StaysBroken);
        Self { shown: self.kept.clone(), left, ..self }
    }
}

impl Store for Fallible {
    fn load(&self, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.shown.load(key)
    }

    fn scan(&self, range: KeyRange, visit: Visit<'_>) -> Result<(), StoreError> {
        self.shown.scan(range, visit)
    }

    fn meta(&self, slot: MetaSlot) -> Result<Option<Vec<u8>>, StoreError> {
        self.shown.meta(slot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let whole = commit.clone();
        let part =
            Commit { records: commit.records.into_iter().take(self.left.unwrap_or(0)).collect(), ..Commit::default() };
        let failed = self.left.is_some_and(|left| left < whole.records.len()) && self.failing != Failing::Never;
        if !failed {
            self.kept.commit(whole.clone())?;
            return self.shown.commit(whole);
        }
        match self.failing {
            Failing::Atomically | Failing::StaysBroken | Failing::Never => Err(StoreError::unchanged("on purpose")),
            Failing::AtomicallyUnknown => {
                if self.left.is_some_and(|left| left % 2 == 0) {
                    self.kept.commit(whole)?;
                }
                Err(StoreError::unknown("on purpose"))
            }
            Failing::KeepsPartAndClaimsUnchanged => {
                self.kept.commit(part)?;
                Err(StoreError::unchanged("on purpose"))
            }
            Failing::KeepsPart => {
                self.kept.commit(part)?;
                Err(StoreError::unknown("on purpose"))
            }
            Failing::ShowsPartUntilReopened => {
                self.shown.commit(part)?;
                Err(StoreError::unchanged("on purpose"))
            }
            Failing::ClaimsSuccess => {
                self.shown.commit(whole)?;
                self.kept.commit(part)
            }
        }
    }
}

#[test]
fn failed_commits_are_kept_as_a_whole_or_not_at_all() {
    let outcomes = [
        (Failing::Atomically, None),
        (Failing::AtomicallyUnknown, None),
        (Failing::KeepsPartAndClaimsUnchanged, Some(law::UNCHANGED)),
        (Failing::KeepsPart, Some(law::ALL_OR_NOTHING)),
        (Failing::ShowsPartUntilReopened, Some(law::UNCHANGED)),
        (Failing::ClaimsSuccess, Some(law::REOPENING)),
        (Failing::StaysBroken, Some(law::SUCCEEDS)),
        (Failing::Never, Some(law::FAILURE_INJECTED)),
    ];
    for (failing, law) in outcomes {
        let fail = |store: &mut Fallible, point: u32| store.left = Some(point as usize);
        let checked = check_failed_commits(|| Fallible::new(failing), fail, Fallible::reopen);
        assert_eq!(checked.as_ref().err().map(|violation| violation.law), law, "{failing:?}: {checked:?}");
    }
}
