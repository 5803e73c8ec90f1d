//! How are long sums taken in the processor's wide registers?

use pulp::Simd;

/// The sum of products. Of equal lengths.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    // Four sums, so that no addition waits for the one before.
    let ((a_fours, a), (b_fours, b)) = (pulp::as_arrays::<4, _>(a), pulp::as_arrays::<4, _>(b));
    let [mut s0, mut s1, mut s2, mut s3] = [simd.splat_f32s(0.0); 4];
    for ([a0, a1, a2, a3], [b0, b1, b2, b3]) in a_fours.iter().zip(b_fours) {
        s0 = simd.mul_add_e_f32s(*a0, *b0, s0);
        s1 = simd.mul_add_e_f32s(*a1, *b1, s1);
        s2 = simd.mul_add_e_f32s(*a2, *b2, s2);
        s3 = simd.mul_add_e_f32s(*a3, *b3, s3);
    }
    for (a, b) in a.iter().zip(b) {
        s0 = simd.mul_add_e_f32s(*a, *b, s0);
    }
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(s0, s1), simd.add_f32s(s2, s3))) + rest
}

/// Adds `factor * from` to `to`. Of equal lengths.
#[inline(always)]
pub(super) fn add_scaled<S: Simd>(simd: S, to: &mut [f32], factor: f32, from: &[f32]) {
    let ((to, to_rest), (from, from_rest)) = (S::as_mut_simd_f32s(to), S::as_simd_f32s(from));
    let factors = simd.splat_f32s(factor);
    to.iter_mut().zip(from).for_each(|(to, from)| *to = simd.mul_add_e_f32s(factors, *from, *to));
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to += factor * from);
}

#[cfg(test)]
mod tests {
    use affectory_nets::widened;
    use pulp::WithSimd;

    use super::*;

    struct Both<'a>(&'a [f32], &'a mut [f32]);

    impl WithSimd for Both<'_> {
        type Output = f32;

        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let found = dot(simd, self.0, self.1);
            add_scaled(simd, self.1, 2.0, self.0);
            found
        }
    }

    #[test]
    fn every_length_is_summed_and_added_to_its_end() {
        for n in 0..100 {
            let from: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut to = vec![3.0; n];
            assert_eq!(widened(Both(&from, &mut to)), 3.0 * from.iter().sum::<f32>());
            assert!(to.iter().zip(&from).all(|(to, from)| *to == 3.0 + 2.0 * from), "{n}");
        }
    }
}
