//! Does the detector say what the Python original says, and does it find the faces of real photographs?
//!
//! Numbers of the original are stored in `mtcnn_goldens.json` (written by `nets/assets/convert.py`). The photographs are
//! not part of the project: the tests take them from `AFFECTORY_DATA` and say so when they are not there.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use affectory_core::{BoundingBox, Landmarks, Point};
use affectory_faces::{Detection, FaceDetector as _, FaceFinder, Mtcnn, MtcnnSettings, Yunet};
use affectory_imaging::{Limits, RgbImage, align, decode, similarity_to_template};
use rayon::prelude::*;
use serde_json::Value;

static MTCNN: LazyLock<Mtcnn> = LazyLock::new(|| Mtcnn::bundled(MtcnnSettings::default()).unwrap());

/// A place in the larger data, or a line that says why the test is skipped.
fn data(folder: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where its data is")]
    let Ok(root) = std::env::var("AFFECTORY_DATA") else {
        println!("SKIPPED: the photographs are in AFFECTORY_DATA, which is not set");
        return None;
    };
    Some(Path::new(&root).join(folder))
}

fn read(path: &Path) -> RgbImage {
    decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap().image
}

fn point(value: &Value) -> Point {
    Point { x: value[0].as_f64().unwrap() as f32, y: value[1].as_f64().unwrap() as f32 }
}

/// The largest difference between a detection and what the original said, pixels.
fn difference(ours: &Detection, golden: &Value) -> f32 {
    let b = ours.bounding_box;
    let corners = [b.x, b.y, b.x + b.width, b.y + b.height];
    let of_box = corners.iter().enumerate().map(|(i, v)| (v - golden["box"][i].as_f64().unwrap() as f32).abs());
    let of_points = ours.five.iter().enumerate().map(|(i, p)| p.distance(point(&golden["points"][i])));
    of_box.chain(of_points).fold(0.0, f32::max)
}

#[test]
fn boxes_and_points_lie_within_two_pixels_of_the_originals() {
    let goldens: HashMap<String, Vec<Value>> = serde_json::from_str(include_str!("mtcnn_goldens.json")).unwrap();
    let Some(root) = data("") else { return };
    let mut n_compared = 0;
    let mut worst: f32 = 0.0;
    for folder in ["scenes", "dlib_faces", "inthewild/images"] {
        for (name, faces) in &goldens {
            let path = root.join(folder).join(name);
            if !path.exists() {
                continue;
            }
            n_compared += 1;
            let ours = MTCNN.detect(&read(&path));
            assert_eq!(ours.len(), faces.len(), "{name}");
            for golden in faces {
                let least = ours.iter().map(|face| difference(face, golden)).fold(f32::INFINITY, f32::min);
                worst = worst.max(least);
                assert!(least <= 2.0, "{name}: a face of the original is {least} pixels away from ours");
            }
        }
    }
    println!("{n_compared} pictures, largest difference {worst:.3} pixels");
    assert_eq!(n_compared, 10);
}

#[test]
fn every_face_of_the_scenes_is_found_but_the_hard_one() {
    let Some(folder) = data("scenes") else { return };
    let mut table = csv::Reader::from_path(folder.join("faces.csv")).unwrap();
    let mut n_false = 0;
    for row in table.records().map(Result::unwrap) {
        let found = MTCNN.detect(&read(&folder.join(&row[0]))).len();
        let expected: usize = row[1].parse().unwrap();
        println!("{}: {found} of {expected} {}", &row[0], &row[2]);
        assert!(found >= expected || row[2].contains("hard"), "{}", &row[0]);
        n_false += found.saturating_sub(expected);
    }
    assert!(n_false <= 1, "{n_false} false alarms");
}

#[test]
fn a_face_is_found_in_95_of_100_pictures_in_the_wild() {
    let Some(folder) = data("inthewild/images") else { return };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let n_found = paths.par_iter().filter(|path| !MTCNN.detect(&read(path)).is_empty()).count();
    println!("{n_found} of {}", paths.len());
    assert!(n_found * 100 >= paths.len() * 95, "{n_found} of {}", paths.len());
}

/// The second detector on the same pictures; it needs a model and a library that the project does not have.
#[test]
fn yunet_finds_what_mtcnn_finds() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the library is")]
    let Ok(runtime) = std::env::var("ORT_DYLIB_PATH") else {
        println!("SKIPPED: ORT_DYLIB_PATH does not say where libonnxruntime is");
        return;
    };
    let Some(root) = data("") else { return };
    let yunet = Yunet::open(&root.join("models/yunet_n_dynamic.onnx"), Path::new(&runtime)).unwrap();
    for (name, n_faces) in [("multi_face.jpg", 5), ("single_face.jpg", 1), ("astronaut.png", 1)] {
        let picture = read(&root.join("scenes").join(name));
        let (ours, others) = (yunet.detect(&picture), MTCNN.detect(&picture));
        assert_eq!((ours.len(), others.len()), (n_faces, n_faces), "{name}");
        for face in &ours {
            let same = others
                .iter()
                .max_by(|a, b| face.bounding_box.iou(a.bounding_box).total_cmp(&face.bounding_box.iou(b.bounding_box)))
                .unwrap();
            assert!(face.bounding_box.iou(same.bounding_box) > 0.6, "{name}: {face:?} and {same:?}");
            let apart = same.five[0].distance(same.five[1]);
            for (a, b) in face.five.iter().zip(&same.five) {
                assert!(a.distance(*b) < 0.25 * apart, "{name}: {face:?} and {same:?}");
            }
        }
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root.join("inthewild/images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let some: Vec<_> = paths.iter().step_by(10).collect();
    let n_found = some.iter().filter(|path| !yunet.detect(&read(path)).is_empty()).count();
    println!("yunet: {n_found} of {}", some.len());
    assert!(n_found * 100 >= some.len() * 95);
}

#[test]
fn labelled_faces_are_found_and_their_68_points_are_near() {
    let Some(folder) = data("dlib_faces") else { return };
    let truth: HashMap<String, Vec<Value>> =
        serde_json::from_slice(&std::fs::read(folder.join("faces.json")).unwrap()).unwrap();
    let finder = FaceFinder::new(Box::new(MTCNN.clone())).unwrap();
    let mut errors = Vec::new();
    for (name, labelled) in &truth {
        let found = finder.find(&read(&folder.join(name)));
        for face in labelled {
            let corner = |i: usize| face["box"][i].as_f64().unwrap() as f32;
            let at = BoundingBox::new(corner(0), corner(1), corner(2), corner(3)).unwrap();
            let ours = found.iter().max_by(|a, b| at.iou(a.bounding_box).total_cmp(&at.iou(b.bounding_box)));
            let ours = ours.unwrap_or_else(|| panic!("{name}: no face found"));
            assert!(ours.bounding_box.contains(at.centre()), "{name}: the face at {at:?} was not found");
            let points = face["landmarks"].as_array().unwrap().iter().map(point).collect();
            let truth = Landmarks::new(points).unwrap();
            let pairs = ours.landmarks.points().iter().zip(truth.points());
            let mean = pairs.map(|(a, b)| a.distance(*b)).sum::<f32>() / 68.0;
            errors.push(mean / truth.inter_ocular());
        }
    }
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    println!("{} faces, mean distance {mean:.4} of the inter-ocular distance", errors.len());
    assert!(mean <= 0.08, "{mean}");
}

#[test]
fn alignment_equals_the_contracts_vectors() {
    let Some(file) = data("align_vectors.json") else { return };
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        let number = |value: &Value| value.as_f64().unwrap();
        let five: [[f64; 2]; 5] = std::array::from_fn(|i| [0, 1].map(|axis| number(&case["landmarks"][i][axis])));
        let size = case["size"].as_u64().unwrap() as u32;
        let Some(ours) = similarity_to_template(&five, size) else {
            assert!(case["matrix_2x3"].is_null(), "{}", case["id"]);
            continue;
        };
        let matrix = [[ours.a, -ours.b, ours.tx], [ours.b, ours.a, ours.ty]];
        for (row, expected) in matrix.iter().zip(case["matrix_2x3"].as_array().unwrap()) {
            for (value, expected) in row.iter().zip(expected.as_array().unwrap()) {
                let difference = (value - number(expected)).abs();
                assert!(difference <= 1e-6, "{}: {value}, expected {expected}", case["id"]);
            }
        }
    }
    println!("{} cases", cases.len());
}

#[test]
fn an_aligned_crop_has_the_pixels_of_opencvs() {
    let Some(root) = data("align_vectors.json").and_then(|file| Some(file.parent()?.to_owned())) else { return };
    let vectors: Value = serde_json::from_slice(&std::fs::read(root.join("align_vectors.json")).unwrap()).unwrap();
    let case = vectors["cases"].as_array().unwrap().iter().find(|case| case["expected_png"].is_string()).unwrap();
    let file = |key: &str| read(&root.join(case[key].as_str().unwrap()));
    let five: [Point; 5] = std::array::from_fn(|i| point(&case["landmarks"][i]));
    let ours = align(&file("image"), &five, case["size"].as_u64().unwrap() as u32).unwrap();
    let expected = file("expected_png");
    let n_far = ours.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a.abs_diff(**b) > 3).count();
    println!("{n_far} of {} values differ by more than 3", expected.pixels.len());
    assert_eq!((ours.width, ours.height), (expected.width, expected.height));
    assert!(n_far * 1000 <= expected.pixels.len());
}
