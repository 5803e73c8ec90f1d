//! Does the log of annotations travel by the command line, and is a consensus had again?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(project: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").stdin(Stdio::null()).arg("--project").arg(project).args(args);
    command.output().unwrap()
}

fn done(project: &Path, args: &[&str]) -> String {
    let output = run(project, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(project: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&done(project, &[&["--json"], args].concat())).unwrap()
}

fn refused(project: &Path, args: &[&str]) -> String {
    let output = run(project, args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && line.trim_end().lines().count() == 1, "{line}");
    line
}

#[test]
fn what_annotators_said_is_agreed_on_exported_and_imported_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let mut labelled = "image,expression,valence,arousal,annotator\n".to_owned();
    let mut bare = "image,expression\n".to_owned();
    for number in 0..8 {
        let face = affectory_synthetic::sample(number, 2, 48);
        let png = affectory_imaging::encode_png(&face.drawn.image).unwrap();
        std::fs::write(folder.path().join(format!("{number}.png")), png).unwrap();
        bare += &format!("{number}.png,\n");
        for annotator in ["x", "y", "proxy"] {
            let expression = if annotator == "y" && number < 2 { "fear" } else { "happy" };
            let (expression, valence) = if annotator == "proxy" { ("", "0.9,0.9") } else { (expression, ",") };
            labelled += &format!("{number}.png,{expression},{valence},{annotator}\n");
        }
    }
    std::fs::write(folder.path().join("labelled.csv"), labelled).unwrap();
    std::fs::write(folder.path().join("bare.csv"), bare).unwrap();
    for (project, table) in [(&a, "labelled.csv"), (&b, "bare.csv")] {
        done(project, &["init", project.to_str().unwrap(), "--catalog", &catalogue::catalog()]);
        done(project, &["import", "csv", folder.path().join(table).to_str().unwrap()]);
    }
    assert!(refused(&b, &["annotations", "consensus"]).contains("nobody has said"));

    let agreement = json(&a, &["annotations", "agreement"]);
    assert_eq!(agreement["n_annotators"], 2, "a proxy is none: {agreement}");
    let first = json(&a, &["annotations", "consensus", "--method", "dawid-skene", "--smoothing", "0.5"]);
    assert_eq!(first["summary"]["n_proxy"], 8);
    assert_eq!(first["details"]["dawid_skene"]["annotators"][0]["annotator"], "csv/x");
    let upto = first["last_annotation_id"].to_string();
    let again = ["annotations", "consensus", "--method", "dawid-skene", "--smoothing", "0.5", "--upto", &upto];
    let again = json(&a, &again);
    for hash in ["inputs_sha256", "result_sha256"] {
        assert_eq!(first[hash], again[hash]);
    }
    let text = done(&a, &["annotations", "consensus"]);
    assert!(text.contains("without: a tie                                  2"), "{text}");
    assert!(text.contains("with proxy valence or arousal                   8"), "{text}");
    let list = json(&a, &["annotations", "consensus", "--list"]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["method"]), (3, &Value::from("majority")));
    assert!(refused(&a, &["annotations", "consensus", "--smoothing", "1"]).contains("soft-label"));

    let log = folder.path().join("log.jsonl");
    let log = log.to_str().unwrap();
    done(&a, &["annotations", "export", "--out", log]);
    let sent = std::fs::read_to_string(log).unwrap();
    assert_eq!((sent.lines().count(), done(&a, &["annotations", "export"])), (25, sent.clone()));
    assert_eq!(json(&b, &["annotations", "import", log])["n_added"], 24);
    assert_eq!(json(&b, &["annotations", "import", log])["n_added"], 0);
    assert_eq!(done(&b, &["annotations", "export"]), sent);
    assert_eq!(json(&b, &["annotations", "agreement"]), agreement);

    std::fs::write(log, &sent[..sent.len() - 40]).unwrap();
    let output = run(&b, &["annotations", "import", log]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 rejected"), "{output:?}");
    std::fs::write(log, "\u{1b}[31m").unwrap();
    assert!(refused(&b, &["annotations", "import", log]).contains("no log of annotations"));
}

#[test]
fn a_lead_makes_accounts_and_pools_at_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("p");
    std::fs::create_dir_all(folder.path().join("faces/happy")).unwrap();
    for number in 0..6 {
        let face = affectory_synthetic::draw(affectory_core::Expression::Happy, number, 64);
        let png = affectory_imaging::encode_png(&face.image).unwrap();
        std::fs::write(folder.path().join(format!("faces/happy/{number}.png")), png).unwrap();
    }
    done(&project, &["init", project.to_str().unwrap(), "--catalog", &catalogue::catalog()]);
    assert!(refused(&project, &["serve"]).contains("accounts add"), "nobody could sign in");
    assert!(refused(&project, &["accounts", "add", "a@lab.org"]).contains("--password-stdin"));
    assert!(refused(&project, &["pools", "add", "p"]).contains("import"));
    done(&project, &["import", "folder", folder.path().join("faces").to_str().unwrap()]);
    assert!(refused(&project, &["pools", "add", "p"]).contains("labelled"), "a source has labelled them all");
    let made = json(&project, &["pools", "add", "p", "--labelled", "--order", "uncertainty", "--overlap", "100"]);
    assert_eq!((&made["n_faces"], &made["n_overlap"]), (&Value::from(6), &Value::from(6)));
    assert!(refused(&project, &["pools", "add", "p", "--labelled"]).contains("exists"));
    assert!(refused(&project, &["pools", "suggest", "q"]).contains("there are: p"));
    assert_eq!(json(&project, &["pools", "suggest", "p"])["faces"], 6);
    assert_eq!(json(&project, &["pools", "suggest", "p"])["faces"], 0, "it goes on where it was");
    let gold = folder.path().join("gold.csv");
    std::fs::write(&gold, "face,expression,valence,arousal\n1,happy,0.5,0.1\n2,hapy,,\n").unwrap();
    assert!(refused(&project, &["pools", "gold", "p", gold.to_str().unwrap()]).contains("line 3"));
    std::fs::write(&gold, "face,expression,valence,arousal\n1,happy,0.5,0.1\n").unwrap();
    assert_eq!(json(&project, &["pools", "gold", "p", gold.to_str().unwrap()])["gold"], 1);
    let pools = json(&project, &["pools", "list"]);
    assert_eq!((&pools[0]["n_faces"], &pools[0]["n_wanted"]), (&Value::from(5), &Value::from(10)));
}
