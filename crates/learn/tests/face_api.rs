//! Does face-api's network say here what face-api says itself?
//!
//! What it says itself is in `face_api/goldens.json`, written by the script beside it.

use std::collections::HashMap;
use std::path::Path;

use affectory_core::{BoundingBox, Expression};
use affectory_imaging::{Limits, decode};
use affectory_learn::Predictor;

#[test]
fn probabilities_are_face_apis_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/face_api");
    let goldens: HashMap<String, HashMap<String, f32>> =
        serde_json::from_str(include_str!("face_api/goldens.json")).unwrap();
    let predictor = Predictor::open("face-api", Path::new("not needed")).unwrap();
    assert_eq!(predictor.cannot_produce(), [Expression::Contempt]);
    let (mut worst, mut worst_resized): (f32, f32) = (0.0, 0.0);
    for (picture, golden) in &goldens {
        let image = decode(&std::fs::read(folder.join(picture)).unwrap(), &Limits::default()).unwrap().image;
        let face = BoundingBox::whole(image.width, image.height);
        let said = predictor.predict(&image, &[face.into()]).unwrap().remove(0);
        assert!(said.probabilities.len() == 7 && said.point().is_some() && said.is_proxy);
        for (label, p) in &said.probabilities {
            // `core` reads face-api's words: angry, fearful, disgusted, surprised.
            let (_, theirs) = golden.iter().find(|(word, _)| word.parse() == Ok(*label)).unwrap();
            let worst = if image.width == 112 { &mut worst } else { &mut worst_resized };
            *worst = worst.max((p - theirs).abs());
        }
    }
    println!("{} pictures, largest difference {worst:.7}, resized {worst_resized:.4}", goldens.len());
    // Our crops are bytes, TensorFlow resizes to fractions.
    assert!(goldens.len() == 8 && worst < 1e-3 && worst_resized < 0.05, "{worst} {worst_resized}");
}
