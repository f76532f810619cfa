//! Computing the cells of an immutable set.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use sha2::Sha256;

use crate::KeyRange;
use crate::{HashFunction, Snapshot};

use super::MAX_CELLS;
use super::cell::{Cell, ONE, toggle};
use super::chunk::Chunk;
use super::maintained::Sketch;
use super::symbol::Symbol;

/// Computes the cells of a [`Snapshot`], or of a range of it: from the first on, as many as are asked for.
///
/// Cells that a [`Sketch`] has kept cost nothing. For further ones, each pass over all entries doubles the number of
/// cells, so that the first *m* cells of *n* entries take O(n log² m). A pass takes about 0.15 us for each entry.
pub struct Encoder<D = Sha256> {
    snapshot: Snapshot<D>,
    range: KeyRange,
    cells: Vec<Cell>,
}

impl<D: HashFunction> Encoder<D> {
    /// Cells are made in rows of at least so many.
    const FEW_CELLS: usize = 64;

    /// An encoder of all entries of a snapshot. Cells are computed when they are asked for.
    pub fn new(snapshot: Snapshot<D>) -> Self {
        Self::of_range(snapshot, KeyRange::ALL)
    }

    /// An encoder of the entries of a range.
    pub fn of_range(snapshot: Snapshot<D>, range: KeyRange) -> Self {
        Self { snapshot, range, cells: Vec::new() }
    }

    /// An encoder of all entries of a snapshot that starts with the cells of `sketch`, which must have the same
    /// entries.
    pub fn from_sketch(sketch: &Sketch, snapshot: Snapshot<D>) -> Self {
        debug_assert_eq!(sketch.entries(), snapshot.len(), "both are of the same entries");
        Self { cells: sketch.cells().to_vec(), ..Self::new(snapshot) }
    }

    /// The number of cells that are computed already.
    pub fn made(&self) -> usize {
        self.cells.len()
    }

    /// Takes over cells that were computed elsewhere; the first follows those that are [computed already](Self::made).
    /// They must be cells of the same entries, or decoding finds wrong differences.
    pub fn provide(&mut self, cells: &[Cell]) {
        let room = MAX_CELLS.saturating_sub(self.cells.len());
        self.cells.extend_from_slice(&cells[..cells.len().min(room)]);
    }

    /// The cells with these indices, as far as they lie below [`MAX_CELLS`].
    pub fn cells(&mut self, indices: Range<usize>) -> &[Cell] {
        let end = indices.end.min(MAX_CELLS);
        if end > self.cells.len() {
            self.extend(end);
        }
        self.cells.get(indices.start..end).unwrap_or(&[])
    }

    /// `count` cells from index `start` on, as far as they lie below [`MAX_CELLS`].
    pub fn chunk(&mut self, start: usize, count: usize) -> Chunk {
        let start = start.min(MAX_CELLS);
        let cells = self.cells(start..start.saturating_add(count)).to_vec();
        Chunk::new(start, cells).expect("they lie below the greatest number of cells")
    }

    /// The snapshot whose entries are encoded.
    pub fn snapshot(&self) -> &Snapshot<D> {
        &self.snapshot
    }

    /// The range whose entries are encoded.
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Makes the cells up to `end`, and as many as there are already.
    fn extend(&mut self, end: usize) {
        let start = self.cells.len();
        let end = end.max(2 * start).clamp(Self::FEW_CELLS, MAX_CELLS);
        let mut behind = vec![Cell::default(); end - start];
        for (key, fingerprint) in self.snapshot.range(&self.range) {
            toggle(&mut behind, start, Symbol::new(key, fingerprint), ONE);
        }
        self.cells.append(&mut behind);
    }
}

/// An encoder of no entries.
impl<D: HashFunction> Default for Encoder<D> {
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl<D> Clone for Encoder<D> {
    fn clone(&self) -> Self {
        Self { snapshot: self.snapshot.clone(), range: self.range, cells: self.cells.clone() }
    }
}

impl<D> fmt::Debug for Encoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("range", &self.range).field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}
