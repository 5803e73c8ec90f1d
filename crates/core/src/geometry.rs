//! What is a place on an image: a point, a box around a face, the landmarks inside it?

use std::fmt::Write as _;

use crate::CoreError;

/// A place in pixels: x to the right, y down, (0, 0) the upper left corner of the image.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the upper edge.
    pub y: f32,
}

impl Point {
    /// Straight distance in pixels.
    pub fn distance(self, other: Point) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// An upright box in pixels. It may reach beyond the image, its sides are positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct BoundingBox {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width, > 0.
    pub width: f32,
    /// Height, > 0.
    pub height: f32,
}

impl BoundingBox {
    /// Checks that the box is finite and not empty.
    ///
    /// # Errors
    /// [`CoreError::BadBox`] otherwise.
    pub fn new(x: f32, y: f32, width: f32, height: f32) -> Result<Self, CoreError> {
        let finite = [x, y, width, height].iter().all(|v| v.is_finite());
        if finite && width > 0.0 && height > 0.0 {
            Ok(Self { x, y, width, height })
        } else {
            Err(CoreError::BadBox { x, y, width, height })
        }
    }

    /// The box of a whole image of this size; sides of 0 count as 1.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x: 0.0, y: 0.0, width: width.max(1) as f32, height: height.max(1) as f32 }
    }

    /// Area in square pixels.
    pub fn area(self) -> f32 {
        self.width * self.height
    }

    /// The middle.
    pub fn centre(self) -> Point {
        Point { x: self.x + self.width / 2.0, y: self.y + self.height / 2.0 }
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(self, other: BoundingBox) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        intersection / (self.area() + other.area() - intersection)
    }

    /// The square around the same centre whose side is `scale` times the longer side.
    pub fn squared(self, scale: f32) -> Self {
        let side = self.width.max(self.height) * scale;
        let centre = self.centre();
        Self { x: centre.x - side / 2.0, y: centre.y - side / 2.0, width: side, height: side }
    }

    /// Whether the point lies inside or on the edge.
    pub fn contains(self, point: Point) -> bool {
        (self.x..=self.x + self.width).contains(&point.x) && (self.y..=self.y + self.height).contains(&point.y)
    }
}

/// Facial landmarks in pixels: 5 points (eyes, nose, mouth corners) or 68 (iBUG 300-W order), or
/// the 66 of AffectNet's files.
///
/// "Left" is the image's left, which is the person's right.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Landmarks(Vec<Point>);

impl Landmarks {
    /// Numbers of points that are understood.
    pub const SCHEMES: [usize; 3] = [5, 66, 68];

    /// Checks the number of points and that each is finite.
    ///
    /// # Errors
    /// [`CoreError::BadLandmarks`] otherwise.
    pub fn new(points: Vec<Point>) -> Result<Self, CoreError> {
        if !Self::SCHEMES.contains(&points.len()) {
            return Err(CoreError::BadLandmarks(format!("{} points, expected 5, 66 or 68", points.len())));
        }
        if points.iter().any(|p| !p.x.is_finite() || !p.y.is_finite()) {
            return Err(CoreError::BadLandmarks("a coordinate is not finite".into()));
        }
        Ok(Self(points))
    }

    /// The points in the order of their scheme.
    pub fn points(&self) -> &[Point] {
        &self.0
    }

    /// Left eye, right eye, nose, left mouth corner, right mouth corner: what alignment needs.
    /// Of 66 or 68 points, an eye is the mean of its six.
    pub fn five(&self) -> [Point; 5] {
        let p = &self.0;
        if let [left_eye, right_eye, nose, left_mouth, right_mouth] = p[..] {
            return [left_eye, right_eye, nose, left_mouth, right_mouth];
        }
        let mean = |points: &[Point]| {
            let n = points.len() as f32;
            Point { x: points.iter().map(|q| q.x).sum::<f32>() / n, y: points.iter().map(|q| q.y).sum::<f32>() / n }
        };
        [mean(&p[36..42]), mean(&p[42..48]), p[30], p[48], p[54]]
    }

    /// Distance between the two eyes' centres in pixels.
    pub fn inter_ocular(&self) -> f32 {
        let [left_eye, right_eye, ..] = self.five();
        left_eye.distance(right_eye)
    }

    /// AffectNet's text form: `x;y;x;y;...`.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 14);
        for point in &self.0 {
            if !text.is_empty() {
                text.push(';');
            }
            // Writing into a String cannot fail.
            let _ = write!(text, "{};{}", point.x, point.y);
        }
        text
    }

    /// Reads AffectNet's text form.
    ///
    /// # Errors
    /// [`CoreError::BadLandmarks`] for text that is not an even list of numbers, or a wrong number of points.
    pub fn from_text(text: &str) -> Result<Self, CoreError> {
        // The longest scheme has 136 numbers; a field with more is refused before anything is stored.
        let numbers: Vec<f32> = text
            .split(';')
            .take(137)
            .map(|part| part.trim().parse::<f32>())
            .collect::<Result<_, _>>()
            .map_err(|_| {
                CoreError::BadLandmarks(format!("`{}` is not x;y;x;y;...", text.chars().take(40).collect::<String>()))
            })?;
        if !numbers.len().is_multiple_of(2) {
            return Err(CoreError::BadLandmarks("an odd or too large number of coordinates".into()));
        }
        Self::new(numbers.chunks_exact(2).map(|xy| Point { x: xy[0], y: xy[1] }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_overlapping_boxes_have_an_iou_of_a_third() -> Result<(), CoreError> {
        let a = BoundingBox::new(0.0, 0.0, 10.0, 10.0)?;
        let b = BoundingBox::new(5.0, 0.0, 10.0, 10.0)?;
        assert!((a.iou(b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(BoundingBox::new(20.0, 0.0, 1.0, 1.0)?), 0.0);
        assert!(BoundingBox::new(0.0, 0.0, 0.0, 5.0).is_err());
        Ok(())
    }

    #[test]
    fn landmarks_survive_their_text_form() -> Result<(), CoreError> {
        let points: Vec<Point> = (0..68).map(|i| Point { x: i as f32 * 0.5, y: 100.25 - i as f32 }).collect();
        let landmarks = Landmarks::new(points)?;
        assert_eq!(Landmarks::from_text(&landmarks.to_text())?, landmarks);
        assert!(Landmarks::from_text("1;2;3").is_err());
        assert!(Landmarks::from_text("a;b").is_err());
        assert!(Landmarks::from_text(&"1;".repeat(1_000_000)).is_err());
        Ok(())
    }
}
