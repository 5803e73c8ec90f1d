//! Does an exported model say in ONNX Runtime what it says here, and what does a file that is none lead to?
//!
//! ONNX Runtime is the user's: the tests take it from `ORT_DYLIB_PATH` and say so when it is not there.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use affectory_core::{BoundingBox, LabelSet, Point};
use affectory_imaging::{RgbImage, align};
use affectory_learn::recipe::{Colour, NetworkKind};
use affectory_learn::{
    Epoch, FacePlace, LearnError, ModelCard, ModelFormat, Predictor, Recipe, RunIdentity, Scores, export_model,
};
use burn::tensor::Device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{SafeTensors, TensorView};

fn runtime() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the library is")]
    let runtime = std::env::var("ORT_DYLIB_PATH").ok();
    if runtime.is_none() {
        println!("SKIPPED: ORT_DYLIB_PATH does not say where libonnxruntime is");
    }
    runtime.map(PathBuf::from)
}

/// A model file with random weights; normalisations get random statistics, too, which fresh networks lack.
fn random_model(recipe: &Recipe) -> Vec<u8> {
    let labels = LabelSet::eight();
    let run = RunIdentity {
        release: "none".into(),
        manifest_sha256: "00".into(),
        recipe: "random".into(),
        labels: labels.to_string(),
        seed: 1,
        is_proxy: true,
        is_packed: false,
        version: "0".into(),
    };
    let card = ModelCard {
        run,
        recipe: recipe.clone(),
        epoch: Epoch { epoch: 1, train_loss: 0.0, scores: Scores::default() },
        n_train: 0,
        n_valid: 0,
        has_expression: true,
        has_valence_arousal: [true; 2],
        never_learnt: Vec::new(),
    };
    let device = Device::flex();
    device.seed(1);
    let metadata = HashMap::from([("affectory".to_owned(), serde_json::to_string(&card).unwrap())]);
    let bytes = recipe.network(labels.n_classes()).init(&device).to_safetensors(metadata.clone()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut changed = Vec::new();
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let range = match name.rsplit('.').next().unwrap() {
            "running_mean" | "beta" => Some(-0.5f32..0.5),
            "running_var" | "gamma" => Some(0.5..2.0),
            _ => None,
        };
        let data = match range {
            Some(range) => {
                (0..view.data().len() / 4).flat_map(|_| rng.random_range(range.clone()).to_le_bytes()).collect()
            }
            None => view.data().to_vec(),
        };
        changed.push((name, view.dtype(), view.shape().to_vec(), data));
    }
    let views: Vec<(&String, TensorView<'_>)> = changed
        .iter()
        .map(|(name, dtype, shape, data): &(_, _, _, Vec<u8>)| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// Noise, stripes, a slope and flat grey, each with a face box that reaches over an edge.
fn pictures() -> Vec<(RgbImage, BoundingBox)> {
    let (width, height) = (90, 70);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut drawn = |pixel: &mut dyn FnMut(&mut ChaCha8Rng, u32, u32) -> [u8; 3]| {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        RgbImage { width, height, pixels: places.flat_map(|(x, y)| pixel(&mut rng, x, y)).collect() }
    };
    let pictures = [
        drawn(&mut |rng, _, _| std::array::from_fn(|_| rng.random())),
        drawn(&mut |rng, x, _| [(x * 40 % 256) as u8, rng.random_range(0..30), 200]),
        drawn(&mut |_, x, y| [(2 * x) as u8, (3 * y) as u8, (x + y) as u8]),
        RgbImage::filled(width, height, [127; 3]),
    ];
    pictures.map(|picture| (picture, BoundingBox::new(20.0, -5.0, 60.0, 64.0).unwrap())).into()
}

fn manifest(recipe: &Recipe, labels: &str) -> String {
    let colour = if recipe.colour == Colour::Grey { "grey" } else { "rgb" };
    format!(
        "name = \"exported\"\nmodel = \"model.onnx\"\ninput_side = {}\ncolour = \"{colour}\"\nlayout = \"nchw\"\n\
         crop_scale = {}\nmirror = true\nlabels = [{labels}]\ncannot_produce = []\nexpression_output = \"probabilities\"\n\
         activation = \"none\"\nvalence_arousal_output = \"valence_arousal\"\nvalence_arousal_is_proxy = true\n",
        recipe.input_side, recipe.crop_scale
    )
}

fn eight() -> String {
    LabelSet::eight().labels().iter().map(|label| format!("\"{label}\"")).collect::<Vec<_>>().join(", ")
}

/// A folder with the exported model and its manifest.
fn exported(recipe: &Recipe, model: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let onnx = export_model(Path::new("random"), model, ModelFormat::Onnx).unwrap();
    std::fs::write(folder.path().join("model.onnx"), onnx).unwrap();
    let path = folder.path().join("model.toml");
    std::fs::write(&path, manifest(recipe, &eight())).unwrap();
    (folder, path)
}

fn backbone() -> Recipe {
    Recipe { widths: vec![8, 16], blocks: vec![1, 2], input_side: 24, crop_scale: 1.25, ..Recipe::default() }
}

#[test]
fn an_exported_model_says_in_onnx_runtime_what_it_says_here() {
    let Some(runtime) = runtime() else { return };
    let alexnet = |input_side| Recipe {
        network: NetworkKind::AlexNet,
        colour: Colour::Rgb,
        hidden_width: 24,
        input_side,
        ..Recipe::default()
    };
    for (name, recipe) in [("backbone", backbone()), ("alexnet 64", alexnet(64)), ("alexnet 224", alexnet(224))] {
        let model = random_model(&recipe);
        let ours = Predictor::from_bytes(Path::new("random"), &model).unwrap();
        let (_folder, manifest) = exported(&recipe, &model);
        let theirs = Predictor::open(manifest.to_str().unwrap(), &runtime).unwrap();
        assert_eq!((theirs.labels(), theirs.name()), (ours.labels(), "exported".to_owned()));
        let (mut worst, mut spread): (f32, Vec<f32>) = (0.0, Vec::new());
        for (picture, face) in pictures() {
            let (a, b) =
                (ours.predict(&picture, &[face.into()]).unwrap(), theirs.predict(&picture, &[face.into()]).unwrap());
            assert!(b[0].is_proxy && a[0].expression == b[0].expression);
            let (point, other) = (a[0].point().unwrap(), b[0].point().unwrap());
            worst = worst.max((point.valence.value() - other.valence.value()).abs());
            worst = worst.max((point.arousal.value() - other.arousal.value()).abs());
            for ((label, p), (other, q)) in a[0].probabilities.iter().zip(&b[0].probabilities) {
                assert_eq!(label, other);
                worst = worst.max((p - q).abs());
            }
            spread.push(a[0].probabilities[0].1);
        }
        println!("{name}: largest difference {worst:.8}");
        assert!(worst < 1e-4, "{name}: {worst}");
        assert!(spread.iter().any(|p| (p - spread[0]).abs() > 1e-4), "{name} says the same of everything: {spread:?}");
        // A batch says what each face says alone.
        let crops: Vec<Box<[u8]>> =
            pictures().iter().map(|(picture, face)| theirs.crop(picture, (*face).into())).collect();
        let both = theirs.read(&crops).unwrap();
        for (crop, together) in crops.iter().zip(both) {
            let alone = theirs.read(std::slice::from_ref(crop)).unwrap().remove(0);
            for (a, b) in alone.probabilities.iter().zip(&together.probabilities) {
                assert!((a.1 - b.1).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn a_model_that_wants_aligned_faces_sees_them_aligned() {
    let Some(runtime) = runtime() else { return };
    let alexnet = Recipe { network: NetworkKind::AlexNet, colour: Colour::Rgb, hidden_width: 24, ..Recipe::default() };
    let recipe = Recipe { input_side: 64, crop_scale: 1.0, ..alexnet };
    let (_folder, path) = exported(&recipe, &random_model(&recipe));
    let open = |alignment: &str| {
        let text = format!("{}alignment = \"{alignment}\"\n", manifest(&recipe, &eight()));
        std::fs::write(&path, text).unwrap();
        Predictor::open(path.to_str().unwrap(), &runtime).unwrap()
    };
    let (picture, face) = pictures().remove(2);
    let five: [Point; 5] =
        [(30.0, 20.0), (55.0, 35.0), (35.0, 40.0), (22.0, 45.0), (42.0, 58.0)].map(|(x, y)| Point { x, y });
    let known = FacePlace { bounding_box: face, five: Some(five) };

    let [none, eyes, points] = ["none", "eyes", "five-points"].map(open);
    assert!(!none.is_aligned() && eyes.is_aligned() && points.is_aligned());
    let crop = align(&picture, &five, recipe.input_side).unwrap().pixels;
    assert_eq!(points.crop(&picture, known).as_ref(), crop);
    assert_eq!(none.crop(&picture, known), none.crop(&picture, face.into()));
    assert!(
        eyes.crop(&picture, known) != points.crop(&picture, known)
            && eyes.crop(&picture, known) != none.crop(&picture, known)
    );
    // Without points they are looked for, which has no end but a crop, also where nothing is to be seen.
    let said = points.predict(&picture, &[known, face.into()]).unwrap();
    assert_eq!(said[0], points.read(&[crop.into_boxed_slice()]).unwrap().remove(0));
    assert_ne!(points.crop(&picture, face.into()), points.crop(&picture, known));
}

fn refused(opened: Result<Predictor, LearnError>) -> String {
    let message = opened.err().unwrap().to_string();
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    message
}

#[test]
fn a_file_that_is_no_such_model_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toml");
    let open = |runtime: &Path| refused(Predictor::open(path.to_str().unwrap(), runtime));
    let no_runtime = Path::new("/no/such/libonnxruntime.so");
    assert!(open(no_runtime).contains("model.toml"));
    std::fs::write(&path, manifest(&backbone(), &eight())).unwrap();
    assert!(open(no_runtime).contains("model.onnx"));

    let Some(runtime) = runtime() else { return };
    let model = random_model(&backbone());
    let onnx = export_model(Path::new("random"), &model, ModelFormat::Onnx).unwrap();
    let with = |bytes: &[u8], labels: &str, recipe: &Recipe| {
        std::fs::write(folder.path().join("model.onnx"), bytes).unwrap();
        std::fs::write(&path, manifest(recipe, labels)).unwrap();
        open(&runtime)
    };
    for n_bytes in [0, 1, 100, onnx.len() / 2, onnx.len() - 1] {
        let line = with(&onnx[..n_bytes], &eight(), &backbone());
        assert!(
            line.contains("model.onnx") && line.contains("cannot be used as an ONNX model"),
            "{n_bytes} bytes: {line}"
        );
    }
    let line = with(b"# a model\n", &eight(), &backbone());
    assert!(line.contains("cannot be used as an ONNX model"), "{line}");
    let nine = with(&onnx, &(eight() + ", \"none\""), &backbone());
    assert!(nine.contains("`labels` has 9 entries and the model's output `probabilities` 8 values a face"), "{nine}");
    let wide = with(&onnx, &eight(), &Recipe { input_side: 32, ..backbone() });
    assert!(wide.contains("did not run"), "{wide}");
}
