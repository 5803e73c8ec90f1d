//! Which database do the projects of these tests have?
//!
//! SQLite, unless `AFFECTORY_TEST_CATALOG=postgres`: then each project has a database of its own on the server in
//! `AFFECTORY_TEST_POSTGRES`, whose password stands in `PGPASSWORD`, as `scripts/test` sets them.

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

fn is_postgres() -> bool {
    std::env::var("AFFECTORY_TEST_CATALOG").is_ok_and(|catalog| catalog == "postgres")
}

/// What `init --catalog` is to be given for a new project.
pub fn catalog() -> String {
    static N_MADE: AtomicU32 = AtomicU32::new(0);
    if !is_postgres() {
        return "sqlite".into();
    }
    let name = format!("affectory_{}_{}", std::process::id(), N_MADE.fetch_add(1, Ordering::SeqCst));
    psql(&format!("create database {name}"));
    MADE.with_borrow_mut(|made| made.push(Made(name.clone())));
    let (before, _) = server().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (scheme, rest) = before.split_once("://").unwrap();
    let (account, host) = rest.split_once('@').unwrap();
    // The password comes from PGPASSWORD: a project's file may not have it.
    format!("{scheme}://{}@{host}/{name}", account.split(':').next().unwrap())
}

fn server() -> String {
    std::env::var("AFFECTORY_TEST_POSTGRES")
        .expect("AFFECTORY_TEST_POSTGRES names no PostgreSQL server: run the tests by scripts/test, which starts one")
}

fn psql(statement: &str) {
    let mut command = Command::new("psql");
    let status =
        command.args([&server(), "--quiet", "--command", statement]).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(status.status().unwrap().success(), "{statement}");
}
