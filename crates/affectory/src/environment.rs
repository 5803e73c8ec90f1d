//! What does the machine say? The only place that reads the clock, the environment and the current directory.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files and sockets that nothing here needs more of: `collect` at its most has some 40,000 open.
const MOST_DESCRIPTORS: u64 = 65_536;

/// The time.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the clock; rooms take it as a parameter")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds UTC since 1970.
pub fn now_ms() -> i64 {
    now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// A variable that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// All variables whose names begin so, and their values; what is no text is left out.
pub fn variables(prefix: &str) -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with(prefix) && !value.is_empty())
        .collect()
}

/// 256 random bits of the operating system's.
///
/// # Panics
/// If the system has none: then nothing that must be secret may be made.
pub fn random() -> [u8; 32] {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).expect("the operating system gives random numbers");
    bits
}

/// The password of the account at the mail server; it never stands in a file.
pub fn smtp_password() -> Option<String> {
    variable("AFFECTORY_SMTP_PASSWORD")
}

/// Where the user stands.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the current directory")]
pub fn current_dir() -> std::io::Result<PathBuf> {
    std::env::current_dir()
}

/// Lets this process open as many files and sockets as the system allows. What a shell starts may often open 1,024, kept
/// low for programs that cannot count further.
pub fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST_DESCRIPTORS).min(MOST_DESCRIPTORS);
    if current.is_some_and(|current| current < wanted) {
        // Where the system refuses, what there is has to do; whoever needs many asks how many there are.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// How many files and sockets this process may have open; `None`: any number.
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Names this process on this host so that a lease can tell whether its holder still lives.
pub fn worker_id() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}-{}", host(), start_ticks(pid).unwrap_or(0), boot())
}

/// Whether the worker of that name may still be alive: false only for a process of this host that is gone.
pub fn worker_is_alive(worker: &str) -> bool {
    let parts: Vec<&str> = worker.split('/').collect();
    let [worker_host, pid, began] = parts[..] else { return true };
    if worker_host != host() {
        return true;
    }
    // Earlier versions named no boot.
    let (ticks, its_boot) = began.split_once('-').map_or((began, None), |(ticks, its_boot)| (ticks, Some(its_boot)));
    match (pid.parse::<u32>(), ticks.parse::<u64>()) {
        (Ok(pid), Ok(ticks)) => its_boot.is_none_or(|its_boot| its_boot == boot()) && start_ticks(pid) == Some(ticks),
        _ => true,
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().replace('/', "-"))
        .unwrap_or_else(|_| "localhost".to_owned())
}

/// Names the time since this host was switched on: a service that starts with it may have the same pid and the same ticks
/// as before a power cut.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.chars().take_while(char::is_ascii_hexdigit).collect())
        .unwrap_or_default()
}

/// When a process of this host began, in clock ticks since boot: with the pid and the boot it names a process for ever.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and brackets; fields count from its closing one.
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // A zombie is dead: it only waits to be collected.
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_reused_pid_is_not() {
        assert!(worker_is_alive(&worker_id()));
        assert!(!worker_is_alive(&format!("{}/{}/1", host(), std::process::id())));
        let id = worker_id();
        let (named, _) = id.rsplit_once('-').unwrap();
        assert!(worker_is_alive(named));
        assert!(!worker_is_alive(&format!("{named}-00000000")), "the same pid and ticks, but of another boot");
        assert!(worker_is_alive("another-host/1/1"));
    }
}
