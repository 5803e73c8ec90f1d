//! Does `collect` end the same however often it is killed, and does it say what to do when it cannot begin?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let base = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let base = base.clone();
            std::thread::spawn(move || answer_all(stream, &base));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream, base: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (status, body) = answer(path, base);
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
    let init = Command::new(env!("CARGO_BIN_EXE_affectory")).arg("init").arg(&project).output().unwrap();
    assert!(init.status.success());
    assert_eq!(std::fs::read_to_string(project.join("collect.toml")).unwrap(), settings);
    let planned = json(&project, &["collect", "plan", "--limit", "2"]);
    assert_eq!((planned["total"].as_u64(), planned["new"].as_u64()), (Some(96), Some(96)));
    project
}

/// The state that must not depend on what was killed: outcomes, hits, images, and the objects in the store.
fn state(project: &Path) -> (serde_json::Value, serde_json::Value, Vec<String>) {
    let status = json(project, &["collect", "status"]);
    let counts = json(project, &["doctor"])["project"]["counts"].clone();
    let mut objects = Vec::new();
    let mut open = vec![project.join("objects")];
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
    (serde_json::json!([status["outcomes"], status["searches"], status["yield"]]), counts, objects)
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
    assert!(json(&wild, &["collect", "retry", "--only", "gone"])["reopened"].as_u64() > Some(5));
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("p");
    Command::new(env!("CARGO_BIN_EXE_affectory")).arg("init").arg(&project).output().unwrap();
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
    assert!(refused(&["collect", "plan", "--languages", "xx"]).contains("xx"));
    assert!(refused(&["collect", "retry", "--only", "timeout"]).contains("timeout"));
    let shown = run(&project, &["collect", "plan", "--show"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("5814"));
}
