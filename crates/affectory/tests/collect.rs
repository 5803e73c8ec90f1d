//! Does `collect` end the same however often it is killed, and does it say what to do when it cannot begin?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;

#[path = "../../catalog/tests/catalog/buckets.rs"]
#[expect(dead_code, reason = "the catalogue's stories use more of it")]
mod buckets;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn affectory(project: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").env("AFFECTORY_PEXELS_KEY", "sesame").stdin(Stdio::null());
    command.arg("--project").arg(project).args(args);
    command
}

fn run(project: &Path, args: &[&str]) -> Output {
    affectory(project, args).output().unwrap()
}

fn json(project: &Path, args: &[&str]) -> serde_json::Value {
    let output = run(project, &[&["--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Provider and image server in one: each query has twenty photographs of six hundred; of ten addresses one is gone and
/// one is a web page.
fn serve() -> String {
    serve_with(|asked, base| {
        let (status, body) = answer(&asked.path, base);
        (status.to_owned(), body)
    })
}

/// A request: its path with the query, and its header lines.
struct Asked {
    path: String,
    head: Vec<String>,
}

impl Asked {
    /// Whether this header came along; its name in small letters.
    fn has(&self, name: &str, value: &str) -> bool {
        let is_it = |line: &String| {
            line.split_once(':').is_some_and(|(n, v)| n.eq_ignore_ascii_case(name) && v.trim() == value)
        };
        self.head.iter().any(is_it)
    }
}

/// What a server does with a request and its own address.
type Answer = dyn Fn(&Asked, &str) -> (String, Vec<u8>) + Send + Sync;

/// A server whose answers (status line with further headers, body) follow from the request and its own address. It hears
/// all of loopback's addresses.
fn serve_with(answer: impl Fn(&Asked, &str) -> (String, Vec<u8>) + Send + Sync + 'static) -> String {
    let answer: Arc<Answer> = Arc::new(answer);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let base = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (base, answer) = (base.clone(), Arc::clone(&answer));
            std::thread::spawn(move || answer_all(stream, &base, answer.as_ref()));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream, base: &str, answer: &Answer) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let head = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let asked = Asked { path: first.split(' ').nth(1).unwrap_or_default().to_owned(), head };
        let (status, body) = answer(&asked, base);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

fn answer(path: &str, base: &str) -> (&'static str, Vec<u8>) {
    let photo = |n: u32| {
        serde_json::json!({
            "id": n, "url": format!("https://pages.example/{n}"), "alt": "a face",
            "src": { "original": format!("{base}/photo/{n}.jpg") },
        })
    };
    if path.starts_with("/v1/search") {
        let first = path.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 581;
        let photos: Vec<_> = (first..first + 20).map(photo).collect();
        return ("200 OK", serde_json::json!({ "photos": photos, "total_results": 20 }).to_string().into_bytes());
    }
    let number = path.strip_prefix("/photo/").and_then(|name| name.strip_suffix(".jpg")?.parse::<u32>().ok());
    match number {
        Some(n) if n % 10 == 1 => ("200 OK", b"<html>no picture</html>".to_vec()),
        Some(n) if n % 10 != 0 => {
            // A little slow, so that there is something to interrupt.
            std::thread::sleep(Duration::from_millis(4));
            let shade = [(n % 256) as u8, (n / 256) as u8 * 90, 60];
            let picture = affectory_imaging::RgbImage::filled(32, 24, shade);
            ("200 OK", affectory_imaging::encode_png(&picture).unwrap())
        }
        _ => ("404 Not Found", Vec::new()),
    }
}

fn project(folder: &Path, name: &str, server: &str) -> PathBuf {
    let project = folder.join(name);
    let settings = format!(
        "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\nbase_url = \"{server}\"\npause_ms = 0\n\
         daily_budget = 100000\n[fetch]\npause_ms = 0\nper_host = 4\nopen_networks = [\"127.0.0.1\"]\n"
    );
    // There before the project is: `init` leaves it alone.
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("collect.toml"), &settings).unwrap();
    let init = Command::new(env!("CARGO_BIN_EXE_affectory"))
        .args(["init", "--catalog", &catalogue::catalog()])
        .arg(&project)
        .output()
        .unwrap();
    assert!(init.status.success());
    assert_eq!(std::fs::read_to_string(project.join("collect.toml")).unwrap(), settings);
    let planned = json(&project, &["collect", "plan", "--limit", "2"]);
    assert_eq!((planned["total"].as_u64(), planned["new"].as_u64()), (Some(96), Some(96)));
    project
}

/// A bucket that is away for seconds, twice, in the middle of it.
#[test]
fn a_collection_waits_for_a_bucket_that_is_away_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, s3) = (serve(), buckets::S3::start());
    let (calm, far) = (project(folder.path(), "calm", &server), project(folder.path(), "far", &server));
    json(&calm, &["collect", "run"]);
    let config = far.join("affectory.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"local\"", "\"s3://faces/far\"")).unwrap();
    let mut command = affectory(&far, &["--json", "collect", "run"]);
    let child = command.envs(s3.variables()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..2 {
        let before = s3.asked().len();
        while s3.asked().len() < before + 40 {
            std::thread::sleep(Duration::from_millis(5));
        }
        s3.set(buckets::Fault::Busy(Instant::now() + Duration::from_secs(3)));
        std::thread::sleep(Duration::from_secs(3));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(objects_in(&s3.file("far")), objects_in(&calm.join("objects")));
    let outcomes = |project: &Path| json(project, &["collect", "status"])["outcomes"].clone();
    assert_eq!(far_json(&far, &s3, &["collect", "status"])["outcomes"], outcomes(&calm));
}

fn far_json(project: &Path, s3: &buckets::S3, args: &[&str]) -> serde_json::Value {
    let output = affectory(project, &[&["--json"], args].concat()).envs(s3.variables()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The state that must not depend on what was killed: outcomes, hits, images, and the objects in the store.
fn state(project: &Path) -> (serde_json::Value, serde_json::Value, Vec<String>) {
    let status = json(project, &["collect", "status"]);
    let counts = json(project, &["doctor"])["project"]["counts"].clone();
    (
        serde_json::json!([status["outcomes"], status["searches"], status["yield"]]),
        counts,
        objects_in(&project.join("objects")),
    )
}

/// Names of the objects below a folder.
fn objects_in(folder: &Path) -> Vec<String> {
    let mut objects = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                objects.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    objects.retain(|name| name.len() == 64);
    objects.sort();
    objects
}

#[test]
fn a_collection_killed_twelve_times_ends_as_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve();
    let (calm, wild) = (project(folder.path(), "calm", &server), project(folder.path(), "wild", &server));
    let began = Instant::now();
    let done = json(&calm, &["collect", "run"]);
    let length = began.elapsed();
    assert!(done["fetched"]["fetched"].as_u64() > Some(100), "{done}");
    let mut n_killed = 0;
    for k in 0..12 {
        let mut child =
            affectory(&wild, &["collect", "run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(length.mul_f64(f64::from((k * 7 + 3) % 12) / 12.0));
        n_killed += u32::from(child.try_wait().unwrap().is_none());
        // SIGKILL: nothing of the program runs afterwards.
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(n_killed > 0, "no run was hit");
    json(&wild, &["collect", "run"]);
    assert_eq!(state(&wild), state(&calm));
    // The report is written where it was asked for, and by --json alone nowhere.
    let out = folder.path().join("supplement.html");
    let report = json(&wild, &["collect", "report", "--no-pictures", "--out", out.to_str().unwrap()]);
    assert_eq!(report["totals"]["fetched"], json(&calm, &["collect", "report"])["totals"]["fetched"]);
    assert!(std::fs::read_to_string(out).unwrap().starts_with("<!DOCTYPE html>") && !calm.join("report.html").exists());
    assert!(run(&calm, &["collect", "report"]).status.success() && calm.join("report.html").exists());
    // Nothing is left to do, and a second look at what was gone is one command.
    assert_eq!(json(&wild, &["collect", "run"])["fetched"]["fetched"], 0);
    let retried = run(&wild, &["--json", "collect", "retry", "--only", "gone,5xx"]);
    let told: serde_json::Value = serde_json::from_slice(&retried.stdout).unwrap();
    assert!(told["reopened"].as_u64() > Some(5));
    assert!(String::from_utf8_lossy(&retried.stderr).contains("no address ended in `5xx`"), "and the rest is done");
}

/// A tar that was cut short would be read as a whole one, by whoever trains from it.
#[test]
fn an_export_killed_at_any_moment_leaves_whole_shards_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path(), "p", &serve());
    json(&project, &["collect", "run", "--no-faces"]);
    let export = |out: &Path| {
        affectory(&project, &["--json", "collect", "export", "--shard-size", "40", "--out", out.to_str().unwrap()])
    };
    let tars = |out: &Path| -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(out).into_iter().flatten().map(|entry| entry.unwrap());
        let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
        let mut tars: Vec<_> = named.filter(|(name, _)| !name.starts_with('.') && name.ends_with(".tar")).collect();
        tars.sort();
        tars.into_iter().map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
    };
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let began = Instant::now();
    assert!(export(&whole).output().unwrap().status.success());
    let length = began.elapsed();
    let expected = tars(&whole);
    assert!(expected.len() > 5);
    let mut n_killed = 0;
    for k in 0..12 {
        let mut child = export(&cut).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(length.mul_f64(f64::from((k * 7 + 3) % 12) / 12.0));
        n_killed += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        for (name, bytes) in tars(&cut) {
            assert!(expected.contains(&(name.clone(), bytes)), "{name} is not whole");
        }
    }
    assert!(n_killed > 0, "no export was hit");
    assert!(export(&cut).output().unwrap().status.success());
    assert!(tars(&cut) == expected);
}

/// A project with one query on its list that keeps no picture without a face of this size.
fn picky_project(folder: &Path, name: &str, server: &str, usable_px: u32) -> PathBuf {
    let project = folder.join(name);
    std::fs::create_dir(&project).unwrap();
    let settings = format!(
        "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\nbase_url = \"{server}\"\npause_ms = 0\n\
         [fetch]\npause_ms = 0\nper_host = 8\nopen_networks = [\"127.0.0.1\"]\n\
         [faces]\nusable_px = {usable_px}\ndrop_unusable = true\n"
    );
    std::fs::write(project.join("collect.toml"), settings).unwrap();
    assert!(
        affectory(&project, &["init", "--catalog", &catalogue::catalog()])
            .arg(&project)
            .output()
            .unwrap()
            .status
            .success()
    );
    json(&project, &["collect", "plan", "--limit", "1", "--languages", "en", "--expressions", "happy"]);
    project
}

/// What a hostile answer of an engine may point at, and the class with which each must be refused.
const HOSTILE_URLS: [(&str, &str); 14] = [
    ("http://169.254.169.254/latest/meta-data/", "forbidden-address"),
    ("http://10.0.0.7/a.jpg", "forbidden-address"),
    ("http://192.168.1.1/a.jpg", "forbidden-address"),
    ("http://127.0.0.2/a.jpg", "forbidden-address"),
    ("http://2130706434/b.jpg", "forbidden-address"),
    ("http://0177.0.0.2/c.jpg", "forbidden-address"),
    ("http://0x7f.0.0.2/d.jpg", "forbidden-address"),
    ("http://[::1]/a.jpg", "forbidden-address"),
    ("http://[::ffff:10.0.0.7]/a.jpg", "forbidden-address"),
    ("http://[fd00::1]/a.jpg", "forbidden-address"),
    ("http://[64:ff9b::a00:7]/a.jpg", "forbidden-address"),
    ("BASE/redirect/http://127.0.0.2/", "forbidden-address"),
    ("BASE/redirect/file:///etc/passwd", "forbidden-scheme"),
    ("BASE/redirect/http://www.example.org@10.0.0.7/", "user-info"),
];

/// What is refused before it becomes an address at all.
const NO_ADDRESSES: [(&str, &str); 4] = [
    ("file:///etc/passwd", "forbidden-scheme"),
    ("javascript:alert(1)", "forbidden-scheme"),
    ("http://www.example.org@10.0.0.7/", "user-info"),
    ("http://image.shutterstock.com/1.jpg", "excluded-host"),
];

/// Files of `AFFECTORY_DATA/broken` that are no pictures for us, with the class; those with `unreadable` are only found
/// out by decoding them. Whatever is not named here is a picture without a face, or with one.
const BROKEN_FILES: [(&str, &str); 10] = [
    ("empty.jpg", "not-an-image"),
    ("html_named.jpg", "not-an-image"),
    ("svg_script.svg", "not-an-image"),
    ("zip.jpg", "not-an-image"),
    ("truncated_header.jpg", "damaged"),
    ("bomb_20000x20000.png", "too-many-pixels"),
    ("huge_header.png", "too-many-pixels"),
    ("truncated.jpg", "damaged"),
    ("bad_crc.png", "unreadable"),
    ("bitflips.jpg", "damaged"),
];

#[test]
#[expect(clippy::disallowed_methods, reason = "a test asks where its data is")]
fn every_hostile_address_and_broken_file_has_its_class_in_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let broken = std::env::var("AFFECTORY_DATA").ok().map(|data| PathBuf::from(data).join("broken"));
    let files: Vec<String> = match &broken {
        Some(folder) => {
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        }
        None => {
            println!("SKIPPED: the broken files are in AFFECTORY_DATA, which is not set; hostile addresses are tested");
            Vec::new()
        }
    };
    let names = files.clone();
    let server = serve_with(move |asked, base| {
        let path = asked.path.as_str();
        if path.starts_with("/v1/search") {
            let hostile = HOSTILE_URLS.iter().map(|(url, _)| url.replace("BASE", base));
            let files = names.iter().enumerate().map(|(n, _)| format!("{base}/file/{n}"));
            let urls = hostile.chain(files).chain(NO_ADDRESSES.map(|(url, _)| url.to_owned()));
            let photos: Vec<_> = urls.map(|url| serde_json::json!({ "id": 1, "src": { "original": url } })).collect();
            return ("200 OK".into(), serde_json::json!({ "photos": photos, "total_results": 9 }).to_string().into());
        }
        if let Some(target) = path.strip_prefix("/redirect/") {
            return (format!("302 Found\r\nLocation: {target}"), Vec::new());
        }
        match (path.strip_prefix("/file/").and_then(|n| n.parse::<usize>().ok()), &broken) {
            (Some(n), Some(folder)) => ("200 OK".into(), std::fs::read(folder.join(&names[n])).unwrap()),
            _ => ("404 Not Found".into(), Vec::new()),
        }
    });
    let project = picky_project(folder.path(), "p", &server, 60);
    let done = json(&project, &["collect", "run"]);
    assert_eq!(done["searches"][0]["left_out"], NO_ADDRESSES.len(), "{done}");
    let left_out = &json(&project, &["collect", "status"])["left_out"];
    for (_, class) in NO_ADDRESSES {
        let n = NO_ADDRESSES.iter().filter(|(_, other)| *other == class).count();
        let row = left_out.as_array().unwrap().iter().find(|row| row["reason"] == class);
        assert_eq!(row.map(|row| &row["results"]), Some(&n.into()), "{class}: {left_out}");
    }

    let listed = json(&project, &["collect", "list"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), HOSTILE_URLS.len() + files.len(), "every address has one outcome");
    let class_of = |url: &str| {
        let same = |row: &&serde_json::Value| row["url"].as_str().is_some_and(|listed| listed.ends_with(url));
        let row = listed.iter().find(same).unwrap_or_else(|| panic!("{url} is not among {listed:#?}"));
        row["unusable"].as_str().filter(|why| *why == "unreadable").or(row["outcome"].as_str()).unwrap().to_owned()
    };
    for (row, (url, class)) in listed.iter().zip(HOSTILE_URLS) {
        assert_eq!(row["outcome"], class, "{url}: {row}");
    }
    for (n, name) in files.iter().enumerate() {
        let class = BROKEN_FILES.iter().find(|(file, _)| file == name).map_or("fetched", |(_, class)| class);
        assert_eq!(class_of(&format!("/file/{n}")), class, "{name}");
    }
    // By policy nothing without a face of use is kept, and everything else is.
    let (_, _, objects) = state(&project);
    for row in listed.iter().filter(|row| row["outcome"] == "fetched") {
        let is_kept = objects.iter().any(|object| Some(object.as_str()) == row["sha256"].as_str());
        assert_eq!(is_kept, row["unusable"].is_null(), "{row}");
    }

    // Faces looked for later are judged by the same settings; here none is large enough.
    if !files.is_empty() {
        let strict = picky_project(folder.path(), "strict", &server, 4_000);
        json(&strict, &["collect", "run", "--no-faces"]);
        json(&strict, &["faces", "run"]);
        let listed = json(&strict, &["collect", "list", "--only", "fetched"]);
        assert!(listed.as_array().unwrap().iter().any(|row| row["unusable"] == "small-faces"), "{listed}");
        assert_eq!(state(&strict).2, [""; 0], "nothing is kept");
    }
}

/// A new project, as `init` leaves it, with these settings of collecting written into it afterwards.
fn new_project(folder: &Path, name: &str, settings: &str) -> PathBuf {
    let project = folder.join(name);
    let mut init = Command::new(env!("CARGO_BIN_EXE_affectory"));
    let init = init.args(["init", "--catalog", &catalogue::catalog()]).arg(&project).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    std::fs::write(project.join("collect.toml"), settings).unwrap();
    project
}

/// Six hundred hosts with one picture each, and a process that may have 256 files and sockets open. Its idle connections
/// used to take them all, and what the catalogue could not open ended the run.
#[test]
fn more_hosts_than_open_files_are_allowed_are_all_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve_with(|asked, base| {
        if asked.path == "/robots.txt" {
            return ("404 Not Found".into(), Vec::new());
        }
        if asked.path.starts_with("/v1/search") {
            let page = asked.path.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse::<u32>().ok()).unwrap();
            let port = base.rsplit(':').next().unwrap();
            let photos: Vec<_> = (0..75)
                .map(|n| serde_json::json!({ "src": { "original": format!("http://127.0.{page}.{}:{port}/{n}.jpg", n + 1) } }))
                .collect();
            let next = (page < 8).then_some("more");
            let body = serde_json::json!({ "photos": photos, "next_page": next });
            return ("200 OK".into(), body.to_string().into());
        }
        let picture = affectory_imaging::RgbImage::filled(8, 8, [90, 60, 30]);
        ("200 OK".into(), affectory_imaging::encode_png(&picture).unwrap())
    });
    for concurrency in [64, 2_000] {
        let settings = format!(
            "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\nbase_url = \"{server}\"\npause_ms = 0\n\
             [fetch]\nconcurrency = {concurrency}\nopen_networks = [\"127.0.0.0/8\"]\n"
        );
        let project = new_project(folder.path(), &format!("p{concurrency}"), &settings);
        json(&project, &["collect", "plan", "--limit", "1", "--languages", "en", "--expressions", "happy"]);
        json(&project, &["collect", "run", "--no-fetch", "--no-faces"]);
        let program =
            affectory(&project, &["--json", "collect", "run", "--no-search", "--no-faces", "--patience", "0"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
        let output = shell.env_remove("AFFECTORY_LOG").stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&done["fetched"]["fetched"], &done["fetched"]["postponed"]), (&600.into(), &0.into()), "{told}");
        assert_eq!(told.contains("ulimit -Hn") && told.contains("64 at once"), concurrency > 64, "{told}");
    }
}

/// What a paper's reader would do: a new project, two engines with a key each, and the report.
#[test]
fn a_new_user_collects_from_two_engines_and_reads_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let picture = |n: u32| {
        let shade = [(n * 40) as u8, 90, 60];
        affectory_imaging::encode_png(&affectory_imaging::RgbImage::filled(32, 24, shade)).unwrap()
    };
    // Its own six photographs, of which one is gone; the other engine finds two of them as well.
    let pexels = serve_with(move |asked, base| {
        if asked.path.starts_with("/v1/search") {
            if !asked.has("authorization", "sesame") {
                return ("401 Unauthorized".into(), Vec::new());
            }
            let photo = |n: u32| serde_json::json!({ "url": format!("https://pages.example/{n}"), "src": { "original": format!("{base}/{n}.png") } });
            let photos: Vec<_> = (1..=6).map(photo).collect();
            return ("200 OK".into(), serde_json::json!({ "photos": photos }).to_string().into());
        }
        match asked.path.trim_start_matches('/').trim_end_matches(".png").parse::<u32>() {
            Ok(n) if n < 6 => ("200 OK".into(), picture(n)),
            _ => ("404 Not Found".into(), Vec::new()),
        }
    });
    let shared = pexels.clone();
    let brave = serve_with(move |asked, base| {
        if asked.path.starts_with("/res/v1/images/search") {
            if !asked.has("x-subscription-token", "open") {
                return ("401 Unauthorized".into(), Vec::new());
            }
            let urls = [format!("{shared}/1.png"), format!("{shared}/2.png"), format!("{base}/a.png")];
            let results: Vec<_> = urls.iter().map(|url| serde_json::json!({ "properties": { "url": url } })).collect();
            return ("200 OK".into(), serde_json::json!({ "results": results }).to_string().into());
        }
        // The same picture as one of the other engine's, at another address.
        if asked.path == "/a.png" { ("200 OK".into(), picture(3)) } else { ("404 Not Found".into(), Vec::new()) }
    });
    let settings = format!(
        "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\nbase_url = \"{pexels}\"\npause_ms = 0\n\
         [[provider]]\nkind = \"brave\"\nbase_url = \"{brave}\"\nkey_env = \"OUR_BRAVE_KEY\"\npause_ms = 0\n\
         [fetch]\npause_ms = 0\nopen_networks = [\"127.0.0.1\"]\n"
    );
    let project = new_project(folder.path(), "p", &settings);
    let told = |args: &[&str]| {
        let output = affectory(&project, args).env("OUR_BRAVE_KEY", "open").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!run(&project, &["collect", "run"]).status.success(), "there is no plan");
    let plan = told(&["collect", "plan", "--limit", "1", "--languages", "en,fa", "--expressions", "happy,fear"]);
    assert!(plan.contains("8 new queries on the list for pexels, brave"), "{plan}");
    let done = told(&["collect", "run"]);
    assert!(done.contains("pexels: 4 pages, 24 hits") && done.contains("brave: 4 pages, 12 hits"), "{done}");
    let status = told(&["collect", "status"]);
    assert!(status.contains("4 of 600") && status.contains("4 of 60\n"), "{status}");

    let report: serde_json::Value = serde_json::from_str(&told(&["--json", "collect", "report"])).unwrap();
    let count = |step: &serde_json::Value| step["count"].as_u64().unwrap();
    let steps: Vec<u64> = report["steps"].as_array().unwrap().iter().map(count).collect();
    // Hits, addresses, addresses tried, addresses with an image, images.
    assert_eq!(steps[..5], [36, 7, 7, 6, 5], "{report}");
    let by_engine = &report["crossings"][0];
    assert_eq!(by_engine["rows"], serde_json::json!(["pexels", "brave"]), "{report}");
    let found = serde_json::json!([{ "addresses": 6, "fetched": 5, "usable": 0 }, { "addresses": 3, "fetched": 3, "usable": 0 }]);
    assert_eq!(by_engine["row_sums"], found, "{report}");
    assert_eq!(report["copies"][1], serde_json::json!({ "addresses": 2, "images": 1 }), "{report}");
    told(&["collect", "report"]);
    let page = std::fs::read_to_string(project.join("report.html")).unwrap();
    for part in ["pexels", "brave", "English", "Farsi", "happy", "fear", "gone"] {
        assert!(page.contains(part), "{part} is not in the report");
    }
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let project = new_project(folder.path(), "p", affectory_collect::template());
    let refused = |args: &[&str]| {
        let output = run(&project, args);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.trim_end().lines().count()), (Some(1), 1), "{line}");
        line
    };
    assert!(refused(&["collect", "run"]).contains("contact"));
    std::fs::write(project.join("collect.toml"), "contact = \"lab@example.org\"\n").unwrap();
    assert!(refused(&["collect", "run"]).contains("--no-search"));
    std::fs::write(project.join("collect.toml"), "contact = \"lab@example.org\"\n[[provider]]\nkind = \"brave\"\n")
        .unwrap();
    assert!(refused(&["collect", "run"]).contains("AFFECTORY_BRAVE_KEY"));
    assert!(refused(&["collect", "plan", "--languages", "xx"]).contains("keywords/xx.toml"));
    assert!(refused(&["collect", "plan", "--expressions", "none"]).contains("takes neutral, happy"));
    assert!(!refused(&["collect", "plan", "--expressions", "hapy"]).contains("non-face"));
    assert_eq!(run(&project, &["collect", "plan", "--limit", "0"]).status.code(), Some(2));
    let retried = refused(&["collect", "retry", "--only", "timeout,5xx"]);
    assert!(retried.contains("`timeout`, `5xx`") && !retried.contains("there are"), "{retried}");
    let shown = run(&project, &["collect", "plan", "--show"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("5814"));
    std::fs::write(project.join("collect.toml"), "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\n")
        .unwrap();
    assert!(refused(&["collect", "run"]).contains("affectory collect plan"));
    // A lab's own language is shown before anything is on the list.
    std::fs::create_dir(project.join("keywords")).unwrap();
    let english = include_str!("../../collect/keywords/en.toml");
    std::fs::write(project.join("keywords/hsb.toml"), english.replace("code = \"en\"", "code = \"hsb\"")).unwrap();
    let shown = run(&project, &["collect", "plan", "--show", "--languages", "hsb"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("hsb"), "{}", String::from_utf8_lossy(&shown.stderr));
}
