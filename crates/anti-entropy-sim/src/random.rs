//! Random draws from a seed, in integers only, so that they are equal on all platforms.

/// A generator for one purpose. Streams with different labels are independent, so that more draws from one change no draws from
/// another.
pub(crate) fn stream(seed: u64, labels: &[u64]) -> fastrand::Rng {
    let mixed = labels.iter().fold(seed, |mixed, label| {
        // The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
        let mut word =
            mixed.wrapping_add(label.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    fastrand::Rng::with_seed(mixed)
}

/// Whether an event happens that has a probability of this many thousandths.
pub(crate) fn permille(random: &mut fastrand::Rng, of_a_thousand: u16) -> bool {
    of_a_thousand > 0 && random.u16(0..1000) < of_a_thousand
}

/// A random index into something of this length, which is not 0. Drawing a `usize` would differ on platforms with 32 bits.
pub(crate) fn place(random: &mut fastrand::Rng, len: usize) -> usize {
    usize::try_from(random.u64(0..len as u64)).expect("less than a usize")
}

/// An exponentially distributed number with this mean, at most 44 times as large.
///
/// It is the negative logarithm of a uniform number; the logarithm is Mitchell's, linear between powers of two ("Computer
/// Multiplication and Division Using Binary Logarithms", 1962), off by less than 0.09.
pub(crate) fn exponential(random: &mut fastrand::Rng, mean: u64) -> u64 {
    const LN_2_BY_65536: u128 = 45_426;
    let uniform = random.u64(1..);
    let zeros = uniform.leading_zeros();
    let fraction = (uniform << zeros << 1) >> 48;
    let log2_by_65536 = (u128::from(zeros) + 1) * 65_536 - u128::from(fraction);
    let scaled = u128::from(mean) * log2_by_65536 * LN_2_BY_65536;
    u64::try_from(scaled >> 32).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_what_it_should_be() {
        let mut random = stream(1, &[2]);
        let sum: u64 = (0..100_000).map(|_| exponential(&mut random, 1000)).sum();
        assert!((90_000_000..110_000_000).contains(&sum), "{sum}");
        let most = (0..100_000).map(|_| exponential(&mut random, 1000)).max().unwrap();
        assert!((8_000..44_000).contains(&most), "{most}");
    }

    /// Elsewhere a seed means the same as here.
    #[test]
    fn a_place_is_drawn_alike_wherever_a_usize_is_wide() {
        let (mut random, mut same) = (stream(1, &[2]), stream(1, &[2]));
        for len in [1, 7, 1 << 20] {
            assert_eq!(place(&mut random, len) as u64, same.u64(0..len as u64));
        }
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |labels: &[u64]| stream(7, labels).u64(..);
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[1]), draw(&[1, 0]));
    }
}
