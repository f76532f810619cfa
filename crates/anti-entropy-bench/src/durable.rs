//! The cost of the durable store: opening a file, committing to it, and its size, compared with redb alone.

mod waiting;

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use anti_entropy::clock::Seed;
use anti_entropy::store::{Commit, MetaSlot, StoreError};
use anti_entropy::summary::MerkleTree;
use anti_entropy::summary::sketch::{Sketch, SketchConfig};
use anti_entropy::{KeyHash, KeyRange, Keyed, LastWriterWins, Replica, Store, Transaction};
use anti_entropy_bench::{Key, key, now};
use anti_entropy_conformance::with_commit;
use anti_entropy_redb::{RedbConfig, RedbFile, RedbStore, Schema};
use redb::{Database, Durability, TableDefinition};
use serde::Serialize;

use crate::measure::{Progress, Samples, float, processor_time, time};

pub(crate) use self::waiting::WaitingRow;

type Item = Keyed<Key, String>;
type Failure = Box<dyn Error>;

/// Bytes of a value.
const VALUE_BYTES: usize = 100;
/// How many entries are written in one transaction when the file is filled.
const FILL: u64 = 10_000;
/// How often opening is measured.
const OPENINGS: usize = 5;

/// The time to open a file, in seconds, and its size. Times are medians; the file is in the page cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    entries: u64,
    value_bytes: usize,
    /// Opening the file and the replica.
    open_seconds: f64,
    /// Opening the file: redb verifies all checksums and finds the free pages.
    file_seconds: f64,
    /// Reading all records. When a replica is opened, a thread of its own does this while the replica checks them.
    scan_seconds: f64,
    /// Opening the replica without its tree and sketch: waiting for records, decoding, checking and hashing them.
    check_seconds: f64,
    /// Building the tree and its root.
    tree_seconds: f64,
    /// Building the sketch.
    sketch_seconds: f64,
    bytes_per_entry: f64,
    compacted_bytes_per_entry: f64,
    compact_seconds: f64,
}

impl Row {
    pub(crate) const HEADERS: [&str; 10] = [
        "entries",
        "opening",
        "file",
        "(scan alone)",
        "scan, decode, hash",
        "tree",
        "sketch",
        "file, an entry",
        "compacted",
        "compacting",
    ];

    pub(crate) const GOALS: [&str; 10] = ["goal", "<= 1.5 s", "", "", "", "", "", "", "", ""];

    pub(crate) fn cells(&self) -> Vec<String> {
        let seconds = [
            self.open_seconds,
            self.file_seconds,
            self.scan_seconds,
            self.check_seconds,
            self.tree_seconds,
            self.sketch_seconds,
        ];
        let mut cells = vec![self.entries.to_string()];
        cells.extend(seconds.map(|seconds| format!("{seconds:.3} s")));
        cells.extend([self.bytes_per_entry, self.compacted_bytes_per_entry].map(|bytes| format!("{bytes:.0} B")));
        cells.push(format!("{:.2} s", self.compact_seconds));
        cells
    }
}

/// How many entries a second are committed durably.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WritingRow {
    entries: u64,
    batch: u64,
    commits: usize,
    writes_per_second: f64,
    /// Of redb alone, which writes the same bytes into the same tables. Its commits and ours take turns.
    bare_writes_per_second: f64,
    ratio: f64,
}

impl WritingRow {
    pub(crate) const HEADERS: [&str; 6] = ["entries", "a commit", "commits", "writes/s", "redb alone", "ratio"];

    pub(crate) const GOALS: [&str; 6] = ["goal", "", "", "", "", ">= 0.92"];

    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.batch.to_string(),
            self.commits.to_string(),
            format!("{:.0}", self.writes_per_second),
            format!("{:.0}", self.bare_writes_per_second),
            format!("{:.3}", self.ratio),
        ]
    }
}

/// Measures a file with this number of entries in a new directory below `directory`.
pub(crate) fn measure(
    entries: u64,
    directory: Option<&Path>,
    progress: &Progress,
    mut each: impl FnMut(WritingRow),
) -> Result<Row, Failure> {
    let directory = match directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let path = directory.path().join("ours.redb");
    progress.show(&format!("{entries} entries: writing them"));
    fill(&path, entries)?;
    let bytes = std::fs::metadata(&path)?.len();
    let mut row = measure_opening(&path, entries, progress)?;
    for (batch, commits) in [(1, 1_000), (100, 200)] {
        progress.show(&format!("{entries} entries: commits of {batch}"));
        each(measure_writing(directory.path(), entries, batch, commits)?);
    }
    progress.show(&format!("{entries} entries: compacting"));
    let file = RedbFile::open(&path, config().with(|config| config.compact_from_unused_percent = 0))?;
    let started = Instant::now();
    let compacted = file.compact()?.bytes_after;
    row.compact_seconds = started.elapsed().as_secs_f64();
    row.bytes_per_entry = float(bytes) / float(entries);
    row.compacted_bytes_per_entry = float(compacted) / float(entries);
    Ok(row)
}

/// Measures what waits at the same time, in new files below `directory`.
pub(crate) fn measure_waiting(directory: Option<&Path>, each: impl FnMut(WaitingRow)) -> Result<(), Failure> {
    waiting::measure(directory.unwrap_or(&std::env::temp_dir()), each)
}

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("bench", 1))
}

fn item(number: u64, version: u64) -> Item {
    let mut random = fastrand::Rng::with_seed(!number ^ version.rotate_left(40));
    Keyed::new(key(number), std::iter::repeat_with(|| random.alphanumeric()).take(VALUE_BYTES).collect())
}

fn fill(path: &Path, entries: u64) -> Result<(), Failure> {
    let file = RedbFile::create(path, config())?;
    let mut replica = Replica::open(file.space("s")?, LastWriterWins, Seed::from_os()?)?;
    let mut start = 0;
    while start < entries {
        let end = entries.min(start + FILL);
        let transaction = (start..end).fold(Transaction::new(), |all, number| all.write(item(number, 0)));
        replica.commit(transaction, now())?;
        start = end;
    }
    Ok(())
}

fn measure_opening(path: &Path, entries: u64, progress: &Progress) -> Result<Row, Failure> {
    let [mut whole, mut file_time, mut scan, mut check, mut tree_time, mut sketch_time] =
        [(); 6].map(|()| Samples::default());
    for round in 0..OPENINGS {
        progress.show(&format!("{entries} entries: opening {round}"));
        let started = Instant::now();
        let file = RedbFile::open(path, config())?;
        let opened = started.elapsed().as_secs_f64();
        let mut replica: Replica<Item> = Replica::open(file.space("s")?, LastWriterWins, Seed::from_os()?)?;
        let all = started.elapsed().as_secs_f64();
        assert_eq!(replica.len(), entries, "the file holds what was written");
        let held: Vec<_> = replica.summary().iter().collect();
        drop((replica, file));
        // Then each part by itself, on a file that is opened in the same way.
        let file = RedbFile::open(path, config())?;
        let space = file.space("s")?;
        let (scanned, records) = time(|| count(&space));
        assert_eq!(records?, entries, "the file holds what was written");
        let (built, mut tree): (_, MerkleTree) = processor_time(|| MerkleTree::from_entries(held));
        let (hashed, snapshot) = processor_time(|| tree.snapshot());
        let (sketched, sketch) = processor_time(|| Sketch::from_entries(&snapshot, SketchConfig::default()));
        sketch.expect("the defaults are valid");
        let parts = [scanned, built + hashed, sketched].map(|nanoseconds| nanoseconds / 1e9);
        whole.add(all);
        file_time.add(opened);
        scan.add(parts[0]);
        check.add(all - opened - parts[1] - parts[2]);
        tree_time.add(parts[1]);
        sketch_time.add(parts[2]);
    }
    Ok(Row {
        entries,
        value_bytes: VALUE_BYTES,
        open_seconds: whole.median(),
        file_seconds: file_time.median(),
        scan_seconds: scan.median(),
        check_seconds: check.median(),
        tree_seconds: tree_time.median(),
        sketch_seconds: sketch_time.median(),
        bytes_per_entry: 0.0,
        compacted_bytes_per_entry: 0.0,
        compact_seconds: 0.0,
    })
}

fn count(space: &RedbStore) -> Result<u64, StoreError> {
    let mut records = 0;
    space.scan(KeyRange::ALL, &mut |_, _| {
        records += 1;
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

/// Commits to copies of the same file. Our replica and redb alone take turns, so that both meet the same disk.
fn measure_writing(directory: &Path, entries: u64, batch: u64, commits: usize) -> Result<WritingRow, Failure> {
    let [ours, bare] = ["ours.copy", "bare.copy"].map(|name| directory.join(name));
    std::fs::copy(directory.join("ours.redb"), &ours)?;
    let file = RedbFile::open(&ours, config())?;
    let (recorder, receiver) = recorded(file.space("s")?);
    let mut replica: Replica<Item> = Replica::open(recorder, LastWriterWins, Seed::from_os()?)?;
    std::fs::copy(directory.join("ours.redb"), &bare)?;
    let database = Database::builder().set_cache_size(config().cache_bytes).create(&bare)?;
    // What opening committed.
    receiver.recv()?;
    let mut random = fastrand::Rng::with_seed(batch);
    let [mut our_times, mut bare_times] = [(); 2].map(|()| Samples::default());
    for round in 0..commits as u64 {
        let items: Vec<Item> = numbers(&mut random, entries, batch).map(|number| item(number, round + 1)).collect();
        let started = Instant::now();
        let transaction = items.into_iter().fold(Transaction::new(), Transaction::write);
        replica.commit(transaction, now())?;
        our_times.add(started.elapsed().as_secs_f64());
        let commit = receiver.recv()?;
        let started = Instant::now();
        commit_bare(&database, &commit)?;
        bare_times.add(started.elapsed().as_secs_f64());
    }
    let [ours_rate, bare_rate] = [our_times.median(), bare_times.median()].map(|seconds| float(batch) / seconds);
    Ok(WritingRow {
        entries,
        batch,
        commits,
        writes_per_second: ours_rate,
        bare_writes_per_second: bare_rate,
        ratio: ours_rate / bare_rate,
    })
}

fn numbers(random: &mut fastrand::Rng, entries: u64, count: u64) -> impl Iterator<Item = u64> {
    let mut numbers = BTreeSet::new();
    while (numbers.len() as u64) < count.min(entries) {
        numbers.insert(random.u64(..entries));
    }
    numbers.into_iter()
}

/// What the store does, without it.
fn commit_bare(database: &Database, commit: &Commit) -> Result<(), Failure> {
    const RECORDS: TableDefinition<'_, &[u8; KeyHash::LEN], &[u8]> = TableDefinition::new("records/s");
    const META: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("meta/s");
    let mut writing = database.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    writing.set_two_phase_commit(true);
    {
        let mut records = writing.open_table(RECORDS)?;
        for (key, record) in &commit.records {
            records.insert(key.as_bytes(), record.as_deref().unwrap_or_default())?;
        }
        let mut meta = writing.open_table(META)?;
        for (slot, bytes) in &commit.meta {
            let slot = match slot {
                MetaSlot::Identity => 0,
                MetaSlot::Context => 1,
                MetaSlot::Pushed => 2,
            };
            meta.insert(slot, bytes.as_slice())?;
        }
    }
    Ok(writing.commit()?)
}

/// A store that hands on what is committed. What that costs counts against us.
fn recorded(store: RedbStore) -> (impl Store + 'static, mpsc::Receiver<Commit>) {
    let (sender, receiver) = mpsc::channel();
    let recorder = with_commit(store, move |store, commit| {
        sender.send(commit.clone()).map_err(|_| StoreError::unchanged("nobody listens"))?;
        store.commit(commit)
    });
    (recorder, receiver)
}
