//! What does a user meet who brings somebody else's model, or scores one on a release?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").env("ORT_DYLIB_PATH", "/no/such/libonnxruntime.so").stdin(Stdio::null());
    command.args(args).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    assert!(line.starts_with("error: ") && output.stdout.is_empty(), "{line}");
    line
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A project with a release of drawn faces.
fn project(folder: &Path) -> String {
    let faces = folder.join("faces");
    affectory_synthetic::write_folder(&faces, 90, 2, 48).unwrap();
    let project = text(&folder.join("p")).to_owned();
    done(&run(&["init", &project, "--catalog", &catalogue::catalog()]));
    done(&run(&["--project", &project, "import", "folder", text(&faces)]));
    done(&run(&["--project", &project, "release", "build", "r", "--splits", "40,30,30"]));
    project
}

#[test]
fn a_model_without_contempt_is_scored_on_a_release_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let score = |args: &[&str]| run(&[&["--project", &project, "score"], args].concat());
    let printed = done(&score(&["face-api", "--release", "r"]));
    assert!(printed.contains("face-api cannot say contempt"), "{printed}");
    assert!(printed.contains("scored on the valid split of r"), "{printed}");

    let runs = Path::new(&project).join("runs");
    let kept = runs.join("r-face-api-valid");
    let identity: Value = serde_json::from_slice(&std::fs::read(kept.join("run.json")).unwrap()).unwrap();
    assert_eq!(identity["cannot_produce"], serde_json::json!(["contempt"]));
    assert_eq!((identity["recipe"].as_str(), identity["split"].as_str()), (Some("face-api"), Some("valid")));
    assert_eq!(identity["labels"], "neutral,happy,sad,anger,fear,disgust,surprise");
    assert_eq!((identity["is_proxy"].as_bool(), identity["model_is_proxy"].as_bool()), (Some(true), Some(true)));
    let predictions = std::fs::read_to_string(kept.join("valid-predictions.csv")).unwrap();
    let (header, rows) = predictions.split_once('\n').unwrap();
    assert!(header.ends_with(",p_contempt"), "{header}");
    assert!(rows.lines().count() > 5 && rows.lines().all(|row| row.ends_with(",0.000000") && !row.contains(",,")));
    for name in ["valid-truth.csv", "valid-votes.csv", "scores.json", "scores.md", "confusion.svg"] {
        assert!(kept.join(name).is_file(), "{name}");
    }
    // `evaluate` gives the same figures of the same files.
    let [truth, predicted] = ["valid-truth.csv", "valid-predictions.csv"].map(|name| kept.join(name));
    let scores = done(&run(&["--json", "evaluate", "--truth", text(&truth), "--predictions", text(&predicted)]));
    let [scores, kept_scores] = [scores.into_bytes(), std::fs::read(kept.join("scores.json")).unwrap()]
        .map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    assert_eq!(scores["accuracy"], kept_scores["accuracy"]);
    // ... but knows nothing of what the model cannot say.
    assert!(scores["recall_per_class"][7].is_f64() && kept_scores["recall_per_class"][7].is_null());

    // The same again, another model under the same name, another split.
    done(&score(&["face-api", "--release", "r"]));
    assert_eq!(std::fs::read_to_string(kept.join("valid-predictions.csv")).unwrap(), predictions);
    assert!(
        refused(&score(&["affectory-s", "--release", "r", "--run", "r-face-api-valid"])).contains("another --run name")
    );
    let printed = done(&score(&["affectory-s", "--release", "r", "--split", "test", "--run", "ours"]));
    assert!(!printed.contains("cannot say") && printed.contains("scored on the test split"), "{printed}");
    assert!(runs.join("ours/test-predictions.csv").is_file() && !runs.join("ours/valid-predictions.csv").exists());
    // Beside another model on the same faces; what face-api cannot say is no 0.
    done(&score(&["affectory-s", "--release", "r"]));
    let compared = done(&run(&["--project", &project, "compare", "r-face-api-valid", "r-affectory-s-valid"]));
    assert!(
        compared.contains("valid split of r") && !compared.contains("chose") && compared.contains("n/a"),
        "{compared}"
    );
    let compared = done(&run(&["--project", &project, "compare", "ours"]));
    assert!(compared.contains("test split of r"), "{compared}");
    assert!(refused(&score(&["no/such/model", "--release", "r"])).contains("no/such/model"));
    assert!(refused(&score(&["face-api", "--release", "s"])).contains("`s`"));
}

/// Fear has faces to score and none to learn from: the trained machines cannot say it, which is no recall of 0.
#[test]
fn a_category_without_a_face_to_learn_from_is_not_said_badly_but_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let faces = folder.path().join("faces");
    for number in 0..36u32 {
        let label = ["happy", "sad", "fear"][number as usize % 3];
        let split = if number < 24 && label != "fear" { "train" } else { "valid" };
        let place = faces.join(split).join(label);
        std::fs::create_dir_all(&place).unwrap();
        // Every tenth of a sample is a near-duplicate of the one before.
        let face = affectory_synthetic::sample(number * 11, 3, 64);
        let png = affectory_imaging::encode_png(&face.drawn.image).unwrap();
        std::fs::write(place.join(format!("{number}.png")), png).unwrap();
    }
    let project = text(&folder.path().join("p")).to_owned();
    done(&run(&["init", &project, "--catalog", &catalogue::catalog()]));
    done(&run(&["--project", &project, "import", "folder", text(&faces)]));
    done(&run(&["--project", &project, "release", "build", "r", "--splits", "given"]));
    let train = ["train", "--release", "r", "--recipe", "hog-svm", "--set", "input_side=48", "--run", "svm"];
    done(&run(&[&["--project", &project][..], &train].concat()));
    let scores = std::fs::read(Path::new(&project).join("runs/svm/scores.json")).unwrap();
    let scores: Value = serde_json::from_slice(&scores).unwrap();
    let fear = scores["labels"].as_array().unwrap().iter().position(|label| label == "fear").unwrap();
    assert!(scores["recall_per_class"][fear].is_null() && scores["confusion"][fear][fear] == 0, "{scores}");

    let compare = ["--project", &project, "compare", "svm", "--labels", "happy,sad,fear"];
    let text = done(&run(&compare));
    assert!(text.contains("svm cannot say fear: n/a") && !text.contains("one annotator"), "{text}");
    let compared: Value = serde_json::from_str(&done(&run(&[&["--json"][..], &compare].concat()))).unwrap();
    assert_eq!(compared["runs"][0]["cannot_say"], serde_json::json!(["fear"]));
}

#[test]
fn what_a_model_cannot_say_is_absent_from_its_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("face.png");
    let face = affectory_synthetic::sample(3, 2, 96);
    std::fs::write(&picture, affectory_imaging::encode_png(&face.drawn.image).unwrap()).unwrap();
    let said = done(&run(&["--json", "predict", text(&picture), "--crop", "--model", "face-api"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    let answer = &said["images"][0]["faces"][0];
    assert_eq!(said["model"], "face-api");
    assert_eq!(answer["probabilities"].as_object().unwrap().len(), 7);
    assert!(answer["probabilities"].get("contempt").is_none());
    // It never learnt valence and arousal: what stands there is said to be a proxy.
    assert!(answer["valence"].is_f64() && answer["arousal"].is_f64() && answer["is_proxy"] == true);
}

/// The model inside the program, exported, by a manifest that wants faces aligned and does not name its valence and arousal.
#[test]
fn a_model_of_others_is_scored_on_aligned_faces_with_a_proxy_where_it_has_no_values() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the library is")]
    let Ok(runtime) = std::env::var("ORT_DYLIB_PATH") else {
        return println!("SKIPPED: ORT_DYLIB_PATH does not say where libonnxruntime is");
    };
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let [model, manifest] = ["model.onnx", "aligned.toml"].map(|name| folder.path().join(name));
    done(&run(&["export-model", "affectory-s", "--out", text(&model)]));
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
        command.env_remove("AFFECTORY_LOG").env("ORT_DYLIB_PATH", &runtime).stdin(Stdio::null());
        done(&command.args(args).output().unwrap())
    };
    let scored = |name: &str, knobs: &str| {
        let plain = "name = \"x\"\nmodel = \"model.onnx\"\ninput_side = 48\ncolour = \"grey\"\nlayout = \"nchw\"\n\
                     labels = [\"neutral\", \"happy\", \"sad\", \"surprise\", \"fear\", \"disgust\", \"anger\", \"contempt\"]\n\
                     cannot_produce = []\nexpression_output = \"probabilities\"\nactivation = \"none\"\n";
        std::fs::write(&manifest, format!("{plain}{knobs}")).unwrap();
        run(&["--project", &project, "score", text(&manifest), "--release", "r", "--run", name])
    };
    let upright = scored("upright", "");
    assert!(!upright.contains("no landmarks"), "{upright}");
    let kept = |name: &str, file: &str| {
        std::fs::read_to_string(Path::new(&project).join("runs").join(name).join(file)).unwrap()
    };
    let is_proxy =
        |name: &str| serde_json::from_str::<Value>(&kept(name, "run.json")).unwrap()["model_is_proxy"] == true;
    scored("without", "valence_arousal = \"none\"");
    assert!(is_proxy("upright") && !is_proxy("without"));
    let values =
        |name: &str| kept(name, "valid-predictions.csv").lines().nth(1).unwrap().split(',').nth(2).unwrap().to_owned();
    assert!(values("upright").parse::<f64>().is_ok() && values("without").is_empty());
    for alignment in ["eyes", "five-points"] {
        let aligned = scored(alignment, &format!("alignment = \"{alignment}\""));
        assert!(
            aligned.contains("faces have no landmarks in the release: the program's own network found them"),
            "{aligned}"
        );
    }
    let answers = |name: &str| kept(name, "valid-predictions.csv");
    assert!(answers("upright") != answers("eyes") && answers("eyes") != answers("five-points"));

    // Also where a picture is a face, whose points nobody knows.
    let picture = folder.path().join("face.png");
    let face = affectory_synthetic::sample(3, 2, 96);
    std::fs::write(&picture, affectory_imaging::encode_png(&face.drawn.image).unwrap()).unwrap();
    let said: Value =
        serde_json::from_str(&run(&["--json", "predict", text(&picture), "--crop", "--model", text(&manifest)]))
            .unwrap();
    let answer = &said["images"][0]["faces"][0];
    assert!(answer["valence"].is_f64() && answer["is_proxy"] == true, "{said}");
}

#[test]
fn a_manifest_that_cannot_be_meant_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("model.toml");
    let predict = |text: &str| {
        std::fs::write(&manifest, text).unwrap();
        refused(&run(&["predict", manifest.to_str().unwrap(), "--crop", "--model", manifest.to_str().unwrap()]))
    };
    let whole = "name = \"x\"\nmodel = \"x.onnx\"\ninput_side = 48\ncolour = \"grey\"\nlayout = \"nchw\"\n\
                 labels = [\"happy\", \"sad\"]\nactivation = \"softmax\"\n";
    let lacking = "cannot_produce = [\"neutral\", \"surprise\", \"fear\", \"disgust\", \"anger\", \"contempt\"]\n";
    assert!(predict(&format!("{whole}{lacking}epsilon = 1\n")).contains("epsilon"));
    assert!(predict(&format!("{whole}cannot_produce = []\n")).contains(lacking.trim_end()));
    assert!(predict(&format!("{whole}{lacking}").replace("\"sad\"", "\"sadness\"")).contains("`sadness` is none of"));
    assert!(predict(&format!("{whole}{lacking}")).contains("x.onnx"));
    std::fs::write(folder.path().join("x.onnx"), "text").unwrap();
    let line = predict(&format!("{whole}{lacking}"));
    assert!(line.contains("pip install onnxruntime") && line.contains("ORT_DYLIB_PATH"), "{line}");
}
