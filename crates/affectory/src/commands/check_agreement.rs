//! `affectory check-agreement`: the child process that reads an upload; hidden, because only the server calls it.

use std::process::ExitCode;

use affectory_portal::agreement::child_main;

use crate::failure;

/// Reads two PDFs from stdin and writes a report to stdout, within limits that hold for this whole process.
///
/// It runs before threads and a runtime exist, whose memory would count against the limit.
pub fn run() -> ExitCode {
    match child_main(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&anyhow::Error::new(error).context("failed to check an agreement")),
    }
}
