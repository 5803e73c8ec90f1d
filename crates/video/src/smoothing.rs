//! What does a face express over the last moments, rather than in this frame alone?
//!
//! A causal exponential filter in time. With x the model's answer `dt` seconds after the last one and T the time constant,
//!
//! ```text
//! y <- y + (1 - exp(-dt / T)) (x - y)
//! ```
//!
//! for each probability, valence and arousal; the expression is the likeliest of the smoothed probabilities. After a sudden
//! change y has gone 63 % of the way in T seconds and 95 % in 3 T; it lags T seconds behind a steady rise. The step depends
//! on true time stamps, so frames may come at any rate. A face that was not seen for more than a second begins anew.

use std::collections::HashMap;

use affectory_core::{Arousal, Valence, ValenceArousal};
use affectory_learn::Prediction;
use affectory_learn::predict::likeliest;

/// Over a longer gap nothing is smoothed.
const MAX_GAP_SECONDS: f64 = 1.0;

/// Smooths each person's answers.
#[derive(Debug, Clone)]
pub struct Smoother {
    seconds: f64,
    faces: HashMap<u32, (f64, Prediction)>,
}

impl Smoother {
    /// With a time constant in seconds; 0 leaves answers as they are.
    pub fn new(seconds: f64) -> Self {
        Self { seconds, faces: HashMap::new() }
    }

    /// Takes what the model says of a person at `time` (seconds), and says it smoothed.
    ///
    /// ```
    /// # use affectory_core::Expression;
    /// # use affectory_learn::Prediction;
    /// # use affectory_video::Smoother;
    /// let says = |happy: f32| Prediction {
    ///     expression: None,
    ///     probabilities: vec![(Expression::Neutral, 1.0 - happy), (Expression::Happy, happy)],
    ///     valence: None,
    ///     arousal: None,
    ///     is_proxy: false,
    /// };
    /// let mut smoother = Smoother::new(0.5);
    /// assert_eq!(smoother.smooth(1, 10.0, &says(0.0)).expression, Some(Expression::Neutral));
    /// // ln 2 half seconds later, half of the way is gone: 1 - exp(-ln 2) = 0.5.
    /// let half = smoother.smooth(1, 10.0 + 0.5 * 2f64.ln(), &says(1.0));
    /// assert!((half.probabilities[1].1 - 0.5).abs() < 1e-6);
    /// ```
    pub fn smooth(&mut self, face: u32, time: f64, now: &Prediction) -> Prediction {
        self.faces.retain(|_, (last, _)| (0.0..=MAX_GAP_SECONDS).contains(&(time - *last)));
        let smoothed = match self.faces.get(&face) {
            Some((last, before)) if self.seconds > 0.0 => {
                between(before, now, (1.0 - (-(time - last) / self.seconds).exp()) as f32)
            }
            _ => Prediction { expression: likeliest(&now.probabilities), ..now.clone() },
        };
        self.faces.insert(face, (time, smoothed.clone()));
        smoothed
    }
}

/// The share of the way from what was to what is.
fn between(before: &Prediction, now: &Prediction, share: f32) -> Prediction {
    let probabilities: Vec<_> = now
        .probabilities
        .iter()
        .zip(&before.probabilities)
        .map(|((label, now), (_, before))| (*label, before + share * (now - before)))
        .collect();
    let part = |before: Option<f32>, now: Option<f32>| {
        let now = now.unwrap_or_default();
        let before = before.unwrap_or(now);
        before + share * (now - before)
    };
    let point = ValenceArousal::clamped(
        part(before.valence.map(Valence::value), now.valence.map(Valence::value)),
        part(before.arousal.map(Arousal::value), now.arousal.map(Arousal::value)),
    );
    Prediction {
        expression: likeliest(&probabilities),
        probabilities,
        valence: now.valence.map(|_| point.valence),
        arousal: now.arousal.map(|_| point.arousal),
        is_proxy: now.is_proxy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valence(value: f32) -> Prediction {
        let valence = Some(ValenceArousal::clamped(value, 0.0).valence);
        Prediction { expression: None, probabilities: Vec::new(), valence, arousal: None, is_proxy: true }
    }

    fn read(prediction: &Prediction) -> f32 {
        prediction.valence.map_or(f32::NAN, Valence::value)
    }

    #[test]
    fn a_steady_rise_is_followed_one_time_constant_late() {
        let mut smoother = Smoother::new(0.3);
        let last = (0..=200).map(|at| read(&smoother.smooth(1, f64::from(at) / 100.0, &valence(at as f32 / 250.0))));
        // The rise is 0.4 a second, so the lag is 0.3 * 0.4; steps of 10 ms leave a little.
        let lag = 0.8 - last.last().unwrap_or(0.0);
        assert!((lag - 0.12).abs() < 0.01, "{lag}");
    }

    #[test]
    fn a_gap_and_a_time_constant_of_zero_begin_anew() {
        let mut smoother = Smoother::new(0.3);
        smoother.smooth(1, 0.0, &valence(-1.0));
        assert_eq!(read(&smoother.smooth(1, 1.5, &valence(1.0))), 1.0);
        assert_eq!(read(&smoother.smooth(2, 1.5, &valence(0.5))), 0.5);
        let mut off = Smoother::new(0.0);
        off.smooth(1, 0.0, &valence(-1.0));
        assert_eq!(read(&off.smooth(1, 0.01, &valence(1.0))), 1.0);
    }
}
