//! What remains of a video when its frames are gone? Counts and means for each person, in a few hundred bytes.

use std::collections::BTreeMap;

use affectory_core::Expression;

use crate::FaceNow;

/// One person, over all frames in which they were seen. Shares and means are of smoothed answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaceSummary {
    /// First time seen, seconds.
    pub first_s: f64,
    /// Last time seen, seconds.
    pub last_s: f64,
    /// Frames in which they were seen.
    pub n_frames: u64,
    /// Frames of each expression, AffectNet's order.
    pub expressions: BTreeMap<Expression, u64>,
    /// Whether valence and arousal were learnt from a proxy.
    pub is_proxy: bool,
    affect: [f64; 2],
    n_affect: u64,
}

impl FaceSummary {
    /// Mean valence and arousal; `None` if the model says nothing of them.
    pub fn affect(&self) -> Option<[f64; 2]> {
        (self.n_affect > 0).then(|| self.affect.map(|sum| sum / self.n_affect as f64))
    }

    /// Share of the frames for each expression that was seen, the most frequent first.
    pub fn shares(&self) -> Vec<(Expression, f64)> {
        let total = self.expressions.values().sum::<u64>().max(1) as f64;
        let mut shares: Vec<_> = self.expressions.iter().map(|(label, n)| (*label, *n as f64 / total)).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }
}

/// A whole video.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Frames read.
    pub n_frames: u64,
    /// Time of the first frame, seconds.
    pub first_s: f64,
    /// Time of the last frame, seconds.
    pub last_s: f64,
    /// Everybody, by number.
    pub faces: BTreeMap<u32, FaceSummary>,
}

impl Summary {
    /// Takes a frame in.
    pub fn add(&mut self, time: f64, faces: &[FaceNow]) {
        if self.n_frames == 0 {
            self.first_s = time;
        }
        (self.n_frames, self.last_s) = (self.n_frames + 1, time);
        for now in faces {
            let face =
                self.faces.entry(now.face).or_insert_with(|| FaceSummary { first_s: time, ..Default::default() });
            (face.n_frames, face.last_s, face.is_proxy) = (face.n_frames + 1, time, now.smooth.is_proxy);
            if let Some(label) = now.smooth.expression {
                *face.expressions.entry(label).or_default() += 1;
            }
            if let Some(point) = now.smooth.point() {
                face.affect[0] += f64::from(point.valence.value());
                face.affect[1] += f64::from(point.arousal.value());
                face.n_affect += 1;
            }
        }
    }

    /// Seconds from the first frame to the end of the last, which is taken to be shown as long as the others.
    pub fn seconds(&self) -> f64 {
        let between = (self.last_s - self.first_s).max(0.0);
        if self.n_frames < 2 { 0.0 } else { between * self.n_frames as f64 / (self.n_frames - 1) as f64 }
    }

    /// Frames a second; `None` of fewer than two frames.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.seconds();
        (seconds > 0.0).then(|| self.n_frames as f64 / seconds)
    }
}
