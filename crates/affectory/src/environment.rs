//! What does the machine say? The only place that reads the clock, the environment and the current directory.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds UTC since 1970.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the clock; rooms take it as a parameter")]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// A variable that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the user stands.
#[expect(clippy::disallowed_methods, reason = "the binary's one reading of the current directory")]
pub fn current_dir() -> std::io::Result<PathBuf> {
    std::env::current_dir()
}
