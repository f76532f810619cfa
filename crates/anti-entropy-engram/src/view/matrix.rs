//! A fast search for neighbours that misses none.

use std::collections::BTreeMap;
use std::ops::Range;

use super::numbers::Slot;

/// Components that are worked on side by side: two registers of 128 bits, which every x86-64 has.
const LANES: usize = 8;
/// Rows that are multiplied with one query at a time: with the lanes, as many sums as fit into 16 registers.
const ROWS: usize = 4;
/// How many queries share one pass over the rows: those of 768 dimensions fit into a cache of 256 KiB.
pub(super) const QUERIES: usize = 64;

type Chunk = [f32; LANES];

/// The unit vectors of the embeddings of one dimension, a row each, without gaps.
///
/// # Why no neighbour is missed
/// Let u = 2⁻²⁴, the rounding of `f32`. A row's components were divided in `f64` and rounded once, so each is off by at most
/// u of itself (and a bit). A dot product of n terms, summed in whatever order, is off by at most nu / (1 - nu) of the sum of
/// the terms' magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1), which is at most 1 for
/// unit vectors (Cauchy-Schwarz). All in all that is little more than (n + 2)u. The [`margin`] is 4 (n + 8)u: room for what
/// underflows, for the rounding of the floor itself, and for the exact cosine's own rounding of some 2⁻⁴⁴. (Near
/// n = 2²⁴ too: no term goes through more than n / 8 + 8 additions, a lane and the sum of lanes, and the bound is of these.)
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    chunks_per_row: usize,
    chunks: Vec<Chunk>,
    owners: Vec<Slot>,
}

impl Matrix {
    fn new(dimension: usize) -> Self {
        Self { chunks_per_row: dimension.div_ceil(LANES), chunks: Vec::new(), owners: Vec::new() }
    }

    /// Appends a row for a vector of this length. Returns the row's number.
    fn push(&mut self, owner: Slot, components: &[f32], length: f64) -> usize {
        let unit = |component: &f32| {
            #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
            let unit = (f64::from(*component) / length) as f32;
            // A vector without a direction has no neighbours.
            if length > 0.0 { unit } else { 0.0 }
        };
        for part in components.chunks(LANES) {
            let mut chunk = [0.0; LANES];
            chunk.iter_mut().zip(part).for_each(|(place, component)| *place = unit(component));
            self.chunks.push(chunk);
        }
        self.owners.push(owner);
        self.owners.len() - 1
    }

    /// Removes a row. The last row takes its place; returns the owner of that row, unless the removed row was the last.
    fn remove(&mut self, row: usize) -> Option<Slot> {
        let (width, last) = (self.chunks_per_row, self.owners.len() - 1);
        self.chunks.copy_within(last * width.., row * width);
        self.chunks.truncate(last * width);
        self.owners.swap_remove(row);
        self.owners.get(row).copied()
    }

    fn row(&self, row: usize) -> &[Chunk] {
        &self.chunks[row * self.chunks_per_row..][..self.chunks_per_row]
    }

    /// For each of these rows, the owners of the rows before it whose dot product with it is at least `floor`.
    /// O(queries · rows · dimension)
    pub(super) fn search(&self, queries: Range<usize>, floor: f32) -> Vec<Vec<Slot>> {
        let mut found = vec![Vec::new(); queries.len()];
        let Some(last) = queries.clone().last() else { return found };
        for first in (0..last).step_by(ROWS) {
            let rows: [usize; ROWS] = std::array::from_fn(|i| (first + i).min(last));
            let vectors = rows.map(|row| self.row(row));
            for (query, found) in queries.clone().zip(&mut found).filter(|(query, _)| *query > first) {
                let dots = dots(vectors, self.row(query));
                let near = rows.into_iter().zip(dots).filter(|(row, dot)| *row < query && *dot >= floor);
                found.extend(near.map(|(row, _)| self.owners[row]));
            }
        }
        found
    }
}

/// The dot products of four vectors with one.
#[inline]
fn dots(rows: [&[Chunk]; ROWS], query: &[Chunk]) -> [f32; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    let [a, b, c, d] = rows;
    for ((((query, a), b), c), d) in query.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, row) in sums.iter_mut().zip([a, b, c, d]) {
            for lane in 0..LANES {
                sums[lane] += row[lane] * query[lane];
            }
        }
    }
    sums.map(|sums| total(&sums))
}

/// The sum of all lanes. Not inlined: seeing it, the compiler would keep sums of four rows in one register, and shuffle each
/// chunk for that.
#[inline(never)]
fn total(sums: &Chunk) -> f32 {
    sums.iter().sum()
}

/// The greatest possible difference between a dot product here and the cosine; see [`Matrix`].
fn margin(dimension: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a bound, and there are far fewer than 2^53 dimensions")]
    let terms = (dimension + 8) as f64;
    terms * 2.0 * f64::from(f32::EPSILON)
}

/// The embeddings: one matrix for each dimension that occurs.
#[derive(Clone, Debug, Default)]
pub(super) struct Matrices(BTreeMap<usize, Matrix>);

impl Matrices {
    /// Appends a row for a vector of this length. Returns the row's number.
    pub(super) fn push(&mut self, owner: Slot, components: &[f32], length: f64) -> usize {
        let matrix = self.0.entry(components.len()).or_insert_with(|| Matrix::new(components.len()));
        matrix.push(owner, components, length)
    }

    /// Removes a row. Returns the owner of the row that took its place, if there is one.
    pub(super) fn remove(&mut self, dimension: usize, row: usize) -> Option<Slot> {
        let matrix = self.0.get_mut(&dimension)?;
        let moved = matrix.remove(row);
        if matrix.owners.is_empty() {
            self.0.remove(&dimension);
        }
        moved
    }

    /// For each of these rows, the owners of earlier rows whose cosine with it is at least `least_cosine`: all of them, and
    /// few others.
    pub(super) fn search(&self, dimension: usize, queries: Range<usize>, least_cosine: f64) -> Vec<Vec<Slot>> {
        #[expect(clippy::cast_possible_truncation, reason = "the margin has room for the rounding")]
        let floor = (least_cosine - margin(dimension)) as f32;
        self.0.get(&dimension).map_or_else(Vec::new, |matrix| matrix.search(queries, floor))
    }
}
