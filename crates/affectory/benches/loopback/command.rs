//! What does a whole command take (time, processors, memory), and what does ours begin from?

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use affectory_catalog::Project;

use super::loopback::put_on_the_list;

/// This program.
pub fn affectory() -> Command {
    Command::new(env!("CARGO_BIN_EXE_affectory"))
}

/// A new project that has these addresses on its list, and may fetch them as fast as it can.
pub async fn project_with(folder: &Path, urls: &[String]) -> Project {
    timed(affectory().arg("init").arg(folder));
    let settings = "contact = \"lab@example.org\"\n[fetch]\nconcurrency = 64\nper_host = 64\npause_ms = 0\n\
                    open_networks = [\"127.0.0.1\"]\n";
    std::fs::write(folder.join("collect.toml"), settings).unwrap();
    let project = Project::open(folder).await.unwrap();
    put_on_the_list(&project, urls).await;
    project
}

/// A command to its end.
pub fn timed(command: &mut Command) -> Cost {
    let cpu_before = cpu_of_children();
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let mut most_kib = 0;
        while is_over.recv_timeout(Duration::from_millis(100)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            most_kib = resident_kib(pid).max(most_kib);
        }
        most_kib
    });
    let status = child.wait().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    drop(over);
    assert!(status.success(), "{command:?}: {status}");
    Cost { seconds, cpu_seconds: cpu_of_children() - cpu_before, mb: watch.join().unwrap() / 1000 }
}

/// What a command took.
pub struct Cost {
    pub seconds: f64,
    /// Of all its processes, on all cores.
    pub cpu_seconds: f64,
    /// The most resident memory that its processes had at a time.
    pub mb: u64,
}

/// CPU seconds of all processes that ended below this one.
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // cutime and cstime, in ticks of 10 ms.
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}

/// Resident memory of a process and all below it.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of_line = |line: &str| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok();
    let own = status.lines().find_map(of_line).unwrap_or(0);
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let below: u64 = children
        .map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(resident_kib).sum::<u64>())
        .sum();
    own + below
}
