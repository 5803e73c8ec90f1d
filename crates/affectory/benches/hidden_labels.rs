//! Does any time that a participant can take tell a right answer from a wrong one, where the score tells nothing?
//!
//! `cargo bench -p affectory --bench hidden_labels [N]`: one team hands in N files (at most 999) that differ from its best one in one
//! image's label; half of them are right there, half are wrong, in a random order, and none is better by as much as the
//! Ladder shows. Timed are the program's answer to the upload, its page of the team, and the scoring process's work on the
//! file (which shows at most in when the page stops saying "queued"). Printed is how often a right one took longer than a
//! wrong one (the area under the ROC curve): 0.5 is no knowledge, and beside it stands what chance alone does to 0.5.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use affectory_catalog::{ChallengeMetric, NewAccount, Project, ProjectConfig, Role, TeamOutcome};
use affectory_core::{LabelSet, Sha256Hex};
use affectory_evaluate::read_table;
use affectory_portal::challenge::{ChallengeKey, ChallengeRequest, Scorer, make_challenge};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Images of the test set; labels of one length, so that no file is longer than another.
const N_IMAGES: usize = 4_000;
const LABELS: [&str; 2] = ["happy", "anger"];
const TOKEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const DAY_MS: i64 = 86_400_000;

fn sha256(text: &str) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(text).into())
}

/// Rows of a table: the truth where `is_right` says so, the other label elsewhere.
fn table(truth: &[usize], is_right: impl Fn(usize) -> bool) -> String {
    let row = |(n, label): (usize, &usize)| {
        let label = if is_right(n) { *label } else { 1 - *label };
        format!("{n:05}.png,{}\n", LABELS[label])
    };
    let rows: String = truth.iter().enumerate().map(row).collect();
    format!("image,expression\n{rows}")
}

#[tokio::main]
async fn main() {
    let n_files: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(400).min(999);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let truth: Vec<usize> = (0..N_IMAGES).map(|_| random.random_range(0..2)).collect();
    let now_ms = 1_800_000_000_000;
    let key = ChallengeKey::new([9; 32]);
    let project = prepare(&root, &truth, &key).await;
    let scorer = Scorer::open(&project, &key, "faces").await.unwrap();
    let (mut server, address) = start(&root);

    // Half of the images are answered rightly.
    let base: Vec<bool> = (0..N_IMAGES).map(|_| random.random_bool(0.5)).collect();
    submit(address, &table(&truth, |n| base[n])).await;
    scorer.score_queued(now_ms).await.unwrap();
    let mut kinds: Vec<bool> = (0..n_files).map(|n| n % 2 == 0).collect();
    for at in (1..kinds.len()).rev() {
        kinds.swap(at, random.random_range(0..=at));
    }
    let mut times: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    for is_right in kinds {
        // Any image that the best file has the other way.
        let at = loop {
            let at = random.random_range(0..N_IMAGES);
            if base[at] != is_right {
                break at;
            }
        };
        let file = table(&truth, |n| if n == at { is_right } else { base[n] });
        let began = Instant::now();
        submit(address, &file).await;
        let upload = began.elapsed();
        let began = Instant::now();
        scorer.score_queued(now_ms).await.unwrap();
        let scoring = began.elapsed();
        let began = Instant::now();
        let page = exchange(address, "GET /challenges/faces/team", "", "").await;
        let shown = began.elapsed();
        assert!(page.contains("as before"), "the score tells nothing");
        for (times, took) in times.iter_mut().zip([upload, scoring, shown]) {
            let of_kind = if is_right { &mut times.0 } else { &mut times.1 };
            of_kind.push(took.as_secs_f64() * 1e3);
        }
    }
    println!("{n_files} files of {N_IMAGES} answers, one answer changed to a right or to a wrong one");
    for (what, (right, wrong)) in
        ["answer to the upload", "work of the scoring process", "the team's page"].iter().zip(&times)
    {
        let (area, chance) = area(right, wrong);
        println!(
            "{what}: right {:.2} ms, wrong {:.2} ms (medians); a right one took longer in {area:.3} of pairs; chance 0.5 +- {chance:.3} (95 %)",
            median(right),
            median(wrong)
        );
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

async fn prepare(root: &Path, truth: &[usize], key: &ChallengeKey) -> Project {
    let project = Project::init(root, ProjectConfig::default()).await.unwrap();
    let now_ms = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let challenge = ChallengeRequest {
        name: "faces".into(),
        title: "Faces".into(),
        rules: "Be kind.".into(),
        release: None,
        labels: LabelSet::parse("happy,anger").unwrap(),
        metrics: vec![ChallengeMetric::Accuracy],
        per_day: 1_000,
        opens_ms: now_ms - DAY_MS,
        final_opens_ms: now_ms + 10 * DAY_MS,
        closes_ms: now_ms + 20 * DAY_MS,
        truth: read_table(table(truth, |_| true).as_bytes(), "truth").unwrap(),
    };
    make_challenge(&project, key, &challenge, [3; 24], now_ms).await.unwrap();
    let catalog = &project.catalog;
    let account = NewAccount { email: "a@b.c", name: "A", role: Role::Researcher, language: "en", password_hash: "x" };
    let account = catalog.insert_account(&account, "bench", now_ms).await.unwrap();
    catalog.open_session(&account, &sha256(TOKEN), now_ms + DAY_MS, now_ms).await.unwrap();
    let challenge = catalog.find_challenge("faces").await.unwrap().unwrap();
    let made = catalog.insert_team(challenge.id, "team", &account, now_ms).await.unwrap();
    assert!(matches!(made, TeamOutcome::Joined(_)));
    project
}

/// The program on a free port; it has no key.
fn start(root: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_affectory"))
        .args(["--project", root.to_str().unwrap(), "serve", "--bind", "127.0.0.1:0"])
        .env_remove("AFFECTORY_CHALLENGE_KEY")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    (child, address)
}

async fn submit(address: SocketAddr, file: &str) {
    let csrf = sha256(&format!("csrf of {TOKEN}"));
    let form = format!(
        "--x\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{}\r\n--x\r\ncontent-disposition: form-data; \
         name=\"file\"; filename=\"a.csv\"\r\ncontent-type: text/csv\r\n\r\n{file}\r\n--x--\r\n",
        csrf.as_str()
    );
    let head = "content-type: multipart/form-data; boundary=x\r\n";
    let answer = exchange(address, "POST /challenges/faces/submissions", head, &form).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
}

async fn exchange(address: SocketAddr, line: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\ncookie: affectory={TOKEN}\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer));
    read.await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How often the first is larger than the second (Mann and Whitney 1947; half of the ties), and how far from 0.5 that lies
/// in 95 of 100 trials without any difference.
fn area(first: &[f64], second: &[f64]) -> (f64, f64) {
    let larger: f64 = first
        .iter()
        .flat_map(|a| {
            second.iter().map(move |b| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    let (n, m) = (first.len() as f64, second.len() as f64);
    (larger / (n * m), 1.96 * ((n + m + 1.0) / (12.0 * n * m)).sqrt())
}
