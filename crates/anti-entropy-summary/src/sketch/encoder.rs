//! The cells of a set that stands still.

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

/// Gives the cells of a [`Snapshot`], or of a range of it, from the first one on and as many as are asked for.
///
/// What a [`Sketch`] has kept costs nothing. Beyond it, all entries are gone through for as many cells again as there
/// are already, so that the *m*-th cell is reached within O(n log² m), and one pass takes some 0.15 us an entry.
pub struct Encoder<D = Sha256> {
    snapshot: Snapshot<D>,
    range: KeyRange,
    cells: Vec<Cell>,
}

impl<D: HashFunction> Encoder<D> {
    /// Cells are made in rows of at least so many.
    const FEW_CELLS: usize = 64;

    /// The cells of all entries of a snapshot, made as they are asked for.
    pub fn new(snapshot: Snapshot<D>) -> Self {
        Self::of_range(snapshot, KeyRange::ALL)
    }

    /// The cells of the entries of a range.
    pub fn of_range(snapshot: Snapshot<D>, range: KeyRange) -> Self {
        Self { snapshot, range, cells: Vec::new() }
    }

    /// The cells of all entries of a snapshot, the first of which a sketch of the same entries has kept.
    pub fn from_sketch(sketch: &Sketch, snapshot: Snapshot<D>) -> Self {
        debug_assert_eq!(sketch.entries(), snapshot.len(), "both are of the same entries");
        Self { cells: sketch.cells().to_vec(), ..Self::new(snapshot) }
    }

    /// How many cells there are already, from the first one on.
    pub fn made(&self) -> usize {
        self.cells.len()
    }

    /// Takes over the cells behind those that there [are](Self::made), from who has kept them. They must be those of the
    /// entries, or what is found by them is wrong.
    pub fn provide(&mut self, cells: &[Cell]) {
        let room = MAX_CELLS.saturating_sub(self.cells.len());
        self.cells.extend_from_slice(&cells[..cells.len().min(room)]);
    }

    /// Those of the cells with these indices that lie below [`MAX_CELLS`].
    pub fn cells(&mut self, indices: Range<usize>) -> &[Cell] {
        let end = indices.end.min(MAX_CELLS);
        if end > self.cells.len() {
            self.extend(end);
        }
        self.cells.get(indices.start..end).unwrap_or(&[])
    }

    /// `count` cells from `start` on, or as many as lie below [`MAX_CELLS`].
    pub fn chunk(&mut self, start: usize, count: usize) -> Chunk {
        let start = start.min(MAX_CELLS);
        let cells = self.cells(start..start.saturating_add(count)).to_vec();
        Chunk::new(start, cells).expect("they lie below the greatest number of cells")
    }

    /// The snapshot whose entries these are.
    pub fn snapshot(&self) -> &Snapshot<D> {
        &self.snapshot
    }

    /// The range in which they lie.
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

/// The cells of no entries.
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
