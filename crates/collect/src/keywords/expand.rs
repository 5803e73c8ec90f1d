//! Which queries come of a language's words, each in the form that its neighbour asks for?

use std::collections::HashSet;
use std::path::Path;

use affectory_core::Expression;

use super::error::{KeywordError, Place};
use super::file::{Adjective, Described, Emotion, KeywordFile, Origin, Person, Piece, Template};
use super::language::PersonTraits;
use super::words::visible;

/// One possible query of a language.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub text: String,
    pub expression: Expression,
    pub person: Option<PersonTraits>,
    pub made_of: MadeOf,
}

/// Which entries of the file a query is made of, by their places in it: what a choice among queries is spread over.
#[derive(Debug, Clone, Copy)]
pub(super) struct MadeOf {
    pub emotion: usize,
    pub person: Option<usize>,
    pub origin: Option<usize>,
    pub template: usize,
}

/// All queries: by expression, then template, emotion, person and origin in the order of the file. A text that came
/// already, in whatever case, is left out: the first meaning wins.
///
/// # Errors
/// A form or agreement that is missing, or no query at all.
pub(super) fn expand(path: &Path, file: &KeywordFile) -> Result<Vec<Query>, KeywordError> {
    let mut seen = HashSet::new();
    let mut queries = Vec::new();
    for expression in Expression::ALL {
        for (template_index, template) in file.templates.iter().enumerate() {
            let fitting = file
                .emotions
                .iter()
                .enumerate()
                .filter(|(_, emotion)| emotion.expression == expression && fits(template, emotion));
            for (emotion_index, emotion) in fitting.take(template.n_words) {
                for (person, origin) in whom(file, template, emotion) {
                    let text = fill(path, template, emotion, person.map(|p| p.1), origin.map(|o| o.1))?;
                    if !seen.insert(text.to_lowercase()) {
                        continue;
                    }
                    let origin_name = origin.map(|(_, origin)| origin.name.clone());
                    queries.push(Query {
                        text,
                        expression,
                        person: person.map(|(_, p)| PersonTraits { gender: p.gender, age: p.age, origin: origin_name }),
                        made_of: MadeOf {
                            emotion: emotion_index,
                            person: person.map(|p| p.0),
                            origin: origin.map(|o| o.0),
                            template: template_index,
                        },
                    });
                }
            }
        }
    }
    if queries.is_empty() {
        return Err(KeywordError::NothingToAsk { path: path.to_owned() });
    }
    Ok(queries)
}

/// Whether the emotion has the part of speech that the template asks for, and may describe what it describes.
fn fits(template: &Template, emotion: &Emotion) -> bool {
    template.pieces.iter().all(|piece| match piece {
        Piece::Adjective => {
            emotion.adjective.is_some() && emotion.describes.is_none_or(|described| described == template.describes)
        }
        Piece::Noun => emotion.noun.is_some(),
        Piece::Phrase => emotion.phrase.is_some(),
        Piece::Text(_) | Piece::Person | Piece::Origin => true,
    })
}

type Numbered<'a, T> = Option<(usize, &'a T)>;

/// The persons and origins to put in: one pair of nothing where the template names nobody.
fn whom<'a>(
    file: &'a KeywordFile,
    template: &Template,
    emotion: &Emotion,
) -> Vec<(Numbered<'a, Person>, Numbered<'a, Origin>)> {
    if !template.pieces.contains(&Piece::Person) {
        return vec![(None, None)];
    }
    let with_origin = template.pieces.contains(&Piece::Origin);
    let persons = file
        .persons
        .iter()
        .enumerate()
        .filter(|(_, person)| person.age >= emotion.from_age && (person.takes_origin || !with_origin));
    if !with_origin {
        return persons.map(|person| (Some(person), None)).collect();
    }
    persons.flat_map(|person| file.origins.iter().enumerate().map(move |origin| (Some(person), Some(origin)))).collect()
}

fn fill(
    path: &Path,
    template: &Template,
    emotion: &Emotion,
    person: Option<&Person>,
    origin: Option<&Origin>,
) -> Result<String, KeywordError> {
    let beside_person = person.map(|person| Neighbour {
        line: person.line,
        word: &person.word,
        agreement: person.agreement.as_deref(),
    });
    let described = match template.describes {
        Described::Person => beside_person,
        Described::Face => {
            Some(Neighbour { line: template.line, word: &template.text, agreement: template.agreement.as_deref() })
        }
    };
    let mut text = String::new();
    for piece in &template.pieces {
        let words = match piece {
            Piece::Text(words) => Some(words.as_str()),
            Piece::Person => person.map(|person| person.word.as_str()),
            Piece::Origin => origin.map(|o| form(path, &o.adjective, beside_person)).transpose()?,
            Piece::Adjective => emotion.adjective.as_ref().map(|a| form(path, a, described)).transpose()?,
            Piece::Noun => emotion.noun.as_deref(),
            Piece::Phrase => emotion.phrase.as_deref(),
        };
        text.push_str(words.unwrap_or_default());
    }
    Ok(text)
}

/// The word that a form has to agree with.
#[derive(Clone, Copy)]
struct Neighbour<'a> {
    line: usize,
    word: &'a str,
    agreement: Option<&'a str>,
}

fn form<'a>(path: &Path, adjective: &'a Adjective, neighbour: Option<Neighbour<'_>>) -> Result<&'a str, KeywordError> {
    let agreement = neighbour.and_then(|neighbour| neighbour.agreement);
    let special = agreement.and_then(|name| adjective.forms.get(name));
    if let Some(found) = special.or(adjective.word.as_ref()) {
        return Ok(found);
    }
    let (line, needed_by) = neighbour.map_or((adjective.line, ""), |n| (n.line, n.word));
    let place = |line| Place { path: path.to_owned(), line };
    Err(match agreement {
        Some(name) => KeywordError::MissingForm {
            place: place(adjective.line),
            form: visible(&name.chars().take(60).collect::<String>()),
            needed_by: needed_by.to_owned(),
        },
        None => KeywordError::MissingAgreement {
            place: place(line),
            word: needed_by.to_owned(),
            described_by: adjective.forms.values().next().cloned().unwrap_or_default(),
        },
    })
}
