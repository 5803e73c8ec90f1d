//! How does MTCNN come from a picture to its faces? A pyramid of sizes, then three networks, each stricter than the last.
//!
//! The steps, thresholds and roundings are those of facenet-pytorch 2.6.0 (`detect_face`), so that both agree; the
//! comparison is in `tests/mtcnn.rs`. Zhang et al. (2016) describe the method.

use affectory_core::{BoundingBox, Point};
use affectory_imaging::RgbImage;
use affectory_nets::{MtcnnNets, Shifts, WindowAnswer};
use rayon::prelude::*;

use crate::boxes::{Candidate, Overlap, suppress};
use crate::detector::nearest;
use crate::windows::{Part, write_planes};
use crate::{Detection, FaceDetector, FacesError};

/// Side of the first network's windows.
const PROPOSAL_SIDE: f64 = 12.0;

/// Windows in one batch of the later networks: bounds memory whatever the first one proposes.
const BATCH: usize = 256;

/// Sides of the windows in which a followed face is looked for, as shares of [`usual_square`]'s.
const FOLLOWING_WINDOWS: [f32; 2] = [1.0, 1.15];

/// What a user may set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MtcnnSettings {
    /// Smallest face in pixels, >= 12.
    pub min_face: u32,
    /// Each size of the pyramid as a share of the one before, (0, 1).
    pub factor: f64,
    /// What a candidate needs to pass each of the three networks, 0 to 1.
    pub thresholds: [f32; 3],
}

impl Default for MtcnnSettings {
    fn default() -> Self {
        // The original passes at 0.6 and 0.7 in the first two networks and then misses small faces that the third one knows.
        Self { min_face: 20, factor: 0.709, thresholds: [0.5, 0.6, 0.7] }
    }
}

/// The detector inside the program.
#[derive(Debug, Clone)]
pub struct Mtcnn {
    nets: MtcnnNets,
    settings: MtcnnSettings,
}

impl Mtcnn {
    /// The name under which the catalogue knows it.
    pub const NAME: &str = "mtcnn";

    /// With the weights inside the program.
    ///
    /// # Errors
    /// [`FacesError::Weights`]; a test sees to it that there is none.
    pub fn bundled(settings: MtcnnSettings) -> Result<Self, FacesError> {
        Ok(Self { nets: MtcnnNets::bundled()?, settings })
    }

    /// Sizes of the pyramid, as shares of the picture.
    fn scales(&self, picture: &RgbImage) -> Vec<f64> {
        let first = PROPOSAL_SIDE / f64::from(self.settings.min_face.max(12));
        let shorter = f64::from(picture.width.min(picture.height));
        let factor = self.settings.factor.clamp(0.1, 0.95);
        std::iter::successors(Some(first), |scale| Some(scale * factor))
            .take_while(|scale| shorter * scale >= PROPOSAL_SIDE)
            .collect()
    }

    /// First network on one size of the picture.
    fn propose(&self, picture: &RgbImage, scale: f64) -> Vec<(Candidate, Shifts)> {
        let side = |pixels: u32| (f64::from(pixels) * scale + 1.0) as usize;
        let (width, height) = (side(picture.width), side(picture.height));
        let mut planes = vec![0.0; 3 * width * height];
        write_planes(picture, Part::whole(picture), width, height, &mut planes);
        let map = self.nets.propose(planes, width, height);
        let n = map.scores.len();
        let scale = scale as f32;
        let mut found = Vec::new();
        for (at, score) in map.scores.iter().copied().enumerate() {
            if score >= self.settings.thresholds[0] {
                let (x, y) = ((at % map.width) as f32, (at / map.width) as f32);
                let corner = |cell: f32, size: f32| ((2.0 * cell + size) / scale).floor();
                let candidate = Candidate {
                    left: corner(x, 1.0),
                    top: corner(y, 1.0),
                    right: corner(x, 12.0),
                    bottom: corner(y, 12.0),
                    score,
                };
                found.push((candidate, std::array::from_fn(|i| map.shifts[i * n + at])));
            }
        }
        keep(&found, 0.5, Overlap::Union)
    }

    /// The second and third network on candidates of the first.
    fn refined(&self, picture: &RgbImage, candidates: &[Candidate]) -> Vec<Detection> {
        let [_, refine, output] = self.settings.thresholds;
        let passed = self.pass(picture, candidates, MtcnnNets::REFINE_SIDE, refine, |w| self.nets.refine(w));
        let candidates: Vec<Candidate> = keep(&passed, 0.7, Overlap::Union)
            .into_iter()
            .map(|(candidate, answer)| candidate.moved(answer.shifts, 1.0).squared())
            .collect();

        let passed: Vec<_> = self
            .pass(picture, &candidates, MtcnnNets::OUTPUT_SIDE, output, |w| self.nets.answer(w))
            .into_iter()
            .map(|(window, answer)| (window.moved(answer.shifts, 1.0), (window, answer)))
            .collect();
        keep(&passed, 0.7, Overlap::Smaller)
            .into_iter()
            .filter_map(|(face, (window, answer))| detection(&face, &window, &answer))
            .collect()
    }

    /// One of the later networks on each candidate's window; those below the threshold go.
    fn pass(
        &self,
        picture: &RgbImage,
        candidates: &[Candidate],
        side: usize,
        threshold: f32,
        network: impl Fn(Vec<f32>) -> Vec<WindowAnswer> + Sync,
    ) -> Vec<(Candidate, WindowAnswer)> {
        let cut: Vec<(Candidate, Part)> = candidates.iter().filter_map(|c| Some((*c, part_of(picture, c)?))).collect();
        let n_values = 3 * side * side;
        cut.par_chunks(BATCH)
            .flat_map_iter(|batch| {
                let mut windows = vec![0.0; batch.len() * n_values];
                for ((_, part), planes) in batch.iter().zip(windows.chunks_exact_mut(n_values)) {
                    write_planes(picture, *part, side, side, planes);
                }
                batch
                    .iter()
                    .zip(network(windows))
                    .filter(|(_, answer)| answer.score > threshold)
                    .map(|((candidate, _), answer)| (Candidate { score: answer.score, ..*candidate }, answer))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

impl FaceDetector for Mtcnn {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn detect(&self, picture: &RgbImage) -> Vec<Detection> {
        let scales = self.scales(picture);
        let proposed: Vec<_> = scales.par_iter().flat_map_iter(|scale| self.propose(picture, *scale)).collect();
        let candidates: Vec<Candidate> = keep(&proposed, 0.7, Overlap::Union)
            .into_iter()
            .map(|(candidate, shifts)| candidate.moved(shifts, 0.0).squared())
            .collect();

        let mut found = self.refined(picture, &candidates);
        found.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
        found
    }

    /// The second and third network on windows around the last place: no pyramid, so two thousandths of a second.
    fn follow(&self, picture: &RgbImage, last: &Detection) -> Option<Detection> {
        let windows = FOLLOWING_WINDOWS.map(|scale| {
            let BoundingBox { x, y, width, height } = usual_square(last).squared(scale);
            Candidate { left: x, top: y, right: x + width, bottom: y + height, score: 1.0 }
        });
        nearest(self.refined(picture, &windows), last.bounding_box)
    }
}

/// The square that a search usually finds around five points. Following starts from it and not from the last box: a box that
/// follows from a box grows from frame to frame, above all at the picture's edge, points stay on the face. On 349 faces in
/// the wild its side is 0.86 to 1.09 times the found box's longer side for 94 %.
fn usual_square(face: &Detection) -> BoundingBox {
    let [left_eye, right_eye, _, left_mouth, right_mouth] = face.five;
    let between = |a: Point, b: Point| Point { x: f32::midpoint(a.x, b.x), y: f32::midpoint(a.y, b.y) };
    let (eyes, mouth) = (between(left_eye, right_eye), between(left_mouth, right_mouth));
    let side = (1.9 * eyes.distance(mouth)).hypot(2.0 * left_eye.distance(right_eye));
    let longer = face.bounding_box.width.max(face.bounding_box.height);
    // Points of another detector may coincide.
    if !(0.4..=2.5).contains(&(side / longer)) {
        return face.bounding_box.squared(1.0);
    }
    let middle = between(eyes, mouth);
    let (x, y) = (middle.x + 0.19 * (eyes.x - mouth.x), middle.y + 0.19 * (eyes.y - mouth.y));
    BoundingBox { x: x - side / 2.0, y: y - side / 2.0, width: side, height: side }
}

/// Those that no better one covers, with what belongs to them.
fn keep<T: Copy>(candidates: &[(Candidate, T)], limit: f32, how: Overlap) -> Vec<(Candidate, T)> {
    let only: Vec<Candidate> = candidates.iter().map(|(candidate, _)| *candidate).collect();
    suppress(&only, limit, how).into_iter().map(|at| candidates[at]).collect()
}

/// The whole pixels of the picture under a candidate, counted from 1 as the original does; `None` outside the picture.
fn part_of(picture: &RgbImage, candidate: &Candidate) -> Option<Part> {
    let span = |low: f32, high: f32, limit: u32| {
        let first = low.trunc().max(1.0) as usize;
        let last = high.trunc().min(limit as f32) as usize;
        (last >= first && high > 0.0).then(|| (first - 1, last + 1 - first))
    };
    let (left, width) = span(candidate.left, candidate.right, picture.width)?;
    let (top, height) = span(candidate.top, candidate.bottom, picture.height)?;
    Some(Part { left, top, width, height })
}

/// `None` for a box that the shifts turned inside out.
fn detection(face: &Candidate, window: &Candidate, answer: &WindowAnswer) -> Option<Detection> {
    let (width, height) = (window.width() + 1.0, window.height() + 1.0);
    let five = answer.points.map(|[x, y]| Point { x: width * x + window.left - 1.0, y: height * y + window.top - 1.0 });
    let bounding_box = BoundingBox::new(face.left, face.top, face.width(), face.height()).ok()?;
    Some(Detection { bounding_box, score: face.score, five })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_pictures_have_no_face_and_no_panic() -> Result<(), FacesError> {
        let detector = Mtcnn::bundled(MtcnnSettings::default())?;
        for (width, height) in [(1, 1), (19, 400), (20, 20), (21, 700), (64, 64)] {
            let picture = RgbImage::filled(width, height, [90, 120, 200]);
            assert_eq!(detector.detect(&picture), [], "{width}x{height}");
        }
        Ok(())
    }
}
