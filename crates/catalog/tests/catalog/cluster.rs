//! Where is a PostgreSQL that may be crashed? A cluster of its own for who asks, gone with it; the binary's benchmarks use it, too.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A PostgreSQL of one's own, to be crashed.
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    pub fn start() -> Cluster {
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path().join("bin")).collect();
        versions.sort();
        let programs = versions.pop().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Cluster { folder, programs, port };
        if cluster.is_root() {
            assert!(Command::new("chown").arg("postgres").arg(cluster.folder.path()).status().unwrap().success());
        }
        let data = cluster.data();
        let init =
            ["--username", "affectory", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--pgdata"];
        cluster.call("initdb", &[&init[..], &[data.to_str().unwrap()]].concat());
        cluster.control(&["start"]);
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn is_root(&self) -> bool {
        std::fs::metadata("/proc/self").is_ok_and(|facts| std::os::unix::fs::MetadataExt::uid(&facts) == 0)
    }

    pub fn url(&self) -> String {
        format!("postgres://affectory@127.0.0.1:{}/postgres", self.port)
    }

    /// `pg_ctl`, until it is done.
    pub fn control(&self, what: &[&str]) {
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", self.port);
        let (data, log) = (self.data(), self.folder.path().join("data/server.log"));
        let places = ["--wait", "--pgdata", path(&data), "--log", path(&log), "--options", &options];
        self.call("pg_ctl", &[what, &places].concat());
    }

    fn call(&self, program: &str, args: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if self.is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // No pipe: the server would keep it open.
        let status =
            command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(status.status().unwrap().success(), "{args:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.control(&["stop", "--mode", "immediate"]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
