//! Which text from outside may become a file name or a line in a report?

use crate::ReleaseError;

/// Accepts names that are one harmless path component on every file system.
pub(crate) fn check_name(name: &str) -> Result<(), ReleaseError> {
    let usable = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !name.starts_with(['.', '-']);
    if usable { Ok(()) } else { Err(ReleaseError::BadName(printable(name))) }
}

/// Text with control characters (also those that turn the writing direction) escaped, at most 300 characters.
pub(crate) fn printable(text: &str) -> String {
    let hostile = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(300) {
        if hostile(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for name in ["", "..", "a/b", "a\\b", "-rf", "ü", "a\n", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("ferplus-v1.2").is_ok());
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(printable("a\u{1b}[2J\n=1+1"), "a\\u{1b}[2J\\n=1+1");
    }
}
