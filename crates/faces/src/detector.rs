//! What must a face detector be able to say?

use affectory_core::{BoundingBox, Point};
use affectory_imaging::RgbImage;

/// A face as a detector sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Its box in pixels; it may reach beyond the picture.
    pub bounding_box: BoundingBox,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Left eye, right eye, nose, left mouth corner, right mouth corner (left as the viewer sees it), pixels.
    pub five: [Point; 5],
}

/// Finds the faces of a picture.
pub trait FaceDetector: Send + Sync {
    /// The name under which the catalogue knows who found a face.
    fn name(&self) -> &str;

    /// All faces, the largest first. None found is an empty list.
    fn detect(&self, picture: &RgbImage) -> Vec<Detection>;
}
