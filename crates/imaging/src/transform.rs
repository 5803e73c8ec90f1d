//! How does a face get from its place in a picture into a square of a given size?

use affectory_core::{BoundingBox, Point};

use crate::RgbImage;

/// Where the five landmarks lie in an aligned crop of 112x112 (ArcFace's template), pixel centres.
pub const TEMPLATE_112: [Point; 5] = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// `[x' y'] = [[a, -b, tx], [b, a, ty]] [x y 1]`: rotation, scale, shift, no reflection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times cosine.
    pub a: f64,
    /// Scale times sine.
    pub b: f64,
    /// Shift to the right in the crop, pixels.
    pub tx: f64,
    /// Shift down in the crop, pixels.
    pub ty: f64,
}

/// The least-squares similarity (Umeyama 1991, without reflection) from five landmarks to the template scaled to `size`.
/// `None` if the points coincide.
pub fn similarity_to_template(_landmarks: &[Point; 5], _size: u32) -> Option<Similarity> {
    todo!()
}

/// The aligned crop of `size`x`size`, bilinear, averaged over the source area when it shrinks; black outside the picture.
pub fn align(_image: &RgbImage, _landmarks: &[Point; 5], _size: u32) -> Option<RgbImage> {
    todo!()
}

/// The pixels under `bounding_box`, resized to `width`x`height`; outside the picture the edge pixels are repeated.
pub fn crop_resize(_image: &RgbImage, _bounding_box: BoundingBox, _width: u32, _height: u32) -> RgbImage {
    todo!()
}

/// The whole picture at another size (both sides > 0).
pub fn resize(_image: &RgbImage, _width: u32, _height: u32) -> RgbImage {
    todo!()
}
