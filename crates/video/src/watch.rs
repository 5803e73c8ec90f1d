//! What happens to one frame? It is compared with the last, faces are followed or searched, and each is read.

use affectory_core::BoundingBox;
use affectory_faces::{Detection, FaceDetector};
use affectory_learn::{FacePlace, Prediction, Predictor};

use crate::cuts::Cuts;
use crate::tracks::Sight;
use crate::{Followed, Frame, Smoother, Tracks, VideoError};

/// The smallest face that is looked for, unless the user says otherwise: this part of a frame's shorter side. Smaller ones
/// cost most of a search's time and say little.
const SMALLEST_PART: u32 = 15;

/// Where somebody's box is in doubt, the whole frame is searched sooner: after this part of the usual time.
const DOUBT_PART: f64 = 0.2;

/// Detectors look for nothing smaller anyway.
const SMALLEST_PX: u32 = 20;

/// Side in pixels of the smallest face to look for in frames of this size.
pub fn smallest_face(width: u32, height: u32) -> u32 {
    (width.min(height) / SMALLEST_PART).max(SMALLEST_PX)
}

/// What a user may set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchSettings {
    /// The whole frame is searched at least so often, seconds.
    pub detect_every_s: f64,
    /// Time constant of smoothing, seconds; 0 is none.
    pub smooth_s: f64,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { detect_every_s: 0.5, smooth_s: 0.3 }
    }
}

/// A person in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceNow {
    /// The person's number in this video, from 1.
    pub face: u32,
    /// Where the face is, pixels.
    pub bounding_box: BoundingBox,
    /// The detector's confidence, 0 to 1; `None` where the whole frame is the face.
    pub score: Option<f32>,
    /// What the model says of this frame.
    pub raw: Prediction,
    /// The same, smoothed over time.
    pub smooth: Prediction,
}

/// Watches one video.
pub struct Watch<'a> {
    /// `None` where each frame is one face.
    detector: Option<Box<dyn FaceDetector>>,
    predictor: &'a Predictor,
    settings: WatchSettings,
    cuts: Cuts,
    tracks: Tracks,
    smoother: Smoother,
    searched: Option<f64>,
}

impl<'a> Watch<'a> {
    /// Without a detector each frame is taken to be one face.
    pub fn new(detector: Option<Box<dyn FaceDetector>>, predictor: &'a Predictor, settings: WatchSettings) -> Self {
        let smoother = Smoother::new(settings.smooth_s);
        let (cuts, tracks) = (Cuts::default(), Tracks::default());
        Self { detector, predictor, settings, cuts, tracks, smoother, searched: None }
    }

    /// Everybody in the next frame, by number.
    ///
    /// # Errors
    /// [`VideoError::Model`] from a foreign model alone.
    pub fn look(&mut self, frame: &Frame) -> Result<Vec<FaceNow>, VideoError> {
        let whole = BoundingBox::whole(frame.image.width, frame.image.height);
        let seen: Vec<(u32, FacePlace, Option<f32>)> = match &self.detector {
            None => vec![(1, whole.into(), None)],
            Some(detector) => {
                if self.cuts.is_cut(&frame.image) {
                    self.tracks.cut();
                    self.searched = None;
                }
                let sight = self.tracks.follow(frame.time, |last| detector.follow(&frame.image, last));
                let wait = match sight {
                    Sight::Lost => 0.0,
                    Sight::Doubtful => self.settings.detect_every_s * DOUBT_PART,
                    Sight::Clear => self.settings.detect_every_s,
                };
                // A clock that jumps back counts as much as time that has passed.
                if self.searched.is_none_or(|at| !(0.0..wait).contains(&(frame.time - at))) {
                    self.tracks.search(frame.time, &detector.detect(&frame.image));
                    self.searched = Some(frame.time);
                }
                let seen = |Followed { face, detection: Detection { bounding_box, score, five } }| {
                    (face, FacePlace { bounding_box, five: Some(five) }, Some(score))
                };
                self.tracks.in_sight().into_iter().map(seen).collect()
            }
        };
        let framed = |face: &(u32, FacePlace, Option<f32>)| match face.2 {
            Some(_) => self.predictor.framed(face.1),
            None => face.1,
        };
        let places: Vec<FacePlace> = seen.iter().map(framed).collect();
        let answers = self.predictor.predict(&frame.image, &places)?;
        let faces = seen.into_iter().zip(answers).map(|((face, place, score), raw)| {
            let smooth = self.smoother.smooth(face, frame.time, &raw);
            FaceNow { face, bounding_box: place.bounding_box, score, raw, smooth }
        });
        Ok(faces.collect())
    }
}
