//! How do words and unwanted words become the one line that a provider searches for?

use super::ProviderError;
use super::reading::clean;

/// What a provider's search line may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineLimits {
    pub characters: usize,
    pub words: usize,
    /// The same as text for an error.
    pub as_text: &'static str,
}

impl LineLimits {
    fn allow(self, line: &str) -> bool {
        line.chars().count() <= self.characters && line.split_whitespace().count() <= self.words
    }
}

/// The searched words alone, in one line.
pub(super) fn line(text: &str, limits: LineLimits) -> Result<String, ProviderError> {
    let text = clean(text, usize::MAX).ok_or(ProviderError::EmptyText)?;
    if limits.allow(&text) { Ok(text) } else { Err(ProviderError::TextTooLong { limit: limits.as_text }) }
}

/// The searched words, then ` -word` or ` -"two words"` for each unwanted term that still fits.
pub(super) fn line_without(text: &str, negatives: &[String], limits: LineLimits) -> Result<String, ProviderError> {
    let mut line = line(text, limits)?;
    for term in terms(negatives) {
        let longer = format!("{line} -{term}");
        if limits.allow(&longer) {
            line = longer;
        }
    }
    Ok(line)
}

/// Each unwanted term as a provider reads it: a phrase in quotes, a word bare.
pub(super) fn terms(negatives: &[String]) -> impl Iterator<Item = String> {
    negatives.iter().filter_map(|term| {
        // A quote or a minus inside would end the phrase or turn its meaning round.
        let term = clean(&term.replace(['"', '\u{201c}', '\u{201d}'], " "), 100)?;
        let term = term.trim_start_matches(['-', '+', ' ']);
        match term.contains(char::is_whitespace) {
            _ if term.is_empty() => None,
            true => Some(format!("\"{term}\"")),
            false => Some(term.to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_negatives_are_added_as_fit() {
        let limits = LineLimits { characters: 40, words: 4, as_text: "40 characters" };
        let negatives = ["clip art", "drawing", "-\"logo\"", "", "anime"].map(str::to_owned);
        // "clip art" would make five words, "anime" one too many.
        let line = line_without(" frightened\nold  woman ", &negatives, limits);
        assert_eq!(line.as_deref(), Ok("frightened old woman -drawing"));
        let line = line_without("fear", &negatives, limits);
        assert_eq!(line.as_deref(), Ok("fear -\"clip art\" -drawing"));
        assert_eq!(line_without("\u{7} ", &[], limits), Err(ProviderError::EmptyText));
        assert!(matches!(line_without("a b c d e", &[], limits), Err(ProviderError::TextTooLong { .. })));
    }
}
