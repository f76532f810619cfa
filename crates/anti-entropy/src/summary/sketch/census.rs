//! How many symbols two sets differ in, going by the cells in which they do not.

/// Counts empty cells of a difference, from octave to octave.
///
/// Cell *i* of the sketch of *d* symbols is empty with probability e^(-2*d*/(*i*+2)), so that the share of empty cells
/// tells *d*: about (*i*+2)/2 times the natural logarithm of its inverse. Octave *o* are the cells in which *i*+2 has
/// *o* bits behind its first one; the last octave that is well filled is the one to go by. An estimate costs nothing
/// that is not known anyway; it saves round trips, and is trusted with nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    octaves: [Octave; OCTAVES],
}

/// Enough for the greatest number of cells, and more.
const OCTAVES: usize = 32;

#[derive(Clone, Copy, Debug, Default)]
struct Octave {
    cells: u32,
    empty: u32,
}

impl Census {
    /// Counts the next cell.
    pub(super) fn add(&mut self, index: usize, empty: bool) {
        if let Some(octave) = self.octaves.get_mut((index + 2).ilog2() as usize) {
            octave.cells += 1;
            octave.empty += u32::from(empty);
        }
    }

    /// About how many symbols there are: at least so many, where no cell is empty.
    pub(super) fn symbols(&self) -> usize {
        let filled = |(bits, octave): &(usize, &Octave)| octave.cells as usize >= (1 << bits) / 4 && octave.cells > 0;
        let Some((bits, octave)) = self.octaves.iter().enumerate().rev().find(filled) else { return 0 };
        // Half an empty cell, where there is none: some number it has to be.
        let inverse_share = log2(2 * octave.cells) - log2((2 * octave.empty).max(1));
        let middle = (1 << bits) + u64::from(octave.cells) / 2;
        // Half of the natural logarithm of 2 is 89/256; another 256 is from the logarithm.
        usize::try_from((inverse_share * middle * 89) >> 16).unwrap_or(usize::MAX)
    }

    /// How many cells are enough for so many symbols most of the time.
    ///
    /// It takes 1.36 each where they are many. The rest is what decoding a hundred to ten thousand symbols needed at
    /// worst in hundreds of runs.
    pub(super) fn cells_for(symbols: usize) -> usize {
        symbols.saturating_mul(87) / 64 + 4 * symbols.isqrt() + 1
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
    use crate::summary::sketch::cell::{Cell, ONE, toggle};
    use crate::summary::sketch::symbol::Symbol;

    #[test]
    fn logarithms_are_close() {
        assert_eq!([1, 2, 3, 4, 1024].map(log2), [0, 256, 384, 512, 2560]);
        assert_eq!(log2(u32::MAX), 32 * 256 - 1);
    }

    /// From cells that are too few to decode anything, as a rule: up to twice as many symbols as cells.
    #[test]
    fn estimates_are_close() {
        // Symbols, cells, and how far off the estimate may be, in hundredths.
        let cases = [
            (100, 80, 40),
            (100, 200, 40),
            (1000, 600, 20),
            (1000, 1300, 20),
            (10_000, 8000, 10),
            (10_000, 16_000, 10),
        ];
        for (symbols, cells, off) in cases {
            let mut row = vec![Cell::default(); cells];
            for number in 0..symbols {
                let symbol = Symbol { key: number as u64, fingerprint: 9 };
                toggle(&mut row, 0, symbol, ONE);
            }
            let mut census = Census::default();
            row.iter().enumerate().for_each(|(index, cell)| census.add(index, cell.is_zero()));
            let estimate = census.symbols();
            assert!(100 * estimate.abs_diff(symbols) <= symbols * off, "{symbols} from {cells}: {estimate}");
        }
    }
}
