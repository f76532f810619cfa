//! The exact cosine, which decides how patterns are related, to the last bit.

/// The number of partial sums.
const LANES: usize = 8;

/// The dot product of two vectors of one length, in `f64`.
///
/// Partial sum `k` adds up, from 0, the products at the indices `k`, `k + 8`, `k + 16`, ... in this order; the result is
/// `((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))`. Each product of two `f32` is exact in `f64`, so that a fused
/// multiply-add would change nothing either. It neither overflows nor underflows: products lie between 2⁻²⁹⁸ and 2²⁵⁶.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        add_products(&mut sums, a, b);
    }
    add_products(&mut sums, a_rest, b_rest);
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
}

#[inline]
fn add_products(sums: &mut [f64; LANES], a: &[f32], b: &[f32]) {
    for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
        *sum += f64::from(*a) * f64::from(*b);
    }
}

/// The cosine of two vectors of one dimension with this dot product and these squared lengths; 0 if one has no direction.
///
/// `dot / √(a² · b²)`, not `dot / (|a| · |b|)`: the root of a square is exact, so that equal embeddings have the cosine 1.
pub(super) fn cosine(dot: f64, a_squared: f64, b_squared: f64) -> f64 {
    let lengths = (a_squared * b_squared).sqrt();
    if lengths > 0.0 { (dot / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &[f32], b: &[f32]) -> f64 {
        cosine(dot(a, b), dot(a, a), dot(b, b))
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "bits are what it is about")]
    fn equal_directions_are_exactly_one_whatever_their_length() {
        for length in [1, 7, 8, 9, 768] {
            for scale in [1.0, 1e-44, 1e-30, 1e30, 3e38 / 768.0] {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let a: Vec<f32> = (0..length).map(|i| (i as f32 % 7.0 + 0.3) * scale).collect();
                let negative: Vec<f32> = a.iter().map(|a| -a).collect();
                assert_eq!((of(&a, &a), of(&a, &negative)), (1.0, -1.0), "{length} {scale}");
            }
        }
        assert_eq!(of(&[f32::MAX; 768], &[f32::from_bits(1); 768]), 1.0);
        assert_eq!(of(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "bits are what it is about")]
    fn the_order_of_the_sum_is_the_documented_one() {
        // 2^60 swallows a 1: which sums come first shows.
        let big = 2f32.powi(60);
        let ones = [1.0; 16];
        let mut a = [0.0; 16];
        (a[0], a[8], a[1], a[2]) = (big, -big, 1.0, 1.0);
        assert_eq!(dot(&a, &ones), 2.0, "lane 0 cancels out before lane 1 is added");
        (a[0], a[8], a[1], a[2], a[3]) = (big, 0.0, -big, 1.0, 1.0);
        assert_eq!(dot(&a, &ones), 2.0, "s0 + s1 before s2");
        (a[1], a[2]) = (1.0, -big);
        assert_eq!(dot(&a, &ones), 0.0, "s2 is paired with s3: both ones are lost");
    }
}
