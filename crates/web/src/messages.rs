//! In which languages can the pages speak, and what are their words?

use std::collections::BTreeMap;

/// A language's code, its own name, its direction, its words.
const FILES: [(&str, &str, &str, &str); 6] = [
    ("en", "English", "ltr", include_str!("../messages/en.toml")),
    ("es", "Español", "ltr", include_str!("../messages/es.toml")),
    ("pt", "Português", "ltr", include_str!("../messages/pt.toml")),
    ("de", "Deutsch", "ltr", include_str!("../messages/de.toml")),
    ("ar", "العربية", "rtl", include_str!("../messages/ar.toml")),
    ("fa", "فارسی", "rtl", include_str!("../messages/fa.toml")),
];

/// One language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Language {
    pub(crate) code: &'static str,
    pub(crate) native_name: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) words: BTreeMap<String, String>,
}

impl Language {
    /// The text of a key; the key itself where there is none, which a test rules out for the program's own files.
    pub(crate) fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.words.get(key).map_or(key, String::as_str)
    }

    /// The name of a category.
    pub(crate) fn expression(&self, expression: affectory_core::Expression) -> &str {
        self.words.get(&format!("expression_{}", expression.index())).map_or(expression.name(), String::as_str)
    }
}

/// All languages.
#[derive(Debug)]
pub(crate) struct Messages(Vec<Language>);

impl Messages {
    /// Those inside the program.
    pub(crate) fn bundled() -> Messages {
        let language = |(code, native_name, direction, text): (&'static str, _, _, &str)| Language {
            code,
            native_name,
            direction,
            // A test reads every file.
            words: toml::from_str(text).unwrap_or_default(),
        };
        Messages(FILES.into_iter().map(language).collect())
    }

    /// The language of a code, or English.
    pub(crate) fn of(&self, code: &str) -> &Language {
        self.0.iter().find(|language| language.code == code).unwrap_or(&self.0[0])
    }

    /// Whether there is one of that code.
    pub(crate) fn has(&self, code: &str) -> bool {
        self.0.iter().any(|language| language.code == code)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Language] {
        &self.0
    }

    /// The first one of a browser's `Accept-Language` that there is.
    pub(crate) fn accepted(&self, header: &str) -> &Language {
        let codes = header.split(',').map(|part| part.split([';', '-']).next().unwrap_or("").trim());
        let known = codes.take(20).find(|code| self.has(code));
        self.of(known.unwrap_or("en"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_the_same_keys_and_places_for_figures() {
        let places = |text: &str| {
            let mut places: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect();
            places.sort();
            places
        };
        let messages = Messages::bundled();
        let english = &messages.of("en").words;
        assert!(english.len() > 50);
        for language in messages.all() {
            let keys: Vec<&String> = language.words.keys().collect();
            assert_eq!(keys, english.keys().collect::<Vec<_>>(), "{}", language.code);
            for (key, text) in &language.words {
                assert!(!text.trim().is_empty(), "{} {key}", language.code);
                assert_eq!(places(text), places(&english[key]), "{} {key}", language.code);
            }
        }
    }

    #[test]
    fn a_browser_gets_its_first_language_that_there_is() {
        let messages = Messages::bundled();
        assert_eq!(messages.accepted("fr-FR, fa-IR;q=0.8, de;q=0.5").code, "fa");
        assert_eq!(messages.accepted("").code, "en");
    }
}
