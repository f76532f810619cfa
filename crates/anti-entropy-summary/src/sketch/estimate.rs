//! Estimating in how many symbols two sets differ, from cells that cannot be decoded yet.

use super::cell::Cell;

/// Keeps a tally of the cells of a difference, octave by octave: octave *o* are the cells in which *i*+2 has *o* bits
/// behind its first one. The last octave that is well filled is the one to go by.
///
/// Cell *i* of the sketch of *d* symbols holds 2*d*/(*i*+2) of them on average, as in a Poisson distribution. Where
/// symbols are few, some cells are empty, a share of e^(-2*d*/(*i*+2)). Where they are many, counts differ from cell to
/// cell, with a variance of 2*d*/(*i*+2), whoever the symbols belong to: what is left when the difference of both
/// sides' symbols has been fitted to the counts. With *k* cells, 2/*k* of the square of the estimate is its variance:
/// 64 cells tell thousands of symbols to within a fifth.
///
/// An estimate saves round trips. It is trusted with nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimator {
    octaves: [Octave; OCTAVES],
}

/// Enough for the greatest number of cells, and more.
const OCTAVES: usize = 32;

#[derive(Clone, Copy, Debug, Default)]
struct Octave {
    cells: u32,
    empty: u32,
    /// Of the counts.
    sum: i64,
    /// Of the squares of the counts, each times *i*+2.
    squares: u64,
    /// Of 1 / (*i*+2), times 2^32.
    inverses: u64,
}

impl Estimator {
    /// Takes in the next cell of the difference.
    pub(super) fn add(&mut self, index: usize, cell: &Cell) {
        let place = index as u64 + 2;
        if let Some(octave) = self.octaves.get_mut(place.ilog2() as usize) {
            let count = cell.signed_count();
            octave.cells += 1;
            octave.empty += u32::from(cell.is_zero());
            octave.sum += i64::from(count);
            octave.squares += u64::from(count.unsigned_abs()).pow(2) * place;
            octave.inverses += (1 << 32) / place;
        }
    }

    /// About how many symbols there are.
    pub(super) fn symbols(&self) -> usize {
        self.estimate().0
    }

    /// How many there are at most, where that can be said with some certainty: two standard deviations more than estimated.
    /// Where they are many more, it is a sixteenth: it is better to ask again then than to be sent too much.
    pub(super) fn symbols_at_most(&self) -> usize {
        let (symbols, cells) = self.estimate();
        symbols.saturating_add((symbols / 16).min(symbols.saturating_mul(3) / cells.isqrt().max(1)))
    }

    /// An estimate, and by how many cells.
    fn estimate(&self) -> (usize, usize) {
        let filled = |(bits, octave): &(usize, &Octave)| octave.cells as usize >= (1 << bits) / 4 && octave.cells > 1;
        let Some((bits, octave)) = self.octaves.iter().enumerate().rev().find(filled) else { return (0, 0) };
        let symbols =
            if octave.empty >= octave.cells / 16 { octave.by_empty_cells(bits) } else { octave.by_counts(bits) };
        (usize::try_from(symbols).unwrap_or(usize::MAX), octave.cells as usize)
    }
}

/// How many cells are enough for this many symbols, in at least 95 % of all cases.
///
/// Many symbols take 1.36 cells each on average. docs/benchmarks.md, "The sketch", has the distributions.
pub fn cells_for(symbols: usize) -> usize {
    const FEW: usize = 60;
    let for_few = |symbols: usize| symbols + (32 * symbols).isqrt();
    if symbols <= FEW {
        for_few(symbols)
    } else {
        for_few(FEW).max((symbols.saturating_mul(87) / 64).saturating_add(symbols.saturating_mul(4).isqrt() + 8))
    }
}

/// How many cells it takes in all, most of the time, when so many symbols were read off `cells` of them and then no more.
/// `None` if they are so few that this says little.
///
/// How far peeling has come before it is stuck says more of what is missing than counts do: a parabola, fitted to runs
/// with 2,000 symbols, up to its lowest point, where a twenty-fifth is missing.
pub(super) fn cells_by_progress(cells: usize, symbols: usize) -> Option<usize> {
    let (cells, symbols) = (cells as u64, (symbols as u64).min(cells as u64 * 353 / 1000));
    let thousandths = (1883 * cells + 6756 * symbols * symbols / cells.max(1)).saturating_sub(4770 * symbols);
    (8 * symbols >= cells).then(|| usize::try_from(thousandths / 1000).unwrap_or(usize::MAX))
}

impl Octave {
    fn by_empty_cells(&self, bits: usize) -> u64 {
        // Half an empty cell, where there is none: some number it has to be.
        let inverse_share = log2(2 * self.cells) - log2((2 * self.empty).max(1));
        let middle = (1 << bits) + u64::from(self.cells) / 2;
        // Half of the natural logarithm of 2 is 89/256; another 256 is from the logarithm.
        (inverse_share * middle * 89) >> 16
    }

    fn by_counts(&self, bits: usize) -> u64 {
        let fitted = (u128::from(self.sum.unsigned_abs()).pow(2) << 32) / u128::from(self.inverses).max(1);
        let left = u128::from(self.squares).saturating_sub(fitted) / 2;
        let symbols = left / u128::from(self.cells - 1).max(1);
        // Counts are known modulo 256, so that above some 45 on average they say nothing but that. A thousand and
        // twenty-four times the octave is an average deviation of 37.
        if symbols >> bits >= 1024 { 32 << bits } else { u64::try_from(symbols).unwrap_or(u64::MAX) }
    }
}

/// The binary logarithm times 256, linear between powers of two, of a number that is not zero.
fn log2(number: u32) -> u64 {
    let whole = number.ilog2();
    let behind = u64::from(number - (1 << whole));
    (u64::from(whole) << 8) + (behind << 8 >> whole)
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::sketch::cell::{MINUS_ONE, ONE, toggle};
    use crate::sketch::symbol::Symbol;

    #[test]
    fn logarithms_are_close() {
        assert_eq!([1, 2, 3, 4, 1024].map(log2), [0, 256, 384, 512, 2560]);
        assert_eq!(log2(u32::MAX), 32 * 256 - 1);
    }

    /// The mean of ten estimates by so many cells of so many symbols, of which one in `other_side` is the other side's.
    fn estimate(symbols: u64, cells: usize, other_side: u64) -> u64 {
        let one = |set| {
            let mut row = vec![Cell::default(); cells];
            for number in 0..symbols {
                let sign = if number % other_side == 0 { MINUS_ONE } else { ONE };
                toggle(&mut row, 0, Symbol { key: number, fingerprint: set }, sign);
            }
            let mut estimator = Estimator::default();
            row.iter().enumerate().for_each(|(index, cell)| estimator.add(index, cell));
            estimator.symbols() as u64
        };
        (0..10).map(one).sum::<u64>() / 10
    }

    #[test]
    fn estimates_are_close() {
        for (symbols, cells) in
            [(100, 64), (100, 200), (1000, 64), (1000, 600), (1000, 1300), (5000, 512), (5000, 8000)]
        {
            // Half of the symbols; a tenth of them; none, if the first is none.
            for other_side in [2, 10, u64::MAX] {
                let estimate = estimate(symbols, cells, other_side);
                assert!(6 * estimate.abs_diff(symbols) <= symbols, "{symbols} from {cells}, {other_side}: {estimate}");
            }
        }
    }

    /// Sixty-four cells of many symbols of one side have counts beyond 128: what can be said is that they are many.
    #[test]
    fn counts_that_are_not_known_give_a_lower_bound() {
        let estimate = estimate(20_000, 64, u64::MAX);
        assert!((1000..20_000).contains(&estimate), "{estimate}");
    }
}
