//! Is a page still the page that was issued? Equal digests prove it; else text and marks are compared.

use std::collections::HashMap;

use lopdf::{Dictionary, Object, ObjectId};
use sha2::{Digest as _, Sha256};

use super::marks::{Drawing, Mark, MarkKind};
use super::read::{Page, Pdf, Unreadable};

/// Says what an issued and an uploaded page are to each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sameness {
    /// The same operators, fonts and sizes: it looks the same in every reader, but for what lies over it.
    Identical,
    /// The same text, drawn in another way.
    SameText { added_words: String, added_marks: Vec<Mark> },
    /// A picture of a page.
    Scan,
    /// A sentence that says what differs.
    Changed(String),
}

/// SHA-256 of all that decides how a page looks, annotations apart.
///
/// References are followed and streams decoded, so that a file that was only packed otherwise has the same digest.
pub(super) fn page_digest(pdf: &Pdf, page: &Page<'_>) -> Result<[u8; 32], Unreadable> {
    let mut digester = Digester { pdf, known: HashMap::new(), open: Vec::new() };
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(pdf.content(page)?));
    for side in page.media_box.into_iter().chain(page.crop_box).chain([page.user_unit]) {
        hash.update(rounded(side).to_be_bytes());
    }
    hash.update(page.rotation.to_be_bytes());
    hash.update(page.resources.map_or(Ok([0; 32]), |resources| digester.dictionary(resources, &[]))?);
    let group = page.dictionary.get(b"Group").map_or(Ok([0; 32]), |group| digester.object(group));
    hash.update(group?);
    Ok(hash.finalize().into())
}

/// Hashes objects by what they say, not by where they stand.
struct Digester<'a> {
    pdf: &'a Pdf,
    known: HashMap<ObjectId, [u8; 32]>,
    /// References on the way from the page to here.
    open: Vec<ObjectId>,
}

/// What programs change that pack a file otherwise, without changing how it looks.
const OF_PACKING: [&[u8]; 5] = [b"Length", b"Filter", b"DecodeParms", b"DL", b"Metadata"];

impl Digester<'_> {
    fn object(&mut self, object: &Object) -> Result<[u8; 32], Unreadable> {
        let tagged = |tag: u8, bytes: &[u8]| -> [u8; 32] {
            Sha256::new().chain_update([tag]).chain_update(bytes).finalize().into()
        };
        Ok(match object {
            Object::Null => tagged(0, &[]),
            Object::Boolean(is_true) => tagged(1, &[u8::from(*is_true)]),
            Object::Integer(number) => tagged(2, &number.saturating_mul(10_000).to_be_bytes()),
            Object::Real(number) => tagged(2, &rounded(*number).to_be_bytes()),
            Object::Name(name) => tagged(3, name),
            Object::String(bytes, _) => tagged(4, bytes),
            Object::Array(objects) => {
                let mut hash = Sha256::new().chain_update([5]);
                for object in objects {
                    hash.update(self.object(object)?);
                }
                hash.finalize().into()
            }
            Object::Dictionary(dictionary) => self.dictionary(dictionary, &[])?,
            Object::Stream(stream) => {
                let is_picture = self.pdf.name(&stream.dict, b"Subtype") == Some(b"Image");
                let leave_out: &[&[u8]] = if is_picture { &[b"Length"] } else { &OF_PACKING };
                let described = self.dictionary(&stream.dict, leave_out)?;
                let content = Sha256::digest(self.pdf.decoded(stream)?);
                Sha256::new().chain_update([6]).chain_update(described).chain_update(content).finalize().into()
            }
            Object::Reference(id) => self.reference(*id)?,
        })
    }

    fn reference(&mut self, id: ObjectId) -> Result<[u8; 32], Unreadable> {
        if let Some(digest) = self.known.get(&id) {
            return Ok(*digest);
        }
        if self.open.contains(&id) {
            return Ok([0xff; 32]);
        }
        if self.open.len() > DEEPEST {
            return Err(Unreadable::TooMuch);
        }
        self.open.push(id);
        let digest = self.object(self.pdf.object(id));
        self.open.pop();
        self.known.insert(id, digest?);
        digest
    }

    fn dictionary(&mut self, dictionary: &Dictionary, leave_out: &[&[u8]]) -> Result<[u8; 32], Unreadable> {
        let is_kept = |key: &[u8]| key != b"Parent" && !leave_out.contains(&key);
        let mut entries: Vec<_> = dictionary.iter().filter(|(key, value)| is_kept(key) && !value.is_null()).collect();
        entries.sort_by_key(|(key, _)| *key);
        let mut hash = Sha256::new().chain_update([7]);
        for (key, value) in entries {
            hash.update(Sha256::digest(key));
            hash.update(self.object(value)?);
        }
        Ok(hash.finalize().into())
    }
}

/// References behind each other; a page of ours has five.
const DEEPEST: usize = 64;

/// Ten-thousandths: 1 and 1.0 are one number.
fn rounded(number: f32) -> i64 {
    (f64::from(number) * 10_000.0).round() as i64
}

/// Text without what programs change when they rewrite a file: spaces, soft hyphens, ligatures.
pub(super) fn normalised(text: &str) -> Vec<char> {
    let mut letters = Vec::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ﬀ' => letters.extend("ff".chars()),
            'ﬁ' => letters.extend("fi".chars()),
            'ﬂ' => letters.extend("fl".chars()),
            'ﬃ' => letters.extend("ffi".chars()),
            'ﬄ' => letters.extend("ffl".chars()),
            '\u{ad}' => {}
            letter if letter.is_whitespace() || letter.is_control() => {}
            letter => letters.push(letter),
        }
    }
    letters
}

/// Share of the page that pictures cover, 0 to 1.
pub(super) fn pictured_share(drawing: &Drawing, page: &Page<'_>) -> f32 {
    let [left, bottom, right, top] = page.crop_box;
    let pictures = drawing.marks.iter().filter(|mark| mark.kind == MarkKind::Picture);
    let covered = pictures.map(|mark| {
        let [l, b, r, t] = mark.place;
        (r.min(right) - l.max(left)).max(0.0) * (t.min(top) - b.max(bottom)).max(0.0)
    });
    (covered.sum::<f32>() / ((right - left) * (top - bottom)).max(1.0)).min(1.0)
}

/// Compares pages whose digests differ. Words may be added only where `may_add`: on the page that is signed.
pub(super) fn compared(issued: &Drawing, uploaded: &Drawing, share: f32, may_add: bool) -> Sameness {
    let (before, after) = (normalised(&issued.text), normalised(&uploaded.text));
    // A scanner's app leaves its name beside the picture.
    if share > 0.8 && after.len() < MOST_LETTERS_OF_A_SCANNER && before != after {
        return Sameness::Scan;
    }
    if uploaded.has_layers {
        return Sameness::Changed("has layers that can be shown and hidden".into());
    }
    if normalised(&uploaded.hidden_text) != normalised(&issued.hidden_text) {
        return Sameness::Changed(format!("has text that cannot be seen, “{}”", quoted(&uploaded.hidden_text)));
    }
    let added_words = match added(&before, &after) {
        Some(words) if words.is_empty() || may_add => words,
        _ if after.is_empty() => return Sameness::Changed("has no text, and no picture that fills it".into()),
        _ => return Sameness::Changed(difference(&before, &issued.text, &after, &uploaded.text)),
    };
    let added_marks = added_marks(&issued.marks, &uploaded.marks);
    if !added_marks.is_empty() && !may_add {
        return Sameness::Changed("has lines, areas or pictures that were not issued".into());
    }
    Sameness::SameText { added_words, added_marks }
}

const MOST_LETTERS_OF_A_SCANNER: usize = 80;

/// What stands in `after` beyond `before`, if all of `before` is there in its order.
fn added(before: &[char], after: &[char]) -> Option<String> {
    let mut waiting = before.iter().peekable();
    let rest = after.iter().filter(|letter| waiting.next_if_eq(letter).is_none()).collect();
    waiting.peek().is_none().then_some(rest)
}

/// Marks of `after` that have no counterpart in `before`, within a point and a half.
fn added_marks(before: &[Mark], after: &[Mark]) -> Vec<Mark> {
    let mut left: Vec<Mark> = before.to_vec();
    let is_there = |mark: &&Mark| {
        let is_same = |other: &Mark| {
            other.kind == mark.kind && other.place.iter().zip(mark.place).all(|(a, b)| (a - b).abs() < 1.5)
        };
        left.iter().position(is_same).map(|at| left.swap_remove(at)).is_some()
    };
    let mut is_there = is_there;
    after.iter().filter(|mark| !is_there(mark)).copied().collect()
}

/// Where two texts part, with the words around it.
fn difference(before: &[char], issued: &str, after: &[char], uploaded: &str) -> String {
    let at = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    format!("was issued with “{}” and came back with “{}”", around(issued, at), around(uploaded, at))
}

/// Words around the letter with this place among those that are compared.
fn around(text: &str, at: usize) -> String {
    let mut n_letters = 0;
    let words: Vec<&str> = text.split_whitespace().collect();
    let reaches = |word: &&str| {
        n_letters += normalised(word).len();
        n_letters > at
    };
    let centre = words.iter().position(reaches).unwrap_or(words.len());
    quoted(&words[centre.saturating_sub(4)..(centre + 5).min(words.len())].join(" "))
}

/// At most a line of somebody else's text, as one line.
pub(super) fn quoted(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_shown =
        |letter: &char| !letter.is_control() && !matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown: String = text.chars().filter(is_shown).take(100).collect();
    if shown.len() < text.len() { format!("{shown} …") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_shown_with_its_neighbours() {
        let (issued, uploaded) =
            ("for no longer than two years after signing", "for no longer than ten years after signing");
        let text = difference(&normalised(issued), issued, &normalised(uploaded), uploaded);
        assert_eq!(
            text,
            "was issued with “for no longer than two years after signing” and came back with “for no longer than ten years \
             after signing”"
        );
    }

    #[test]
    fn what_was_added_is_known_only_if_all_else_is_there_in_order() {
        let added = |before, after| added(&normalised(before), &normalised(after));
        assert_eq!(added("Name Date", "Name A. Smith Date").as_deref(), Some("A.Smith"));
        assert_eq!(added("Name Date", "Date Name"), None);
        assert_eq!(added("Name Date", "Name Date").as_deref(), Some(""));
    }
}
