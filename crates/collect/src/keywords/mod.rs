//! Which queries does a lab ask: emotion words, person words and templates of each language, expanded?
//!
//! A language is one TOML file (`crates/collect/keywords/en.toml` tells how to write one). Six are inside the program;
//! a lab's folder adds languages, and a file there with the code of a bundled language replaces it. `file` reads and
//! checks, `expand` puts words into templates, `choose` takes a few of many, `table` shows what would be asked.

mod choose;
mod error;
mod expand;
mod file;
mod language;
mod table;
mod words;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectory_core::Expression;

pub use error::{KeywordError, Place};
pub use language::{AgeGroup, Direction, Gender, Language, PersonTraits, PlannedQuery, isolated};
pub use table::{PlanExample, PlanRow, PlanTable, plan_table};

/// The largest keyword file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files inside the program, in the order of the plan.
const BUNDLED: [(&str, &str); 6] = [
    ("en.toml", include_str!("../../keywords/en.toml")),
    ("es.toml", include_str!("../../keywords/es.toml")),
    ("pt.toml", include_str!("../../keywords/pt.toml")),
    ("de.toml", include_str!("../../keywords/de.toml")),
    ("ar.toml", include_str!("../../keywords/ar.toml")),
    ("fa.toml", include_str!("../../keywords/fa.toml")),
];

/// The languages that a plan can draw on.
#[derive(Debug, Clone)]
pub struct Keywords {
    vocabularies: Vec<Vocabulary>,
}

/// A language and everything that can be asked in it.
#[derive(Debug, Clone)]
struct Vocabulary {
    file: PathBuf,
    language: Arc<Language>,
    queries: Vec<expand::Query>,
}

/// Which of all possible queries a plan holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Codes of languages, such as `de`; empty is all.
    pub languages: Vec<String>,
    /// Intended expressions; empty is all eight.
    pub expressions: Vec<Expression>,
    /// At most so many queries for each expression in each language, spread over words and persons; `None` is all.
    pub limit: Option<usize>,
    /// Fixes which ones a limit takes. A larger limit with the same seed takes the same ones and more.
    pub seed: u64,
}

impl Keywords {
    /// English, Spanish, Portuguese, German, Arabic and Farsi, as they come with the program.
    ///
    /// # Errors
    /// None that a released program meets: the tests read these files.
    pub fn bundled() -> Result<Keywords, KeywordError> {
        let mut keywords = Keywords { vocabularies: Vec::new() };
        for (name, text) in BUNDLED {
            keywords.put(read_vocabulary(&Path::new("bundled").join(name), text.as_bytes())?);
        }
        Ok(keywords)
    }

    /// The bundled languages and those of a lab's folder: its files `*.toml`. A folder that is not there adds nothing.
    ///
    /// # Errors
    /// The first file that cannot be read or is wrong, with its line; two files of the folder for one language.
    pub fn with_folder(folder: &Path) -> Result<Keywords, KeywordError> {
        let mut keywords = Keywords::bundled()?;
        let mut own: Vec<Vocabulary> = Vec::new();
        for path in list_toml(folder)? {
            let vocabulary = read_vocabulary(&path, &read_limited(&path)?)?;
            if let Some(other) = own.iter().find(|other| other.language.code == vocabulary.language.code) {
                let code = vocabulary.language.code.clone();
                return Err(KeywordError::DuplicateLanguage { path, code, other: other.file.clone() });
            }
            own.push(vocabulary);
        }
        own.into_iter().for_each(|vocabulary| keywords.put(vocabulary));
        Ok(keywords)
    }

    /// Adds the language of one file, in place of one with the same code. `path` is for messages only.
    ///
    /// # Errors
    /// What is wrong with the file, with its line; then nothing is added.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), KeywordError> {
        self.put(read_vocabulary(path, bytes)?);
        Ok(())
    }

    /// The languages in the order of a plan.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.vocabularies.iter().map(|vocabulary| &*vocabulary.language)
    }

    /// The queries that `options` ask for: by language, then expression, then in the order of the file; no text twice
    /// in one language.
    ///
    /// # Errors
    /// [`KeywordError::UnknownLanguage`] for a code that no file has.
    pub fn plan(&self, options: &PlanOptions) -> Result<Vec<PlannedQuery>, KeywordError> {
        for code in &options.languages {
            if !self.languages().any(|language| &language.code == code) {
                let known = self.languages().map(|language| language.code.as_str()).collect::<Vec<_>>().join(", ");
                return Err(KeywordError::UnknownLanguage { found: code.chars().take(60).collect(), known });
            }
        }
        let asked_language = |code: &String| options.languages.is_empty() || options.languages.contains(code);
        let asked = |e: &Expression| options.expressions.is_empty() || options.expressions.contains(e);
        let mut planned = Vec::new();
        for Vocabulary { language, queries, .. } in &self.vocabularies {
            if !asked_language(&language.code) {
                continue;
            }
            for expression in Expression::ALL.into_iter().filter(asked) {
                let mut cell: Vec<&expand::Query> = queries.iter().filter(|q| q.expression == expression).collect();
                if let Some(limit) = options.limit {
                    cell = choose::choose(cell, limit, choose::random(options.seed, &language.code, expression));
                }
                planned.extend(cell.into_iter().map(|query| PlannedQuery {
                    text: query.text.clone(),
                    language: Arc::clone(language),
                    expression,
                    person: query.person.clone(),
                }));
            }
        }
        Ok(planned)
    }

    fn put(&mut self, vocabulary: Vocabulary) {
        match self.vocabularies.iter_mut().find(|known| known.language.code == vocabulary.language.code) {
            Some(known) => *known = vocabulary,
            None => self.vocabularies.push(vocabulary),
        }
    }
}

fn read_vocabulary(path: &Path, bytes: &[u8]) -> Result<Vocabulary, KeywordError> {
    let file = file::parse(path, bytes)?;
    let queries = expand::expand(path, &file)?;
    Ok(Vocabulary { file: path.to_owned(), language: Arc::new(file.language), queries })
}

/// The folder's `*.toml` by name, so that the plan never depends on the file system's order.
fn list_toml(folder: &Path) -> Result<Vec<PathBuf>, KeywordError> {
    let refused = |source| KeywordError::File { action: "list", path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(refused(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(refused)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn read_limited(path: &Path) -> Result<Vec<u8>, KeywordError> {
    let refused = |source| KeywordError::File { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
