//! Defers redb's writes until the file has been checked.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// A backend that keeps changes in memory until [`release`](Self::release), and passes them on from then on.
///
/// redb writes to a database when it opens it: a mark that it is open, and repairs after a crash. A file that is refused has
/// to stay unchanged, so these writes wait until redb's checks and ours are done.
#[derive(Clone, Debug)]
pub(crate) struct DeferredBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Box<dyn StorageBackend>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The file has not been read yet. redb reads it after locking it; another process could change it until then.
    Unseen,
    Waiting(Waiting),
    /// All waiting changes were passed on, and later ones are passed on at once.
    Released,
    /// Passing the changes on failed in the middle. redb does not know, and must not go on.
    Failed,
}

/// The waiting changes, in order.
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

impl DeferredBackend {
    pub(crate) fn new(inner: impl StorageBackend) -> Self {
        Self { shared: Arc::new(Shared { inner: Box::new(inner), state: Mutex::new(State::Unseen) }) }
    }

    /// Passes on the waiting changes in order, and every later change at once.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut state = self.seen()?;
        if let State::Waiting(waiting) = std::mem::replace(&mut *state, State::Failed) {
            waiting.pass_on(&*self.shared.inner)?;
        }
        *state = State::Released;
        Ok(())
    }

    /// The state, after the file was read for the first time.
    fn seen(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Unseen => *state = State::Waiting(Waiting::on(&*self.shared.inner)?),
            State::Failed => return Err(io::Error::other("the file failed while it was opened")),
            State::Waiting(_) | State::Released => {}
        }
        Ok(state)
    }
}

impl Waiting {
    /// A database whose creation was never finished is created again.
    fn on(inner: &dyn StorageBackend) -> io::Result<Self> {
        if never_finished(inner)? {
            Ok(Self { changes: vec![Change::SetLen(0)], len: 0 })
        } else {
            Ok(Self { changes: Vec::new(), len: inner.len()? })
        }
    }

    fn pass_on(self, inner: &dyn StorageBackend) -> io::Result<()> {
        for change in self.changes {
            match change {
                Change::Write { offset, data } => inner.write(offset, &data)?,
                Change::SetLen(len) => inner.set_len(len)?,
                Change::Sync => inner.sync_data()?,
            }
        }
        Ok(())
    }

    /// Reads what the file would contain with the waiting changes.
    fn read(&self, inner: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Bytes that were cut off and grew again are zero, so the file's own bytes count only up to the shortest length.
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

/// Whether a power cut interrupted the creation before redb wrote its magic number: there is none, and nothing after the
/// header.
fn never_finished(backend: &dyn StorageBackend) -> io::Result<bool> {
    const MAGIC_BYTES: usize = 9;
    const HEADER_BYTES: u64 = 320;
    const PIECE: usize = 1 << 16;
    let len = backend.len()?;
    let mut magic = [0; MAGIC_BYTES];
    if len < HEADER_BYTES {
        return Ok(false);
    }
    backend.read(0, &mut magic)?;
    if magic != [0; MAGIC_BYTES] {
        return Ok(false);
    }
    let mut piece = vec![0; PIECE];
    let mut offset = HEADER_BYTES;
    while offset < len {
        let bytes = usize::try_from(len - offset).map_or(PIECE, |rest| rest.min(PIECE));
        backend.read(offset, &mut piece[..bytes])?;
        if piece[..bytes].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += bytes as u64;
    }
    Ok(true)
}

/// Copies the part of `data`, which begins at `at`, that falls into `out`, which begins at `offset`.
fn overlay(offset: u64, out: &mut [u8], at: u64, data: &[u8]) {
    let (start, end) = (offset.max(at), (offset + out.len() as u64).min(at + data.len() as u64));
    if start < end {
        let place = |position: u64, base: u64| usize::try_from(position - base).unwrap_or(usize::MAX);
        let (to, from) = (place(start, offset)..place(end, offset), place(start, at)..place(end, at));
        out[to].copy_from_slice(&data[from]);
    }
}

impl StorageBackend for DeferredBackend {
    fn len(&self) -> io::Result<u64> {
        match &*self.seen()? {
            State::Waiting(waiting) => Ok(waiting.len),
            _ => self.shared.inner.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.seen()?;
        match &*state {
            State::Waiting(waiting) if !waiting.changes.is_empty() => waiting.read(&*self.shared.inner, offset, out),
            _ => {
                drop(state);
                self.shared.inner.read(offset, out)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match &mut *self.seen()? {
            State::Waiting(waiting) => {
                waiting.changes.push(Change::SetLen(len));
                waiting.len = len;
                Ok(())
            }
            _ => self.shared.inner.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match &mut *self.seen()? {
            State::Waiting(waiting) => {
                waiting.changes.push(Change::Sync);
                Ok(())
            }
            _ => self.shared.inner.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.seen()? {
            State::Waiting(waiting) => {
                waiting.len = waiting.len.max(offset + data.len() as u64);
                waiting.changes.push(Change::Write { offset, data: data.to_vec() });
                Ok(())
            }
            _ => self.shared.inner.write(offset, data),
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
