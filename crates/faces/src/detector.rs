//! What must a face detector be able to say?

use affectory_core::{BoundingBox, Point};
use affectory_imaging::{RgbImage, crop_resize};

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

    /// The face that was seen as `last` in a picture shortly before, where it is now; `None` if it cannot be seen near
    /// there. A detector that knows no quicker way looks at the surroundings: twice the box, enlarged or shrunk to at most 320
    /// pixels a side.
    fn follow(&self, picture: &RgbImage, last: &Detection) -> Option<Detection> {
        let around = last.bounding_box.squared(2.0);
        let side = around.width.round().clamp(64.0, 320.0);
        let part = crop_resize(picture, around, side as u32, side as u32);
        let scale = around.width / side;
        let placed = |p: Point| Point { x: around.x + p.x * scale, y: around.y + p.y * scale };
        let found = self.detect(&part).into_iter().map(|found| {
            let b = found.bounding_box;
            let corner = placed(Point { x: b.x, y: b.y });
            let bounding_box =
                BoundingBox { x: corner.x, y: corner.y, width: b.width * scale, height: b.height * scale };
            Detection { bounding_box, score: found.score, five: found.five.map(placed) }
        });
        nearest(found, last.bounding_box)
    }
}

/// Less overlap with where a face was is another face, and from one picture to the next a face does not grow or shrink more
/// than so many times: a box that does has lost it.
const MIN_OVERLAP: f32 = 0.3;
const MAX_GROWTH: f32 = 1.5;

/// The detection that covers the last place best, if any does.
pub(crate) fn nearest(found: impl IntoIterator<Item = Detection>, last: BoundingBox) -> Option<Detection> {
    let overlap = |face: &Detection| face.bounding_box.iou(last);
    let is_same = |face: &Detection| {
        let growth = (face.bounding_box.area() / last.area()).sqrt();
        overlap(face) >= MIN_OVERLAP && (1.0 / MAX_GROWTH..=MAX_GROWTH).contains(&growth)
    };
    found.into_iter().filter(is_same).max_by(|a, b| overlap(a).total_cmp(&overlap(b)).then(a.score.total_cmp(&b.score)))
}
