//! Do a hundred people who annotate at the same time, in a catalogue with a million annotations, wait for anything, and
//! is every answer that was acknowledged there once, even when the server is killed?
//!
//! `cargo bench -p affectory --bench annotate`: builds the catalogue (AFFECTORY_LOAD_FACES, a million), starts `affectory
//! serve` in it and a hundred clients (AFFECTORY_LOAD_ANNOTATORS) for five minutes (AFFECTORY_LOAD_SECONDS). Each does
//! what the annotation page does: it holds 13 faces, asks for more at 6, looks for a second in the mean (people need two
//! to four), sends its answer, at times takes one back and answers anew, at times sends one twice, as after a lost
//! response. One more opens the pages of a lead. In the middle the server is killed and started again; clients send again
//! what was not acknowledged. Then the log is held against what the clients were told. A catalogue that is built takes
//! minutes: AFFECTORY_LOAD_PROJECT names a folder where it is kept for the next run, which works on a copy.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]
#![expect(clippy::disallowed_methods, reason = "its size comes from the environment, and it needs a clock")]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{BufRead as _, BufReader as LineReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use affectory_annotate::{FaceFilter, PoolRequest, RatingLog, make_pool, plan, same_looks};
use affectory_catalog::{
    AnnotatorKind, Gold, ImportItem, NewAccount, NewAnnotation, NewFace, NewImage, NewSighting, PoolRules, Project,
    ProjectConfig, Role, Strategy,
};
use affectory_core::{Arousal, BoundingBox, Expression, FaceId, PerceptualHash, Sha256Hex, Silent, Stop, Valence};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Annotators of the past, and of how many of their faces in a thousand two of them answered.
const PAST_ANNOTATORS: u64 = 12;
const SHARED: u64 = 36;
const GOLD: usize = 500;

/// Faces a client holds, and at how many it asks for more: what the annotation page does.
const HELD: usize = 13;
const FEW: usize = 6;

/// Time that a client looks at a face, mean of an exponential distribution, seconds.
const LOOK: f64 = 1.0;

/// What the lead opens, one round every so many seconds.
const PAGES: [&str; 6] = ["/quality", "/adjudicate", "/pools", "/people", "/", "/api/agreement"];
const ROUND: Duration = Duration::from_secs(3);

/// After a start the server is warming up for so long; figures without that time stand beside those of all time.
const WARMING: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let n_faces = number("AFFECTORY_LOAD_FACES", 1_000_000);
    let n_annotators = number("AFFECTORY_LOAD_ANNOTATORS", 100);
    let length = Duration::from_secs(number("AFFECTORY_LOAD_SECONDS", 300));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    match std::env::var("AFFECTORY_LOAD_PROJECT") {
        Err(_) => build(&root, n_faces, n_annotators).await,
        Ok(kept) => {
            if !Path::new(&kept).exists() {
                build(Path::new(&kept), n_faces, n_annotators).await;
            }
            assert!(Command::new("cp").arg("-r").arg(&kept).arg(&root).status().unwrap().success());
        }
    }
    let load = run(&root, n_annotators, length).await;
    let is_exact = count(&root, &load).await;
    let is_fast = report(&load, length);
    println!("{}", if is_exact && is_fast { "all aims are met" } else { "NOT all aims are met" });
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

fn rules() -> PoolRules {
    PoolRules {
        n_annotators: 2,
        overlap_percent: 10,
        gold_percent: 3,
        strategy: Strategy::Random,
        is_balanced: false,
        is_assisted: false,
        needs_quiz: false,
        seed: 5,
    }
}

/// A catalogue with so many faces and annotations, a pool of all of them, and accounts that are signed in.
async fn build(root: &Path, n_faces: u64, n_annotators: u64) {
    let began = Instant::now();
    let now_ms = now_ms();
    let project = Project::init(root, ProjectConfig::default()).await.unwrap();
    let catalog = &project.catalog;
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let numbers: Vec<u64> = (0..n_faces).collect();
    let batches = numbers.chunks(5_000);
    let n_batches = batches.len() as i64;
    for (batch, idx) in batches.zip(0..) {
        let items: Vec<ImportItem> = batch.iter().map(|&number| item(number, &mut dice)).collect();
        // Half a year of work.
        catalog.record_import(&items, now_ms - (n_batches - idx) * 180 * 86_400_000 / n_batches).await.unwrap();
    }
    println!("{n_faces} faces imported in {:.0} s", began.elapsed().as_secs_f64());
    for number in 0..=n_annotators {
        let role = if number == 0 { Role::Administrator } else { Role::Annotator };
        let email = format!("{number}@example.org");
        let new = NewAccount { email: &email, name: "somebody", role, language: "en", password_hash: "none" };
        let account = catalog.insert_account(&new, "bench", now_ms).await.unwrap();
        catalog.open_session(&account, &sha256(&token(number)), now_ms + 86_400_000_000, now_ms).await.unwrap();
    }
    let filter = FaceFilter { min_px: 0.0, only_unlabelled: false, limit: None };
    let request = PoolRequest { name: "all faces".into(), rules: rules(), filter };
    let made = make_pool(catalog, &request, None, (&Stop::default(), &Silent), now_ms).await.unwrap();
    let gold = gold(&project).await;
    catalog.set_gold(made.pool, &gold, "bench", now_ms).await.unwrap();
    catalog.close().await;
    println!("{made:?} after {:.0} s", began.elapsed().as_secs_f64());
}

/// An image with a face. Of a thousand, `SHARED` have two answers and as many none: as many answers as faces.
fn item(number: u64, dice: &mut ChaCha8Rng) -> ImportItem {
    let path = format!("{number:07}.jpg");
    let n_answers = match number % 1000 {
        0..SHARED => 2,
        500.. if number % 1000 < 500 + SHARED => 0,
        _ => 1,
    };
    let first = dice.random_range(0..PAST_ANNOTATORS);
    let expression = dice.random_range(0..11);
    let annotations = (0..n_answers).map(|idx| {
        // Two of them agree in seven of ten.
        let expression = if idx == 0 || dice.random_bool(0.7) { expression } else { dice.random_range(0..11) };
        let expression = Expression::from_index(expression).unwrap();
        let point = expression.is_affective().then(|| (dice.random_range(-0.7..0.7), dice.random_range(-0.7..0.7)));
        NewAnnotation {
            annotator: format!("past/{:02}", (first + idx) % PAST_ANNOTATORS),
            kind: AnnotatorKind::Imported,
            expression: Some(expression),
            valence: point.map(|(valence, _)| Valence::new(valence).unwrap()),
            arousal: point.map(|(_, arousal)| Arousal::new(arousal).unwrap()),
        }
    });
    let annotations = annotations.collect();
    let image = NewImage {
        sha256: sha256(&path),
        phash: PerceptualHash(dice.random()),
        width: 400,
        height: 300,
        format: "jpeg".into(),
        size_bytes: 40_000,
    };
    let sighting = NewSighting { source: "past".into(), path, page_url: None, license: None, given_split: None };
    let bounding_box = BoundingBox::new(100.0, 50.0, 150.0, 150.0).unwrap();
    ImportItem { image, sighting, faces: vec![NewFace { bounding_box, landmarks: None, annotations }] }
}

async fn gold(project: &Project) -> Vec<Gold> {
    let faces = project.catalog.list_pool_candidates(FaceId(0), GOLD as u32).await.unwrap();
    let known = |face_id| Gold {
        face_id,
        expression: Expression::Happy,
        valence: Valence::new(0.6).ok(),
        arousal: Arousal::new(0.2).ok(),
    };
    faces.iter().map(|face| known(face.face_id)).collect()
}

fn sha256(text: &str) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(text).into())
}

/// The word in an account's cookie.
fn token(number: u64) -> String {
    sha256(&format!("token of {number}")).as_str().to_owned()
}

/// What was asked, when (since the start), and how long the answer took.
struct Asked {
    what: &'static str,
    at: Duration,
    took: Duration,
}

/// What an annotator said of a face: a category under a number that no other answer has, or that nothing is said.
type Said = Option<(usize, u32)>;

/// What a client was told.
#[derive(Default)]
struct Story {
    asked: Vec<Asked>,
    /// What was acknowledged of each face, in its order.
    said: BTreeMap<i64, Vec<Said>>,
    /// Faces given and not answered.
    held: Vec<i64>,
    n_again: u64,
    n_repeated: u64,
    problems: Vec<String>,
}

struct Load {
    stories: Vec<Story>,
    pages: Vec<Asked>,
    /// When the server stood still, since the start.
    away: (Duration, Duration),
    /// Peak memory in MB: all resident, and without the pages of files.
    memory: (u64, u64),
    known_after: Duration,
}

/// Serves and annotates.
async fn run(root: &Path, n_annotators: u64, length: Duration) -> Load {
    let project = Project::open(root).await.unwrap();
    let pool = project.catalog.list_pools().await.unwrap()[0].id.0;
    project.catalog.close().await;
    let mut server = Server::start(root, "127.0.0.1:0");
    let address = server.address.clone();
    let watched = Arc::new((AtomicU32::new(server.child.id()), AtomicU64::new(0), AtomicU64::new(0)));
    let watching = Arc::clone(&watched);
    std::thread::spawn(move || watch_memory(&watching));
    let shared =
        Arc::new(Shared { start: Instant::now(), length, is_over: AtomicBool::new(false), number: AtomicU32::new(0) });
    let annotators: Vec<_> = (1..=n_annotators)
        .map(|number| tokio::spawn(annotate(Browser::new(&address, number), pool, Arc::clone(&shared), number)))
        .collect();
    let lead = tokio::spawn(lead(Browser::new(&address, 0), Arc::clone(&shared)));
    tokio::time::sleep(length / 2).await;
    let gone = shared.start.elapsed();
    server.kill();
    server = tokio::task::block_in_place(|| Server::start(root, &address));
    let away = (gone, shared.start.elapsed());
    watched.0.store(server.child.id(), Ordering::Relaxed);
    let mut stories = Vec::new();
    for annotator in annotators {
        stories.push(annotator.await.unwrap());
    }
    let ended = Instant::now();
    shared.is_over.store(true, Ordering::Relaxed);
    let pages = lead.await.unwrap();
    let known_after = wait_until_known(&address, root, ended).await;
    watched.0.store(0, Ordering::Relaxed);
    server.kill();
    let memory = (watched.1.load(Ordering::Relaxed), watched.2.load(Ordering::Relaxed));
    Load { stories, pages, away, memory, known_after }
}

/// Until the dashboard counts the last answer.
async fn wait_until_known(address: &str, root: &Path, ended: Instant) -> Duration {
    let project = Project::open(root).await.unwrap();
    let mut log = RatingLog::default();
    log.refresh(&project.catalog).await.unwrap();
    let last = log.last().0;
    let mut browser = Browser::new(address, 0);
    while ended.elapsed() < Duration::from_secs(120) {
        let (_, body) = browser.ask("GET", "/api/agreement", "").await.unwrap();
        let agreement: Value = serde_json::from_slice(&body).unwrap();
        if agreement["last_annotation"].as_i64() == Some(last) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ended.elapsed()
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(root: &Path, bind: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
        command.arg("--project").arg(root).args(["serve", "--bind", bind]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        LineReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        Server { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Looks at the process five times a second, until there is none.
fn watch_memory((pid, all, own): &(AtomicU32, AtomicU64, AtomicU64)) {
    loop {
        let pid = pid.load(Ordering::Relaxed);
        if pid == 0 {
            return;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
        };
        all.fetch_max(field("VmHWM:"), Ordering::Relaxed);
        own.fetch_max(field("RssAnon:"), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(200));
    }
}

struct Shared {
    start: Instant,
    length: Duration,
    is_over: AtomicBool,
    /// Of the last answer.
    number: AtomicU32,
}

/// One connection that is kept, as a browser signed in has it.
struct Browser {
    address: String,
    head: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Browser {
    fn new(address: &str, account: u64) -> Browser {
        let token = token(account);
        let csrf = sha256(&format!("csrf of {token}"));
        let head = format!("Host: {address}\r\nCookie: affectory={token}\r\nX-CSRF-Token: {}\r\n", csrf.as_str());
        Browser { address: address.to_owned(), head, stream: None }
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request =
            format!("{method} {path} HTTP/1.1\r\n{}{kind}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        stream.write_all(request.as_bytes()).await?;
        let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (mut status, mut length, mut line) = (None, 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(gone());
            }
            let text = line.trim_end();
            match (text.split_once(':'), status) {
                (_, None) => status = text.split(' ').nth(1).and_then(|code| code.parse().ok()),
                (Some((name, value)), _) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(|_| gone())?;
                }
                (_, Some(_)) if text.is_empty() => break,
                (_, Some(_)) => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.stream = Some(stream);
        Ok((status.ok_or_else(gone)?, body))
    }

    /// Asks until there is an answer, as the annotation page does; says how long that answer took.
    async fn insist(&mut self, path: &str, body: &Value, n_again: &mut u64) -> (Value, Duration) {
        let body = body.to_string();
        let mut pause = Duration::from_millis(250);
        loop {
            let began = Instant::now();
            match self.ask("POST", path, &body).await {
                Ok((200, answer)) => return (serde_json::from_slice(&answer).unwrap(), began.elapsed()),
                Ok((status @ (408 | 429 | 500..), _)) => eprintln!("{path}: {status}"),
                Ok((status, answer)) => panic!("{path}: {status} {}", String::from_utf8_lossy(&answer)),
                Err(_) => self.stream = None,
            }
            *n_again += 1;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(Duration::from_secs(4));
        }
    }
}

/// One annotator until the time is over.
async fn annotate(mut browser: Browser, pool: i64, shared: Arc<Shared>, number: u64) -> Story {
    let mut dice = ChaCha8Rng::seed_from_u64(1_000 + number);
    let mut story = Story::default();
    let mut waiting: VecDeque<i64> = VecDeque::new();
    let mut last = None;
    // People do not all begin in the same instant.
    tokio::time::sleep(Duration::from_secs_f64(dice.random_range(0.0..2.0))).await;
    while shared.start.elapsed() < shared.length {
        if waiting.len() <= FEW {
            let at = shared.start.elapsed();
            let path = format!("/api/pools/{pool}/next");
            let (answer, took) = browser.insist(&path, &json!({ "n": HELD }), &mut story.n_again).await;
            story.asked.push(Asked { what: "next", at, took });
            let faces = answer["faces"].as_array().unwrap().iter().map(|face| face["face"].as_i64().unwrap());
            let faces: VecDeque<i64> = faces.collect();
            if faces.len() < HELD || waiting.iter().any(|face| !faces.contains(face)) {
                story.problems.push(format!("annotator {number} held {waiting:?} and was given {faces:?}"));
            }
            waiting = faces;
        }
        let look = -LOOK * f64::ln(1.0 - dice.random::<f64>());
        tokio::time::sleep(Duration::from_secs_f64(look)).await;
        let mut events = Vec::new();
        let face = match last {
            // The last answer is taken back, and given anew.
            Some(face) if dice.random_bool(0.02) => {
                events.push(json!({ "id": id(&mut dice), "kind": "undo", "pool": pool, "face": face, "age_ms": 5 }));
                story.said.entry(face).or_default().push(None);
                face
            }
            _ => waiting.pop_front().unwrap(),
        };
        let said = (dice.random_range(0..11), shared.number.fetch_add(1, Ordering::Relaxed) + 1);
        let point = (said.0 < 8).then(|| (dice.random_range(-0.7..0.7), dice.random_range(-0.7..0.7)));
        events.push(json!({
            "id": id(&mut dice), "kind": "answer", "pool": pool, "face": face, "expression": said.0,
            "valence": point.map(|(valence, _)| valence), "arousal": point.map(|(_, arousal): (f64, f64)| arousal),
            "elapsed_ms": said.1, "age_ms": 12, "is_outside": false,
        }));
        story.said.entry(face).or_default().push(Some(said));
        let n_sent = 1 + u32::from(dice.random_bool(0.01));
        for idx in 0..n_sent {
            let at = shared.start.elapsed();
            let n_before = story.n_again;
            let (answer, took) = browser.insist("/api/events", &json!({ "events": events }), &mut story.n_again).await;
            story.asked.push(Asked { what: "save", at, took });
            for result in answer["results"].as_array().unwrap() {
                match (result["status"].as_str().unwrap(), idx == 0 && story.n_again == n_before) {
                    ("recorded", true) => {}
                    ("repeated", false) => story.n_repeated += 1,
                    // It was sent twice because the first had been lost.
                    ("recorded", false) if idx == 0 => {}
                    _ => story.problems.push(format!("annotator {number}: {result} to {events:?}, sending {idx}")),
                }
            }
        }
        last = Some(face);
    }
    story.held = waiting.into();
    story
}

fn id(dice: &mut ChaCha8Rng) -> String {
    format!("{:032x}", dice.random::<u128>())
}

/// The lead's browser.
async fn lead(mut browser: Browser, shared: Arc<Shared>) -> Vec<Asked> {
    let mut asked = Vec::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        for what in PAGES {
            let at = shared.start.elapsed();
            let began = Instant::now();
            if let Ok((200, _)) = browser.ask("GET", what, "").await {
                asked.push(Asked { what, at, took: began.elapsed() });
            }
        }
        tokio::time::sleep(ROUND).await;
    }
    asked
}

/// Holds the log against what the clients were told; says whether all of it is right.
async fn count(root: &Path, load: &Load) -> bool {
    let project = Project::open(root).await.unwrap();
    let accounts = project.catalog.list_accounts().await.unwrap();
    let mut log = RatingLog::default();
    log.refresh(&project.catalog).await.unwrap();
    let mut expected: BTreeMap<(i64, i64), Vec<Said>> = BTreeMap::new();
    // The first account is the lead's.
    for (story, account) in load.stories.iter().zip(&accounts[1..]) {
        let annotator = account.annotator_id.0;
        expected.extend(story.said.iter().map(|(face, said)| ((annotator, *face), said.clone())));
    }
    let mut found: BTreeMap<(i64, i64), Vec<Said>> = BTreeMap::new();
    for row in log.rows().iter().filter(|row| row.kind == AnnotatorKind::Person) {
        let said = row.expression.map(|expression| (expression.index(), row.elapsed_ms.unwrap()));
        found.entry((row.annotator_id.0, row.face_id.0)).or_default().push(said);
    }
    let sum = |said: &BTreeMap<_, Vec<Said>>| said.values().map(Vec::len).sum::<usize>();
    let numbers = |said: &BTreeMap<_, Vec<Said>>| -> Vec<u32> {
        said.values().flatten().flatten().map(|(_, number)| *number).collect()
    };
    let (sent, stored) = (numbers(&expected), numbers(&found));
    let (sent_once, stored_once): (HashSet<u32>, HashSet<u32>) =
        (sent.iter().copied().collect(), stored.iter().copied().collect());
    println!(
        "acknowledged: {} rows of the log, {} of them answers; found {} rows",
        sum(&expected),
        sent.len(),
        sum(&found)
    );
    println!(
        "lost {}, doubled {}, never sent {}; order and values of each face {}",
        sent_once.difference(&stored_once).count(),
        stored.len() - stored_once.len(),
        stored_once.difference(&sent_once).count(),
        if expected == found { "equal" } else { "DIFFER" },
    );
    // What each face wants follows from the rules.
    let mut candidates = Vec::new();
    while let page @ [_, ..] = &*project
        .catalog
        .list_pool_candidates(
            candidates.last().map_or(FaceId(0), |last: &affectory_catalog::PoolCandidate| last.face_id),
            50_000,
        )
        .await
        .unwrap()
    {
        candidates.extend_from_slice(page);
    }
    let planned = plan(&candidates, &same_looks(&candidates), &rules());
    let mut wanted: HashMap<i64, u64> = planned.iter().map(|face| (face.face_id.0, u64::from(face.n_wanted))).collect();
    for gold in gold(&project).await {
        wanted.remove(&gold.face_id.0);
    }
    let (mut answered, mut standing) = (HashMap::<i64, u64>::new(), HashSet::new());
    let mut n_twice = 0;
    for row in log.standing().filter(|row| row.kind == AnnotatorKind::Person) {
        *answered.entry(row.face_id.0).or_default() += 1;
        n_twice += u64::from(!standing.insert((row.face_id, row.annotator_id)));
    }
    let mut had = answered.clone();
    for face in load.stories.iter().flat_map(|story| &story.held) {
        *had.entry(*face).or_default() += 1;
    }
    let n_beyond = had.iter().filter(|(face, n)| wanted.get(face).is_some_and(|wanted| *n > wanted)).count();
    let n_wanted: u64 = wanted.values().sum();
    let n_done: u64 = wanted.iter().map(|(face, wanted)| answered.get(face).map_or(0, |n| *n.min(wanted))).sum();
    let pool = &project.catalog.list_pools().await.unwrap()[0];
    println!(
        "standing twice {n_twice}; faces with more annotators than wanted {n_beyond}; the pool says {} of {}, a recount {n_done} \
         of {n_wanted}",
        pool.n_done, pool.n_wanted
    );
    let problems: Vec<&String> = load.stories.iter().flat_map(|story| &story.problems).collect();
    for problem in problems.iter().take(5) {
        println!("  {problem}");
    }
    println!(
        "sent again {} times, {} events known already; surprises {}",
        load.stories.iter().map(|story| story.n_again).sum::<u64>(),
        load.stories.iter().map(|story| story.n_repeated).sum::<u64>(),
        problems.len()
    );
    expected == found
        && n_twice == 0
        && n_beyond == 0
        && (pool.n_done, pool.n_wanted) == (n_done, n_wanted)
        && problems.is_empty()
}

/// Prints how long everything took; says whether the aims are met.
fn report(load: &Load, length: Duration) -> bool {
    let (gone, back) = load.away;
    println!(
        "server killed at {:.0} s, back after {:.1} s; peak memory {} MB, {} MB of it not of files; the dashboard knew the \
         last answer after {:.1} s",
        gone.as_secs_f64(),
        (back - gone).as_secs_f64(),
        load.memory.0,
        load.memory.1,
        load.known_after.as_secs_f64()
    );
    let asked: Vec<&Asked> = load.stories.iter().flat_map(|story| &story.asked).collect();
    println!("{:16} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}", "milliseconds", "n", "1/s", "p50", "p95", "p99", "max");
    let is_warm = |asked: &&Asked| asked.at > WARMING && !(gone..back + WARMING).contains(&asked.at);
    let mut is_met = load.memory.0 < 500;
    for what in ["next", "save"] {
        let all: Vec<&Asked> = asked.iter().copied().filter(|asked| asked.what == what).collect();
        let p99 = line(what, &all, length);
        line(&format!("{what}, warm"), &all.iter().copied().filter(is_warm).collect::<Vec<_>>(), length);
        is_met &= p99 < 50.0;
    }
    let pages: Vec<&Asked> = load.pages.iter().collect();
    for what in PAGES {
        line(what, &pages.iter().copied().filter(|asked| asked.what == what).collect::<Vec<_>>(), length);
    }
    is_met & (line("pages", &pages, length) < 200.0)
}

/// Prints one line; gives the 99th percentile in ms.
fn line(name: &str, asked: &[&Asked], length: Duration) -> f64 {
    let mut times: Vec<f64> = asked.iter().map(|asked| 1000.0 * asked.took.as_secs_f64()).collect();
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    println!(
        "{name:16} {:7} {:8.1} {:8.1} {:8.1} {:8.1} {:8.1}",
        times.len(),
        times.len() as f64 / length.as_secs_f64(),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    at(0.99)
}
