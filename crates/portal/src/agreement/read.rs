//! What is in a PDF that somebody uploaded? Reading stops at limits and never follows a circle.

use std::cell::Cell;
use std::collections::HashSet;

use lopdf::{DecompressError, Dictionary, Document, Encoding, LoadOptions, Object, ObjectId, Stream};

use super::check::Limits;

/// Why a file can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    NoPdf,
    Damaged,
    Encrypted,
    /// It would take more than the limits give.
    TooMuch,
}

/// A PDF whose objects are in memory, and how many bytes of its streams may still be decoded.
pub(super) struct Pdf {
    document: Document,
    limits: Limits,
    left_bytes: Cell<usize>,
}

/// A page with what it inherits from the tree above it.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) dictionary: &'a Dictionary,
    pub(super) resources: Option<&'a Dictionary>,
    /// Left, bottom, right, top in points; A4 if the file says nothing.
    pub(super) media_box: [f32; 4],
    /// What is shown of it.
    pub(super) crop_box: [f32; 4],
    /// Degrees clockwise, 0 to 359.
    pub(super) rotation: i64,
    /// Size of a unit, 1/72 inch.
    pub(super) user_unit: f32,
}

/// What is drawn over a page: notes, ink, fields.
#[derive(Clone, Copy)]
pub(super) struct Annotation<'a> {
    pub(super) dictionary: &'a Dictionary,
    pub(super) subtype: &'a [u8],
    pub(super) rect: [f32; 4],
}

const A4: [f32; 4] = [0.0, 0.0, 595.28, 841.89];
/// A reader looks for `%PDF-` in the first kilobyte.
const HEADER_WITHIN: usize = 1024;
const DEEPEST_TREE: usize = 32;

impl Pdf {
    pub(super) fn open(bytes: &[u8], limits: &Limits) -> Result<Self, Unreadable> {
        let head = bytes.get(..HEADER_WITHIN.min(bytes.len())).unwrap_or_default();
        if !head.windows(5).any(|five| five == b"%PDF-") {
            return Err(Unreadable::NoPdf);
        }
        let options = LoadOptions { max_decompressed_size: Some(limits.stream_bytes), ..LoadOptions::default() };
        let document = Document::load_mem_with_options(bytes, options).map_err(|error| match error {
            lopdf::Error::Decryption(_) | lopdf::Error::InvalidPassword => Unreadable::Encrypted,
            lopdf::Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) => Unreadable::TooMuch,
            _ => Unreadable::Damaged,
        })?;
        if document.is_encrypted() || document.was_encrypted() || document.trailer.has(b"Encrypt") {
            return Err(Unreadable::Encrypted);
        }
        if document.objects.len() > limits.n_objects {
            return Err(Unreadable::TooMuch);
        }
        // What was repaired by guessing may be repaired otherwise by the program that shows it.
        if document.xref_recovery.is_some() || document.catalog().is_err() {
            return Err(Unreadable::Damaged);
        }
        Ok(Self { document, limits: *limits, left_bytes: Cell::new(limits.all_bytes) })
    }

    /// How the bytes that a font shows become letters.
    pub(super) fn encoding<'a>(&'a self, font: &'a Dictionary) -> Option<Encoding<'a>> {
        font.get_font_encoding_with_limit(&self.document, self.limits.stream_bytes).ok()
    }

    pub(super) fn catalog(&self) -> Option<&Dictionary> {
        self.document.catalog().ok()
    }

    /// What a reference points at, in the end.
    pub(super) fn follow<'a>(&'a self, object: &'a Object) -> &'a Object {
        self.document.dereference(object).map_or(&Object::Null, |(_, object)| object)
    }

    pub(super) fn entry<'a>(&'a self, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
        dictionary.get(key).ok().map(|object| self.follow(object)).filter(|object| !object.is_null())
    }

    pub(super) fn dictionary<'a>(&'a self, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
        match self.entry(dictionary, key)? {
            Object::Dictionary(dictionary) => Some(dictionary),
            Object::Stream(stream) => Some(&stream.dict),
            _ => None,
        }
    }

    pub(super) fn name<'a>(&'a self, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a [u8]> {
        self.entry(dictionary, key)?.as_name().ok()
    }

    pub(super) fn number(&self, dictionary: &Dictionary, key: &[u8]) -> Option<f32> {
        self.entry(dictionary, key)?.as_float().ok()
    }

    pub(super) fn numbers<const N: usize>(&self, dictionary: &Dictionary, key: &[u8]) -> Option<[f32; N]> {
        let array = self.entry(dictionary, key)?.as_array().ok()?;
        let numbers: Option<Vec<f32>> = array.iter().map(|number| self.follow(number).as_float().ok()).collect();
        numbers?.try_into().ok()
    }

    /// A stream's bytes, counted against the limits; as they are if they are a picture.
    pub(super) fn decoded(&self, stream: &Stream) -> Result<Vec<u8>, Unreadable> {
        // Its bytes stand in another file, so nobody knows what they will be.
        if stream.dict.has(b"F") {
            return Err(Unreadable::Damaged);
        }
        let limit = self.limits.stream_bytes.min(self.left_bytes.get());
        let is_picture = matches!(self.name(&stream.dict, b"Subtype"), Some(b"Image"));
        let bytes = if is_picture || !stream.dict.has(b"Filter") {
            stream.content.clone()
        } else {
            match stream.decompressed_content_with_limit(limit) {
                Ok(bytes) => bytes,
                Err(lopdf::Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
                    return Err(Unreadable::TooMuch);
                }
                Err(_) => return Err(Unreadable::Damaged),
            }
        };
        self.left_bytes.set(self.left_bytes.get().checked_sub(bytes.len()).ok_or(Unreadable::TooMuch)?);
        Ok(bytes)
    }

    /// The pages in order, as many as the limits give, and whether there are more.
    ///
    /// A tree that readers may walk in different ways is damaged: they would show different pages.
    pub(super) fn pages(&self) -> Result<(Vec<Page<'_>>, bool), Unreadable> {
        let mut pages = Vec::new();
        let mut seen = HashSet::new();
        let root = self.catalog().and_then(|catalog| catalog.get(b"Pages").ok()).ok_or(Unreadable::Damaged)?;
        let mut waiting: Vec<(&Object, Vec<&Dictionary>)> = vec![(root, Vec::new())];
        while let Some((object, above)) = waiting.pop() {
            let Object::Dictionary(node) = self.follow(object) else { return Err(Unreadable::Damaged) };
            let kids = self.entry(node, b"Kids").and_then(|kids| kids.as_array().ok());
            match (self.name(node, b"Type"), kids) {
                (Some(b"Page"), None) if pages.len() == self.limits.n_pages => return Ok((pages, true)),
                (Some(b"Page"), None) => pages.push(self.page(node, &above)),
                (Some(b"Pages"), Some(kids)) => {
                    // A page that hangs twice in the tree is two pages; a branch that does is a circle, or a bomb.
                    let is_new = object.as_reference().map_or(true, |id| seen.insert(id));
                    if !is_new || above.len() == DEEPEST_TREE || waiting.len() + kids.len() > self.limits.n_objects {
                        return Err(Unreadable::TooMuch);
                    }
                    let above: Vec<_> = above.into_iter().chain([node]).collect();
                    waiting.extend(kids.iter().rev().map(|kid| (kid, above.clone())));
                }
                _ => return Err(Unreadable::Damaged),
            }
        }
        let Object::Dictionary(root) = self.follow(root) else { return Err(Unreadable::Damaged) };
        let counted = self.entry(root, b"Count").and_then(|count| count.as_i64().ok());
        if counted == i64::try_from(pages.len()).ok() { Ok((pages, false)) } else { Err(Unreadable::Damaged) }
    }

    fn page<'a>(&'a self, dictionary: &'a Dictionary, above: &[&'a Dictionary]) -> Page<'a> {
        let holder =
            |key: &[u8]| [dictionary].into_iter().chain(above.iter().rev().copied()).find(|node| node.has(key));
        let inherited = |key: &'static [u8]| holder(key).and_then(|node| self.numbers::<4>(node, key)).map(upright);
        let media_box = inherited(b"MediaBox").unwrap_or(A4);
        let rotation =
            holder(b"Rotate").and_then(|node| self.entry(node, b"Rotate")).and_then(|degrees| degrees.as_i64().ok());
        Page {
            dictionary,
            resources: holder(b"Resources").and_then(|node| self.dictionary(node, b"Resources")),
            media_box,
            crop_box: inherited(b"CropBox").unwrap_or(media_box),
            rotation: rotation.unwrap_or(0).rem_euclid(360),
            user_unit: self.number(dictionary, b"UserUnit").unwrap_or(1.0),
        }
    }

    /// What draws a page: its streams, one after the other.
    pub(super) fn content(&self, page: &Page<'_>) -> Result<Vec<u8>, Unreadable> {
        let streams: Vec<&Object> = match self.entry(page.dictionary, b"Contents") {
            None => Vec::new(),
            Some(Object::Array(streams)) => streams.iter().collect(),
            Some(stream) => vec![stream],
        };
        let mut content = Vec::new();
        for stream in streams {
            let Object::Stream(stream) = self.follow(stream) else { return Err(Unreadable::Damaged) };
            content.extend(self.decoded(stream)?);
            content.push(b'\n');
        }
        content.truncate(content.trim_ascii_end().len());
        Ok(content)
    }

    pub(super) fn annotations<'a>(&'a self, page: &Page<'a>) -> Vec<Annotation<'a>> {
        let array = self.entry(page.dictionary, b"Annots").and_then(|annotations| annotations.as_array().ok());
        let dictionaries = array.into_iter().flatten().filter_map(|object| match self.follow(object) {
            Object::Dictionary(dictionary) => Some(dictionary),
            Object::Stream(stream) => Some(&stream.dict),
            _ => None,
        });
        let annotation = |dictionary| Annotation {
            dictionary,
            subtype: self.name(dictionary, b"Subtype").unwrap_or(b"?"),
            rect: self.numbers(dictionary, b"Rect").map_or([0.0; 4], upright),
        };
        dictionaries.map(annotation).collect()
    }

    /// Every dictionary of the file, the trailer's too, wherever it is nested, until one is found that `is_sought`.
    pub(super) fn find_dictionary<T>(&self, mut is_sought: impl FnMut(&Dictionary) -> Option<T>) -> Option<T> {
        let mut waiting: Vec<&Object> = self.document.objects.values().collect();
        waiting.extend(self.document.trailer.iter().map(|(_, value)| value));
        while let Some(object) = waiting.pop() {
            let dictionary = match object {
                Object::Array(array) => {
                    waiting.extend(array);
                    continue;
                }
                Object::Dictionary(dictionary) => dictionary,
                Object::Stream(stream) => &stream.dict,
                _ => continue,
            };
            if let Some(found) = is_sought(dictionary) {
                return Some(found);
            }
            waiting.extend(dictionary.iter().map(|(_, value)| value));
        }
        None
    }

    pub(super) fn object(&self, id: ObjectId) -> &Object {
        self.document.get_object(id).unwrap_or(&Object::Null)
    }
}

/// Corners in the order left, bottom, right, top.
fn upright([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    [a.min(c), b.min(d), a.max(c), b.max(d)]
}
