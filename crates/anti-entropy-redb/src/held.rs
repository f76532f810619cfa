//! Keeps what redb writes away from the file until the file was found to be the right one.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// A backend that keeps changes in memory at first, and from [`release`](Self::release) on passes them on.
///
/// Opening a database writes to it: a mark that it is open, and after a crash what the crash left undone. A file that
/// is refused has to stay as it was, so these writes wait until redb's checks and ours are done.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Box<dyn StorageBackend>,
    /// What waits, in order; `None` once it was released.
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    changes: Vec<Change>,
    len: u64,
}

#[derive(Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl Held {
    pub(crate) fn new(inner: impl StorageBackend) -> io::Result<Self> {
        let waiting = Waiting { changes: Vec::new(), len: inner.len()? };
        Ok(Self { shared: Arc::new(Shared { inner: Box::new(inner), waiting: Mutex::new(Some(waiting)) }) })
    }

    /// Makes the changes that wait, in the order in which they were asked for, and every later one at once.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut waiting = self.waiting();
        for change in waiting.take().map(|waiting| waiting.changes).unwrap_or_default() {
            match change {
                Change::Write { offset, data } => self.shared.inner.write(offset, &data)?,
                Change::SetLen(len) => self.shared.inner.set_len(len)?,
                Change::Sync => self.shared.inner.sync_data()?,
            }
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Reads what the file would hold.
    fn read(&self, inner: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What was cut off and grew again is zero, so the file's own bytes count up to the shortest length only.
        let mut held = inner.len()?;
        for change in &self.changes {
            if let Change::SetLen(len) = change {
                held = held.min(*len);
            }
        }
        let from_file = usize::try_from(held.saturating_sub(offset)).map_or(out.len(), |len| len.min(out.len()));
        inner.read(offset, &mut out[..from_file])?;
        out[from_file..].fill(0);
        for change in &self.changes {
            match change {
                Change::Write { offset: at, data } => overlay(offset, out, *at, data),
                Change::SetLen(len) => {
                    let kept = usize::try_from(len.saturating_sub(offset)).map_or(out.len(), |len| len.min(out.len()));
                    out[kept..].fill(0);
                }
                Change::Sync => {}
            }
        }
        Ok(())
    }
}

/// Puts the part of `data`, which lies at `at`, into `out`, which lies at `offset`.
fn overlay(offset: u64, out: &mut [u8], at: u64, data: &[u8]) {
    let (start, end) = (offset.max(at), (offset + out.len() as u64).min(at + data.len() as u64));
    if start < end {
        let place = |position: u64, base: u64| usize::try_from(position - base).unwrap_or(usize::MAX);
        let (to, from) = (place(start, offset)..place(end, offset), place(start, at)..place(end, at));
        out[to].copy_from_slice(&data[from]);
    }
}

impl StorageBackend for Held {
    fn len(&self) -> io::Result<u64> {
        match &*self.waiting() {
            Some(waiting) => Ok(waiting.len),
            None => self.shared.inner.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let waiting = self.waiting();
        match &*waiting {
            Some(waiting) if !waiting.changes.is_empty() => waiting.read(&*self.shared.inner, offset, out),
            _ => {
                drop(waiting);
                self.shared.inner.read(offset, out)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match &mut *self.waiting() {
            Some(waiting) => {
                waiting.changes.push(Change::SetLen(len));
                waiting.len = len;
                Ok(())
            }
            None => self.shared.inner.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match &mut *self.waiting() {
            Some(waiting) => {
                waiting.changes.push(Change::Sync);
                Ok(())
            }
            None => self.shared.inner.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.waiting() {
            Some(waiting) => {
                waiting.len = waiting.len.max(offset + data.len() as u64);
                waiting.changes.push(Change::Write { offset, data: data.to_vec() });
                Ok(())
            }
            None => self.shared.inner.write(offset, data),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.shared.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.inner.query_lock_range(start, end)
    }
}
