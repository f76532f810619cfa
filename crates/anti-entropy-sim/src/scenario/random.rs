//! Random draws in whole numbers of 64 bits at most: floats may round differently in another build, and a `usize` draws
//! differently on another machine, but a seed has to mean the same there.

use core::ops::RangeInclusive;

use crate::random;

/// A source of random draws that is the same for the same seed.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    /// The draws of a seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(random::stream(seed, &[purpose]))
    }

    /// Whether something happens that happens this many times in a thousand.
    pub(crate) fn permille(&mut self, permille: u16) -> bool {
        random::permille(&mut self.0, permille)
    }

    /// One of some choices, of which there is at least one.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Anything from the first to the last, both included; the first if the last is before it.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.u64(first..=last.max(first))
    }

    /// How strong something is: often the least or the most, since bugs are at the ends.
    pub(crate) fn strength(&mut self, range: RangeInclusive<u64>) -> u64 {
        match self.0.u8(0..8) {
            0 => *range.start(),
            1 => *range.end(),
            _ => self.between(*range.start(), *range.end()),
        }
    }

    /// [`strength`](Self::strength) of what is counted in thousandths.
    pub(crate) fn strength_permille(&mut self, most: u16) -> u16 {
        u16::try_from(self.strength(0..=u64::from(most))).expect("at most a u16")
    }

    /// An exponentially distributed draw.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        random::exponential(&mut self.0, mean)
    }

    /// `count` different numbers below `below`, in random order; all of them if there are no more.
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

    /// Whoever changes this changes what all seeds mean that were written down.
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
