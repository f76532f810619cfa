//! Random draws in whole numbers of 64 bits at most: floats may round differently in another build, and a `usize` draws
//! differently on another machine, but a seed has to mean the same there.

use core::ops::RangeInclusive;

/// The natural logarithm of 2, in units of 2^-32.
const LN_2: u128 = 2_977_044_472;

/// A source of random draws that is the same for the same seed.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Whether something happens that happens this many times in a thousand.
    pub(crate) fn permille(&mut self, permille: u16) -> bool {
        self.0.u16(0..1_000) < permille
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

    /// An exponentially distributed draw, at most 45 times its mean.
    ///
    /// It is the logarithm of a uniform draw. That is taken by Mitchell's method: leading zeros are its whole part, and
    /// the bits behind the first one its fraction. The mean comes out 4 % too large, which no fault minds.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        let uniform = self.0.u64(1..);
        let zeros = uniform.leading_zeros();
        let fraction = u128::from((uniform << zeros << 1) >> 32);
        let negative_log_2 = (u128::from(zeros + 1) << 32) - fraction;
        let scaled = ((u128::from(mean) * negative_log_2) >> 32) * LN_2;
        u64::try_from(scaled >> 32).unwrap_or(u64::MAX)
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
        usize::try_from(self.0.u64(0..len as u64)).expect("less than a usize")
    }

    /// [`between`](Self::between) of numbers of 32 bits.
    pub(crate) fn between_u32(&mut self, first: u32, last: u32) -> u32 {
        self.0.u32(first..=last.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_draws_have_their_mean_and_a_bound() {
        for mean in [1_000, 1_000_000] {
            let mut random = Random::new(mean);
            let draws = (0..100_000).map(|_| random.exponential(mean)).collect::<Vec<_>>();
            let average = draws.iter().sum::<u64>() / 100_000;
            assert!(average.abs_diff(mean) < mean / 10, "{average} instead of {mean}");
            assert!(draws.iter().all(|draw| *draw <= 45 * mean));
            let above = draws.iter().filter(|draw| **draw > mean).count();
            assert!((34_000..41_000).contains(&above), "{above} of 100000 are above the mean, and 36788 should be");
        }
        let mut random = Random::new(0);
        assert!((0..1_000).all(|_| random.exponential(0) == 0));
        assert!((0..1_000).any(|_| random.exponential(u64::MAX) == u64::MAX));
    }

    /// Whoever changes this changes what all seeds mean that were written down.
    #[test]
    fn a_seed_means_what_it_always_meant() {
        let mut random = Random::new(1);
        assert_eq!([(); 3].map(|()| random.between(0, 999_999)), [657_039, 534_615, 239_635]);
        assert_eq!(random.distinct(5, 10), [1, 2, 4, 8, 3]);
        assert_eq!([(); 3].map(|()| random.exponential(1_000)), [5_297, 187, 2_297]);
    }

    #[test]
    fn draws_stay_in_their_ranges_and_reach_the_ends() {
        let mut random = Random::new(1);
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
