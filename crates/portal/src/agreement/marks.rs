//! What does a page show: which text, seen or hidden, and which lines, areas and pictures, where?

use std::collections::HashMap;

use lopdf::content::Content;
use lopdf::{Dictionary, Encoding, Object};

use super::read::{Page, Pdf, Unreadable};

/// All that a page's operators draw.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Drawing {
    /// Text that can be seen, in the order it is drawn.
    pub(super) text: String,
    /// Text that is drawn so that nobody sees it: no ink, white ink, tiny, beside the page.
    pub(super) hidden_text: String,
    /// Everything else.
    pub(super) marks: Vec<Mark>,
    /// Whether parts can be shown and hidden.
    pub(super) has_layers: bool,
}

/// One line, area or picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    pub(super) kind: MarkKind,
    /// Left, bottom, right, top in points.
    pub(super) place: [f32; 4],
}

/// What was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkKind {
    Path,
    Shade,
    Picture,
}

const MOST_OPERATIONS: usize = 500_000;
const DEEPEST_FORM: usize = 8;
const MOST_SAVED: usize = 256;
/// Letters smaller than this can't be read, points.
const SMALLEST_LETTER: f32 = 1.5;

type Matrix = [f32; 6];
const IDENTITY: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// Reads what a page draws, but for its annotations.
pub(super) fn drawing(pdf: &Pdf, page: &Page<'_>) -> Result<Drawing, Unreadable> {
    let content = pdf.content(page)?;
    let mut reader = Reader {
        pdf,
        shown: page.crop_box,
        fonts: HashMap::new(),
        n_operations: 0,
        last: [0.0; 3],
        drawing: Drawing::default(),
    };
    reader.run(&content, page.resources, State::default(), 0)?;
    Ok(reader.drawing)
}

#[derive(Clone, Copy)]
struct State<'a> {
    matrix: Matrix,
    font: Option<&'a Dictionary>,
    size: f32,
    leading: f32,
    rendering: i64,
    is_white: bool,
    is_transparent: bool,
    line_width: f32,
    /// The colour space is one that the page's resources define.
    is_own_space: bool,
}

impl Default for State<'_> {
    fn default() -> Self {
        Self {
            matrix: IDENTITY,
            font: None,
            size: 0.0,
            leading: 0.0,
            rendering: 0,
            is_white: false,
            is_transparent: false,
            line_width: 1.0,
            is_own_space: false,
        }
    }
}

struct Reader<'a> {
    pdf: &'a Pdf,
    shown: [f32; 4],
    fonts: HashMap<usize, Option<Encoding<'a>>>,
    n_operations: usize,
    /// Where the last text began, and how far it may reach.
    last: [f32; 3],
    drawing: Drawing,
}

impl<'a> Reader<'a> {
    fn run(
        &mut self,
        content: &[u8],
        resources: Option<&'a Dictionary>,
        start: State<'a>,
        depth: usize,
    ) -> Result<(), Unreadable> {
        let mut state = start;
        let mut saved: Vec<State<'a>> = Vec::new();
        let (mut line, mut text) = (IDENTITY, IDENTITY);
        let mut path: Vec<(f32, f32)> = Vec::new();
        for operation in Content::decode_iter(content) {
            let operation = operation.map_err(|_| Unreadable::Damaged)?;
            self.n_operations += 1;
            if self.n_operations > MOST_OPERATIONS {
                return Err(Unreadable::TooMuch);
            }
            let operands = &operation.operands;
            let numbers: Vec<f32> = operands.iter().filter_map(|operand| operand.as_float().ok()).collect();
            match (operation.operator.as_str(), numbers.as_slice()) {
                ("q", _) if saved.len() < MOST_SAVED => saved.push(state),
                ("q", _) => return Err(Unreadable::TooMuch),
                ("Q", _) => state = saved.pop().unwrap_or(start),
                ("cm", &[a, b, c, d, e, f]) => state.matrix = product([a, b, c, d, e, f], state.matrix),
                ("w", &[width]) => state.line_width = width,
                ("gs", _) => {
                    let settings = self.resource(resources, b"ExtGState", operands);
                    let alpha = settings.and_then(|settings| self.pdf.number(settings, b"ca"));
                    state.is_transparent = alpha.map_or(state.is_transparent, |alpha| alpha < 0.1);
                }
                ("cs", _) => {
                    let name = operands.first().and_then(|name| name.as_name().ok()).unwrap_or_default();
                    state.is_own_space = !name.starts_with(b"Device") && !name.starts_with(b"Cal");
                    state.is_white = false;
                }
                ("g", &[grey]) => state.is_white = grey > 0.9,
                ("rg", components) | ("k", components) => state.is_white = is_white(components),
                ("sc" | "scn", components) => {
                    state.is_white = is_white(components) && !(state.is_own_space && components.len() == 1);
                }
                ("m" | "l", &[x, y]) => path.push(moved(state.matrix, x, y)),
                ("c", &[a, b, c, d, e, f]) => {
                    path.extend([(a, b), (c, d), (e, f)].map(|(x, y)| moved(state.matrix, x, y)))
                }
                ("v" | "y", &[a, b, c, d]) => path.extend([(a, b), (c, d)].map(|(x, y)| moved(state.matrix, x, y))),
                ("re", &[x, y, width, height]) => path.extend(corners(state.matrix, [x, y, x + width, y + height])),
                ("n", _) => path.clear(),
                ("f" | "F" | "f*", _) => self.mark(MarkKind::Path, &std::mem::take(&mut path), 0.0),
                ("S" | "s" | "B" | "B*" | "b" | "b*", _) => {
                    let half = state.line_width.abs() * scale(state.matrix) / 2.0;
                    self.mark(MarkKind::Path, &std::mem::take(&mut path), half);
                }
                ("sh", _) => {
                    let [left, bottom, right, top] = self.shown;
                    self.mark(MarkKind::Shade, &[(left, bottom), (right, top)], 0.0);
                }
                ("BI", _) => self.mark(MarkKind::Picture, &corners(state.matrix, [0.0, 0.0, 1.0, 1.0]), 0.0),
                ("BDC", _) => {
                    let is_layer = operands.first().is_some_and(|tag| matches!(tag.as_name(), Ok(b"OC")));
                    self.drawing.has_layers |= is_layer;
                }
                ("Do", _) => self.object(resources, operands, state, depth)?,
                ("BT", _) => (line, text) = (IDENTITY, IDENTITY),
                ("Tf", _) => {
                    state.font = self.resource(resources, b"Font", operands);
                    state.size = numbers.first().copied().unwrap_or(0.0);
                }
                ("TL", &[leading]) => state.leading = leading,
                ("Tr", &[rendering]) => state.rendering = rendering as i64,
                ("Tm", &[a, b, c, d, e, f]) => (line, text) = ([a, b, c, d, e, f], [a, b, c, d, e, f]),
                ("Td", &[x, y]) => {
                    line = product([1.0, 0.0, 0.0, 1.0, x, y], line);
                    text = line;
                }
                ("TD", &[x, y]) => {
                    state.leading = -y;
                    line = product([1.0, 0.0, 0.0, 1.0, x, y], line);
                    text = line;
                }
                ("T*" | "'" | "\"", _) => {
                    line = product([1.0, 0.0, 0.0, 1.0, 0.0, -state.leading], line);
                    text = line;
                    self.show(operands, &state, text);
                }
                ("Tj" | "TJ", _) => self.show(operands, &state, text),
                _ => {}
            }
        }
        Ok(())
    }

    fn resource(&self, resources: Option<&'a Dictionary>, kind: &[u8], operands: &[Object]) -> Option<&'a Dictionary> {
        let name = operands.first()?.as_name().ok()?;
        self.pdf.dictionary(self.pdf.dictionary(resources?, kind)?, name)
    }

    /// A picture, or a form with operators of its own.
    fn object(
        &mut self,
        resources: Option<&'a Dictionary>,
        operands: &[Object],
        state: State<'a>,
        depth: usize,
    ) -> Result<(), Unreadable> {
        let pdf = self.pdf;
        let objects = resources.and_then(|resources| pdf.dictionary(resources, b"XObject"));
        let name = operands.first().and_then(|name| name.as_name().ok());
        let object = objects.zip(name).and_then(|(objects, name)| pdf.entry(objects, name));
        let Some(Object::Stream(stream)) = object else { return Ok(()) };
        self.drawing.has_layers |= stream.dict.has(b"OC");
        if pdf.name(&stream.dict, b"Subtype") != Some(b"Form") {
            self.mark(MarkKind::Picture, &corners(state.matrix, [0.0, 0.0, 1.0, 1.0]), 0.0);
            return Ok(());
        }
        if depth == DEEPEST_FORM {
            return Err(Unreadable::TooMuch);
        }
        let matrix = pdf.numbers(&stream.dict, b"Matrix").unwrap_or(IDENTITY);
        let content = pdf.decoded(stream)?;
        let inner = pdf.dictionary(&stream.dict, b"Resources").or(resources);
        self.run(&content, inner, State { matrix: product(matrix, state.matrix), ..state }, depth + 1)
    }

    fn mark(&mut self, kind: MarkKind, points: &[(f32, f32)], wider: f32) {
        let mut place = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for &(x, y) in points {
            place = [place[0].min(x), place[1].min(y), place[2].max(x), place[3].max(y)];
        }
        let place = [place[0] - wider, place[1] - wider, place[2] + wider, place[3] + wider];
        if place.iter().all(|side| side.is_finite()) {
            self.drawing.marks.push(Mark { kind, place });
        }
    }

    fn show(&mut self, operands: &[Object], state: &State<'a>, text: Matrix) {
        let mut shown = String::new();
        for operand in operands {
            match operand {
                Object::Array(parts) => parts.iter().for_each(|part| self.decode(part, state.font, &mut shown)),
                part => self.decode(part, state.font, &mut shown),
            }
        }
        let matrix = product(text, state.matrix);
        let [left, bottom, right, top] = self.shown;
        let is_beside = !(left..=right).contains(&matrix[4]) || !(bottom..=top).contains(&matrix[5]);
        let is_tiny = state.size.abs() * scale(matrix) < SMALLEST_LETTER;
        let is_hidden =
            matches!(state.rendering, 3 | 7) || state.is_white || state.is_transparent || is_beside || is_tiny;
        // Words of one line may be drawn in pieces: a space is where the next piece lies far off, or on another line.
        let size = state.size.abs() * scale(matrix);
        let [x, y, reach] = self.last;
        let is_apart = (matrix[5] - y).abs() > 0.5 || !(x..x + reach).contains(&matrix[4]);
        self.last = [matrix[4], matrix[5], shown.chars().count() as f32 * size];
        let into = if is_hidden { &mut self.drawing.hidden_text } else { &mut self.drawing.text };
        if is_apart && !into.is_empty() {
            into.push(' ');
        }
        into.push_str(&shown);
    }

    fn decode(&mut self, part: &Object, font: Option<&'a Dictionary>, into: &mut String) {
        let (Object::String(bytes, _), Some(font)) = (part, font) else { return };
        let pdf = self.pdf;
        let encoding = self.fonts.entry(std::ptr::from_ref(font) as usize).or_insert_with(|| pdf.encoding(font));
        let decoded = encoding.as_ref().and_then(|encoding| encoding.bytes_to_string(bytes).ok());
        // A font that can't be read shows something all the same.
        into.push_str(&decoded.unwrap_or_else(|| "\u{fffd}".repeat(bytes.len())));
    }
}

fn is_white(components: &[f32]) -> bool {
    match components {
        [_, _, _, _] => components.iter().all(|ink| *ink < 0.1),
        [] => false,
        light => light.iter().all(|light| *light > 0.9),
    }
}

/// The matrix that does `first`, then `second` (ISO 32000-1, 8.3.4).
fn product(first: Matrix, second: Matrix) -> Matrix {
    let [a, b, c, d, e, f] = first;
    let [p, q, r, s, t, u] = second;
    [a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u]
}

fn moved([a, b, c, d, e, f]: Matrix, x: f32, y: f32) -> (f32, f32) {
    (a * x + c * y + e, b * x + d * y + f)
}

fn corners(matrix: Matrix, [left, bottom, right, top]: [f32; 4]) -> [(f32, f32); 4] {
    [(left, bottom), (right, bottom), (right, top), (left, top)].map(|(x, y)| moved(matrix, x, y))
}

/// How much longer a line becomes, on average.
fn scale([a, b, c, d, ..]: Matrix) -> f32 {
    (a * d - b * c).abs().sqrt()
}
