//! Choosing how to find differences: by a sketch or by comparing trees, whichever takes fewer bytes
//! (docs/design/sync.md, "When is a sketch sent?").

use core::hash::{Hash, Hasher};

use crate::KeyHash;
use crate::replica::{Replica, Replicated};
use crate::summary::Snapshot;
use crate::summary::sketch::{Cell, Chunk, Encoder, cells_for};
use crate::sync::SessionConfig;
use crate::sync::wire::message::Open;

/// About what an entry takes when trees are compared and everything differs: it is listed.
const LISTED_BYTES: u64 = 26;

/// Whether an opener with so many entries holds so little that it is cheaper for it to name that than to find what it
/// lacks: an entry is named in some 80 bytes, finding one that is lacking takes 26 and saying so 9.
pub(crate) fn holds_little(opener: u64, answerer: u64) -> bool {
    const TIMES_AS_MANY: u64 = 4;
    opener.saturating_mul(TIMES_AS_MANY) <= answerer
}

/// Where a whole batch ends that starts at `start`, so that of evenly spread entries the receiver holds about `max` there:
/// it may have to read them. `None` at the top.
pub(crate) fn end_of_whole_batch(start: KeyHash, entries: u64, max: usize) -> Option<KeyHash> {
    let step = (u128::MAX / u128::from(entries.max(1))).checked_mul(max as u128)?;
    start.to_u128().checked_add(step).map(KeyHash::from_u128)
}

/// How many cells to begin with when an opener differs; `None` if trees are to be compared instead.
pub(crate) fn first_cells<V: Replicated>(open: &Open, replica: &Replica<V>, config: &SessionConfig) -> Option<usize> {
    let only_one_side = replica.len().abs_diff(open.entries);
    let writes = replica.tally().writes_apart(&open.tally).max(only_one_side).max(1);
    // A key that both hold is two symbols, one that only one side holds is one.
    let symbols = usize::try_from(writes.saturating_mul(2) - only_one_side).ok()?;
    let (max, at_first) = (max_sketch_cells(replica, config), config.max_first_cells.min(open.max_cells as usize));
    let least = cells_for(usize::try_from(only_one_side).ok()?);
    let wanted = cells_for(symbols);
    let likely = if wanted > max || is_dearer_than_trees(wanted, replica.len()) {
        // Trees, unless these few cells say that it is not so: counts tell up to a thousand symbols for each cell.
        (wanted / 64).max(64)
    } else {
        wanted
    };
    // So many it takes for certain.
    let likely = likely.max(least);
    let is_worth_it = at_first > 0 && likely <= max && !is_dearer_than_trees(likely, replica.len());
    is_worth_it.then(|| likely.min(at_first))
}

/// How many cells a replica makes in a session at most: what they take is left for entries three times over, or a session
/// with a small budget would find what differs again and again and get no further.
pub(crate) fn max_sketch_cells<V: Replicated>(replica: &Replica<V>, config: &SessionConfig) -> usize {
    let bytes = config.max_session_bytes.min(config.max_message_bytes as u64) / 4;
    let affordable = usize::try_from(bytes).unwrap_or(usize::MAX) / Cell::LEN;
    let max = config.max_sketch_cells.min(affordable);
    if replica.len() <= config.max_sketch_pass { max } else { max.min(replica.cells_kept()) }
}

/// Whether so many cells take more bytes than listing all entries would.
pub(crate) fn is_dearer_than_trees(cells: usize, entries: u64) -> bool {
    cells as u64 * Cell::LEN as u64 > LISTED_BYTES * entries
}

/// The own cells of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct OwnCells(Encoder);

impl OwnCells {
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        Self(Encoder::new(snapshot))
    }

    /// The cells from `start` to `end`, and how many entries were visited, and cells filled, to make them.
    pub(crate) fn chunk<V: Replicated>(
        &mut self,
        start: usize,
        end: usize,
        replica: &mut Replica<V>,
    ) -> (Chunk, usize) {
        replica.provide_cells(&mut self.0, end);
        let provided = self.0.made();
        let chunk = self.0.chunk(start, end.saturating_sub(start));
        let filled = self.0.made().saturating_sub(provided);
        // What is not there yet is made in one pass over all entries.
        let visited = if filled > 0 { usize::try_from(self.0.snapshot().len()).unwrap_or(usize::MAX) } else { 0 };
        (chunk, visited.saturating_add(filled))
    }
}

/// They are a function of the snapshot, which is hashed beside them.
impl Hash for OwnCells {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}
