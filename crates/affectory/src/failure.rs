//! How does the user read a failure? One line: what, where, and what to do.

use std::process::ExitCode;

/// Prints a failure and its causes as one line; exit code 1.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", one_line(error));
    ExitCode::from(1)
}

/// The chain of causes, joined; a cause that its parent already quotes is not repeated.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = printable(&cause.to_string());
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Prints what clap says: help and version on stdout with exit code 0, a usage error as one line with exit code 2.
pub fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let is_help_asked_for = error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        // A closed pipe is the reader's business.
        let _ = error.print();
        return if is_help_asked_for { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let rendered = error.render().to_string();
    let parts: Vec<&str> = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    eprintln!("{} (see `affectory --help`)", printable(&parts.join(" ")));
    ExitCode::from(2)
}

/// Text from outside may hold control characters that would repaint the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_on_one_line_without_repeats_or_control_characters() {
        let error = anyhow::anyhow!("no such file\n\u{1b}[31m").context("failed to read `x`");
        assert_eq!(one_line(&error), "failed to read `x`: no such file \\u{1b}[31m");
    }
}
