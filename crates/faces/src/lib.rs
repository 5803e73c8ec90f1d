//! From a picture to its faces: boxes, landmarks, quality figures, aligned crops.
//!
//! In: upright RGB pixels, or a project whose images wait. Out: [`FoundFace`]s, or rows in the catalogue.
//! A detector is whatever implements [`FaceDetector`]; the one inside the program is [`Mtcnn`], [`Yunet`] is for a user
//! who has its ONNX file. This crate has no
//! decoders, no SQL and no network code of its own: it joins `imaging`, `catalog` and `nets`.

mod boxes;
mod detector;
mod error;
mod finder;
mod mtcnn;
mod quality;
mod scan;
mod way;
mod windows;
mod yunet;

pub use detector::{Detection, FaceDetector};
pub use error::FacesError;
pub use finder::{CROP_SIDE, FaceFinder, FoundFace};
pub use mtcnn::{Mtcnn, MtcnnSettings};
pub use quality::quality;
pub use scan::{CatalogImages, ImageSource, ScanRequest, ScanSummary, scan};
pub use yunet::Yunet;
