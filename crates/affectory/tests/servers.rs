//! Are two web servers before one catalogue one server to those who sign in, try to, and annotate?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use affectory_annotate::{FaceFilter, PoolRequest, make_pool};
use affectory_catalog::{ImportItem, NewAccount, NewFace, NewImage, NewSighting, PoolRules, Project, Role, Strategy};
use affectory_core::{BoundingBox, PerceptualHash, Sha256Hex, Silent, Stop};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const PASSWORD: &str = "correct horse battery";

/// Faces of the pool, each for one annotator.
const N_FACES: usize = 40;

/// A project with a pool, four annotators, and two servers.
struct Lab {
    servers: Vec<Server>,
    pool: i64,
    folder: tempfile::TempDir,
}

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // With SIGKILL; one that is dead already says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn affectory(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").arg("--project").arg(root).args(args).stdin(Stdio::null());
    command
}

fn start(root: &Path, address: &str) -> Server {
    let mut child = affectory(root, &["serve", "--bind", address]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, address: line.trim().rsplit('/').next().unwrap().to_owned() }
}

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("p");
        let init = ["init", root.to_str().unwrap(), "--catalog", &catalogue::catalog()];
        assert!(affectory(&root, &init).output().unwrap().status.success());
        let pool = tokio::runtime::Runtime::new().unwrap().block_on(fill(&root));
        let servers = vec![start(&root, "127.0.0.1:0"), start(&root, "127.0.0.1:0")];
        Lab { servers, pool, folder }
    }

    /// Kills a server, if it still lives, and starts it anew.
    fn restart(&mut self, idx: usize) {
        let _ = self.servers[idx].child.kill();
        self.servers[idx].child.wait().unwrap();
        let address = self.servers[idx].address.clone();
        self.servers[idx] = start(&self.folder.path().join("p"), &address);
    }
}

async fn fill(root: &Path) -> i64 {
    let project = Project::open(root).await.unwrap();
    let item = |n: usize| ImportItem {
        image: NewImage {
            sha256: sha256(&n.to_string()),
            // Far from each other, or they would look alike.
            phash: PerceptualHash(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1)),
            width: 100,
            height: 100,
            format: "png".into(),
            size_bytes: 9,
        },
        sighting: NewSighting {
            source: "s".into(),
            path: n.to_string(),
            page_url: None,
            license: None,
            given_split: None,
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::new(10.0, 10.0, 50.0, 50.0).unwrap(),
            landmarks: None,
            annotations: vec![],
        }],
    };
    project.catalog.record_import(&(0..N_FACES).map(item).collect::<Vec<_>>(), 1).await.unwrap();
    let hash = affectory_web::hash_password(PASSWORD, [7; 32]).unwrap();
    for name in ["a0", "a1", "a2", "a3"] {
        let email = format!("{name}@lab.org");
        let new = NewAccount { email: &email, name, role: Role::Annotator, language: "en", password_hash: &hash };
        project.catalog.insert_account(&new, "test", 1).await.unwrap();
    }
    let rules = PoolRules {
        n_annotators: 1,
        overlap_percent: 0,
        gold_percent: 0,
        strategy: Strategy::Random,
        is_balanced: false,
        is_assisted: false,
        needs_quiz: false,
        seed: 1,
    };
    let filter = FaceFilter { min_px: 0.0, only_unlabelled: false, limit: None };
    let request = PoolRequest { name: "all".into(), rules, filter };
    let made = make_pool(&project.catalog, &request, None, (&Stop::default(), &Silent), 1).await.unwrap();
    project.catalog.close().await;
    made.pool.0
}

fn sha256(text: &str) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(text).into())
}

/// Status, cookie and body of an answer.
fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> (u16, Option<String>, String) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let (host, length) = (&server.address, body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: affectory="));
    let cookie = cookie.and_then(|rest| rest.split(';').next()).map(str::to_owned);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), cookie, body.to_owned())
}

fn sign_in(server: &Server, name: &str, password: &str) -> (u16, Option<String>) {
    let form = format!("email={name}%40lab.org&password={}", password.replace(' ', "+"));
    let (status, cookie, _) =
        ask(server, "POST", "/login", "Content-Type: application/x-www-form-urlencoded\r\n", &form);
    (status, cookie)
}

/// What a page's script asks for, signed in under a token.
fn api(server: &Server, path: &str, token: &str, body: &Value) -> Value {
    let csrf = sha256(&format!("csrf of {token}"));
    let headers =
        format!("Cookie: affectory={token}\r\nX-CSRF-Token: {}\r\nContent-Type: application/json\r\n", csrf.as_str());
    let (status, _, answer) = ask(server, "POST", path, &headers, &body.to_string());
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn whoever_signed_in_at_one_server_stays_signed_in_when_it_dies_and_out_is_out_at_both() {
    let mut lab = Lab::new();
    let token = sign_in(&lab.servers[0], "a0", PASSWORD).1.unwrap();
    let cookie = format!("Cookie: affectory={token}\r\n");
    let next = format!("/api/pools/{}/next", lab.pool);
    let given = api(&lab.servers[1], &next, &token, &json!({ "n": 3 }));
    let face = given["faces"][0]["face"].as_i64().unwrap();
    for idx in 0..2 {
        lab.servers[idx].child.kill().unwrap();
        lab.servers[idx].child.wait().unwrap();
        let other = &lab.servers[1 - idx];
        assert_eq!(ask(other, "GET", "/account", &cookie, "").0, 200);
        // An answer whose acknowledgement was lost with the one server is known to the other.
        let event = json!({ "id": "11111111", "kind": "answer", "pool": lab.pool, "face": face, "expression": 1,
            "valence": 0.5, "arousal": 0.25, "elapsed_ms": 900, "age_ms": 5, "is_outside": false });
        let outcome = api(other, "/api/events", &token, &json!({ "events": [event] }));
        assert_eq!(outcome["results"][0]["status"], if idx == 0 { "recorded" } else { "repeated" });
        lab.restart(idx);
        assert_eq!(ask(&lab.servers[idx], "GET", "/account", &cookie, "").0, 200);
    }
    let csrf = sha256(&format!("csrf of {token}"));
    let headers = format!("{cookie}X-CSRF-Token: {}\r\n", csrf.as_str());
    assert_eq!(ask(&lab.servers[0], "POST", "/logout", &headers, "").0, 303);
    assert_eq!(ask(&lab.servers[1], "POST", &next, &headers, "{}").0, 401, "signed out at one is signed out");
}

#[test]
fn failed_attempts_at_two_servers_are_counted_together_and_outlive_both() {
    let mut lab = Lab::new();
    for n in 0..5 {
        assert_eq!(sign_in(&lab.servers[n % 2], "a1", "wrong password").0, 401);
    }
    for server in &lab.servers {
        assert_eq!(sign_in(server, "a1", PASSWORD).0, 429);
    }
    lab.restart(0);
    assert_eq!(sign_in(&lab.servers[0], "a1", PASSWORD).0, 429);
    assert_eq!(sign_in(&lab.servers[0], "a2", PASSWORD).0, 303, "others may");
}

#[test]
fn two_servers_that_are_asked_at_once_give_no_face_twice() {
    let lab = Lab::new();
    let next = format!("/api/pools/{}/next", lab.pool);
    let given: Vec<(String, i64)> = std::thread::scope(|scope| {
        let asking: Vec<_> = ["a0", "a1", "a2", "a3"]
            .into_iter()
            .zip([0, 1, 0, 1])
            .map(|(name, home)| {
                let (lab, next) = (&lab, &next);
                scope.spawn(move || {
                    let token = sign_in(&lab.servers[home], name, PASSWORD).1.unwrap();
                    let mut given = Vec::new();
                    for n in 1..=8 {
                        // Now at the one, now at the other.
                        let answer = api(&lab.servers[(home + n) % 2], next, &token, &json!({ "n": n }));
                        given =
                            answer["faces"].as_array().unwrap().iter().map(|f| f["face"].as_i64().unwrap()).collect();
                    }
                    given.into_iter().map(|face| (name.to_owned(), face)).collect::<Vec<_>>()
                })
            })
            .collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(given.len(), 32);
    let mut holders: HashMap<i64, &str> = HashMap::new();
    for (name, face) in &given {
        assert_eq!(holders.insert(*face, name), None, "{face} went to {name} too");
    }
}
