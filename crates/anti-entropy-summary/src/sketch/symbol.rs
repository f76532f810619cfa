//! Symbols, and the cells that they fall into.

use core::iter::FusedIterator;

use crate::{Fingerprint, KeyHash};

/// An entry as a sketch encodes it: the first eight bytes of the key's hash and of the fingerprint, as big-endian
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    /// The first 64 bits of the key's hash.
    pub key: u64,
    /// The first 64 bits of the fingerprint.
    pub fingerprint: u64,
}

/// The odd number closest to 2^64 divided by the golden ratio, by which states of the generator are apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Symbol {
    /// The symbol of an entry.
    #[inline]
    pub fn new(key: KeyHash, fingerprint: Fingerprint) -> Self {
        Self { key: key.prefix_u64(), fingerprint: prefix_u64(fingerprint) }
    }

    /// The indices of the cells that the symbol falls into, in ascending order. The first is always 0.
    pub fn indices(self) -> Indices {
        self.spread().1
    }

    /// The checksum, and the cells that it is in.
    pub(super) fn spread(self) -> (u16, Indices) {
        let seed = mix(self.key ^ mix(self.fingerprint.wrapping_add(STEP)));
        let state = seed.wrapping_add(STEP);
        ((mix(state) >> 48) as u16, Indices { next: 0, state })
    }
}

/// The first eight bytes of a fingerprint as a number.
pub(super) fn prefix_u64(fingerprint: Fingerprint) -> u64 {
    fingerprint.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// An iterator over indices of cells, in strictly ascending order. Made by [`Symbol::indices`].
///
/// The index after `i` is greater than `n` with probability `(i+1)(i+2) / ((n+1)(n+2))`: the product of `1 - 1/(1 +
/// j/2)` for all `j` from `i+1` to `n`. With the same probability, two independent uniform numbers `u` and `v` satisfy
/// both `u (n+1) <= i+1` and `v (n+2) <= i+2`. So two integer divisions draw the index exactly, to the 32 bits of the
/// numbers, without a square root.
///
/// About 2 ln *m* - 0.85 of the first *m* cells are among the indices. O(1) for each.
#[derive(Clone, Debug)]
pub struct Indices {
    next: u32,
    state: u64,
}

impl Indices {
    /// There are no indices from here on; far above what a sketch can have.
    const END: u32 = 1 << 31;

    /// The index that comes next.
    pub(super) const fn peek(&self) -> usize {
        self.next as usize
    }
}

impl Iterator for Indices {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let index = self.next;
        if index >= Self::END {
            return None;
        }
        self.state = self.state.wrapping_add(STEP);
        let random = mix(self.state);
        let (u, v) = ((random >> 32) + 1, (random & 0xffff_ffff) + 1);
        // The first index at which one of the two conditions fails.
        let by_u = ((u64::from(index) + 1) << 32) / u;
        let by_v = ((u64::from(index) + 2) << 32) / v - 1;
        self.next = u32::try_from(by_u.min(by_v)).unwrap_or(Self::END);
        Some(index as usize)
    }
}

impl FusedIterator for Indices {}

/// A bijection of 64-bit numbers that spreads every bit over all: the output function of `SplitMix64` (Steele, Lea,
/// Flood, "Fast Splittable Pseudorandom Number Generators", 2014; constants of Stafford's variant 13).
const fn mix(mut number: u64) -> u64 {
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn symbols(count: u64) -> impl Iterator<Item = Symbol> {
        (0..count).map(|number| Symbol { key: mix(number), fingerprint: mix(!number) })
    }

    /// Worked out by another program, in Python, from docs/protocol.md.
    #[test]
    fn checksums_and_indices_are_the_defined_ones() {
        for (key, fingerprint, checksum, indices) in GOLDEN {
            let (found, found_indices) = Symbol { key, fingerprint }.spread();
            assert_eq!(found, checksum);
            assert_eq!(found_indices.take(12).collect::<Vec<_>>(), indices);
        }
    }

    const GOLDEN: [(u64, u64, u16, [usize; 12]); 5] = [
        (0x0000_0000_0000_0000, 0x0000_0000_0000_0000, 0x568a, [0, 3, 14, 31, 32, 57, 77, 316, 334, 341, 434, 469]),
        (0x0000_0000_0000_0001, 0x0000_0000_0000_0000, 0x85c6, [0, 1, 2, 16, 20, 84, 97, 449, 469, 3736, 7414, 31_495]),
        (0x0000_0000_0000_0000, 0x0000_0000_0000_0001, 0x6ec8, [0, 1, 2, 3, 5, 17, 21, 24, 29, 30, 33, 41]),
        (
            0xffff_ffff_ffff_ffff,
            0xffff_ffff_ffff_ffff,
            0xbb01,
            [0, 67, 673, 737, 1561, 3242, 4801, 5782, 28_132, 77_122, 78_259, 191_744],
        ),
        (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0xc307, [0, 1, 4, 6, 8, 24, 73, 95, 155, 192, 250, 300]),
    ];

    /// Over 20,000 symbols no cell is further from its share than five standard deviations.
    #[test]
    fn cell_i_has_a_symbol_with_probability_one_in_one_and_half_i() {
        const SYMBOLS: u64 = 20_000;
        let mut held = vec![0_u64; 3000];
        for symbol in symbols(SYMBOLS) {
            symbol.indices().take_while(|&index| index < 3000).for_each(|index| held[index] += 1);
        }
        assert_eq!(held[0], SYMBOLS);
        let mut squares = 0;
        for (index, &held) in (1..).zip(&held[1..]) {
            // In fixed point of 8 bits; the variance is n p (1 - p).
            let expected = (SYMBOLS << 8) * 2 / (index + 2);
            let variance = expected * index / (index + 2);
            let deviation = (held << 8).abs_diff(expected);
            assert!(deviation * deviation <= 25 * (variance << 8), "cell {index} holds {held}");
            squares += deviation * deviation / variance;
        }
        // Chi-square: 2999 degrees of freedom, with a standard deviation of 77.
        let chi_square = squares >> 8;
        assert!((2999 - 300..2999 + 300).contains(&chi_square), "{chi_square}");
    }

    #[test]
    fn indices_ascend_from_zero_and_end() {
        for symbol in symbols(1000) {
            let indices: Vec<_> = symbol.indices().collect();
            assert_eq!(indices[0], 0);
            assert!(indices.is_sorted_by(|a, b| a < b));
            assert!(indices.len() < 120 && *indices.last().unwrap() < 1 << 31);
        }
    }
}
