//! What was acknowledged survives power cuts at any moment, whatever of the unsynced writes reaches the disk.
//!
//! `POWER_CUTS` says how many, 300 by default; `POWER_CUTS_SEED` repeats a run.
#![cfg(feature = "simulated-disk")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod ledger;

use std::env;
use std::sync::{Arc, Mutex};

use anti_entropy::clock::Seed;
use anti_entropy::store::{Commit, StoreError};
use anti_entropy::{Continuity, Error, LastWriterWins, Opening, Replica, Store};
use anti_entropy_conformance::{with_commit, with_load};
use anti_entropy_redb::simulated_disk::SimulatedDisk;
use anti_entropy_redb::{RedbConfig, RedbFile, RedbStore, Schema};
use fastrand::Rng;

use crate::ledger::{Changes, Item, Ledger, commit};

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let cuts = number("POWER_CUTS", 300);
    let seed = number("POWER_CUTS_SEED", 1);
    // Now and then a new disk, so that creating is cut as well.
    for (part, start) in (0..cuts).step_by(100).enumerate() {
        let seed = seed + part as u64;
        let acknowledged = cut_again_and_again(seed, (cuts - start).min(100), Bug::None)
            .unwrap_or_else(|violation| panic!("POWER_CUTS_SEED={seed} POWER_CUTS=100: {violation}"));
        assert!(cuts - start < 100 || acknowledged > 100, "hardly anything was written: {acknowledged}");
    }
}

/// Otherwise the test above proves nothing.
#[test]
fn broken_stores_are_caught() {
    for bug in [Bug::LyingDisk, Bug::IdentityLater, Bug::AcknowledgedEarly, Bug::HalfCommits] {
        let caught = (0..10).find_map(|seed| cut_again_and_again(seed, 100, bug).err());
        assert!(caught.is_some(), "{bug:?} was not noticed");
    }
}

/// What is wrong with the store under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// The disk says that it has synced, and has not.
    LyingDisk,
    /// The replica's counter is committed after the records that it counts.
    IdentityLater,
    /// A commit is acknowledged when the next one is made.
    AcknowledgedEarly,
    /// Of several records, the first is committed by itself.
    HalfCommits,
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

/// How many transactions were acknowledged, or what was broken.
fn cut_again_and_again(seed: u64, cuts: u64, bug: Bug) -> Result<u64, String> {
    let mut random = Rng::with_seed(seed);
    let disk = SimulatedDisk::new(random.u64(..));
    if bug == Bug::LyingDisk {
        disk.lie_about_syncs();
    }
    let mut ledger = Ledger::default();
    for cut in 0..cuts {
        live(&disk, &mut ledger, &mut random, bug).map_err(|violation| format!("after cut {cut}: {violation}"))?;
    }
    Ok(ledger.acknowledged())
}

/// From one power cut to the next.
fn live(disk: &SimulatedDisk, ledger: &mut Ledger, random: &mut Rng, bug: Bug) -> Result<(), String> {
    let backend = disk.backend();
    let cuts = disk.cuts();
    let by_cut = |what: &str, error: &dyn std::fmt::Display| {
        if disk.cuts() > cuts { Ok(()) } else { Err(format!("{what}: {error}")) }
    };
    // Now and then while it is being opened, otherwise later.
    let early = random.u8(0..3) == 0;
    if early {
        disk.cut_power_after(random.u64(0..40));
    }
    let config = RedbConfig::new(Schema::new("power-cuts", 1))
        .with(|config| config.compact_from_unused_percent = random.u8(0..100));
    let file = match RedbFile::with_backend(backend, config) {
        Ok(file) => file,
        Err(error) => return by_cut("the file does not open", &error),
    };
    let store = file.space("s").map_err(|error| error.to_string())?;
    // Nothing is ever rolled back here, so the replica keeps its id, and would use a dot twice if it had forgotten it.
    let seed = Seed::from_bytes(std::array::from_fn(|_| random.u8(..)));
    let opening = Opening::from(seed).with(|opening| opening.continuity = Continuity::Vouched);
    let mut replica: Replica<Item> = match Replica::open(broken(store, bug), LastWriterWins, opening) {
        Ok(replica) => replica,
        Err(error) => return by_cut("the replica does not open", &error),
    };
    ledger.check(&mut replica)?;
    if !early {
        disk.cut_power_after(random.u64(0..100));
    }
    loop {
        if random.u8(0..30) == 0 {
            // A clean end, and then the cut, or the cut while it ends.
            drop((replica, file));
            disk.cut_power();
            return Ok(());
        }
        if random.u8(0..10) == 0
            && let Err(error) = file.compact()
        {
            return by_cut("compaction failed", &error);
        }
        match change(&mut replica, ledger, Ledger::some_changes(random)) {
            Ok(()) => {}
            Err(Failed::Store(error)) => return by_cut("a commit failed", &error),
            Err(Failed::Violation(violation)) => return Err(violation),
        }
    }
}

/// Asks the replica for the changes, and writes the answer down.
fn change(replica: &mut Replica<Item>, ledger: &mut Ledger, changes: Changes) -> Result<(), Failed> {
    ledger.ask(&changes);
    let written = commit(replica, &changes).map_err(Failed::Store)?;
    let dots: Vec<_> = written.iter().map(|written| (written.key, written.dot)).collect();
    let root = replica.root();
    ledger.acknowledge(changes, &dots, Some(root)).map_err(Failed::Violation)
}

/// Why changes were not made.
#[derive(Debug)]
enum Failed {
    /// The store said no.
    Store(Error),
    /// It should not have said yes.
    Violation(String),
}

/// A store with a bug, or without one.
fn broken(store: RedbStore, bug: Bug) -> impl Store {
    let late = Arc::new(Mutex::new(None::<Commit>));
    let acknowledged = Arc::clone(&late);
    let store = with_commit(store, move |store, commit| bug.commit(store, commit, &mut late.lock().unwrap()));
    with_load(store, move |store, key| {
        match acknowledged.lock().unwrap().as_ref().and_then(|late| late.records.get(&key)) {
            Some(record) => Ok(record.clone()),
            None => store.load(key),
        }
    })
}

impl Bug {
    /// Commits as a store with this bug does. What it acknowledges without committing it is `late`.
    fn commit(self, store: &mut RedbStore, mut commit: Commit, late: &mut Option<Commit>) -> Result<(), StoreError> {
        match self {
            Self::None | Self::LyingDisk => store.commit(commit),
            Self::IdentityLater => {
                let meta = std::mem::take(&mut commit.meta);
                store.commit(commit)?;
                store.commit(Commit { meta, ..Commit::default() })
            }
            // What is opened is committed at once, so that the store can be scanned.
            Self::AcknowledgedEarly if commit.records.is_empty() => store.commit(commit),
            Self::AcknowledgedEarly => match late.replace(commit) {
                Some(earlier) => store.commit(earlier),
                None => Ok(()),
            },
            Self::HalfCommits => {
                if commit.records.len() > 1
                    && let Some((key, record)) = commit.records.pop_first()
                {
                    let mut half = Commit { meta: commit.meta.clone(), ..Commit::default() };
                    half.records.insert(key, record);
                    store.commit(half)?;
                }
                store.commit(commit)
            }
        }
    }
}
