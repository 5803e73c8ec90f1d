//! Where is shared work tried? With pictures on loopback, nats-servers that can be killed, and lines that can be cut.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use affectory_catalog::{Project, Secrets};
use affectory_imaging::{RgbImage, encode_jpeg};

#[path = "../../benches/loopback/mod.rs"]
#[expect(dead_code, reason = "only its list of addresses is wanted")]
mod loopback;

/// Serves pictures at each of [`addresses`]. `heard` is told which one is asked for, and by whom, before it is answered.
pub fn serve_pictures(heard: impl Fn(usize, &str) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(heard);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || answer_all(stream, &*heard));
        }
    });
    port
}

/// So many addresses at so many hosts of that server: 127.0.0.1, 127.0.0.2, ...
pub fn addresses(port: u16, n: usize, n_hosts: usize) -> Vec<String> {
    (0..n).map(|number| format!("http://127.0.0.{}:{port}/{number}.jpg", 1 + number % n_hosts)).collect()
}

/// Of ten addresses one is gone and one is a web page; the others are pictures without faces, some of them twice.
fn answer_all(mut stream: TcpStream, heard: &impl Fn(usize, &str)) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let number: Option<usize> = path.trim_matches('/').trim_end_matches(".jpg").parse().ok();
        let (status, body) = match number {
            None => ("404 Not Found", Vec::new()),
            Some(n) if n % 10 == 3 => ("410 Gone", Vec::new()),
            Some(n) if n % 10 == 7 => ("200 OK", b"<html>no picture</html>".to_vec()),
            Some(n) => ("200 OK", picture(n / 2)),
        };
        if let Some(number) = number {
            let agent = head.iter().find(|line| line.starts_with("user-agent:")).map_or("", String::as_str);
            heard(number, agent);
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

fn picture(n: usize) -> Vec<u8> {
    encode_jpeg(&RgbImage::filled(40, 40 + (n / 256) as u32, [n as u8, 100, 200]), 95).unwrap()
}

/// Puts addresses on a project's list, as searching does.
pub fn put_on_the_list(root: &Path, secrets: &Secrets, urls: &[String]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let project = Project::open_with(root, secrets).await.unwrap();
        loopback::put_on_the_list(&project, urls).await;
        project.catalog.close().await;
    });
}

pub fn affectory(project: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").stdin(Stdio::null()).arg("--project").arg(project).args(args);
    command
}

pub fn json(project: &Path, args: &[&str]) -> serde_json::Value {
    json_of(affectory(project, &[&["--json"], args].concat()))
}

/// What a command with `--json` answers.
pub fn json_of(mut command: Command) -> serde_json::Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn said(output: Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A nats-server of our own, or one of a cluster; its streams outlive it.
pub struct Nats {
    program: PathBuf,
    folder: tempfile::TempDir,
    pub port: u16,
    /// What makes it one of a cluster.
    further: Vec<String>,
    child: Child,
}

impl Nats {
    pub fn start() -> Option<Nats> {
        Some(Self::start_some(&[vec![]])?.remove(0))
    }

    /// Three that hold every shard together.
    pub fn start_cluster() -> Option<Vec<Nats>> {
        let routes = free_ports(3);
        let all: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let further: Vec<Vec<String>> = (0..3)
            .map(|n| {
                let args =
                    ["-n", &format!("n{n}"), "--cluster_name", "lab", "--cluster", &all[n], "--routes", &all.join(",")];
                args.map(str::to_owned).to_vec()
            })
            .collect();
        Self::start_some(&further)
    }

    #[expect(clippy::disallowed_methods, reason = "a test asks where its server is")]
    fn start_some(further: &[Vec<String>]) -> Option<Vec<Nats>> {
        let Some(program) = std::env::var_os("AFFECTORY_TEST_NATS_SERVER").map(PathBuf::from) else {
            println!("SKIPPED: AFFECTORY_TEST_NATS_SERVER names no nats-server (scripts/test-servers start)");
            return None;
        };
        let ports = free_ports(further.len());
        let start = |(further, port): (&Vec<String>, u16)| {
            let folder = tempfile::tempdir().unwrap();
            let child = Self::run(&program, folder.path(), port, further);
            Nats { program: program.clone(), folder, port, further: further.clone(), child }
        };
        Some(further.iter().zip(ports).map(start).collect())
    }

    fn run(program: &Path, folder: &Path, port: u16, further: &[String]) -> Child {
        let args = ["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd", folder.to_str().unwrap()];
        let child = Command::new(program).args(args).args(further).stderr(Stdio::null()).spawn().unwrap();
        wait_until("nats-server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        child
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.child = Self::run(&self.program, self.folder.path(), self.port, &self.further);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the system's own range: a server that comes back must find its port as it left it, and not in the hands of some
/// connection.
fn free_ports(n: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 11_000 + (std::process::id() % 200) as u16 * 100;
    let port = || first + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    std::iter::repeat_with(port).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(n).collect()
}

/// Makes servers the queue of a project.
pub fn serve(project: &Path, servers: &[Nats]) {
    set_queue(project, &servers.iter().map(|nats| nats.port).collect::<Vec<u16>>());
}

/// The same by their ports, or those of lines to them.
pub fn set_queue(project: &Path, ports: &[u16]) {
    let path = project.join("affectory.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let urls: Vec<String> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let (urls, replicas) = (urls.join(", "), ports.len());
    let queue = format!("{text}\n[queue]\nservers = [{urls}]\nname = \"lab\"\nreplicas = {replicas}\n");
    std::fs::write(path, queue).unwrap();
}

/// A line to a server that can be cut: what is sent meanwhile arrives afterwards, as TCP does it.
pub struct Line {
    pub port: u16,
    pub is_cut: Arc<AtomicBool>,
    /// Bytes that came through.
    pub n_heard: Arc<AtomicU64>,
}

impl Line {
    pub fn to(port: u16) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (is_cut, n_heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let line = Line { port: listener.local_addr().unwrap().port(), is_cut, n_heard };
        let (is_cut, n_heard) = (Arc::clone(&line.is_cut), Arc::clone(&line.n_heard));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (is_cut, n_heard) = (Arc::clone(&is_cut), Arc::clone(&n_heard));
                    std::thread::spawn(move || pass_on(from, to, &is_cut, &n_heard));
                }
            }
        });
        line
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool, n_heard: &AtomicU64) {
    let mut buffer = [0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        while is_cut.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        n_heard.fetch_add(n as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a process said once it has ended; one that does not end fails the test.
pub fn ended(mut child: Child) -> Output {
    let began = Instant::now();
    // A shard whose worker was told nothing more is handed out again after a minute.
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(300), "a process does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Everything that must not depend on who did the work: how each address ended, which images there are, how each was judged.
pub type End = (Vec<String>, Vec<String>, serde_json::Value);

pub fn end_of(project: &Path) -> End {
    end_in(&project.join("objects"), |args| affectory(project, args))
}

/// The same of a project whose objects are files there, and whose commands need more than a project.
pub fn end_in(objects: &Path, command: impl Fn(&[&str]) -> Command) -> End {
    let listed = command(&["collect", "list"]).output().unwrap();
    let mut addresses: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    addresses.sort();
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(objects).unwrap() {
        let files = std::fs::read_dir(entry.unwrap().path()).unwrap();
        names.extend(files.map(|name| name.unwrap().file_name().into_string().unwrap()));
    }
    // Whoever is killed while it writes leaves a part beside the place, `NAME#1`, that no reader meets.
    names.retain(|name| !name.contains('#'));
    names.sort();
    (addresses, names, json_of(command(&["--json", "faces", "status"])))
}
