//! Reading many records on a thread of its own, so that redb fetches pages while the caller works on records.

use std::ops::ControlFlow;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use anti_entropy::KeyHash;
use redb::StorageError;

use crate::guard::guarded;

/// How many records are read before another thread is started: most scans are short.
const INLINE_RECORDS: usize = 2_000;
/// About how many bytes of records a chunk has.
const CHUNK_BYTES: usize = 128 << 10;
/// How many chunks wait for the caller at most.
const CHUNKS: usize = 4;

type Range = redb::Range<'static, &'static [u8; KeyHash::LEN], &'static [u8]>;
type Visit<'a> = &'a mut dyn FnMut(KeyHash, &[u8]) -> ControlFlow<()>;

/// Consecutive records, each with its key and the position of its end.
#[derive(Default)]
struct Chunk {
    records: Vec<(KeyHash, usize)>,
    bytes: Vec<u8>,
}

/// Calls `visit` with every record of `range` until it breaks.
pub(crate) fn visit_all(mut range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
    for _ in 0..INLINE_RECORDS {
        let Some(entry) = guarded(|| range.next()).ok_or_else(damaged)? else { return Ok(()) };
        let (key, record) = entry?;
        if visit(KeyHash::from_bytes(*key.value()), record.value()).is_break() {
            return Ok(());
        }
    }
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(CHUNKS);
        let read = move || guarded(|| send_all(range, &sender)).unwrap_or_else(|| Err(damaged()));
        let reader = thread::Builder::new().spawn_scoped(scope, read)?;
        for chunk in receiver {
            if chunk.visit(visit).is_break() {
                // The reader stops when the receiver is gone.
                return Ok(());
            }
        }
        reader.join().unwrap_or_else(|_| Err(damaged()))
    })
}

/// The error for a panic of redb.
fn damaged() -> StorageError {
    StorageError::Corrupted("it makes no sense to redb".to_string())
}

fn send_all(range: Range, sender: &SyncSender<Chunk>) -> Result<(), StorageError> {
    let mut chunk = Chunk::default();
    for entry in range {
        let (key, record) = entry?;
        chunk.bytes.extend_from_slice(record.value());
        chunk.records.push((KeyHash::from_bytes(*key.value()), chunk.bytes.len()));
        if chunk.bytes.len() >= CHUNK_BYTES && sender.send(std::mem::take(&mut chunk)).is_err() {
            return Ok(());
        }
    }
    // If the receiver is gone, the rest is not wanted.
    let _ = sender.send(chunk);
    Ok(())
}

impl Chunk {
    fn visit(&self, visit: Visit<'_>) -> ControlFlow<()> {
        let mut start = 0;
        for (key, end) in &self.records {
            visit(*key, &self.bytes[start..*end])?;
            start = *end;
        }
        ControlFlow::Continue(())
    }
}
