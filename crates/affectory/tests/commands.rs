//! What does a user of the binary meet: usage errors, missing files, foreign projects, a full disk, kill -9?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn affectory() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    affectory().args(args).output().unwrap()
}

/// The one line on stderr that says what, where and what to do.
fn refused(output: &Output, code: i32) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    assert!(line.starts_with("error: "), "{line}");
    assert!(output.stdout.is_empty());
    line
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of drawn faces, one sub-folder a label.
fn drawn_faces(folder: &Path, n_faces: u32) -> PathBuf {
    let root = folder.join("faces");
    affectory_synthetic::write_folder(&root, n_faces, 2, 48).unwrap();
    root
}

#[test]
fn a_mistyped_flag_and_a_missing_file_are_one_line() {
    assert!(refused(&run(&["train", "--relase", "x"]), 2).contains("--relase"));
    assert!(refused(&run(&["import", "tfrecord", "x"]), 2).contains("tfrecord"));
    // It would train alone, and then say that another process keeps the run.
    assert!(refused(&run(&["train", "--release", "r", "--process", "1"]), 2).contains("--meet"));
    let line = refused(&run(&["evaluate", "--truth", "no/such.csv", "--predictions", "p.csv"]), 1);
    assert!(line.contains("no/such.csv"), "{line}");
    let folder = tempfile::tempdir().unwrap();
    let line = refused(&affectory().current_dir(folder.path()).args(["release", "list"]).output().unwrap(), 1);
    assert!(line.contains("affectory init"), "{line}");
    assert!(refused(&run(&["--project", text(folder.path()), "release", "list"]), 1).contains("affectory.toml"));
}

/// `evaluate --json OUT` is the contract that scripts rely on.
#[test]
fn figures_go_to_the_file_named_after_json() {
    let folder = tempfile::tempdir().unwrap();
    let (truth, out) = (folder.path().join("t.csv"), folder.path().join("scores.json"));
    std::fs::write(&truth, "image,expression,valence,arousal\na,happy,0.5,0.1\nb,sad,-0.5,0.2\n").unwrap();
    let args = ["evaluate", "--truth", text(&truth), "--predictions", text(&truth)];
    let output = run(&[&args[..], &["--json", text(&out)]].concat());
    done(&output);
    let scores: serde_json::Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((scores["accuracy"].as_f64(), scores["valence"]["ccc"].as_f64()), (Some(1.0), Some(1.0)));
    assert!(String::from_utf8_lossy(&output.stdout).contains("accuracy"));
    assert!(refused(&run(&[&args[..], &[text(&out)]].concat()), 2).contains("--json"));
}

#[test]
fn a_missing_import_and_an_unknown_release_name_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("p");
    done(&run(&["init", text(&project), "--catalog", &catalogue::catalog()]));
    assert!(refused(&run(&["init", text(&project)]), 1).contains("already"));
    let line = refused(&run(&["--project", text(&project), "import", "folder", "no\u{1b}[31msuch"]), 1);
    assert!(line.contains("such") && !line.contains('\u{1b}'), "{line:?}");
    let line = refused(&run(&["--project", text(&project), "train", "--release", "r"]), 1);
    assert!(line.contains("none yet"), "{line}");
}

/// A disk that is full or read-only: one line, and the same command works once there is room.
#[test]
fn a_full_or_read_only_disk_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", text(&disk)]).output();
        mount.is_ok_and(|output| output.status.success())
    };
    if !mount("size=1500k") {
        println!("SKIPPED: a full disk cannot be tried here, because mounting a small tmpfs needs root");
        return;
    }
    let unmount = || done(&Command::new("umount").arg(&disk).output().unwrap());
    let faces = drawn_faces(folder.path(), 300);
    let project = disk.join("p");
    // Always SQLite, whose file is on that disk.
    done(&run(&["init", text(&project)]));
    let import = || run(&["--project", text(&project), "import", "folder", text(&faces)]);
    let line = refused(&import(), 1);
    assert!(line.to_lowercase().contains("full") || line.contains("space"), "{line}");
    let resize = |options: &str| {
        done(&Command::new("mount").args(["-o", options, text(&disk)]).output().unwrap());
    };
    resize("remount,size=64m");
    done(&import());
    let output = run(&["--project", text(&project), "--json", "doctor"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["project"]["counts"]["sightings"], 300);

    resize("remount,ro");
    let line = refused(&run(&["--project", text(&project), "release", "build", "r"]), 1);
    assert!(line.contains("catalog.sqlite") && line.contains("Read-only"), "{line}");
    let line = refused(&run(&["init", text(&disk.join("q"))]), 1);
    assert!(line.contains("Read-only"), "{line}");
    unmount();
}

/// Kills a command after `after`; whether it was still running.
fn kill_after(args: &[&str], after: Duration) -> bool {
    let mut child = affectory().args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let was_running = child.try_wait().unwrap().is_none();
    // SIGKILL: nothing of the program runs afterwards.
    let _ = child.kill();
    child.wait().unwrap();
    was_running
}

/// Moments spread over a run's length, in no order.
fn moments(n: u32, length: Duration) -> impl Iterator<Item = Duration> {
    (0..n).map(move |k| length.mul_f64(f64::from((k * 7 + 3) % n) / f64::from(n)))
}

fn manifest_of(project: &Path, name: &str) -> String {
    let output = run(&["--project", text(project), "--json", "release", "build", name]);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["manifest_sha256"].as_str().unwrap().to_owned()
}

#[test]
fn an_import_killed_twelve_times_ends_as_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let faces = drawn_faces(folder.path(), 1500);
    let calm = folder.path().join("calm");
    done(&run(&["init", text(&calm), "--catalog", &catalogue::catalog()]));
    let began = std::time::Instant::now();
    done(&run(&["--project", text(&calm), "import", "folder", text(&faces)]));
    let length = began.elapsed();
    let wild = folder.path().join("wild");
    done(&run(&["init", text(&wild), "--catalog", &catalogue::catalog()]));
    let args = ["--project", text(&wild), "import", "folder", text(&faces)];
    let n_killed = moments(12, length).filter(|after| kill_after(&args, *after)).count();
    assert!(n_killed > 0, "no run was hit");
    done(&run(&args));
    assert_eq!(manifest_of(&wild, "r"), manifest_of(&calm, "r"));
    let counts = |project: &Path| -> serde_json::Value {
        let output = run(&["--project", text(project), "--json", "doctor"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["project"]["counts"].clone()
    };
    assert_eq!(counts(&wild), counts(&calm));
}

/// Kill -9 at any moment of a move: the project stays whole, and a move that is done lost nothing.
#[test]
fn a_move_to_postgresql_killed_ten_times_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let faces = drawn_faces(folder.path(), 1000);
    let project = folder.path().join("p");
    done(&run(&["init", text(&project)]));
    done(&run(&["--project", text(&project), "import", "folder", text(&faces)]));
    let counts = || -> serde_json::Value {
        let output = run(&["--project", text(&project), "--json", "doctor"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["project"].clone()
    };
    let before = counts();
    let copy = folder.path().join("copy");
    done(&run(&["--project", text(&project), "backup", text(&copy)]));
    let began = std::time::Instant::now();
    done(&run(&["--project", text(&copy), "project", "move", "--to", &catalogue::empty_database()]));
    let length = began.elapsed();
    let is_moved = || std::fs::read_to_string(project.join("affectory.toml")).unwrap().contains("postgres://");
    let mut n_killed = 0;
    for after in moments(10, length) {
        let to = catalogue::empty_database();
        n_killed += u32::from(kill_after(&["--project", text(&project), "project", "move", "--to", &to], after));
        // Between the old one's end and the new line in affectory.toml, the same command goes on.
        if refused_because(&project, "was moved to") {
            done(&run(&["--project", text(&project), "project", "move", "--to", &to]));
        }
        assert_eq!(counts()["counts"], before["counts"]);
        if is_moved() {
            break;
        }
    }
    assert!(n_killed > 0, "no move was hit");
    if !is_moved() {
        let to = catalogue::empty_database();
        let output = run(&["--project", text(&project), "--json", "project", "move", "--to", &to]);
        done(&output);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let faces = told["tables"].as_array().unwrap().iter().find(|table| table["table"] == "face").unwrap();
        assert_eq!((faces["rows"].as_u64(), faces["sha256"].as_str().unwrap().len()), (Some(1000), 64));
    }
    assert_eq!(counts()["counts"], before["counts"]);
    assert!(counts()["audit"].as_str().unwrap().contains("chain whole"));
    manifest_of(&project, "r");
    let line = refused(&run(&["--project", text(&project), "project", "move", "--to", "mysql://x"]), 1);
    assert!(line.contains("neither"), "{line}");
}

fn refused_because(project: &Path, word: &str) -> bool {
    let output = run(&["--project", text(project), "release", "list"]);
    String::from_utf8_lossy(&output.stderr).contains(word)
}

/// A project with a release `r`, and a small recipe with everything that draws at random or remembers: dropout, mixed faces,
/// repeated faces, momentum, the running average.
fn something_to_learn(folder: &Path, more_knobs: &str) -> (PathBuf, PathBuf) {
    let faces = drawn_faces(folder, 150);
    let (project, recipe) = (folder.join("p"), folder.join("tiny.toml"));
    done(&run(&["init", text(&project), "--catalog", &catalogue::catalog()]));
    done(&run(&["--project", text(&project), "import", "folder", text(&faces)]));
    manifest_of(&project, "r");
    let knobs = "widths = [8, 16]\nblocks = [1, 1]\ninput_side = 24\nbatch_size = 16\nmixup = 0.2\n\
                 imbalance = \"up-sampling\"\nema_decay = 0.9\n";
    std::fs::write(&recipe, format!("{knobs}{more_knobs}")).unwrap();
    (project, recipe)
}

#[test]
fn a_training_killed_ten_times_ends_with_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (project, recipe) = something_to_learn(folder.path(), "epochs = 5\n");
    let train = |run: &'static str| {
        ["--project", text(&project), "train", "--release", "r", "--recipe", text(&recipe), "--run", run]
    };
    let began = std::time::Instant::now();
    done(&run(&train("calm")));
    let length = began.elapsed();
    let n_killed = moments(10, length).filter(|after| kill_after(&train("wild"), *after)).count();
    assert!(n_killed > 0, "no run was hit");
    // As an earlier version left it, whose recipes had a knob less.
    let saved = project.join("runs/wild/recipe.toml");
    let knobs: String = std::fs::read_to_string(&saved).unwrap().replace("batch_parts = 1\n", "");
    std::fs::write(&saved, knobs).unwrap();
    done(&run(&train("wild")));
    for file in ["model.safetensors", "valid-predictions.csv", "history.csv", "scores.json"] {
        let read = |name: &str| std::fs::read(project.join("runs").join(name).join(file)).unwrap();
        assert!(read("wild") == read("calm"), "{file} differs");
    }
}

fn last_checkpoint(run: &Path) -> Option<PathBuf> {
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).ok()?.map(|entry| entry.unwrap().path());
    checkpoints.filter(|path| path.extension().is_none()).max()
}

/// What travels between processes is added up as one process adds: their number changes no bit, nor does a kill.
#[test]
fn two_processes_train_what_one_would_and_go_on_after_one_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (project, recipe) = something_to_learn(folder.path(), "epochs = 8\nbatch_parts = 4\n");
    let train = |run: &'static str, more: &[&str]| {
        let mut command = affectory();
        command.args(["--project", text(&project), "train", "--release", "r", "--recipe", text(&recipe), "--run", run]);
        command.args(more).env("AFFECTORY_TRAIN_TOKEN", "a secret of the laboratory");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    done(&train("alone", &[]).wait_with_output().unwrap());
    // Below the system's own range, from which other tests' connections take theirs meanwhile.
    let meet = format!("127.0.0.1:{}", 12_000 + std::process::id() % 6_000);
    let both = |settings: [&str; 2]| -> Vec<std::process::Child> {
        let seat = |number: usize| {
            let process = number.to_string();
            let seat = ["--processes", "2", "--process", process.as_str(), "--meet", meet.as_str()];
            train("together", &[&seat[..], &["--set", settings[number]]].concat())
        };
        (0..2).map(seat).collect()
    };
    let usual = ["batch_parts=4"; 2];
    let outputs = both(["batch_parts=4", "batch_parts=2"]).into_iter().map(|child| child.wait_with_output().unwrap());
    for line in outputs.map(|output| refused(&output, 1)) {
        assert!(line.contains("process 0 trains another release, recipe, knob or seed"), "{line}");
    }
    for killed in 0..2 {
        let before = last_checkpoint(&project.join("runs/together"));
        let mut children = both(usual);
        // They have met and done an epoch: before that, each would wait for the other to come.
        while last_checkpoint(&project.join("runs/together")) == before {
            assert!(children[0].try_wait().unwrap().is_none(), "it ended without an epoch");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(children[killed].try_wait().unwrap().is_none(), "it is over before it was killed");
        children[killed].kill().unwrap();
        let other = children.remove(1 - killed).wait_with_output().unwrap();
        let line = refused(&other, 1);
        assert!(line.contains(&format!("process {killed} is gone")), "{line}");
        children.remove(0).wait().unwrap();
    }
    for child in both(usual) {
        done(&child.wait_with_output().unwrap());
    }
    for file in ["model.safetensors", "valid-predictions.csv", "history.csv", "scores.json"] {
        let read = |name: &str| std::fs::read(project.join("runs").join(name).join(file)).unwrap();
        assert!(read("together") == read("alone"), "{file} differs");
    }
}

#[test]
fn a_training_that_cannot_be_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let faces = drawn_faces(folder.path(), 60);
    let project = folder.path().join("p");
    done(&run(&["init", text(&project), "--catalog", &catalogue::catalog()]));
    done(&run(&["--project", text(&project), "import", "folder", text(&faces)]));
    manifest_of(&project, "r");
    let train = |args: &[&str]| run(&[&["--project", text(&project), "train"], args].concat());
    let tiny = ["--release", "r", "--set", "widths=[4]", "--set", "blocks=[1]", "--epochs", "1", "--run", "one"];
    done(&train(&tiny));
    let told = refused(&train(&[&tiny[..], &["--set", "dropout=0.5"]].concat()), 1);
    assert!(told.contains("holds a run of another recipe"), "{told}");
    let told = refused(&train(&["--release", "r", "--set", "dropuot=0.5"]), 1);
    assert!(told.contains("dropuot"), "{told}");
    let told = refused(&train(&["--release", "r", "--set", "start_from=nowhere"]), 1);
    assert!(told.contains("start_from") && told.contains("nowhere"), "{told}");
    // The network of the run `one` has other widths than the recipe's.
    let told = refused(&train(&["--release", "r", "--set", "start_from=one"]), 1);
    assert!(told.contains("start_from") && told.contains("the network needs"), "{told}");
    let wide = ["--release", "r", "--set", "widths=[8]", "--set", "blocks=[1]", "--epochs", "1", "--run", "wide"];
    done(&train(&wide));
    let weights = |run: &str| project.join("runs").join(run).join("checkpoints/epoch-0001/network.bpk");
    std::fs::copy(weights("one"), weights("wide")).unwrap();
    let told = refused(&train(&wide), 1);
    assert!(told.contains("of another network") && told.len() < 500, "{told}");
    std::fs::write(project.join("runs/one/model.safetensors"), b"cut").unwrap();
    let told = refused(
        &run(&["--project", text(&project), "export-model", "one", "--out", text(&folder.path().join("m"))]),
        1,
    );
    assert!(told.contains("safetensors"), "{told}");
    let lonely = drawn_faces(&folder.path().join("lonely"), 1);
    let small = folder.path().join("small");
    done(&run(&["init", text(&small), "--catalog", &catalogue::catalog()]));
    done(&run(&["--project", text(&small), "import", "folder", text(&lonely)]));
    manifest_of(&small, "r");
    let told = refused(&run(&["--project", text(&small), "train", "--release", "r"]), 1);
    assert!(told.contains("no item with a label for expression or valence or arousal in split"), "{told}");
}

#[test]
fn a_small_demo_walks_the_whole_way_and_goes_on_when_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let args = ["--json", "demo", "--out", text(&out), "--faces", "240", "--epochs", "1"];
    let output = run(&args);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["scores"]["accuracy"].is_f64());
    assert_eq!(report["synthetic"], true);
    for file in ["portrait.svg", "releases/demo/counts.md", "runs/demo/curves.svg", "runs/demo/model.safetensors"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let again: serde_json::Value = serde_json::from_slice(&run(&args).stdout).unwrap();
    assert_eq!(again, report);

    // The run's model reads pictures; what is none is said so and does not stop the rest.
    let pictures = out.join("synthetic/images");
    std::fs::write(pictures.join("broken.jpg"), b"\xff\xd8\xff no picture").unwrap();
    let model = out.join("runs/demo");
    let overlay = folder.path().join("overlay");
    let output =
        run(&["--json", "predict", "--crop", text(&pictures), "--model", text(&model), "--overlay", text(&overlay)]);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 241);
    assert_eq!(images.iter().filter(|image| image["error"].is_string()).count(), 1);
    let total: f64 =
        images[1]["faces"][0]["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
    assert!((total - 1.0).abs() < 1e-3);
    assert_eq!(std::fs::read_dir(&overlay).unwrap().count(), 240);

    // The sheets of a run's errors show the faces of its release.
    let [truth, predictions] = ["truth", "predictions"].map(|table| model.join(format!("valid-{table}.csv")));
    let page = folder.path().join("report.html");
    let tables = ["evaluate", "--truth", text(&truth), "--predictions", text(&predictions), "--report", text(&page)];
    let from = |source: &[&str]| run(&[&["--project", text(&out)], &tables[..], source].concat());
    done(&from(&["--release", "demo"]));
    assert!(std::fs::read_to_string(&page).unwrap().contains("data:image/jpeg;base64,"));
    let nowhere = from(&["--images", text(folder.path())]);
    done(&nowhere);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--release"), "{nowhere:?}");

    // A network that learnt one dimension alone says it, and nothing else.
    let knobs = ["widths=[4]", "blocks=[1]", "expression_weight=0", "dimensions=arousal"];
    let knobs: Vec<&str> = knobs.iter().flat_map(|knob| ["--set", *knob]).collect();
    let train = ["--project", text(&out), "train", "--release", "demo", "--run", "excited", "--epochs", "1"];
    done(&run(&[&train[..], &knobs].concat()));
    let model = out.join("runs/excited");
    let output = run(&["--json", "predict", "--crop", text(&pictures), "--model", text(&model)]);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let face = &report["images"][1]["faces"][0];
    assert!(face["arousal"].is_f64() && face["valence"].is_null() && face["expression"].is_null(), "{face}");
}

#[test]
fn the_model_inside_the_program_reads_a_face() {
    let folder = tempfile::tempdir().unwrap();
    let faces = drawn_faces(folder.path(), 4);
    let output = run(&["--json", "predict", "--crop", text(&faces)]);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["images"].as_array().unwrap().len(), 4);
    assert_eq!(report["images"][0]["faces"][0]["is_proxy"], true);
}

#[test]
fn a_photograph_is_searched_for_faces_and_a_wall_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/astronaut.png");
    let wall = folder.path().join("wall.png");
    let pixels = affectory_imaging::RgbImage::filled(200, 150, [180, 170, 160]);
    std::fs::write(&wall, affectory_imaging::encode_png(&pixels).unwrap()).unwrap();
    let csv = folder.path().join("faces.csv");
    let output = run(&["--json", "predict", text(&portrait), text(&wall), "--csv", text(&csv)]);
    done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let faces = |n: usize| report["images"][n]["faces"].as_array().unwrap().clone();
    assert_eq!((faces(0).len(), faces(1).len()), (1, 0));
    let face = &faces(0)[0];
    assert!(face["score"].as_f64().unwrap() > 0.95 && face["landmarks"].as_array().unwrap().len() == 68);
    // She looks to the left of the middle and smiles, as anybody can see.
    let middle = face["box"][0].as_f64().unwrap() + face["box"][2].as_f64().unwrap() / 2.0;
    assert!((200.0..250.0).contains(&middle) && face["expression"] == "happy", "{face}");
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 2);
}

#[test]
fn a_search_for_faces_killed_eight_times_ends_as_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let faces = drawn_faces(folder.path(), 300);
    let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/astronaut.png");
    std::fs::copy(portrait, faces.join("happy/astronaut.png")).unwrap();
    let project = |name: &str| {
        let project = folder.path().join(name);
        done(&run(&["init", text(&project), "--catalog", &catalogue::catalog()]));
        done(&run(&["--project", text(&project), "import", "folder", text(&faces)]));
        project
    };
    let status = |project: &Path| {
        let output = run(&["--project", text(project), "--json", "faces", "status"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let crops = |project: &Path| {
        let mut names: Vec<_> = walk(&project.join("objects"));
        names.sort();
        names
    };
    let (calm, wild) = (project("calm"), project("wild"));
    let began = std::time::Instant::now();
    done(&run(&["--project", text(&calm), "faces", "run"]));
    let length = began.elapsed();
    let args = ["--project", text(&wild), "faces", "run"];
    let n_killed = moments(8, length).filter(|after| kill_after(&args, *after)).count();
    assert!(n_killed > 0, "no run was hit");
    done(&run(&args));
    assert_eq!(status(&wild), status(&calm));
    assert_eq!((status(&wild)["pending"].as_u64(), status(&wild)["leased"].as_u64()), (Some(0), Some(0)));
    assert!(status(&wild)["found"].as_u64() > Some(0));
    assert_eq!(crops(&wild), crops(&calm));
    let again = run(&["--project", text(&wild), "--json", "faces", "run"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&again.stdout).unwrap()["images"], 0);
}

/// The files of a folder and of those in it.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.file_name().unwrap().into()] }).collect()
}

/// The contract's vectors through the command itself: CSV in, JSON out.
#[test]
fn the_contracts_vectors_pass_through_the_command() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data is")]
    let Ok(data) = std::env::var("AFFECTORY_DATA") else {
        println!("SKIPPED: the metric vectors are in AFFECTORY_DATA, which is not set");
        return;
    };
    let path = Path::new(&data).join("metric_vectors.json");
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (truth, predictions) = (folder.path().join("t.csv"), folder.path().join("p.csv"));
    let mut n_passed = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let list = |side: &str| case[side].as_array().cloned().unwrap_or_default();
        let n_classes = case["classes"].as_u64().unwrap_or(8) as usize;
        let labels = &affectory_core::Expression::ALL[..n_classes];
        let labels: Vec<&str> = labels.iter().map(|label| label.name()).collect();
        let table = |side: &str, column: usize| {
            let scores = list("scores");
            let with_scores = side == "predicted" && !scores.is_empty();
            let mut csv = String::from("image,expression,valence,arousal");
            if with_scores {
                csv += &labels.iter().map(|label| format!(",p_{label}")).collect::<String>();
            }
            for (row, value) in list(side).iter().enumerate() {
                let mut fields = [String::new(), String::new(), String::new()];
                fields[column] = value.to_string();
                csv += &format!("\n{row},{}", fields.join(","));
                if with_scores {
                    let scores = scores[row].as_array().unwrap().iter();
                    csv += &scores.map(|score| format!(",{score}")).collect::<String>();
                }
            }
            csv + "\n"
        };
        let columns: &[(usize, &str)] = match case["kind"].as_str().unwrap() {
            "classification" => &[(0, "")],
            "regression" => &[(1, "valence"), (2, "arousal")],
            // Agreement is no file against another: its vectors pass in `evaluate`.
            _ => continue,
        };
        for (column, key) in columns {
            std::fs::write(&truth, table("truth", *column)).unwrap();
            std::fs::write(&predictions, table("predicted", *column)).unwrap();
            let output = run(&[
                "--json",
                "evaluate",
                "--truth",
                text(&truth),
                "--predictions",
                text(&predictions),
                "--labels",
                &labels.join(","),
            ]);
            done(&output);
            let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = if key.is_empty() { &found } else { &found[*key] };
            for (figure, expected) in case["expected"].as_object().unwrap() {
                assert!(is_near(&found[figure], expected), "{name}: {figure} is {}, not {expected}", found[figure]);
            }
        }
        n_passed += 1;
    }
    assert!(n_passed >= 25, "{n_passed}");
}

fn is_near(found: &serde_json::Value, expected: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (found, expected) {
        (Number(a), Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6,
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_near(a, b)),
        (Object(a), Object(b)) => b.iter().all(|(key, b)| a.get(key).is_some_and(|a| is_near(a, b))),
        // Lists by class are objects by label on one side.
        (Object(a), Array(b)) => a.len() == b.len() && a.values().zip(b).all(|(a, b)| is_near(a, b)),
        (a, b) => a == b,
    }
}

#[test]
fn capacity_needs_no_project_says_the_same_twice_and_refuses_nonsense_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let there = |args: &[&str]| affectory().current_dir(folder.path()).arg("capacity").args(args).output().unwrap();
    let small = ["--candidates", "3000", "--hosts", "30", "--workers", "1,2", "--days", "1"];
    let output = there(&small);
    done(&output);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(said.contains("| 3000 | 30 | 2 |") && said.contains("For a million addresses"), "{said}");
    assert_eq!(there(&small).stdout, output.stdout);
    let rates = there(&["--show-rates"]).stdout;
    std::fs::write(folder.path().join("mine.toml"), &rates).unwrap();
    assert_eq!(there(&[&small[..], &["--rates", "mine.toml"]].concat()).stdout, output.stdout);
    let json: serde_json::Value = serde_json::from_slice(&there(&[&small[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(json["answers"][1]["simulated"]["ended"], 3000, "{json}");

    let slow = String::from_utf8(rates).unwrap().replace("zipf = 1.0", "zipf = -1.0");
    std::fs::write(folder.path().join("slow.toml"), slow).unwrap();
    let line = refused(&there(&["--rates", "slow.toml"]), 1);
    assert!(line.contains("slow.toml") && line.contains("assumed.zipf = -1 is outside 0 to 4"), "{line}");
    assert!(refused(&there(&["--rates", "no.toml"]), 1).contains("no.toml"));
    assert!(refused(&there(&["--days", "nan"]), 1).contains("--days NaN"));
    assert!(refused(&there(&["--candidates", "0"]), 2).contains("0 is not in 1..=10000000000"));
    assert!(refused(&there(&["--workers", "1,x"]), 2).contains("--workers"));
}
