//! How do hot loops use the processor's wide registers without `unsafe`?

use pulp::{Simd, WithSimd};

/// Runs `work` compiled for AVX2 (on ARM for NEON) where the processor has it, else as it stands.
///
/// Everything hot that `work` calls has to be `#[inline(always)]`, or it keeps the narrow registers.
#[inline]
pub fn widened<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match pulp::x86::V3::try_new() {
        Some(wide) => Simd::vectorize(wide, work),
        None => Simd::vectorize(pulp::Scalar, work),
    }
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(work)
}
