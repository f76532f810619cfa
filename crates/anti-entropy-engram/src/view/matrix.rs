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

/// In how many stages a dot product is taken. After each but the last one it may be clear that it stays below the floor.
const STAGES: usize = 4;

type Chunk = [f32; LANES];

/// The lengths of what is left of a row after each stage but the last one, rounded up.
type Tails = [f32; STAGES - 1];

/// The unit vectors of the embeddings of one dimension, a row each, without gaps.
///
/// # Why no neighbour is missed
/// Let u = 2⁻²⁴, the rounding of `f32`. A row's components were divided in `f64` and rounded once, so each is off by at most
/// u of itself (and a bit). A dot product of n terms, summed in whatever order, is off by at most nu / (1 - nu) of the sum of
/// the terms' magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1), which is at most 1 for
/// unit vectors (Cauchy-Schwarz). All in all that is little more than (n + 2)u. The [`margin`] is 4 (n + 8)u: room for what
/// underflows, for the rounding of the floor itself, and for the exact cosine's own rounding of some 2⁻⁴⁴. (Near
/// n = 2²⁴ too: no term goes through more than n / 8 + 8 additions, a lane and the sum of lanes, and the bound is of these.)
///
/// Most rows are left out after a part of the terms. What the terms left can add is at most the product of the lengths of the two
/// vectors' ends (Cauchy-Schwarz again). These lengths are rounded up by more than their error, and the sum of the first terms
/// is off by no more than the whole, so that the same margin covers it.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    chunks_per_row: usize,
    chunks: Vec<Chunk>,
    tails: Vec<Tails>,
    owners: Vec<Slot>,
}

impl Matrix {
    fn new(dimension: usize) -> Self {
        Self { chunks_per_row: dimension.div_ceil(LANES), chunks: Vec::new(), tails: Vec::new(), owners: Vec::new() }
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
        let row = self.owners.len() - 1;
        self.tails.push(tails(self.row(row), self.chunks_per_stage()));
        row
    }

    fn chunks_per_stage(&self) -> usize {
        self.chunks_per_row.div_ceil(STAGES).max(1)
    }

    /// Removes a row. The last row takes its place; returns the owner of that row, unless the removed row was the last.
    fn remove(&mut self, row: usize) -> Option<Slot> {
        let (width, last) = (self.chunks_per_row, self.owners.len() - 1);
        self.chunks.copy_within(last * width.., row * width);
        self.chunks.truncate(last * width);
        self.tails.swap_remove(row);
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
            let vectors = rows.map(|row| Row { chunks: self.row(row), tails: &self.tails[row] });
            for (query, found) in queries.clone().zip(&mut found).filter(|(query, _)| *query > first) {
                let asked = Row { chunks: self.row(query), tails: &self.tails[query] };
                let Some(dots) = dots(vectors, asked, self.chunks_per_stage(), floor) else { continue };
                let near = rows.into_iter().zip(dots).filter(|(row, dot)| *row < query && *dot >= floor);
                found.extend(near.map(|(row, _)| self.owners[row]));
            }
        }
        found
    }
}

#[derive(Clone, Copy)]
struct Row<'a> {
    chunks: &'a [Chunk],
    tails: &'a Tails,
}

/// The dot products of four vectors with one; `None` if it is clear early that all of them are below the floor.
#[inline]
fn dots(rows: [Row<'_>; ROWS], query: Row<'_>, chunks_per_stage: usize, floor: f32) -> Option<[f32; ROWS]> {
    let mut sums = [[0.0; LANES]; ROWS];
    let mut left = rows.map(|row| row.chunks);
    for (stage, query_part) in query.chunks.chunks(chunks_per_stage).enumerate() {
        add_products(&mut sums, left, query_part);
        left = left.map(|row| &row[query_part.len()..]);
        let Some(tail) = query.tails.get(stage).filter(|_| !left[0].is_empty()) else { continue };
        let may_be_near = |(sums, row): (&Chunk, &Row<'_>)| total(sums) + row.tails[stage] * tail >= floor;
        if !sums.iter().zip(&rows).any(may_be_near) {
            return None;
        }
    }
    Some(sums.map(|sums| total(&sums)))
}

/// Adds the products of a part of four vectors with a part of one.
#[inline]
fn add_products(sums: &mut [Chunk; ROWS], rows: [&[Chunk]; ROWS], query: &[Chunk]) {
    let [a, b, c, d] = rows;
    let mut local = *sums;
    for ((((query, a), b), c), d) in query.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, row) in local.iter_mut().zip([a, b, c, d]) {
            for lane in 0..LANES {
                sums[lane] += row[lane] * query[lane];
            }
        }
    }
    *sums = local;
}

/// The lengths of what is left of a row after each stage.
fn tails(row: &[Chunk], chunks_per_stage: usize) -> Tails {
    std::array::from_fn(|stage| {
        let left = row.get((stage + 1) * chunks_per_stage..).unwrap_or_default();
        let square: f64 = left.iter().flatten().map(|component| f64::from(*component) * f64::from(*component)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "it is rounded up right after")]
        let length = square.sqrt() as f32;
        length * (1.0 + 4.0 * f32::EPSILON)
    })
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
