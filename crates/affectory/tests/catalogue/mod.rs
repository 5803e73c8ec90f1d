//! Which database do the projects of these tests have?
//!
//! SQLite, unless `AFFECTORY_TEST_CATALOG=postgres`: then each project has a database of its own on the server in
//! `AFFECTORY_TEST_POSTGRES`, whose password stands in `PGPASSWORD`, as `scripts/test-servers` says them.

#![expect(clippy::disallowed_methods, reason = "a test asks where its server is")]

use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    /// What this test made: dropped when its thread ends.
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
}

struct Made(String);

impl Drop for Made {
    fn drop(&mut self) {
        psql(&format!("drop database if exists {} with (force)", self.0));
    }
}

/// What `init --catalog` is to be given for a new project.
pub fn catalog() -> String {
    if is_postgres() { empty_database() } else { "sqlite".into() }
}

/// Whether projects are on PostgreSQL.
pub fn is_postgres() -> bool {
    std::env::var("AFFECTORY_TEST_CATALOG").is_ok_and(|catalog| catalog == "postgres")
}

/// The URL of a new database, as a project's file may have it: the password comes from `PGPASSWORD`.
pub fn empty_database() -> String {
    static N_MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("affectory_{}_{}", std::process::id(), N_MADE.fetch_add(1, Ordering::SeqCst));
    psql(&format!("create database {name}"));
    MADE.with_borrow_mut(|made| made.push(Made(name.clone())));
    url_of(&name)
}

/// The same for a database of that name.
pub fn url_of(name: &str) -> String {
    let server = server();
    let (before, _) = server.rsplit_once('/').unwrap();
    let (scheme, rest) = before.split_once("://").unwrap();
    let (account, host) = rest.split_once('@').unwrap();
    format!("{scheme}://{}@{host}/{name}", account.split(':').next().unwrap())
}

fn server() -> String {
    std::env::var("AFFECTORY_TEST_POSTGRES")
        .expect("AFFECTORY_TEST_POSTGRES names no PostgreSQL server: run the tests by scripts/test, which starts one")
}

/// Has the server do something.
pub fn psql(statement: &str) {
    let mut command = Command::new("psql");
    let status =
        command.args([&server(), "--quiet", "--command", statement]).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(status.status().unwrap().success(), "{statement}");
}
