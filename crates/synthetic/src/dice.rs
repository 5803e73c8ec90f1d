//! Where does every random choice come from? One generator whose stream is fixed for ever.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::arithmetic::{fraction, scramble};

/// A stream of choices that a seed fixes.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `seed` for one `purpose`, so that a choice added for one never shifts those of another.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let salt = purpose.bytes().fold(0u64, |salt, byte| scramble(salt ^ u64::from(byte)));
        Self(ChaCha8Rng::seed_from_u64(scramble(seed) ^ salt))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Evenly in [`low`, `high`).
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * fraction(self.bits())
    }

    /// Around `mean` with this standard deviation, never more than 3.46 of them away (the sum of four even draws).
    pub(crate) fn around(&mut self, mean: f32, deviation: f32) -> f32 {
        let sum: f32 = (0..4).map(|_| self.between(-1.0, 1.0)).sum();
        mean + deviation * sum * 0.866
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// Evenly one of 0 to `n` - 1; 0 for `n` = 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// An index with probability in proportion to its weight.
    pub(crate) fn weighted(&mut self, weights: &[f32]) -> usize {
        let mut rest = self.between(0.0, weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return index;
            }
            rest -= weight;
        }
        weights.len().saturating_sub(1)
    }
}
