//! How does an agreement look on paper? Lines are broken and put on pages first, then everything is drawn.

use krilla::Document;
use krilla::SerializeSettings;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::text::TextDirection;

use super::font::Letters;
use super::{Agreement, AgreementError};

/// A4, points.
pub(super) const PAGE_WIDTH: f32 = 595.28;
/// A4, points.
pub(super) const PAGE_HEIGHT: f32 = 841.89;
/// The empty boxes for date and signature on the last page: left, top, right, bottom in points from the upper left corner.
pub(super) const SIGNING_AREA: [f32; 4] = [MARGIN, 442.0, PAGE_WIDTH - MARGIN, 640.0];

const MARGIN: f32 = 62.0;
const COLUMN: f32 = PAGE_WIDTH - 2.0 * MARGIN;
const TOP: f32 = 92.0;
const BOTTOM: f32 = PAGE_HEIGHT - 84.0;
const BODY: f32 = 10.0;
const LEADING: f32 = 1.45;
const SMALL: f32 = 8.0;
/// Names of fields stand left of what was answered.
const LABEL_WIDTH: f32 = 104.0;
/// Kerning and joined letters differ a little from the sum of widths.
const SLACK: f32 = 6.0;
/// More lines of one text than this come from no person.
const LONGEST_FIELD: usize = 500;
const LONGEST_TEXT: usize = 20_000;
const MOST_STUDENTS: usize = 100;
const MOST_CLAUSES: usize = 200;

/// Writes the agreement as PDF, A4, its signature boxes alone on the last page; the same agreement gives the same bytes.
///
/// # Errors
/// [`AgreementError::Letter`] if a text has a letter that the font lacks, [`AgreementError::TooLong`] if one is longer
/// than a person writes.
pub fn agreement_pdf(agreement: &Agreement) -> Result<Vec<u8>, AgreementError> {
    let letters = Faces::load().ok_or_else(|| AgreementError::Write("the font inside the program".into()))?;
    let pages = Layout::new(&letters).lay_out(agreement)?;
    draw(agreement, &letters, &pages)
}

struct Faces {
    upright: Letters,
    bold: Letters,
}

impl Faces {
    fn load() -> Option<Self> {
        Some(Self { upright: Letters::upright()?, bold: Letters::bold()? })
    }

    fn of(&self, weight: Weight) -> &Letters {
        match weight {
            Weight::Upright => &self.upright,
            Weight::Bold => &self.bold,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Upright,
    Bold,
}

/// What stands on a page; `y` is a line's foot, points from the upper edge.
#[derive(Debug)]
enum Item {
    Line { x: f32, y: f32, size: f32, weight: Weight, text: String },
    Box { ltrb: [f32; 4] },
}

/// Fills pages from top to bottom.
struct Layout<'a> {
    letters: &'a Faces,
    pages: Vec<Vec<Item>>,
    y: f32,
}

impl<'a> Layout<'a> {
    fn new(letters: &'a Faces) -> Self {
        Self { letters, pages: vec![Vec::new()], y: TOP }
    }

    fn lay_out(mut self, agreement: &Agreement) -> Result<Vec<Vec<Item>>, AgreementError> {
        let Agreement { licensor, licensee, .. } = agreement;
        if agreement.named_students.len() > MOST_STUDENTS {
            return Err(AgreementError::TooLong { field: "named students".into(), limit: MOST_STUDENTS });
        }
        if agreement.terms.len() > MOST_CLAUSES {
            return Err(AgreementError::TooLong { field: "terms".into(), limit: MOST_CLAUSES });
        }
        let database = self.fit("database", &agreement.database, LONGEST_FIELD)?;
        let release = self.fit("release", &agreement.release, LONGEST_FIELD)?;
        let date = self.fit("date", &agreement.date, LONGEST_FIELD)?;
        let lab = self.fit("lab", &licensor.lab, LONGEST_FIELD)?;
        let institution = self.fit("institution of the lab", &licensor.institution, LONGEST_FIELD)?;
        let name = self.fit("name", &licensee.name, LONGEST_FIELD)?;
        let position = self.fit("position", &licensee.position, LONGEST_FIELD)?;
        let licensee_institution = self.fit("institution", &licensee.institution, LONGEST_FIELD)?;

        self.paragraph(&format!("Agreement on the use of {database}"), 16.0, Weight::Bold, MARGIN);
        self.space(4.0);
        self.field("Number", &agreement.number.to_string());
        self.field("Release", &release);
        self.field("Date", &date);
        self.heading("Between");
        self.field("Licensor", &lab);
        self.field("Institution", &institution);
        self.heading("and");
        self.field("Licensee", &name);
        self.field("Position", &position);
        self.field("Institution", &licensee_institution);
        let email = self.fit("e-mail", &licensee.email, LONGEST_FIELD)?;
        self.field("E-mail", &email);
        if let Some(orcid) = &licensee.orcid {
            let orcid = self.fit("ORCID", orcid, LONGEST_FIELD)?;
            self.field("ORCID", &orcid);
        }
        if let Some(page) = &licensee.web_page {
            let page = self.fit("web page", page, LONGEST_FIELD)?;
            self.field("Web page", &page);
        }
        self.heading("Purpose");
        let purpose = self.fit("purpose", &agreement.purpose, LONGEST_TEXT)?;
        self.paragraph(&purpose, BODY, Weight::Upright, MARGIN);
        if !agreement.named_students.is_empty() {
            self.heading("Students who use it under the licensee's supervision");
            for student in &agreement.named_students {
                let student = self.fit("named student", student, LONGEST_FIELD)?;
                self.paragraph(&student, BODY, Weight::Upright, MARGIN);
            }
        }
        self.heading("Terms");
        for (idx, clause) in agreement.terms.iter().enumerate() {
            let heading = self.fit("heading of a clause", &clause.heading, LONGEST_FIELD)?;
            self.heading(&format!("{}. {heading}", idx + 1));
            for paragraph in clause.text.split('\n') {
                let paragraph = self.fit("text of a clause", paragraph, LONGEST_TEXT)?;
                self.paragraph(&paragraph, BODY, Weight::Upright, MARGIN);
                self.space(3.0);
            }
        }
        self.signature_page(&database, &name, &position, &licensee_institution);
        Ok(self.pages)
    }

    /// The last page: nothing but who signs what, and where.
    fn signature_page(&mut self, database: &str, name: &str, position: &str, institution: &str) {
        let n_before = self.pages.len();
        self.new_page();
        self.paragraph("Signature", 16.0, Weight::Bold, MARGIN);
        self.space(4.0);
        let pages = if n_before == 1 { "page 1".into() } else { format!("pages 1 to {n_before}") };
        // Long answers are shortened here: they stand in full on the first page, and the boxes have one place.
        let agreed = format!(
            "The licensee has read {pages}, agrees to the terms, and signs for the use of {} at {}.",
            shortened(database, 80),
            shortened(institution, 120)
        );
        self.paragraph(&agreed, BODY, Weight::Upright, MARGIN);
        self.space(4.0);
        let how = "Sign inside the last box, by pen on paper that is scanned afterwards or on the screen, and leave \
                   everything else as it is: changed text is found and sent back.";
        self.paragraph(how, SMALL, Weight::Upright, MARGIN);
        let [left, top, right, bottom] = SIGNING_AREA;
        let rows = [
            ("Name", shortened(name, 120), 56.0),
            ("Position", shortened(position, 120), 56.0),
            ("Date", String::new(), 46.0),
            ("Signature", String::new(), bottom - top - 46.0),
        ];
        let mut y = top - 2.0 * 56.0;
        for (label, answer, height) in rows {
            self.put(Item::Box { ltrb: [left, y, right, y + height] });
            self.line(left + 8.0, y + 17.0, SMALL, Weight::Bold, label.into());
            let lines = broken(&answer, &self.letters.upright, BODY, COLUMN - LABEL_WIDTH - 16.0);
            for (idx, line) in lines.into_iter().take(3).enumerate() {
                self.line(left + LABEL_WIDTH, y + 17.0 + idx as f32 * 14.0, BODY, Weight::Upright, line);
            }
            y += height;
        }
    }

    /// A text from outside as it can be printed, or why it can't be.
    fn fit(&self, field: &str, text: &str, limit: usize) -> Result<String, AgreementError> {
        let text = printable(text);
        if text.chars().count() > limit {
            return Err(AgreementError::TooLong { field: field.into(), limit });
        }
        match text.chars().find(|letter| !is_joiner(*letter) && !self.letters.upright.has(*letter)) {
            Some(letter) => Err(AgreementError::Letter { field: field.into(), letter }),
            None => Ok(text),
        }
    }

    fn heading(&mut self, text: &str) {
        self.space(9.0);
        // A heading alone at the foot of a page reads badly.
        if self.y + 3.0 * BODY * LEADING > BOTTOM {
            self.new_page();
        }
        self.paragraph(text, BODY + 1.0, Weight::Bold, MARGIN);
        self.space(2.0);
    }

    fn field(&mut self, label: &str, answer: &str) {
        if self.y + BODY * LEADING > BOTTOM {
            self.new_page();
        }
        self.line(MARGIN, self.y + BODY, SMALL, Weight::Bold, label.into());
        self.paragraph(answer, BODY, Weight::Upright, MARGIN + LABEL_WIDTH);
    }

    fn paragraph(&mut self, text: &str, size: f32, weight: Weight, x: f32) {
        // Bold has fewer letters than upright: what it lacks is printed upright.
        let has_all = text.chars().all(|letter| is_joiner(letter) || self.letters.bold.has(letter));
        let weight = if has_all { weight } else { Weight::Upright };
        let lines = broken(text, self.letters.of(weight), size, PAGE_WIDTH - MARGIN - x);
        for line in if lines.is_empty() { vec![String::new()] } else { lines } {
            if self.y + size * LEADING > BOTTOM {
                self.new_page();
            }
            self.line(x, self.y + size, size, weight, line);
            self.y += size * LEADING;
        }
    }

    fn line(&mut self, x: f32, y: f32, size: f32, weight: Weight, text: String) {
        if !text.is_empty() {
            self.put(Item::Line { x, y, size, weight, text });
        }
    }

    fn put(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.push(item);
        }
    }

    fn space(&mut self, points: f32) {
        self.y += points;
    }

    fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
    }
}

/// Text without what has no shape, or would change the order of what stands beside it.
fn printable(text: &str) -> String {
    let spaced = text.chars().filter_map(|letter| match letter {
        letter if letter.is_whitespace() => Some(' '),
        '\u{ad}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => None,
        letter if letter.is_control() => Some(' '),
        letter => Some(letter),
    });
    spaced.collect::<String>().split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Persian words need them; they have no shape of their own.
fn is_joiner(letter: char) -> bool {
    matches!(letter, '\u{200c}' | '\u{200d}')
}

fn shortened(text: &str, n_letters: usize) -> String {
    if text.chars().count() <= n_letters {
        return text.into();
    }
    text.chars().take(n_letters - 1).chain(['…']).collect()
}

/// Lines of at most this width; a word that is wider by itself is cut.
fn broken(text: &str, letters: &Letters, size: f32, width: f32) -> Vec<String> {
    let width = width - SLACK;
    let space = letters.width(" ", size);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0.0);
    for word in text.split(' ') {
        let word_width = letters.width(word, size);
        if !line.is_empty() && used + space + word_width > width {
            lines.push(std::mem::take(&mut line));
            used = 0.0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += space;
        }
        if word_width <= width {
            line.push_str(word);
            used += word_width;
            continue;
        }
        for letter in word.chars() {
            let letter_width = letters.width(letter.encode_utf8(&mut [0; 4]), size);
            if used + letter_width > width {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            line.push(letter);
            used += letter_width;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn draw(agreement: &Agreement, letters: &Faces, pages: &[Vec<Item>]) -> Result<Vec<u8>, AgreementError> {
    let failed = |what: &str| AgreementError::Write(what.into());
    let number = agreement.number.to_string();
    let database = printable(&agreement.database);
    let mut document = Document::new_with(SerializeSettings { enable_tagging: false, ..SerializeSettings::default() });
    for (idx, items) in pages.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT).ok_or_else(|| failed("a page"))?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        let header = shortened(&database, 48);
        draw_line(&mut surface, letters, (MARGIN, 48.0), (SMALL, Weight::Upright), &header);
        let right = PAGE_WIDTH - MARGIN - letters.bold.width(&number, SMALL);
        draw_line(&mut surface, letters, (right, 48.0), (SMALL, Weight::Bold), &number);
        draw_box(&mut surface, [MARGIN, 54.0, PAGE_WIDTH - MARGIN, 54.5])?;
        draw_box(&mut surface, [MARGIN, PAGE_HEIGHT - 60.0, PAGE_WIDTH - MARGIN, PAGE_HEIGHT - 59.5])?;
        let foot = format!("Agreement {number}");
        draw_line(&mut surface, letters, (MARGIN, PAGE_HEIGHT - 46.0), (SMALL, Weight::Upright), &foot);
        let counted = format!("page {} of {}", idx + 1, pages.len());
        let right = PAGE_WIDTH - MARGIN - letters.upright.width(&counted, SMALL);
        draw_line(&mut surface, letters, (right, PAGE_HEIGHT - 46.0), (SMALL, Weight::Upright), &counted);
        for item in items {
            match item {
                Item::Line { x, y, size, weight, text } => {
                    draw_line(&mut surface, letters, (*x, *y), (*size, *weight), text);
                }
                Item::Box { ltrb } => draw_box(&mut surface, *ltrb)?,
            }
        }
        surface.finish();
        page.finish();
    }
    let metadata = Metadata::new()
        .title(format!("Agreement {number} on the use of {database}"))
        .keywords(vec![number, "agreement".into()])
        .creator("Affectory".into())
        .language("en".into());
    document.set_metadata(metadata);
    document.finish().map_err(|error| AgreementError::Write(format!("{error:?}")))
}

/// One line, in runs of one direction: what is written from right to left is turned by the shaper.
fn draw_line(
    surface: &mut Surface<'_>,
    letters: &Faces,
    (x, y): (f32, f32),
    (size, weight): (f32, Weight),
    text: &str,
) {
    let letters = letters.of(weight);
    surface.set_stroke(None);
    surface.set_fill(Some(Fill { opacity: NormalizedF32::ONE, ..Fill::default() }));
    let mut x = x;
    for run in runs(text) {
        // A space behind words that run leftward would be drawn before them.
        let shown = run.trim_end_matches(' ');
        let direction =
            if run.chars().any(is_leftward) { TextDirection::RightToLeft } else { TextDirection::LeftToRight };
        surface.draw_text(Point::from_xy(x, y), letters.font.clone(), size, shown, false, direction);
        x += letters.width(run, size);
    }
}

/// Words of Hebrew and Arabic letters with the spaces between them, and all else, in turn, cut between letters that join.
fn runs(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut was_leftward = None;
    for (at, word) in words(text) {
        let is_leftward = word.chars().any(is_leftward);
        if was_leftward.is_some_and(|was| was != is_leftward) {
            starts.push(at);
        }
        was_leftward = Some(is_leftward);
        // No ligatures: programs that rewrite PDFs lose which letters they stand for (Ghostscript 10 makes `ff` Chinese).
        let pairs = word.char_indices().zip(word.chars().skip(1));
        starts.extend(pairs.filter(|((_, f), next)| *f == 'f' && "fil".contains(*next)).map(|((f, _), _)| at + f + 1));
    }
    starts.push(text.len());
    starts.windows(2).filter_map(|pair| text.get(pair[0]..pair[1])).filter(|run| !run.is_empty()).collect()
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive(' ').scan(0, |at, word| {
        let start = *at;
        *at += word.len();
        Some((start, word))
    })
}

fn is_leftward(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

fn draw_box(surface: &mut Surface<'_>, [left, top, right, bottom]: [f32; 4]) -> Result<(), AgreementError> {
    let mut path = PathBuilder::new();
    let rect = Rect::from_ltrb(left, top, right, bottom).ok_or_else(|| AgreementError::Write("a box".into()))?;
    path.push_rect(rect);
    let path = path.finish().ok_or_else(|| AgreementError::Write("a box".into()))?;
    surface.set_fill(None);
    surface.set_stroke(Some(Stroke { width: 0.5, ..Stroke::default() }));
    surface.draw_path(&path);
    Ok(())
}
