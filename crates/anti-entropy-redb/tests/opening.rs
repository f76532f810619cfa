//! Opening a file that another process has used a moment before, and one that fails in the middle of it.
#![cfg(feature = "simulated-disk")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anti_entropy::store::Commit;
use anti_entropy::{KeyHash, Store};
use anti_entropy_redb::simulated_disk::{SimulatedBackend, SimulatedDisk};
use anti_entropy_redb::{BackendError, FileError, RedbConfig, RedbFile, Schema, StorageBackend};

const KEY: KeyHash = KeyHash::from_bytes([7; KeyHash::LEN]);

fn open(backend: impl StorageBackend) -> RedbFile {
    RedbFile::with_backend(backend, config()).unwrap()
}

fn config() -> RedbConfig {
    RedbConfig::new(Schema::new("opening", 1))
}

fn write(file: &RedbFile, bytes: usize) {
    let mut commit = Commit::default();
    commit.records.insert(KEY, Some(vec![7; bytes]));
    file.space("s").unwrap().commit(commit).unwrap();
}

fn held(file: &RedbFile) -> Option<usize> {
    file.space("s").unwrap().load(KEY).unwrap().map(|record| record.len())
}

/// A disk that another process uses until it can be locked.
#[derive(Debug)]
struct UsedBefore {
    inner: SimulatedBackend,
    disk: SimulatedDisk,
    bytes: usize,
    locked: AtomicBool,
}

impl StorageBackend for UsedBefore {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        if !self.locked.swap(true, Ordering::Relaxed) {
            write(&open(self.disk.backend()), self.bytes);
        }
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

#[test]
fn what_another_process_wrote_before_the_lock_is_seen() {
    let unfinished = |disk: &SimulatedDisk| disk.set_content(vec![0; 1 << 16]);
    let there = |disk: &SimulatedDisk| write(&open(disk.backend()), 10);
    let before: [&dyn Fn(&SimulatedDisk); 3] = [&|_| {}, &unfinished, &there];
    for (number, before) in before.iter().enumerate() {
        let disk = SimulatedDisk::new(1);
        before(&disk);
        // So much that the file grows.
        let (inner, bytes, locked) = (disk.backend(), 6 << 20, AtomicBool::new(false));
        let file = open(UsedBefore { inner, disk: disk.clone(), bytes, locked });
        assert_eq!(held(&file), Some(bytes), "{number}");
    }
}

/// A disk of which one operation fails, and no other.
#[derive(Debug)]
struct FailsOnce {
    inner: SimulatedBackend,
    at: u64,
    operations: Arc<AtomicU64>,
}

impl FailsOnce {
    fn step(&self) -> io::Result<()> {
        if self.operations.fetch_add(1, Ordering::Relaxed) == self.at {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for FailsOnce {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step()?;
        self.inner.write(offset, data)
    }
}

/// What redb wrote while the file was not yet found to be the right one is not there as a whole then.
#[test]
fn nothing_is_written_after_a_failure() {
    for closed in [true, false] {
        let mut failed = 0;
        for at in 0.. {
            let disk = SimulatedDisk::new(at);
            let file = open(disk.backend());
            write(&file, 100_000);
            if !closed {
                disk.cut_power();
            }
            drop(file);
            let operations = Arc::new(AtomicU64::new(0));
            let backend = FailsOnce { inner: disk.backend(), at, operations: Arc::clone(&operations) };
            let opened = RedbFile::with_backend(backend, config());
            let Err(error) = opened else { break };
            failed += 1;
            assert_eq!(operations.load(Ordering::Relaxed), at + 1, "{error}");
            assert_eq!(held(&open(disk.backend())), Some(100_000));
        }
        assert!(failed > 2, "{failed}");
    }
}

#[test]
fn settings_that_are_refused_create_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let with = || config().with(|config| config.compact_from_unused_percent = 101);
    let refused = |opened: Result<RedbFile, FileError>| match opened {
        Err(FileError::Config(error)) => error.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(RedbFile::create(&path, with())), "compact_from_unused_percent");
    assert!(!path.exists());
    let disk = SimulatedDisk::new(1);
    assert_eq!(refused(RedbFile::with_backend(disk.backend(), with())), "compact_from_unused_percent");
    assert!(disk.content().is_empty());
    drop(RedbFile::create(&path, config()).unwrap());
    assert_eq!(refused(RedbFile::open(&path, with())), "compact_from_unused_percent");
}
