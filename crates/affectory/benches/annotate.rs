//! Do a hundred people who annotate at the same time, in a catalogue with a million annotations, wait for anything, and
//! is every answer that was acknowledged there once, even when servers are killed?
//!
//! `cargo bench -p affectory --bench annotate`: builds the catalogue (AFFECTORY_LOAD_FACES, a million), starts `affectory
//! serve` in it and a hundred clients (AFFECTORY_LOAD_ANNOTATORS) for five minutes (AFFECTORY_LOAD_SECONDS). Each signs in
//! and does what the annotation page does: it holds 13 faces, asks for more at 6, looks for a second in the mean (people
//! need two to four), sends its answer, at times takes one back and answers anew, at times sends one twice, as after a lost
//! response. One more opens the pages of a lead. In the middle the server is killed and started again; clients send again
//! what was not acknowledged, and nobody signs in a second time. Then the log is held against what the clients were told.
//!
//! AFFECTORY_LOAD_SERVERS=2 starts so many behind nginx, with `deploy/nginx/affectory.conf`; each is killed in its turn and comes
//! back some seconds later. AFFECTORY_TEST_CATALOG=postgres has the catalogue on the server of `scripts/test-servers`. To build it
//! takes minutes: AFFECTORY_LOAD_PROJECT names a folder where it is kept for the next run, which works on a copy (of the
//! database too, whose template bears the folder's name).

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]
#![expect(clippy::disallowed_methods, reason = "its size comes from the environment, and it needs a clock")]

#[path = "../tests/catalogue/mod.rs"]
#[expect(dead_code, reason = "the databases here have names of their own")]
mod catalogue;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{BufRead as _, BufReader as LineReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use affectory_annotate::{FaceFilter, PoolRequest, RatingLog, make_pool, plan, same_looks};
use affectory_catalog::{
    AccountChange, AnnotatorKind, Gold, ImportItem, NewAccount, NewAnnotation, NewFace, NewImage, NewSighting,
    PoolRules, Project, ProjectConfig, Role, Strategy,
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

/// After a start a server is warming up for so long, or a tenth of the time; figures without that time stand beside those of
/// all time.
const WARMING: Duration = Duration::from_secs(20);

/// One of several servers is away for so long, or a tenth of the time.
const AWAY: Duration = Duration::from_secs(15);

const PASSWORD: &str = "correct horse battery";

#[tokio::main]
async fn main() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let n_faces = number("AFFECTORY_LOAD_FACES", 1_000_000);
    let n_annotators = number("AFFECTORY_LOAD_ANNOTATORS", 100);
    let n_servers = number("AFFECTORY_LOAD_SERVERS", 1) as usize;
    let length = Duration::from_secs(number("AFFECTORY_LOAD_SECONDS", 300));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    let database = format!("affectory_load_{}", std::process::id());
    match std::env::var("AFFECTORY_LOAD_PROJECT") {
        Err(_) => {
            let catalog = new_database(&database);
            build(&root, &catalog, n_faces, n_annotators).await;
        }
        Ok(kept) => {
            let template: String = Path::new(&kept).file_name().unwrap().to_string_lossy().into_owned();
            let template: String = template.chars().filter(char::is_ascii_alphanumeric).collect();
            let template = format!("affectory_load_template_{}", template.to_lowercase());
            if !Path::new(&kept).exists() {
                let catalog = new_database(&template);
                build(Path::new(&kept), &catalog, n_faces, n_annotators).await;
            }
            assert!(Command::new("cp").arg("-r").arg(&kept).arg(&root).status().unwrap().success());
            if catalogue::is_postgres() {
                catalogue::psql(&format!("create database {database} template {template}"));
                let settings = format!("catalog = \"{}\"\n", catalogue::url_of(&database));
                std::fs::write(root.join("affectory.toml"), settings).unwrap();
            }
        }
    }
    let load = run(&root, folder.path(), (n_servers, n_annotators), length).await;
    let is_exact = count(&root, &load).await;
    let is_fast = report(&load, length);
    if catalogue::is_postgres() {
        catalogue::psql(&format!("drop database {database} with (force)"));
    }
    println!("{}", if is_exact && is_fast { "all aims are met" } else { "NOT all aims are met" });
}

/// What a new project's settings say of its catalogue.
fn new_database(name: &str) -> String {
    if !catalogue::is_postgres() {
        return "sqlite".into();
    }
    catalogue::psql(&format!("create database {name}"));
    catalogue::url_of(name)
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

/// A catalogue with so many faces and annotations, a pool of all of them, and accounts.
async fn build(root: &Path, catalog: &str, n_faces: u64, n_annotators: u64) {
    let began = Instant::now();
    let now_ms = now_ms();
    let config = ProjectConfig { catalog: catalog.to_owned(), ..ProjectConfig::default() };
    let project = Project::init(root, config).await.unwrap();
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
        catalog.insert_account(&new, "bench", now_ms).await.unwrap();
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

/// What was asked, when (since the start), how long the answer took, and how long somebody waited for it from the first try on.
struct Asked {
    what: &'static str,
    at: Duration,
    took: Duration,
    waited: Duration,
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
    n_servers: usize,
    /// When a server was killed and when it was back, since the start.
    away: Vec<(Duration, Duration)>,
    /// How long signing in took while a server was away.
    signing_in: Vec<Duration>,
    /// Peak memory in MB, of the server that took most: all resident, and without the pages of files.
    memory: (u64, u64),
    known_after: Duration,
}

/// Serves and annotates.
async fn run(root: &Path, folder: &Path, (n_servers, n_annotators): (usize, u64), length: Duration) -> Load {
    let pool = prepare(root).await;
    // Where people go: the server, or nginx before several.
    let entrance = free_address();
    let url = format!("http://{entrance}");
    let mut servers: Vec<Server> = match n_servers {
        1 => vec![Server::start(root, &entrance, &url)],
        _ => (0..n_servers).map(|_| Server::start(root, &free_address(), &url)).collect(),
    };
    let mut nginx = (n_servers > 1).then(|| start_nginx(folder, &entrance, &servers));
    let watched: Arc<Watched> = Arc::default();
    watched.pids.lock().unwrap().extend(servers.iter().map(|server| server.child.id()));
    let watching = Arc::clone(&watched);
    std::thread::spawn(move || watch_memory(&watching));
    // People sign in when they come, not all in the second in which the clock starts.
    let mut browsers = Vec::new();
    for number in 0..=n_annotators {
        let mut browser = Browser::new(&entrance);
        browser.sign_in(number).await;
        browsers.push(browser);
    }
    let browser_of_lead = browsers.remove(0);
    let shared =
        Arc::new(Shared { start: Instant::now(), length, is_over: AtomicBool::new(false), number: AtomicU32::new(0) });
    let annotators: Vec<_> = (1..)
        .zip(browsers)
        .map(|(number, browser)| tokio::spawn(annotate(browser, pool, Arc::clone(&shared), number)))
        .collect();
    let lead = tokio::spawn(lead(browser_of_lead, Arc::clone(&shared)));
    let (mut away, mut signing_in) = (Vec::new(), Vec::new());
    for (idx, server) in servers.iter_mut().enumerate() {
        let due = shared.start + length * (idx as u32 + 1) / (n_servers as u32 + 1);
        tokio::time::sleep_until(due.into()).await;
        let gone = shared.start.elapsed();
        server.kill();
        if n_servers > 1 {
            let began = Instant::now();
            Browser::new(&entrance).sign_in(0).await;
            signing_in.push(began.elapsed());
            tokio::time::sleep(AWAY.min(length / 10)).await;
        }
        let address = server.address.clone();
        *server = tokio::task::block_in_place(|| Server::start(root, &address, &url));
        away.push((gone, shared.start.elapsed()));
        watched.pids.lock().unwrap()[idx] = server.child.id();
    }
    let mut stories = Vec::new();
    for annotator in annotators {
        stories.push(annotator.await.unwrap());
    }
    let ended = Instant::now();
    shared.is_over.store(true, Ordering::Relaxed);
    let (pages, mut browser) = lead.await.unwrap();
    for server in &servers {
        // The same session at each of them.
        server.address.clone_into(&mut browser.address);
        browser.stream = None;
        wait_until_known(&mut browser, root, ended).await;
    }
    let known_after = ended.elapsed();
    watched.pids.lock().unwrap().clear();
    servers.iter_mut().for_each(Server::kill);
    if let Some(nginx) = &mut nginx {
        nginx.kill().unwrap();
        nginx.wait().unwrap();
    }
    let memory = (watched.all.load(Ordering::Relaxed), watched.own.load(Ordering::Relaxed));
    Load { stories, pages, n_servers, away, signing_in, memory, known_after }
}

/// Gives all accounts the password; says which pool there is.
async fn prepare(root: &Path) -> i64 {
    let project = Project::open(root).await.unwrap();
    let hash = affectory_web::hash_password(PASSWORD, [7; 32]).unwrap();
    for account in project.catalog.list_accounts().await.unwrap() {
        let change = AccountChange::Password(&hash);
        project.catalog.change_account(account.id, change, "bench", now_ms()).await.unwrap();
    }
    let pool = project.catalog.list_pools().await.unwrap()[0].id.0;
    project.catalog.close().await;
    pool
}

/// Until the dashboard counts the last answer.
async fn wait_until_known(browser: &mut Browser, root: &Path, ended: Instant) {
    let project = Project::open(root).await.unwrap();
    let mut log = RatingLog::default();
    log.refresh(&project.catalog).await.unwrap();
    let last = log.last().0;
    while ended.elapsed() < Duration::from_secs(120) {
        let (_, body) = browser.ask("GET", "/api/agreement", "").await.unwrap();
        let agreement: Value = serde_json::from_slice(&body).unwrap();
        if agreement["last_annotation"].as_i64() == Some(last) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(root: &Path, address: &str, url: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
        command.arg("--project").arg(root).args(["serve", "--bind", address, "--url", url]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        LineReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { child, address: address.to_owned() }
    }

    /// With SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The proxy that we tell people to use, before these servers and without TLS.
fn start_nginx(folder: &Path, entrance: &str, servers: &[Server]) -> Child {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nginx/affectory.conf");
    let mut n_servers = 0;
    let lines = std::fs::read_to_string(ours).unwrap();
    let lines = lines.lines().filter_map(|line| {
        let trimmed = line.trim();
        if let Some((_, rules)) = trimmed.strip_prefix("server web-").and_then(|rest| rest.split_once(' ')) {
            let server = servers.get(n_servers).map(|server| format!("server {} {rules}", server.address));
            n_servers += 1;
            return server;
        }
        match trimmed {
            "listen 443 ssl;" => Some(format!("listen {entrance};")),
            _ if trimmed.starts_with("ssl_certificate") => None,
            _ => Some(line.to_owned()),
        }
    });
    let settings = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(n_servers, servers.len(), "the example has so many servers");
    let at = folder.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000;\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u;\n\
         scgi_temp_path {at}/s;\n{settings}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let nginx = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn();
    let nginx = nginx.expect("nginx is not installed (apt-get install nginx-light)");
    let began = Instant::now();
    while std::net::TcpStream::connect(entrance).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nginx does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    nginx
}

/// The servers' processes, none when all is over, and their peak memory in MB.
#[derive(Default)]
struct Watched {
    pids: Mutex<Vec<u32>>,
    all: AtomicU64,
    own: AtomicU64,
}

/// Looks at the processes five times a second, until there is none.
fn watch_memory(watched: &Watched) {
    loop {
        let pids = watched.pids.lock().unwrap().clone();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
            };
            watched.all.fetch_max(field("VmHWM:"), Ordering::Relaxed);
            watched.own.fetch_max(field("RssAnon:"), Ordering::Relaxed);
        }
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

/// One connection that is kept, as a browser has it.
struct Browser {
    address: String,
    head: String,
    /// The session's word, of the last answer that brought one.
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Browser {
    fn new(address: &str) -> Browser {
        let head = format!("Host: {address}\r\n");
        Browser { address: address.to_owned(), head, token: String::new(), stream: None }
    }

    /// Signs an account in; the session is kept to the end.
    async fn sign_in(&mut self, account: u64) {
        let form = format!("email={account}%40example.org&password={}", PASSWORD.replace(' ', "+"));
        let (status, answer) = loop {
            // A server that is killed just now takes the request with it.
            match self.ask("POST", "/login", &form).await {
                Ok((408 | 500.., _)) | Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
                Ok(answer) => break answer,
            }
        };
        assert_eq!(status, 303, "account {account} is signed in: {}", String::from_utf8_lossy(&answer));
        let csrf = sha256(&format!("csrf of {}", self.token));
        self.head += &format!("Cookie: affectory={}\r\nX-CSRF-Token: {}\r\n", self.token, csrf.as_str());
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
        let kind = match body {
            "" => "",
            _ if body.starts_with('{') => "Content-Type: application/json\r\n",
            _ => "Content-Type: application/x-www-form-urlencoded\r\n",
        };
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
                (Some((name, value)), _) if name.eq_ignore_ascii_case("set-cookie") => {
                    let token = value.trim().strip_prefix("affectory=").and_then(|rest| rest.split(';').next());
                    self.token = token.unwrap_or_default().to_owned();
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

    /// Asks until there is an answer, as the annotation page does; says how long that answer took, and all of it.
    async fn insist(&mut self, path: &str, body: &Value, n_again: &mut u64) -> (Value, [Duration; 2]) {
        let first = Instant::now();
        let body = body.to_string();
        let mut pause = Duration::from_millis(250);
        loop {
            let began = Instant::now();
            match self.ask("POST", path, &body).await {
                Ok((200, answer)) => {
                    return (serde_json::from_slice(&answer).unwrap(), [began.elapsed(), first.elapsed()]);
                }
                // 502: nginx found the server dead.
                Ok((502, _)) => {}
                Ok((status @ (408 | 429 | 500..), _)) => eprintln!("{path}: {status}"),
                // Also who is no longer signed in.
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
            let (answer, [took, waited]) = browser.insist(&path, &json!({ "n": HELD }), &mut story.n_again).await;
            story.asked.push(Asked { what: "next", at, took, waited });
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
            let sent = json!({ "events": events });
            let (answer, [took, waited]) = browser.insist("/api/events", &sent, &mut story.n_again).await;
            story.asked.push(Asked { what: "save", at, took, waited });
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

/// The lead's browser, which is given back signed in.
async fn lead(mut browser: Browser, shared: Arc<Shared>) -> (Vec<Asked>, Browser) {
    let mut asked = Vec::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        for what in PAGES {
            let at = shared.start.elapsed();
            let began = Instant::now();
            if let Ok((200, _)) = browser.ask("GET", what, "").await {
                asked.push(Asked { what, at, took: began.elapsed(), waited: began.elapsed() });
            }
        }
        tokio::time::sleep(ROUND).await;
    }
    (asked, browser)
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
    for (gone, back) in &load.away {
        println!(
            "a server of {} killed at {:.0} s, back after {:.1} s",
            load.n_servers,
            gone.as_secs_f64(),
            (*back - *gone).as_secs_f64()
        );
    }
    for took in &load.signing_in {
        println!("signing in while one was away took {:.2} s", took.as_secs_f64());
    }
    println!(
        "peak memory {} MB, {} MB of it not of files; the dashboard knew the last answer after {:.1} s",
        load.memory.0,
        load.memory.1,
        load.known_after.as_secs_f64()
    );
    let asked: Vec<&Asked> = load.stories.iter().flat_map(|story| &story.asked).collect();
    println!("{:20} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}", "milliseconds", "n", "1/s", "p50", "p95", "p99", "max");
    let warming = WARMING.min(length / 10);
    let is_warm = |asked: &&Asked| {
        asked.at > warming && !load.away.iter().any(|(gone, back)| (*gone..*back + warming).contains(&asked.at))
    };
    let took = |asked: &[&Asked]| asked.iter().map(|asked| asked.took).collect::<Vec<_>>();
    let mut is_met = load.memory.0 < 500;
    for what in ["next", "save"] {
        let all: Vec<&Asked> = asked.iter().copied().filter(|asked| asked.what == what).collect();
        let answered = line(what, &took(&all), length);
        let waited: Vec<Duration> = all.iter().map(|asked| asked.waited).collect();
        let waited = line(&format!("{what}, with retries"), &waited, length);
        line(&format!("{what}, nobody killed"), &took(&all.into_iter().filter(is_warm).collect::<Vec<_>>()), length);
        // Of several servers the others are there when one is killed: nobody is to wait for it.
        is_met &= if load.n_servers > 1 { waited < 80.0 } else { answered < 50.0 };
    }
    let pages: Vec<&Asked> = load.pages.iter().collect();
    for what in PAGES {
        line(what, &took(&pages.iter().copied().filter(|asked| asked.what == what).collect::<Vec<_>>()), length);
    }
    is_met & (line("pages", &took(&pages), length) < 200.0)
}

/// Prints one line; gives the 99th percentile in ms.
fn line(name: &str, times: &[Duration], length: Duration) -> f64 {
    let mut times: Vec<f64> = times.iter().map(|time| 1000.0 * time.as_secs_f64()).collect();
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    println!(
        "{name:20} {:7} {:8.1} {:8.1} {:8.1} {:8.1} {:8.1}",
        times.len(),
        times.len() as f64 / length.as_secs_f64(),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    at(0.99)
}
