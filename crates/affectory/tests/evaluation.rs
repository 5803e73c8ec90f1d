//! What does a user see who scores predictions and puts runs beside each other?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").stdin(Stdio::null()).current_dir(folder).args(args);
    command.output().unwrap()
}

fn done(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&done(folder, &[&["--json"], args].concat())).unwrap()
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && line.trim_end().lines().count() == 1, "{line}");
    line
}

const LABELS: [&str; 3] = ["happy", "sad", "fear"];

/// A run's folder as `train` leaves it: 240 images, of which every `wrong_every`-th is taken for the next label that
/// the model can say.
fn write_run(root: &Path, name: &str, wrong_every: usize, labels: &[&str]) -> PathBuf {
    let folder = root.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut truth = String::from("image,expression,valence,arousal\n");
    let mut guess = String::from("image,expression,valence,arousal");
    labels.iter().for_each(|label| guess += &format!(",p_{label}"));
    for row in 0..240 {
        let (label, valence) = (LABELS[row % 3], (row % 41) as f64 / 20.0 - 1.0);
        truth += &format!("{row}.png,{label},{valence},0.25\n");
        let class = labels.iter().position(|other| *other == label).unwrap_or(0);
        let class = if row.is_multiple_of(wrong_every) { (class + 1) % labels.len() } else { class };
        guess += &format!("\n{row}.png,{},{},0.2", labels[class], valence * 0.8 + (row % 7) as f64 / 50.0);
        for other in 0..labels.len() {
            guess += if other == class { ",0.8" } else { ",0.1" };
        }
    }
    let card = serde_json::json!({ "release": "r1", "labels": labels.join(","), "is_proxy": true });
    std::fs::write(folder.join("run.json"), card.to_string()).unwrap();
    std::fs::write(folder.join("valid-truth.csv"), truth).unwrap();
    std::fs::write(folder.join("valid-predictions.csv"), guess + "\n").unwrap();
    folder
}

#[test]
fn figures_come_with_intervals_and_with_what_one_annotator_gets_right() {
    let folder = tempfile::tempdir().unwrap();
    let here = write_run(folder.path(), "a", 10, &LABELS);
    let votes: String = (0..240)
        .map(|row| {
            let mut votes = [0, 1, 0];
            votes[row % 3] += 9;
            format!("{row}.png,{},{},{}\n", votes[0], votes[1], votes[2])
        })
        .collect();
    std::fs::write(here.join("votes.csv"), format!("image,happiness,sadness,fear\n{votes}")).unwrap();
    let args = ["evaluate", "--truth", "valid-truth.csv", "--predictions", "valid-predictions.csv"];
    let args = [&args[..], &["--labels", "happy,sad,fear"]].concat();
    let found = json(&here, &args);
    let interval = &found["intervals"]["accuracy"];
    assert_eq!(found["accuracy"], 0.9);
    // Standard error sqrt(0.9 * 0.1 / 240) = 0.019.
    assert!((interval["low"].as_f64().unwrap() - 0.862).abs() < 0.01, "{interval}");
    assert!((interval["high"].as_f64().unwrap() - 0.938).abs() < 0.01, "{interval}");
    assert_eq!(found, json(&here, &args), "the seed fixes the resamples");
    let text = done(&here, &[&args[..], &["--votes", "votes.csv"]].concat());
    // Two thirds of the images have 9 : 1, one third 10 : 0.
    assert!(text.contains("one annotator against the others (240 images): accuracy 0.933 [0.9"), "{text}");
    assert!(
        text.contains("kappa 0.900 [") && text.contains("their recall: happy 0.900 [0.900, 0.900], sad 1.000"),
        "{text}"
    );
    assert!(text.contains("1000 bootstrap resamples of images, seed 1"), "{text}");
    assert_eq!(json(&here, &[&args[..], &["--resamples", "0"]].concat())["intervals"], serde_json::json!({}));

    std::fs::write(here.join("nan.csv"), "image,valence\n0.png,NaN\n").unwrap();
    let told = refused(&here, &["evaluate", "--truth", "valid-truth.csv", "--predictions", "nan.csv"]);
    assert!(told.contains("`nan.csv` line 2, column valence: `NaN` is not finite"), "{told}");
    std::fs::write(here.join("foreign.csv"), "image,valence\nother.png,0\n").unwrap();
    let told = refused(&here, &["evaluate", "--truth", "valid-truth.csv", "--predictions", "foreign.csv"]);
    assert!(told.contains("1 images of `foreign.csv` are not in `valid-truth.csv`: other.png"), "{told}");
    std::fs::write(here.join("few.csv"), "image,happy\n0.png,3\n").unwrap();
    assert!(refused(&here, &[&args[..], &["--votes", "few.csv"]].concat()).contains("have no votes in `few.csv`"));
}

#[test]
fn a_report_shows_calibration_subgroups_and_pictures_of_errors() {
    let folder = tempfile::tempdir().unwrap();
    let here = write_run(folder.path(), "a", 10, &LABELS);
    let truth = std::fs::read_to_string(here.join("valid-truth.csv")).unwrap();
    let grouped: String = truth
        .lines()
        .enumerate()
        .map(|(line, text)| format!("{text},{}\n", if line == 0 { "group_age" } else { ["<i>old", "young"][line % 2] }))
        .collect();
    std::fs::write(here.join("grouped.csv"), grouped).unwrap();
    let face = affectory_synthetic::sample(1, 2, 48);
    std::fs::write(here.join("30.png"), affectory_imaging::encode_png(&face.drawn.image).unwrap()).unwrap();
    let args = ["evaluate", "--truth", "grouped.csv", "--predictions", "valid-predictions.csv"];
    let args = [&args[..], &["--labels", "happy,sad,fear", "--report", "r.html", "--images", "."]].concat();
    let fit = ["--fit-truth", "valid-truth.csv", "--fit-predictions", "valid-predictions.csv"];
    let text = done(&here, &[&args[..], &fit].concat());
    // Every answer has 0.8 and 0.9 of them are right: odds 9 over two others, 0.8 : 0.1 = 8.
    assert!(text.contains("calibration: ECE 0.100") && text.contains("temperature-scaled: ECE 0.000"), "{text}");
    assert!(text.contains("largest gap by age: accuracy"), "{text}");
    let page = std::fs::read_to_string(here.join("r.html")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("&lt;i&gt;old") && !page.contains("<i>old"));
    assert!(page.len() < 300_000, "{}", page.len());
    let args = ["evaluate", "--truth", "grouped.csv", "--predictions", "valid-predictions.csv", "--images", "."];
    assert!(refused(&here, &args).contains("--report"));
}

#[test]
fn runs_stand_in_one_table_with_what_cannot_be_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_run(here, "good", 24, &LABELS);
    write_run(here, "near", 22, &LABELS);
    write_run(here, "bad", 4, &LABELS);
    write_run(here, "two", 24, &LABELS[..2]);
    let votes: String = (0..240).map(|row| format!("{row}.png,{},9,1\n", row % 2)).collect();
    std::fs::write(here.join("votes.csv"), format!("image,happiness,sadness,fear\n{votes}")).unwrap();
    let told = ["compare", "good", "bad", "--votes", "votes.csv", "--report", "c.html"];
    let text = done(here, &told);
    let annotator: Vec<&str> =
        text.lines().filter(|line| line.starts_with("one annotator against the others ")).collect();
    // Beside accuracy and its like, and beside recall by class, where only sad is ever what the others say.
    assert_eq!(annotator.len(), 2, "{text}");
    assert!(text.contains("Recall by class") && annotator[1].contains("0.8"), "{text}");
    let page = std::fs::read_to_string(here.join("c.html")).unwrap();
    assert!(page.contains("Confusion matrix: <bdi>good</bdi>") && page.contains("Confusion matrix: <bdi>bad</bdi>"));
    let files = ["--markdown", "t.md", "--csv", "t.csv", "--latex", "t.tex"];
    let text = done(here, &[&["compare", "good", "near", "bad", "two"], &files[..]].concat());
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("good").contains("0.958*") && line("near").contains("0.954="), "{text}");
    assert!(!line("bad").contains('=') && text.contains("two cannot say fear"), "{text}");
    assert!(text.contains("valid split of r1, which also chose each run's epoch: 240 images"), "{text}");
    assert!(text.contains("good (proxy)") && text.contains("Holm"), "{text}");
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    assert!(read("t.md").contains("| near ") && read("t.tex").contains("\\toprule"));
    assert!(read("t.csv").contains("\"two\",\"recall\",fear,n/a,") && read("t.csv").contains(",tied,"));
    let found =
        json(here, &["compare", "good", "bad", "again=good/valid-predictions.csv", "--truth", "good/valid-truth.csv"]);
    assert_eq!(found["runs"][1]["standing"]["accuracy"]["standing"], "behind");
    assert_eq!(found["runs"][2]["standing"]["accuracy"]["p_adjusted"], 1.0);

    let truth = read("bad/valid-truth.csv").replace("5.png,fear", "5.png,sad");
    std::fs::write(here.join("bad/valid-truth.csv"), truth).unwrap();
    let told = refused(here, &["compare", "good", "bad"]);
    assert!(told.contains("images have another label or value, e.g. 5.png"), "{told}");
    assert!(refused(here, &["compare", "good", "good"]).contains("two runs are called `good`"));
    assert!(refused(here, &["compare", "x=good/valid-predictions.csv"]).contains("give their --truth"));
    assert!(refused(here, &["compare", "absent"]).contains("there is no folder `absent`"));
}
