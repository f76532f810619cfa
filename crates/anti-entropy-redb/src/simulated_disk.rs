//! A disk in memory whose power can be cut, for tests of durability.
//!
//! The disk distinguishes written from synced data. After a power cut, synced data is there. Each unsynced write survives
//! wholly, in part, or not at all, at random and independently of the others. In part means a prefix of its sectors, or any of
//! them; a sector of 512 bytes survives as a whole or not at all. Changes of the length survive as on a journalling file
//! system: in order, up to one of them. Data beyond the surviving length is lost.
//!
//! Everything random is drawn from the seed, so that a failed test can be repeated.
//!
//! ```
//! use anti_entropy::{Keyed, LastWriterWins, Replica};
//! use anti_entropy::clock::{Now, Seed};
//! use anti_entropy_redb::simulated_disk::SimulatedDisk;
//! use anti_entropy_redb::{RedbConfig, RedbFile, Schema};
//!
//! let disk = SimulatedDisk::new(7);
//! let config = RedbConfig::new(Schema::new("notes", 1));
//! let file = RedbFile::with_backend(disk.backend(), config.clone())?;
//! let mut replica = Replica::open(file.space("mine")?, LastWriterWins, Seed::from_os()?)?;
//! replica.write(Keyed::new(1, "milk".to_string()), Now::default())?;
//! disk.cut_power_after(3);
//! assert!(replica.write(Keyed::new(1, "bread".to_string()), Now::default()).is_err());
//! drop((replica, file));
//!
//! let file = RedbFile::with_backend(disk.backend(), config)?;
//! let replica = Replica::open(file.space("mine")?, LastWriterWins, Seed::from_os()?)?;
//! let read: anti_entropy::Read<Keyed<i32, String>> = replica.read(&1)?;
//! assert!(read.value().is_some_and(|item| ["milk", "bread"].contains(&item.value.as_str())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use redb::StorageBackend;

/// How many bytes the disk writes atomically.
pub const SECTOR_BYTES: u64 = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Rng,
    /// The content that survives a power cut in any case.
    synced: Content,
    /// The content that reads see.
    current: Content,
    /// The changes since the last sync, in order.
    unsynced: Vec<Change>,
    /// Counts power cuts. Backends from before the last one fail.
    life: u64,
    operations: u64,
    fault: Option<Fault>,
    sync_lies: bool,
}

/// Bytes whose debug output is only their number.
#[derive(Clone, Default)]
struct Content(Vec<u8>);

#[derive(Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

/// A fault, and after how many operations it happens.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Cut { operations: u64 },
    Fail { operations: u64 },
}

/// Access to the disk until the next power cut.
#[derive(Debug)]
pub struct SimulatedBackend {
    state: Arc<Mutex<State>>,
    life: u64,
}

impl SimulatedDisk {
    /// An empty disk. Everything random is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Rng::with_seed(seed),
            synced: Content::default(),
            current: Content::default(),
            unsynced: Vec::new(),
            life: 0,
            operations: 0,
            fault: None,
            sync_lies: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A backend for [`RedbFile::with_backend`](crate::RedbFile::with_backend), with the power on and without faults. Drop
    /// everything that uses an earlier backend first, since there is no lock.
    pub fn backend(&self) -> SimulatedBackend {
        let mut state = lock(&self.state);
        state.fault = None;
        SimulatedBackend { state: Arc::clone(&self.state), life: state.life }
    }

    /// Cuts the power now.
    pub fn cut_power(&self) {
        lock(&self.state).cut();
    }

    /// Cuts the power after that many more operations: writes, changes of the length and syncs. With 0, the power is cut in the
    /// middle of the next one.
    pub fn cut_power_after(&self, operations: u64) {
        lock(&self.state).fault = Some(Fault::Cut { operations });
    }

    /// Makes operations fail after that many more of them, as a full or dying disk does, until the next call of
    /// [`backend`](Self::backend). Operations are writes, changes of the length and syncs.
    pub fn fail_after(&self, operations: u64) {
        lock(&self.state).fault = Some(Fault::Fail { operations });
    }

    /// How many times the power was cut.
    pub fn cuts(&self) -> u64 {
        lock(&self.state).life
    }

    /// How many writes, changes of the length and syncs there were.
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Makes all later syncs succeed without doing anything: a broken disk, to prove that a test detects it.
    pub fn lie_about_syncs(&self) {
        lock(&self.state).sync_lies = true;
    }

    /// A copy of the disk's content.
    pub fn content(&self) -> Vec<u8> {
        lock(&self.state).current.0.clone()
    }

    /// Replaces the disk's content by synced content.
    pub fn set_content(&self, content: Vec<u8>) {
        let mut state = lock(&self.state);
        state.unsynced.clear();
        state.synced = Content(content);
        state.current = state.synced.clone();
    }
}

impl State {
    /// Counts an operation, and fails if a fault is due.
    fn step(&mut self, life: u64) -> io::Result<()> {
        if life != self.life {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        match &mut self.fault {
            Some(Fault::Cut { operations: 0 }) => {
                self.cut();
                Err(io::Error::other("the power was cut"))
            }
            Some(Fault::Fail { operations: 0 }) => {
                Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"))
            }
            Some(Fault::Cut { operations } | Fault::Fail { operations }) => {
                *operations -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Draws which unsynced changes survive.
    fn cut(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        let lengths = changes.iter().filter(|change| matches!(change, Change::SetLen(_))).count();
        let surviving_lengths = self.random.usize(0..=lengths);
        // In one cut few writes survive, half of them, or most.
        let percent = [10, 50, 90][self.random.usize(0..3)];
        let mut lengths = 0;
        for change in changes {
            match change {
                Change::SetLen(len) => {
                    if lengths < surviving_lengths {
                        self.synced.set_len(len);
                    }
                    lengths += 1;
                }
                Change::Write { offset, data } => self.write_some(offset, &data, percent),
            }
        }
        self.current = self.synced.clone();
        self.fault = None;
        self.life += 1;
    }

    /// Writes all sectors, some, or none.
    fn write_some(&mut self, offset: u64, data: &[u8], percent: u8) {
        if self.random.u8(0..100) >= percent {
            return;
        }
        let torn = self.random.u8(0..4);
        let sectors = sectors(offset, data.len());
        let prefix = self.random.usize(0..=sectors.len());
        for (number, sector) in sectors.into_iter().enumerate() {
            let survives = match torn {
                0 => number < prefix,
                1 => self.random.bool(),
                _ => true,
            };
            if survives {
                self.synced.write(offset + sector.start as u64, &data[sector]);
            }
        }
    }
}

/// The parts of a write of `len` bytes at `offset` that are in one sector each.
fn sectors(offset: u64, len: usize) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < len {
        let in_sector = SECTOR_BYTES - (offset + start as u64) % SECTOR_BYTES;
        let end = usize::try_from(in_sector).map_or(len, |bytes| len.min(start + bytes));
        parts.push(start..end);
        start = end;
    }
    parts
}

impl Content {
    fn set_len(&mut self, len: u64) {
        self.0.resize(usize::try_from(len).expect("a disk in memory is addressable"), 0);
    }

    /// Writes the part that is not beyond the end.
    fn write(&mut self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        if let Some(held) = self.0.get_mut(offset..) {
            let len = held.len().min(data.len());
            held[..len].copy_from_slice(&data[..len]);
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl StorageBackend for SimulatedBackend {
    fn len(&self) -> io::Result<u64> {
        let state = self.powered()?;
        Ok(state.current.0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.powered()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let held = state.current.0.get(start..).and_then(|held| held.get(..out.len()));
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step(self.life)?;
        state.current.set_len(len);
        state.unsynced.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step(self.life)?;
        if !state.sync_lies {
            for change in std::mem::take(&mut state.unsynced) {
                match change {
                    Change::SetLen(len) => state.synced.set_len(len),
                    Change::Write { offset, data } => state.synced.write(offset, &data),
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        let change = Change::Write { offset, data: data.to_vec() };
        if matches!(state.fault, Some(Fault::Cut { operations: 0 })) && self.life == state.life {
            // The write in the middle of which the power is cut may survive, like those before it.
            state.unsynced.push(change);
            return state.step(self.life);
        }
        state.step(self.life)?;
        let end = offset + data.len() as u64;
        if end > state.current.0.len() as u64 {
            state.current.set_len(end);
            state.unsynced.push(Change::SetLen(end));
        }
        state.current.write(offset, data);
        state.unsynced.push(change);
        Ok(())
    }
}

impl SimulatedBackend {
    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.life == self.life { Ok(state) } else { Err(io::Error::other("the power is off")) }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_of_the_rest_some_sectors() -> io::Result<()> {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..1000 {
            let disk = SimulatedDisk::new(seed);
            let backend = disk.backend();
            backend.set_len(4096)?;
            backend.write(0, &[1; 2048])?;
            backend.sync_data()?;
            backend.write(256, &[2; 1024])?;
            backend.set_len(8192)?;
            backend.write(4096, &[3; 512])?;
            disk.cut_power();
            assert!(backend.len().is_err());
            let content = disk.content();
            assert_eq!((&content[..256], &content[1280..2048]), ([1; 256].as_slice(), [1; 768].as_slice()));
            // Three sectors, each old or new as a whole.
            let parts = [&content[256..512], &content[512..1024], &content[1024..1280]];
            assert!(parts.iter().all(|part| part.iter().all(|byte| *byte == part[0]) && matches!(part[0], 1 | 2)));
            let grown = content.get(4096).copied();
            outcomes.insert((parts.map(|part| part[0]), grown));
        }
        // Every mixture of sectors, and the length with and without what was written beyond the old one.
        let mixtures: std::collections::BTreeSet<_> = outcomes.iter().map(|(parts, _)| parts).collect();
        let lengths: std::collections::BTreeSet<_> = outcomes.iter().map(|(_, grown)| grown).collect();
        assert_eq!((mixtures.len(), lengths.len()), (8, 3));
        Ok(())
    }

    #[test]
    fn the_power_goes_after_so_many_operations() {
        let disk = SimulatedDisk::new(1);
        let backend = disk.backend();
        disk.cut_power_after(2);
        assert!(backend.write(0, b"a").is_ok() && backend.sync_data().is_ok());
        assert!(backend.write(1, b"b").is_err() && backend.read(0, &mut [0]).is_err());
        let mut held = [0];
        disk.backend().read(0, &mut held).unwrap();
        assert_eq!((held, disk.operations()), (*b"a", 3));
    }
}
