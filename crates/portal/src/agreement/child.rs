//! Who reads an upload, so that a file made to harm harms nobody? A child process with limits, that is killed in time.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::check::{Issued, Limits, Report, check_signed};
use super::{AgreementError, AgreementNumber};

/// The subcommand of the program that calls [`child_main`].
const COMMAND: &str = "check-agreement";
const MEMORY_BYTES: u64 = 512 << 20;
const PROCESSOR_SECONDS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(15);
/// More than any report has.
const LONGEST_REPORT: u64 = 1 << 20;

/// What comes before the two files on the child's stdin, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    number: AgreementNumber,
    issued_bytes: usize,
    uploaded_bytes: usize,
    limits: Limits,
}

/// Compares an upload with the agreement that was issued, in a child process: 512 MiB, 10 s of CPU, 15 s in all.
///
/// A child that crashes, or is stopped by a limit, is a finding about the upload. `program` is this program, whose
/// hidden command `check-agreement` calls [`child_main`].
///
/// # Errors
/// [`AgreementError::Child`] if the program does not start.
pub async fn check_in_child(program: &Path, uploaded: Vec<u8>, issued: Issued) -> Result<Report, AgreementError> {
    let program = program.to_owned();
    let waiting = tokio::task::spawn_blocking(move || check_with(&program, &uploaded, &issued, PATIENCE));
    waiting.await.map_err(|error| AgreementError::HandOver(std::io::Error::other(error)))?
}

fn check_with(program: &Path, uploaded: &[u8], issued: &Issued, patience: Duration) -> Result<Report, AgreementError> {
    let limits = Limits::default();
    if let Some(report) = Report::of_size(uploaded.len(), &limits) {
        return Ok(report);
    }
    let sizes =
        Header { number: issued.number, issued_bytes: issued.pdf.len(), uploaded_bytes: uploaded.len(), limits };
    let mut header = serde_json::to_vec(&sizes).map_err(|error| AgreementError::HandOver(error.into()))?;
    header.push(b'\n');
    let mut command = Command::new(program);
    // Ctrl-C is for us, who let it finish.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.arg(COMMAND).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().map_err(|source| AgreementError::Child { program: program.to_owned(), source })?;
    let mut child = Running(child);
    let (Some(mut stdin), Some(stdout)) = (child.0.stdin.take(), child.0.stdout.take()) else {
        return Err(AgreementError::HandOver(std::io::Error::other("a pipe is missing")));
    };
    let (sender, receiver) = mpsc::channel();
    let answer = std::thread::scope(|scope| {
        // A child that ends early closes the pipe, and says why by its report, or by having none.
        scope.spawn(move || {
            [&header, issued.pdf.as_slice(), uploaded].into_iter().try_for_each(|part| stdin.write_all(part)).is_ok()
        });
        scope.spawn(move || {
            let mut answer = Vec::new();
            let is_read = stdout.take(LONGEST_REPORT).read_to_end(&mut answer).is_ok();
            // Nobody waits any more if it came too late.
            let _ = sender.send(is_read.then_some(answer));
        });
        let answer = receiver.recv_timeout(patience).ok().flatten();
        // Ends both threads: their pipes close with it.
        drop(child);
        answer
    });
    let report = answer.and_then(|answer| serde_json::from_slice(&answer).ok());
    Ok(report.unwrap_or_else(Report::beyond_limits))
}

/// A child process that does not outlive us.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child's whole life: takes limits upon itself, reads what it is handed, writes its report.
///
/// # Errors
/// If limits can't be set, or what is handed over is not what [`check_in_child`] sends.
pub fn child_main(stdin: impl Read, stdout: impl Write) -> std::io::Result<()> {
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, at_most(MEMORY_BYTES))?;
    setrlimit(Resource::Cpu, at_most(PROCESSOR_SECONDS))?;
    setrlimit(Resource::Core, at_most(0))?;
    // It writes no file and starts nothing.
    setrlimit(Resource::Fsize, at_most(0))?;
    answer(stdin, stdout)
}

fn answer(mut stdin: impl Read, mut stdout: impl Write) -> std::io::Result<()> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 4096 && stdin.read(&mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    let header: Header = serde_json::from_slice(&line)?;
    let mut read = |n_bytes: usize| {
        let mut bytes = Vec::new();
        stdin.by_ref().take(n_bytes as u64).read_to_end(&mut bytes)?;
        if bytes.len() == n_bytes { Ok(bytes) } else { Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)) }
    };
    let issued = Issued { number: header.number, pdf: read(header.issued_bytes)? };
    let uploaded = read(header.uploaded_bytes)?;
    serde_json::to_writer(&mut stdout, &check_signed(&uploaded, &issued, &header.limits))?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{Rule, Verdict};

    fn issued() -> Issued {
        Issued { number: AgreementNumber::new(2026, 1), pdf: b"%PDF-1.7".to_vec() }
    }

    #[test]
    fn a_child_that_crashes_or_writes_without_end_is_a_finding() {
        for program in ["/bin/false", "/usr/bin/yes"] {
            let report = check_with(Path::new(program), b"%PDF-1.7", &issued(), PATIENCE).unwrap();
            let Some(Verdict::Refused(reason)) = report.verdict(Rule::Pdf) else { panic!("{report:?}") };
            assert!(reason.contains("within limits"), "{reason}");
        }
    }

    #[test]
    fn a_program_that_does_not_start_is_an_error_of_ours() {
        let outcome = check_with(Path::new("/nowhere/affectory"), b"%PDF-1.7", &issued(), PATIENCE);
        assert!(matches!(outcome, Err(AgreementError::Child { .. })));
    }

    #[test]
    fn what_is_handed_over_is_read_whole_or_not_at_all() {
        let header = Header { number: issued().number, issued_bytes: 8, uploaded_bytes: 3, limits: Limits::default() };
        let mut bytes = serde_json::to_vec(&header).unwrap();
        bytes.extend(b"\n%PDF-1.7abc");
        let mut written = Vec::new();
        answer(bytes.as_slice(), &mut written).unwrap();
        let report: Report = serde_json::from_slice(&written).unwrap();
        assert!(report.is_refused());
        bytes.pop();
        assert!(answer(bytes.as_slice(), &mut written).is_err());
        assert!(answer(b"no header".as_slice(), &mut written).is_err());
    }
}
