//! Random draws of integers of at most 64 bits. Floats could be rounded differently in another build, and `usize` has another
//! width on other machines, but a seed has to give the same scenario everywhere.

use core::ops::RangeInclusive;

use crate::random;

/// A source of random draws that are the same for the same seed.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    /// The draws of a seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(random::stream(seed, &[purpose]))
    }

    /// Whether an event happens that has a probability of this many thousandths.
    pub(crate) fn permille(&mut self, permille: u16) -> bool {
        random::permille(&mut self.0, permille)
    }

    /// One of some choices, of which there is at least one.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number from `first` to `last`, both included; `first` if `last` is smaller.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.u64(first..=last.max(first))
    }

    /// The strength of a fault: often the least or the greatest, since bugs are at the ends of ranges.
    pub(crate) fn strength(&mut self, range: RangeInclusive<u64>) -> u64 {
        match self.0.u8(0..8) {
            0 => *range.start(),
            1 => *range.end(),
            _ => self.between(*range.start(), *range.end()),
        }
    }

    /// [`strength`](Self::strength) from 0 to `most` thousandths.
    pub(crate) fn strength_permille(&mut self, most: u16) -> u16 {
        u16::try_from(self.strength(0..=u64::from(most))).expect("at most a u16")
    }

    /// An exponentially distributed draw.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        random::exponential(&mut self.0, mean)
    }

    /// `count` different numbers below `below` in random order, or all of them if there are fewer.
    pub(crate) fn distinct(&mut self, count: u32, below: u32) -> Vec<u32> {
        let mut all = (0..below).collect::<Vec<_>>();
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
        all.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        all
    }

    fn below(&mut self, len: usize) -> usize {
        random::place(&mut self.0, len)
    }

    /// [`between`](Self::between) of numbers of 32 bits.
    pub(crate) fn between_u32(&mut self, first: u32, last: u32) -> u32 {
        self.0.u32(first..=last.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of these numbers changes the meaning of all seeds that were written down.
    #[test]
    fn a_seed_means_what_it_always_meant() {
        let mut random = Random::new(1, 2);
        assert_eq!([(); 3].map(|()| random.between(0, 999_999)), [774_293, 486_246, 263_859]);
        assert_eq!(random.distinct(5, 10), [2, 5, 4, 1, 0]);
        assert_eq!([(); 3].map(|()| random.exponential(1_000)), [516, 622, 220]);
    }

    #[test]
    fn draws_stay_in_their_ranges_and_reach_the_ends() {
        let mut random = Random::new(1, 2);
        assert!((0..1_000).all(|_| random.permille(1_000) && !random.permille(0)));
        let draws = (0..1_000).map(|_| random.between(3, 5)).collect::<Vec<_>>();
        assert!([3, 4, 5].iter().all(|value| draws.contains(value)));
        assert_eq!(random.between(7, 2), 7);
        let draws = (0..1_000).map(|_| random.strength(10..=1_000_000)).collect::<Vec<_>>();
        assert!(draws.contains(&10) && draws.contains(&1_000_000));
        let mut all = random.distinct(9, 3);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    }
}
