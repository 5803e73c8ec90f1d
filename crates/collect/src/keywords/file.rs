//! What does a keyword file say, and is it right?

use std::collections::BTreeMap;
use std::path::Path;

use affectory_core::Expression;
use serde::Deserialize;
use toml::Spanned;

use super::MAX_FILE_BYTES;
use super::error::KeywordError;
use super::language::{AgeGroup, Direction, Gender, Language};
use super::words::{NEGATIVES, Source, TEMPLATE, WORD, is_language_code, visible};

/// Combinations of one file that are expanded at most; the bundled ones have some 40 000.
const MAX_COMBINATIONS: usize = 200_000;

/// A keyword file, checked. `line` of an entry is where it begins.
#[derive(Debug)]
pub(super) struct KeywordFile {
    pub language: Language,
    pub persons: Vec<Person>,
    pub origins: Vec<Origin>,
    pub emotions: Vec<Emotion>,
    pub templates: Vec<Template>,
}

#[derive(Debug)]
pub(super) struct Person {
    pub line: usize,
    pub word: String,
    pub agreement: Option<String>,
    pub gender: Gender,
    pub age: AgeGroup,
    pub takes_origin: bool,
}

#[derive(Debug)]
pub(super) struct Origin {
    pub name: String,
    pub adjective: Adjective,
}

#[derive(Debug, Clone)]
pub(super) struct Emotion {
    pub expression: Expression,
    pub adjective: Option<Adjective>,
    pub noun: Option<String>,
    pub phrase: Option<String>,
    /// What the adjective may describe; `None` is either.
    pub describes: Option<Described>,
    pub from_age: AgeGroup,
}

/// A word that agrees with what it describes.
#[derive(Debug, Clone)]
pub(super) struct Adjective {
    pub line: usize,
    /// The form for every agreement that `forms` lacks.
    pub word: Option<String>,
    pub forms: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Template {
    pub line: usize,
    pub text: String,
    pub pieces: Vec<Piece>,
    pub describes: Described,
    pub agreement: Option<String>,
    /// Only the first so many fitting words of each expression are put in.
    pub n_words: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Described {
    Person,
    Face,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Person,
    Origin,
    Adjective,
    Noun,
    Phrase,
}

impl Piece {
    pub const fn is_emotion(&self) -> bool {
        matches!(self, Piece::Adjective | Piece::Noun | Piece::Phrase)
    }
}

// The file as TOML has it.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    code: Spanned<String>,
    name: Spanned<String>,
    native_name: Spanned<String>,
    direction: Direction,
    #[serde(default)]
    negative: Vec<Spanned<String>>,
    #[serde(default)]
    person: Vec<Spanned<RawPerson>>,
    #[serde(default)]
    origin: Vec<Spanned<RawOrigin>>,
    emotion: Vec<Spanned<RawEmotion>>,
    template: Vec<RawTemplate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    word: Spanned<String>,
    agreement: Option<String>,
    gender: Gender,
    age: AgeGroup,
    #[serde(default)]
    origins: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrigin {
    name: Spanned<String>,
    word: Option<Spanned<String>>,
    #[serde(default)]
    forms: BTreeMap<String, Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEmotion {
    expression: Spanned<String>,
    word: Option<Spanned<String>>,
    #[serde(default)]
    forms: BTreeMap<String, Spanned<String>>,
    noun: Option<Spanned<String>>,
    phrase: Option<Spanned<String>>,
    describes: Option<Described>,
    from_age: Option<AgeGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTemplate {
    text: Spanned<String>,
    describes: Option<Described>,
    agreement: Option<String>,
    words: Option<usize>,
}

/// Reads and checks a file; any bytes give a file or an error.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<KeywordFile, KeywordError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(KeywordError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    let source = &Source::new(path, bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| KeywordError::NotText { place: source.place(error.valid_up_to()) })?;
    let raw: RawFile = toml::from_str(text).map_err(|error| KeywordError::Syntax {
        place: source.place(error.span().map_or(0, |span| span.start)),
        reason: visible(error.message()),
    })?;
    let found = [raw.template.len(), raw.emotion.len(), raw.person.len().max(1), raw.origin.len().max(1)]
        .into_iter()
        .fold(1, usize::saturating_mul);
    if found > MAX_COMBINATIONS {
        return Err(KeywordError::TooMany { path: path.to_owned(), found, limit: MAX_COMBINATIONS });
    }
    Ok(KeywordFile {
        language: language(source, &raw)?,
        persons: raw.person.into_iter().map(|person| person_of(source, person)).collect::<Result<_, _>>()?,
        origins: raw.origin.into_iter().map(|origin| origin_of(source, origin)).collect::<Result<_, _>>()?,
        emotions: raw.emotion.into_iter().map(|emotion| emotion_of(source, emotion)).collect::<Result<_, _>>()?,
        templates: raw.template.into_iter().map(|template| template_of(source, template)).collect::<Result<_, _>>()?,
    })
}

fn language(source: &Source<'_>, raw: &RawFile) -> Result<Language, KeywordError> {
    let code = raw.code.get_ref();
    if !is_language_code(code) {
        let found = visible(&code.chars().take(60).collect::<String>());
        return Err(KeywordError::BadCode { place: source.place(raw.code.span().start), found });
    }
    let mut negatives = Vec::new();
    let (mut n_chars, mut n_words) = (0, 0);
    for term in &raw.negative {
        let text = word(source, term)?;
        n_chars += text.chars().count() + " -\"\"".len();
        n_words += text.split(' ').count();
        if n_chars > NEGATIVES.chars || n_words > NEGATIVES.words {
            return Err(source.too_long(term.span().start, NEGATIVES));
        }
        negatives.push(text);
    }
    let (name, native_name) = (word(source, &raw.name)?, word(source, &raw.native_name)?);
    Ok(Language { code: code.clone(), name, native_name, direction: raw.direction, negatives })
}

fn person_of(source: &Source<'_>, raw: Spanned<RawPerson>) -> Result<Person, KeywordError> {
    let line = source.place(raw.span().start).line;
    let RawPerson { word: text, agreement, gender, age, origins } = raw.into_inner();
    Ok(Person { line, word: word(source, &text)?, agreement, gender, age, takes_origin: origins })
}

fn origin_of(source: &Source<'_>, raw: Spanned<RawOrigin>) -> Result<Origin, KeywordError> {
    let offset = raw.span().start;
    let RawOrigin { name, word: text, forms } = raw.into_inner();
    match adjective(source, offset, text, forms)? {
        Some(adjective) => Ok(Origin { name: word(source, &name)?, adjective }),
        None => Err(KeywordError::NoWord { place: source.place(offset), also: "" }),
    }
}

fn emotion_of(source: &Source<'_>, raw: Spanned<RawEmotion>) -> Result<Emotion, KeywordError> {
    let offset = raw.span().start;
    let raw = raw.into_inner();
    let name = raw.expression.get_ref();
    let named = |e: &Expression| e.is_affective() && e.name() == name;
    let Some(expression) = Expression::ALL.into_iter().find(named) else {
        let found = visible(&name.chars().take(60).collect::<String>());
        return Err(KeywordError::UnknownExpression { place: source.place(raw.expression.span().start), found });
    };
    let emotion = Emotion {
        expression,
        adjective: adjective(source, offset, raw.word, raw.forms)?,
        noun: raw.noun.map(|noun| word(source, &noun)).transpose()?,
        phrase: raw.phrase.map(|phrase| word(source, &phrase)).transpose()?,
        describes: raw.describes,
        from_age: raw.from_age.unwrap_or(AgeGroup::Baby),
    };
    if emotion.adjective.is_none() && emotion.noun.is_none() && emotion.phrase.is_none() {
        return Err(KeywordError::NoWord { place: source.place(offset), also: ", `noun` or `phrase`" });
    }
    Ok(emotion)
}

fn template_of(source: &Source<'_>, raw: RawTemplate) -> Result<Template, KeywordError> {
    let RawTemplate { text: spanned, describes, agreement, words } = raw;
    let offset = spanned.span().start;
    let text = source.checked(offset, spanned.get_ref(), TEMPLATE)?;
    let refuse =
        |reason: String| KeywordError::BadTemplate { place: source.place(offset), template: text.clone(), reason };
    let pieces = pieces(&text).map_err(refuse)?;
    let has = |piece: Piece| pieces.contains(&piece);
    if !pieces.iter().any(Piece::is_emotion) {
        return Err(refuse("says no emotion: put {emotion}, {noun} or {phrase} into it".to_owned()));
    }
    if has(Piece::Origin) && !has(Piece::Person) {
        return Err(refuse("has an {origin} but no {person} whose origin it is: add {person}".to_owned()));
    }
    let describes = describes.unwrap_or(match agreement {
        None if has(Piece::Person) => Described::Person,
        Some(_) | None => Described::Face,
    });
    if describes == Described::Person && !has(Piece::Person) {
        return Err(refuse("describes a person, but there is no {person} in it: add {person}".to_owned()));
    }
    let line = source.place(offset).line;
    Ok(Template { line, pieces, describes, agreement, n_words: words.unwrap_or(usize::MAX), text })
}

/// Cuts a template at its placeholders: each once, and one emotion.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(['{', '}']) {
        if begin > 0 {
            pieces.push(Piece::Text(rest[..begin].to_owned()));
        }
        let inside = rest[begin..].strip_prefix('{').and_then(|from| from.split_once('}'));
        let Some((name, after)) = inside else {
            return Err("has a brace without its partner: placeholders look like {emotion}".to_owned());
        };
        let piece = match name {
            "person" => Piece::Person,
            "origin" => Piece::Origin,
            "emotion" => Piece::Adjective,
            "noun" => Piece::Noun,
            "phrase" => Piece::Phrase,
            unknown => {
                return Err(format!(
                    "has the unknown placeholder {{{unknown}}}: there are {{person}}, {{origin}}, {{emotion}}, {{noun}} \
                     and {{phrase}}"
                ));
            }
        };
        if pieces.contains(&piece) || (piece.is_emotion() && pieces.iter().any(Piece::is_emotion)) {
            return Err(format!(
                "has {{{name}}} where its place is taken already: one emotion, one person, one origin"
            ));
        }
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn adjective(
    source: &Source<'_>,
    offset: usize,
    text: Option<Spanned<String>>,
    forms: BTreeMap<String, Spanned<String>>,
) -> Result<Option<Adjective>, KeywordError> {
    if text.is_none() && forms.is_empty() {
        return Ok(None);
    }
    let checked = |(name, form): (String, Spanned<String>)| Ok((name, word(source, &form)?));
    Ok(Some(Adjective {
        line: source.place(offset).line,
        word: text.map(|text| word(source, &text)).transpose()?,
        forms: forms.into_iter().map(checked).collect::<Result<_, KeywordError>>()?,
    }))
}

fn word(source: &Source<'_>, text: &Spanned<String>) -> Result<String, KeywordError> {
    source.checked(text.span().start, text.get_ref(), WORD)
}
