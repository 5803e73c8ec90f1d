//! Does a challenge run at the command line, does a killed scorer record once, and does no command say a label?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use affectory_catalog::{NewAccount, NewSubmission, Project, Role, SubmissionState, TeamOutcome};

/// Images of the test set.
const N: usize = 300;

/// The time of the submissions, ms UTC: 2027-01-15.
const NOW_MS: i64 = 1_800_000_000_000;

const LABELS: [&str; 8] = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"];

fn label(n: usize) -> &'static str {
    LABELS[(n * 5 + n / 7) % 8]
}

/// The valence of an image, its digits like nothing else here.
fn valence(n: usize) -> String {
    format!("{:.7}", ((n * 37) % 199) as f64 / 100.0 - 0.99 + 0.004_271_9)
}

fn truth() -> String {
    let rows: String = (0..N).map(|n| format!("{n:03}.png,{},{},{}\n", label(n), valence(n), valence(n + 1))).collect();
    format!("image,expression,valence,arousal\n{rows}")
}

fn answers(n_right: usize) -> String {
    let guess = |n: usize| if n < n_right { label(n) } else { LABELS[(n * 5 + n / 7 + 1) % 8] };
    let rows: String = (0..N).map(|n| format!("{n:03}.png,{}\n", guess(n))).collect();
    format!("image,expression\n{rows}")
}

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
        command.env_remove("AFFECTORY_LOG").stdin(Stdio::null());
        command.env("AFFECTORY_CHALLENGE_KEY", self.folder.path().join("key"));
        command.arg("-vv").arg("--project").arg(self.folder.path().join("p")).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command says on both streams, and whether it succeeded.
    fn said(&self, args: &[&str]) -> (bool, String) {
        let output = self.run(args);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn create(&self, name: &str, truth: &Path) -> (bool, String) {
        let dates = ["--opens", "2027-01-01", "--final-opens", "2027-02-01T12:00", "--closes", "2027-03-01"];
        let tasks = ["--task", "expression", "--task", "valence-arousal"];
        let truth = ["--truth", truth.to_str().unwrap()];
        self.said(&[&["challenge", "create", name], &truth[..], &tasks, &dates].concat())
    }
}

#[test]
fn a_challenge_runs_a_killed_scorer_records_once_and_no_command_says_a_label() {
    let lab = Lab { folder: tempfile::tempdir().unwrap() };
    let mut heard: Vec<(bool, String)> = Vec::new();
    assert!(lab.said(&["init", &lab.path("p"), "--catalog", &catalogue::catalog()]).0);
    let truth_file = lab.folder.path().join("truth.csv");
    std::fs::write(&truth_file, truth()).unwrap();
    let (done, text) = lab.create("faces", &truth_file);
    assert!(!done && text.contains("key"), "without a key: {text}");
    heard.push((done, text));
    assert!(lab.said(&["challenge", "key", &lab.path("key")]).0);
    assert!(!lab.said(&["challenge", "key", &lab.path("key")]).0, "a key is never written over");
    // What is wrong with a truth is told by its place.
    for (n, (from, to)) in
        [("happy", "hapy 0.0042719"), ("-0.9857281", "-7.9857281"), ("\n299.png", "\n298.png")].iter().enumerate()
    {
        let bad = lab.folder.path().join(format!("bad-{n}.csv"));
        std::fs::write(&bad, truth().replacen(from, to, 1)).unwrap();
        let (done, text) = lab.create("bad", &bad);
        assert!(!done && text.contains("line"), "{text}");
        heard.push((done, text));
    }
    heard.push(lab.create("faces", &truth_file));
    assert!(heard.last().unwrap().0, "{:?}", heard.last());
    heard.push(lab.create("faces", &truth_file));
    let (done, inputs) = lab.said(&["challenge", "inputs", "faces"]);
    assert!(done && inputs.lines().filter(|line| line.ends_with(".png")).count() == N);
    heard.push((done, inputs));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let project = runtime.block_on(Project::open(&lab.folder.path().join("p"))).unwrap();
    let challenge = runtime.block_on(async {
        let catalog = &project.catalog;
        let challenge = catalog.find_challenge("faces").await.unwrap().unwrap();
        for team in 0..8 {
            let (email, name) = (format!("{team}@x.org"), format!("\u{1b}[31mteam {team}"));
            let new =
                NewAccount { email: &email, name: "n", role: Role::Researcher, language: "en", password_hash: "x" };
            let account = catalog.insert_account(&new, "t", NOW_MS).await.unwrap();
            let made = catalog.insert_team(challenge.id, &name, &account, NOW_MS).await.unwrap();
            assert!(matches!(made, TeamOutcome::Joined(_)));
            for n in 0..3 {
                let bytes = answers(100 + 20 * team + n);
                let sha256 = project.store.put(bytes.clone().into()).await.unwrap();
                let new = NewSubmission {
                    challenge_id: challenge.id,
                    account_id: account.id,
                    sha256: Some(&sha256),
                    file_name: "f.csv",
                    size_bytes: bytes.len() as u64,
                    problems: &[],
                };
                catalog.submit(&new, &account, NOW_MS).await.unwrap();
            }
        }
        challenge
    });
    let n_scored = || {
        let rows = runtime.block_on(project.catalog.list_submissions(challenge.id, None, 99)).unwrap();
        rows.iter().filter(|row| row.state == SubmissionState::Scored).count()
    };
    // Killed as soon as it has recorded something.
    let mut scorer = lab.command(&["challenge", "score", "faces", "--watch"]).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while n_scored() == 0 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let (done, text) = lab.said(&["challenge", "score", "faces"]);
    assert!(!done && text.contains("another process scores"), "{text}");
    scorer.kill().unwrap();
    scorer.wait().unwrap();
    heard.push(lab.said(&["challenge", "score", "faces"]));
    assert!(heard.last().unwrap().0, "{:?}", heard.last());
    assert_eq!(n_scored(), 24);
    let scores = runtime.block_on(project.catalog.list_scores(challenge.id)).unwrap();
    assert_eq!(scores.len(), 24, "each once");
    heard.push(lab.said(&["challenge", "status"]));
    heard.push(lab.said(&["--json", "challenge", "status"]));
    assert!(!lab.said(&["challenge", "tables", "faces"]).0, "before the close");
    heard.push(lab.said(&["challenge", "close", "faces", "--early"]));
    assert!(heard.last().unwrap().0, "{:?}", heard.last());
    for format in ["csv", "latex"] {
        let (done, text) = lab.said(&["challenge", "tables", "faces", "--format", format]);
        assert!(done && text.contains("team 7") && !text.contains('\u{1b}'), "{text}");
        heard.push((done, text));
    }
    heard.push(lab.said(&["challenge", "close", "faces"]));
    runtime.block_on(project.catalog.close());
    let dump = match project.config.catalog.as_str() {
        "sqlite" => std::fs::read(lab.folder.path().join("p/catalog.sqlite")).unwrap(),
        url => Command::new("pg_dump").arg(url).output().unwrap().stdout,
    };
    assert!(dump.len() > 10_000);
    heard.push((true, String::from_utf8_lossy(&dump).into_owned()));

    let values: Vec<String> = (0..=N).map(valence).collect();
    for (_, text) in &heard {
        let value = values.iter().find(|value| text.contains(value.trim_start_matches('-')));
        assert_eq!(value, None, "a value of the truth in: {}", text.chars().take(300).collect::<String>());
        let told = (0..N).find(|n| text.contains(&format!("{n:03}.png,{}", label(*n))));
        assert_eq!(told, None, "a category in: {}", text.chars().take(300).collect::<String>());
    }
    // The key is in no file of the project.
    let key = std::fs::read_to_string(lab.path("key")).unwrap();
    assert!(!String::from_utf8_lossy(&dump).contains(key.trim()));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(lab.path("key")).unwrap().permissions()) & 0o777,
        0o600
    );
}
