//! Does a collection end, and each address in the way it must, when servers fail, are slow, or mean harm?
//!
//! `cargo bench -p affectory --bench hostile [ADDRESSES]` (default 4,000 at 400 hosts of loopback), with
//! `AFFECTORY_YARDSTICK_PYTHON`, a Python that has img2dataset. Of the addresses 5 % fail and 2 % are hostile, 5 % of the
//! hosts are slow, some of them for ever; `hostile/web.rs` has the list. Ours are whole commands with the settings of a new
//! project, but for the networks that are open: `collect run`, which ends with what is due within two minutes, and once
//! more with more patience, to the end of all attempts. The bench fails if one takes too long, or if any address ends
//! otherwise, after more attempts, or with more requests than its kind says. img2dataset keeps its own time-out (10 s for
//! each operation of a socket) and gets five minutes, after which it is killed. The whole takes about twenty minutes, most
//! of it waiting for another attempt. Memory: resident, all processes of a command, sampled ten times a second.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[path = "hostile/bombs.rs"]
mod bombs;
#[path = "loopback/command.rs"]
#[expect(dead_code, reason = "commands end here in other ways, too")]
mod command;
#[expect(dead_code, reason = "its server only means well")]
mod loopback;
#[path = "loopback/pictures.rs"]
mod pictures;
#[path = "hostile/web.rs"]
mod web;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use affectory_catalog::Project;
use command::{affectory, resident_kib};
use loopback::{count_done, img2dataset, put_on_the_list};
use pictures::draw_photographs;
use web::{Ending, Kind, Web};

/// As the benchmark of fetching has them.
const SIDE: u32 = 350;

/// Ours ends long before; if not, it hangs.
const MOST_OURS: Duration = Duration::from_secs(30 * 60);

const MOST_THEIRS: Duration = Duration::from_secs(5 * 60);

/// Memory at which a command is killed: others work on the machine, too.
const MOST_MB: u64 = 6_000;

#[tokio::main]
async fn main() {
    let n: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(4_000);
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("www");
    draw_photographs(&pictures, n, &[(SIDE, SIDE)]);
    let web = Web::start(&pictures, n).await;
    let (mut n_slow, mut n_failing, mut n_hostile) = (0, 0, 0);
    for kind in web.kinds() {
        n_slow += u32::from(kind.is_slow());
        n_failing += u32::from(kind.is_failing());
        n_hostile += u32::from(kind.is_hostile());
    }
    println!("{n} addresses: {n_failing} fail, {n_slow} are at slow hosts, {n_hostile} are hostile");
    ours(&folder.path().join("project"), &web).await;
    theirs(folder.path(), &web);
}

async fn ours(folder: &Path, web: &Arc<Web>) {
    assert!(affectory().arg("init").arg(folder).stdout(Stdio::null()).status().unwrap().success());
    let settings = "contact = \"lab@example.org\"\n[fetch]\nopen_networks = [\"127.1.0.0/16\"]\n";
    std::fs::write(folder.join("collect.toml"), settings).unwrap();
    let project = Project::open(folder).await.unwrap();
    put_on_the_list(&project, &web.addresses()).await;
    project.catalog.close().await;

    let began = Instant::now();
    for (name, patience) in [("collect run", "120"), ("once more, with --patience 600", "600")] {
        let mut command = affectory();
        command.arg("--project").arg(folder).args(["collect", "run", "--no-search", "--no-faces", "--patience"]);
        let run = tokio::task::block_in_place(|| watched(command.arg(patience), MOST_OURS));
        let n_pictures = status_of(folder).iter().filter(|row| row.state == "fetched").map(|row| row.n).sum::<u64>();
        println!("affectory, {name}: {}, {n_pictures} images, {} MB", run.told(), run.mb);
        assert_eq!(run.end, End::Well, "the command did not end well");
    }
    let seen = web.take_seen();
    println!(
        "the last of the sound pictures came after {:.0} s; {} connections, {} requests for robots.txt, {} into loopback",
        seen.last_picture.map_or(0.0, |at| (at - began).as_secs_f64()),
        seen.connections,
        seen.robots,
        seen.inside
    );
    assert_eq!(seen.inside, 0, "a redirect led into loopback");

    let ended = endings(folder, web);
    let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
    for (number, kind) in web.kinds().iter().enumerate() {
        kinds.entry(*kind).or_default().push(number);
    }
    println!("\n| what is behind the address | addresses | how all of them ended | attempts |\n|---|---:|---|---:|");
    let mut n_wrong = 0;
    for (kind, numbers) in kinds {
        let expected = kind.ending();
        println!("| {kind:?} | {} | {}: {} | {} |", numbers.len(), expected.state, expected.outcome, expected.attempts);
        for number in numbers {
            let (state, outcome, attempts) = &ended[&number];
            let requests = seen.requests.get(&number).copied().unwrap_or(0);
            let found = Ending { state, outcome, attempts: *attempts, requests };
            if found != expected {
                println!("  BUT {number}.jpg: {found:?}");
                n_wrong += 1;
            }
        }
    }
    println!();
    let by_outcome = status_of(folder);
    by_outcome.iter().for_each(|row| println!("{:6} {}: {}", row.n, row.state, row.outcome));
    assert_eq!(by_outcome.iter().map(|row| row.n).sum::<u64>(), web.kinds().len() as u64, "one outcome each");
    assert!(by_outcome.iter().all(|row| row.state != "new"), "something is still on the list");
    assert_eq!(n_wrong, 0, "addresses that did not end as they must");
}

/// A line of the outcomes.
struct Outcome {
    state: String,
    outcome: String,
    n: u64,
}

fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let output = affectory().arg("--project").arg(folder).arg("--json").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn status_of(folder: &Path) -> Vec<Outcome> {
    let status = json(folder, &["collect", "status"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("not tried yet").to_owned();
    let rows = status["outcomes"].as_array().unwrap().iter();
    rows.map(|row| Outcome {
        state: text(&row["state"]),
        outcome: text(&row["outcome"]),
        n: row["candidates"].as_u64().unwrap(),
    })
    .collect()
}

/// State, outcome and attempts of each address, by its number.
fn endings(folder: &Path, web: &Web) -> BTreeMap<usize, (String, String, u64)> {
    let numbers: BTreeMap<String, usize> = web.addresses().into_iter().zip(0..).collect();
    let listed = json(folder, &["collect", "list"]);
    let listed = listed.as_array().unwrap();
    let ended: BTreeMap<usize, _> = listed
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (numbers[row["url"].as_str().unwrap()], (text("state"), text("outcome"), row["attempts"].as_u64().unwrap()))
        })
        .collect();
    assert_eq!((listed.len(), ended.len()), (numbers.len(), numbers.len()), "each address is listed once");
    ended
}

fn theirs(folder: &Path, web: &Web) {
    let Some((mut command, output)) = img2dataset(folder, &web.addresses(), "2", 1) else { return };
    command.args(["--resize_mode=no", "--disable_all_reencoding=True"]);
    let run = tokio::task::block_in_place(|| watched(&mut command, MOST_THEIRS));
    let seen = web.take_seen();
    let in_shards = pictures_in_shards(&output, web);
    let n_hostile = in_shards.iter().filter(|kind| kind.is_hostile()).count();
    println!(
        "\nimg2dataset, 2 processes x 64 threads: {}, {} MB; by its own count {} images; in its shards {}, {n_hostile} of \
         them hostile, of {} addresses that it asked for; {} connections, {} requests for robots.txt, {} into loopback",
        run.told(),
        run.mb,
        count_done(&output),
        in_shards.len(),
        seen.requests.len(),
        seen.connections,
        seen.robots,
        seen.inside
    );
}

/// What each file in img2dataset's shards was asked for as, also in shards without an end.
fn pictures_in_shards(folder: &Path, web: &Web) -> Vec<Kind> {
    const BEFORE: &[u8] = b"\"url\": \"";
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut kinds = Vec::new();
    for shard in files.filter(|path| path.extension().is_some_and(|extension| extension == "tar")) {
        let bytes = std::fs::read(shard).unwrap();
        for at in (0..bytes.len()).filter(|at| bytes[*at..].starts_with(BEFORE)) {
            let url = bytes[at + BEFORE.len()..].split(|byte| *byte == b'"').next().unwrap();
            let name = std::str::from_utf8(url).ok().and_then(|url| url.rsplit('/').next()?.strip_suffix(".jpg"));
            kinds.extend(name.and_then(|name| web.kinds().get(name.parse::<usize>().ok()?).copied()));
        }
    }
    kinds
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Well,
    Badly,
    StillRunning,
    TooLarge,
}

struct Watched {
    end: End,
    seconds: f64,
    mb: u64,
}

impl Watched {
    fn told(&self) -> String {
        let seconds = self.seconds;
        match self.end {
            End::Well => format!("ended after {seconds:.0} s"),
            End::Badly => format!("ended with an error after {seconds:.0} s"),
            End::StillRunning => format!("STILL RUNNING after {seconds:.0} s, killed"),
            End::TooLarge => format!("killed after {seconds:.0} s, because it took more than {MOST_MB} MB"),
        }
    }
}

/// A command to its end, or to its limits.
fn watched(command: &mut Command, limit: Duration) -> Watched {
    let began = Instant::now();
    // A group of its own, so that its processes end with it.
    let command = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut mb = 0;
    let end = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break if status.success() { End::Well } else { End::Badly };
        }
        mb = mb.max(resident_kib(child.id()) / 1000);
        if mb > MOST_MB {
            break End::TooLarge;
        }
        if began.elapsed() > limit {
            break End::StillRunning;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let seconds = began.elapsed().as_secs_f64();
    if matches!(end, End::StillRunning | End::TooLarge) {
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
    Watched { end, seconds, mb }
}
