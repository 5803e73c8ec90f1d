//! Is an uploaded PDF the agreement that was issued, whole, unchanged and signed? One finding for each rule.

use lopdf::{Dictionary, Object};
use serde::{Deserialize, Serialize};

use super::AgreementNumber;
use super::compare::{Sameness, compared, page_digest, pictured_share, quoted};
use super::marks::{Drawing, drawing};
use super::read::{Annotation, Page, Pdf, Unreadable};
use super::write::{PAGE_HEIGHT, SIGNING_AREA};

/// The agreement as it was sent out.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its number.
    pub number: AgreementNumber,
    /// Its bytes.
    pub pdf: Vec<u8>,
}

/// How much an upload may take; beyond it, it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of the file.
    pub size_bytes: usize,
    /// Bytes of one stream, decoded.
    pub stream_bytes: usize,
    /// Bytes of all streams, decoded.
    pub all_bytes: usize,
    /// Objects of the file.
    pub n_objects: usize,
    /// Pages that are counted.
    pub n_pages: usize,
}

impl Default for Limits {
    /// 10 MiB, 8 MiB, 64 MiB, 50,000 objects, 2,000 pages.
    fn default() -> Self {
        Self { size_bytes: 10 << 20, stream_bytes: 8 << 20, all_bytes: 64 << 20, n_objects: 50_000, n_pages: 2_000 }
    }
}

/// What is asked of a signed agreement, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// It is no larger than the limit.
    Size,
    /// It is a PDF, whole and within limits.
    Pdf,
    /// It needs no password.
    Encryption,
    /// It does nothing: no scripts, forms that send, files, links.
    ActiveContent,
    /// It has as many pages as were issued.
    Pages,
    /// It has the number that was issued.
    Number,
    /// Its pages have the size and rotation that were issued, and nothing can be shown and hidden.
    Layout,
    /// Its text is the text that was issued, page by page, and nothing lies over it.
    Text,
    /// Somebody has signed it.
    Signature,
}

/// What was found for one rule; a reason is one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "reason")]
pub enum Verdict {
    /// It is so.
    Passed,
    /// A person has to look.
    ByEye(String),
    /// It is not so.
    Refused(String),
}

/// One rule and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was asked.
    pub rule: Rule,
    /// What was found.
    pub verdict: Verdict,
}

/// How an agreement is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureKind {
    /// A digital signature; whose it is was not asked.
    Digital,
    /// Ink, a stamp or a picture on the page.
    Drawn,
    /// Somewhere in a scan, perhaps.
    Scanned,
}

/// All that was found about an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One for each rule that could be asked; a file that can't be read is asked no more.
    pub findings: Vec<Finding>,
    /// How it is signed, if it is.
    pub signature: Option<SignatureKind>,
}

impl Report {
    /// Whether some rule is broken.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.verdict, Verdict::Refused(_)))
    }

    /// Whether a person has to look at something before it counts; false of what is refused.
    pub fn is_for_eyes(&self) -> bool {
        !self.is_refused() && self.findings.iter().any(|finding| matches!(finding.verdict, Verdict::ByEye(_)))
    }

    /// What was found for a rule, if it was asked.
    pub fn verdict(&self, rule: Rule) -> Option<&Verdict> {
        self.findings.iter().find(|finding| finding.rule == rule).map(|finding| &finding.verdict)
    }

    /// The finding about a file whose reading had to be ended.
    pub(super) fn beyond_limits() -> Self {
        let mut report = Self::default();
        report.add(Rule::Pdf, Verdict::Refused(BEYOND_LIMITS.into()));
        report
    }

    /// The finding about a file that is not even handed to a reader.
    pub(super) fn of_size(size_bytes: usize, limits: &Limits) -> Option<Self> {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let reason = match size_bytes {
            0 => "this file is empty: upload the signed PDF".into(),
            size if size > limits.size_bytes => format!(
                "this file has {:.1} MiB, and at most {:.0} are taken: scan with 150 dpi, or in black and white",
                mib(size),
                mib(limits.size_bytes)
            ),
            _ => return None,
        };
        let mut report = Self::default();
        report.add(Rule::Size, Verdict::Refused(reason));
        Some(report)
    }

    fn add(&mut self, rule: Rule, verdict: Verdict) {
        self.findings.push(Finding { rule, verdict });
    }
}

const BEYOND_LIMITS: &str = "this PDF could not be read within limits: print it to a new PDF, or sign the issued file \
                             again, and upload that";

/// Compares an upload with the agreement that was issued.
pub fn check_signed(uploaded: &[u8], issued: &Issued, limits: &Limits) -> Report {
    if let Some(report) = Report::of_size(uploaded.len(), limits) {
        return report;
    }
    let mut report = Report::default();
    report.add(Rule::Size, Verdict::Passed);
    let pdf = match Pdf::open(uploaded, limits) {
        Ok(pdf) => pdf,
        Err(reason) => {
            add_unreadable(&mut report, reason);
            return report;
        }
    };
    let Ok(original) = Pdf::open(&issued.pdf, limits) else {
        report.add(
            Rule::Pdf,
            Verdict::Refused("the agreement as issued can't be read here: ask the lab for a new one".into()),
        );
        return report;
    };
    match check_pages(&mut report, &pdf, &original, uploaded, issued.number) {
        Ok(()) => report,
        Err(reason) => {
            report.findings.retain(|finding| !matches!(finding.rule, Rule::Pdf));
            add_unreadable(&mut report, reason);
            report
        }
    }
}

fn add_unreadable(report: &mut Report, reason: Unreadable) {
    let (rule, text) = match reason {
        Unreadable::NoPdf => (Rule::Pdf, "this file is no PDF: upload the agreement that you got, signed, as PDF"),
        Unreadable::Damaged => {
            (Rule::Pdf, "this PDF is damaged or cut off: open it, print it to a new PDF and upload that")
        }
        Unreadable::TooMuch => (Rule::Pdf, BEYOND_LIMITS),
        Unreadable::Encrypted => {
            (Rule::Encryption, "this PDF is encrypted: save it without a password and upload it again")
        }
    };
    if rule == Rule::Encryption {
        report.add(Rule::Pdf, Verdict::Passed);
    }
    report.add(rule, Verdict::Refused(text.into()));
}

fn check_pages(
    report: &mut Report,
    pdf: &Pdf,
    original: &Pdf,
    bytes: &[u8],
    number: AgreementNumber,
) -> Result<(), Unreadable> {
    report.add(Rule::Pdf, Verdict::Passed);
    report.add(Rule::Encryption, Verdict::Passed);
    report.add(Rule::ActiveContent, active_content(pdf));
    let (issued_pages, _) = original.pages()?;
    let (pages, has_more) = pdf.pages()?;
    let n_issued = issued_pages.len();
    if pages.len() != n_issued || has_more {
        let counted = if has_more { format!("more than {}", pages.len()) } else { pages.len().to_string() };
        let reason =
            format!("this PDF has {counted} pages, and {n_issued} were issued: upload all of them, and no others");
        // Somebody else's agreement often has another length: that is said too, at the cost of one page.
        if let Some(first) = pages.first() {
            let text = drawing(pdf, first).map(|drawing| drawing.text).unwrap_or_default();
            if let Some(other) = other_number(&text, "", number) {
                report.add(Rule::Number, other);
            }
        }
        report.add(Rule::Pages, Verdict::Refused(reason));
        return Ok(());
    }
    report.add(Rule::Pages, Verdict::Passed);
    let issued: Vec<Looked<'_>> =
        issued_pages.iter().map(|page| Looked::at(original, *page)).collect::<Result<_, _>>()?;
    let uploaded: Vec<Looked<'_>> = pages.iter().map(|page| Looked::at(pdf, *page)).collect::<Result<_, _>>()?;
    let sameness = sameness(&issued, &uploaded);
    let verdict = check_number(&issued, &uploaded, &sameness, number);
    let is_another = matches!(verdict, Verdict::Refused(_));
    report.add(Rule::Number, verdict);
    // Another agreement differs everywhere, which helps nobody to know.
    if is_another {
        return Ok(());
    }
    report.add(Rule::Layout, check_layout(pdf, &issued, &uploaded, &sameness));
    let Some((last, last_sameness)) = uploaded.last().zip(sameness.last()) else { return Ok(()) };
    let added = Additions::on(pdf, last, last_sameness, issued.last().map_or(0, |page| page.annotations.len()));
    report.add(Rule::Text, check_text(pdf, &issued, &uploaded, &sameness, &added));
    let (verdict, kind) = check_signature(pdf, &uploaded, last_sameness, &added, bytes);
    report.add(Rule::Signature, verdict);
    report.signature = kind;
    Ok(())
}

/// A page with all that is compared of it.
struct Looked<'a> {
    page: Page<'a>,
    digest: [u8; 32],
    drawing: Drawing,
    annotations: Vec<Annotation<'a>>,
}

impl<'a> Looked<'a> {
    fn at(pdf: &'a Pdf, page: Page<'a>) -> Result<Self, Unreadable> {
        Ok(Self {
            page,
            digest: page_digest(pdf, &page)?,
            drawing: drawing(pdf, &page)?,
            annotations: pdf.annotations(&page),
        })
    }

    fn text(&self) -> String {
        format!("{} {}", self.drawing.text, self.drawing.hidden_text)
    }
}

fn sameness(issued: &[Looked<'_>], uploaded: &[Looked<'_>]) -> Vec<Sameness> {
    let n_pages = issued.len();
    let of_page = |(idx, (before, after)): (usize, (&Looked<'_>, &Looked<'_>))| {
        if before.digest == after.digest {
            return Sameness::Identical;
        }
        // A page that stands elsewhere differs in every word; where it belongs is the better news.
        if let Some(other) = issued.iter().position(|page| page.digest == after.digest) {
            return Sameness::Changed(format!("is a copy of page {}: upload all pages in their order", other + 1));
        }
        let share = pictured_share(&after.drawing, &after.page);
        compared(&before.drawing, &after.drawing, share, idx + 1 == n_pages)
    };
    issued.iter().zip(uploaded).enumerate().map(of_page).collect()
}

fn other_number(text: &str, issued_text: &str, number: AgreementNumber) -> Option<Verdict> {
    let issued = AgreementNumber::all_in(issued_text);
    let other = AgreementNumber::all_in(text).into_iter().find(|other| *other != number && !issued.contains(other))?;
    Some(Verdict::Refused(format!("this is the agreement {other}, not yours: sign and upload {number}")))
}

fn check_number(
    issued: &[Looked<'_>],
    uploaded: &[Looked<'_>],
    sameness: &[Sameness],
    number: AgreementNumber,
) -> Verdict {
    for (before, after) in issued.iter().zip(uploaded) {
        if let Some(verdict) = other_number(&after.text(), &before.text(), number) {
            return verdict;
        }
    }
    let is_scan = |page: &usize| matches!(sameness.get(page - 1), Some(Sameness::Scan));
    let lacks = |page: &Looked<'_>| !AgreementNumber::all_in(&page.drawing.text).contains(&number);
    let lacking: Vec<usize> = (1..).zip(uploaded).filter(|(_, page)| lacks(page)).map(|(page, _)| page).collect();
    match lacking.iter().find(|page| !is_scan(page)) {
        Some(page) => {
            Verdict::Refused(format!("page {page} lacks the number {number}: sign and upload the issued file"))
        }
        None if lacking.is_empty() => Verdict::Passed,
        None => Verdict::ByEye(format!("{}: compare the number with {number} by eye", scanned(&lacking))),
    }
}

fn scanned(pages: &[usize]) -> String {
    format!("{} scanned", are(pages))
}

/// `page 2 is`, `pages 1 and 2 are`.
fn are(pages: &[usize]) -> String {
    let listed: Vec<String> = pages.iter().map(ToString::to_string).collect();
    match listed.as_slice() {
        [one] => format!("page {one} is"),
        [first @ .., last] => format!("pages {} and {last} are", first.join(", ")),
        [] => "no page is".into(),
    }
}

fn check_layout(pdf: &Pdf, issued: &[Looked<'_>], uploaded: &[Looked<'_>], sameness: &[Sameness]) -> Verdict {
    if pdf.catalog().is_some_and(|catalog| pdf.entry(catalog, b"OCProperties").is_some()) {
        let reason = "this PDF has layers that can be shown and hidden: print it to a new PDF and upload that";
        return Verdict::Refused(reason.into());
    }
    for (idx, (before, after)) in issued.iter().zip(uploaded).enumerate() {
        if sameness.get(idx) == Some(&Sameness::Scan) {
            continue;
        }
        let is_near = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1.5);
        let (a, b) = (&before.page, &after.page);
        let is_same = is_near(a.crop_box, b.crop_box) && is_near(a.media_box, b.media_box) && a.rotation == b.rotation;
        if !is_same || (a.user_unit - b.user_unit).abs() > 0.01 {
            let page = idx + 1;
            return Verdict::Refused(format!(
                "page {page} was cropped, turned or resized: sign the issued file again without changing its pages"
            ));
        }
    }
    Verdict::Passed
}

fn check_text(
    pdf: &Pdf,
    issued: &[Looked<'_>],
    uploaded: &[Looked<'_>],
    sameness: &[Sameness],
    added: &Additions,
) -> Verdict {
    let n_pages = uploaded.len();
    let mut changed = Vec::new();
    let (mut scans, mut rewritten) = (Vec::new(), Vec::new());
    for (page, (sameness, (before, after))) in (1..).zip(sameness.iter().zip(issued.iter().zip(uploaded))) {
        match sameness {
            Sameness::Identical => {}
            Sameness::SameText { .. } => rewritten.push(page),
            Sameness::Scan => scans.push(page),
            Sameness::Changed(how) => changed.push(format!("page {page} {how}")),
        }
        let over =
            after.annotations.iter().filter(|annotation| page < n_pages && !is_unseen_signature(pdf, annotation));
        if over.clone().count() > before.annotations.len() {
            let kind = over.last().map_or("?".into(), |annotation| String::from_utf8_lossy(annotation.subtype));
            changed.push(format!(
                "page {page} has a note or drawing over it ({}), and only the last page is signed",
                quoted(&kind)
            ));
        }
    }
    if !changed.is_empty() {
        changed.truncate(3);
        return Verdict::Refused(format!("{}: sign the issued file as it is and upload that", changed.join("; ")));
    }
    let mut to_see = Vec::new();
    if !scans.is_empty() {
        to_see.push(scanned(&scans));
    }
    if !rewritten.is_empty() {
        to_see.push(format!("{} rewritten by another program, with the same text", are(&rewritten)));
    }
    if !added.words.is_empty() {
        to_see.push(format!("page {n_pages} has words added, “{}”", quoted(&added.words)));
    }
    if added.has_note {
        to_see.push(format!("page {n_pages} has a typed note over it"));
    }
    if added.n_outside > 0 {
        to_see.push(format!("page {n_pages} has something drawn outside the boxes for date and signature"));
    }
    if to_see.is_empty() {
        return Verdict::Passed;
    }
    Verdict::ByEye(format!("{}: compare with the issued agreement by eye", to_see.join("; ")))
}

/// What the last page has that was not issued.
#[derive(Debug, Default)]
struct Additions {
    words: String,
    /// A box with text typed into it.
    has_note: bool,
    n_inside: usize,
    n_outside: usize,
}

/// Smaller than this is no signature, points.
const SMALLEST_SIGNATURE: f32 = 4.0;
/// A pen slips over a line, points.
const OVER_THE_LINE: f32 = 8.0;

impl Additions {
    fn on(pdf: &Pdf, last: &Looked<'_>, sameness: &Sameness, n_issued_annotations: usize) -> Self {
        let mut added = Self::default();
        if let Sameness::SameText { added_words, added_marks } = sameness {
            added.words.clone_from(added_words);
            added_marks.iter().for_each(|mark| added.place(mark.place));
        }
        for annotation in last.annotations.iter().skip(n_issued_annotations) {
            let is_window = annotation.subtype == b"Popup" && !annotation.dictionary.has(b"AP");
            if is_unseen_signature(pdf, annotation) || is_window {
                continue;
            }
            let flags = pdf.entry(annotation.dictionary, b"F").and_then(|flags| flags.as_i64().ok()).unwrap_or(0);
            let is_hidden = flags & (1 << 1 | 1 << 5) != 0;
            let is_signature = signature_value(pdf, annotation.dictionary).is_some();
            match annotation.subtype {
                _ if is_signature => added.place(annotation.rect),
                b"FreeText" if !is_hidden => added.has_note = true,
                b"Stamp" if !is_hidden => added.place(annotation.rect),
                b"Ink" if !is_hidden => added.place(inked(pdf, annotation)),
                _ => added.n_outside += 1,
            }
        }
        added
    }

    fn place(&mut self, [left, bottom, right, top]: [f32; 4]) {
        let [area_left, area_top, area_right, area_bottom] = SIGNING_AREA;
        let (area_top, area_bottom) = (PAGE_HEIGHT - area_top, PAGE_HEIGHT - area_bottom);
        let is_inside = left > area_left - OVER_THE_LINE
            && right < area_right + OVER_THE_LINE
            && bottom > area_bottom - OVER_THE_LINE
            && top < area_top + OVER_THE_LINE;
        match is_inside {
            // A speck signs nothing, and hides nothing.
            true if right - left < SMALLEST_SIGNATURE && top - bottom < SMALLEST_SIGNATURE => {}
            true => self.n_inside += 1,
            false => self.n_outside += 1,
        }
    }
}

/// Where ink lies: a reader that finds no appearance draws the lines themselves, and not within the rectangle.
fn inked(pdf: &Pdf, annotation: &Annotation<'_>) -> [f32; 4] {
    let mut place = annotation.rect;
    let lines = pdf.entry(annotation.dictionary, b"InkList").and_then(|lines| lines.as_array().ok());
    for line in lines.into_iter().flatten().filter_map(|line| pdf.follow(line).as_array().ok()) {
        let numbers: Vec<f32> = line.iter().filter_map(|number| pdf.follow(number).as_float().ok()).collect();
        for point in numbers.chunks_exact(2) {
            place = [place[0].min(point[0]), place[1].min(point[1]), place[2].max(point[0]), place[3].max(point[1])];
        }
    }
    place
}

fn check_signature(
    pdf: &Pdf,
    uploaded: &[Looked<'_>],
    last: &Sameness,
    added: &Additions,
    bytes: &[u8],
) -> (Verdict, Option<SignatureKind>) {
    let page = uploaded.len();
    let signatures = signatures(pdf, uploaded);
    if signatures.iter().any(|signature| covers(pdf, signature, bytes)) {
        return (Verdict::Passed, Some(SignatureKind::Digital));
    }
    if !signatures.is_empty() {
        let reason = "the digital signature does not cover the whole file, which was changed after signing: look at the \
                      signature in a PDF reader";
        return (Verdict::ByEye(reason.into()), Some(SignatureKind::Digital));
    }
    if *last == Sameness::Scan {
        let reason = format!("page {page} is scanned: look for the signature by eye");
        return (Verdict::ByEye(reason), Some(SignatureKind::Scanned));
    }
    if added.n_inside > 0 {
        return (Verdict::Passed, Some(SignatureKind::Drawn));
    }
    if added.n_outside > 0 || added.has_note || !added.words.is_empty() {
        let reason = format!("page {page} has something added that may be a signature: look at it by eye");
        return (Verdict::ByEye(reason), Some(SignatureKind::Drawn));
    }
    (
        Verdict::Refused(format!("no signature was found on page {page}: sign in the box there and upload it again")),
        None,
    )
}

/// Signature fields with something in them, wherever they hang: in the form, or on a page.
fn signatures<'a>(pdf: &'a Pdf, uploaded: &[Looked<'a>]) -> Vec<&'a Dictionary> {
    let form = pdf.catalog().and_then(|catalog| pdf.dictionary(catalog, b"AcroForm"));
    let fields = form.and_then(|form| pdf.entry(form, b"Fields")).and_then(|fields| fields.as_array().ok());
    let in_form = fields.into_iter().flatten().filter_map(|field| pdf.follow(field).as_dict().ok());
    let on_pages = uploaded.iter().flat_map(|page| &page.annotations).map(|annotation| annotation.dictionary);
    in_form.chain(on_pages).filter_map(|field| signature_value(pdf, field)).collect()
}

/// The signature in a field of that kind.
fn signature_value<'a>(pdf: &'a Pdf, field: &'a Dictionary) -> Option<&'a Dictionary> {
    let parent = pdf.dictionary(field, b"Parent");
    let kind = pdf.name(field, b"FT").or_else(|| pdf.name(parent?, b"FT"));
    if kind != Some(b"Sig") {
        return None;
    }
    pdf.dictionary(field, b"V").or_else(|| pdf.dictionary(parent?, b"V"))
}

/// A signature without a place of its own stands on any page.
fn is_unseen_signature(pdf: &Pdf, annotation: &Annotation<'_>) -> bool {
    let [left, bottom, right, top] = annotation.rect;
    signature_value(pdf, annotation.dictionary).is_some() && (right - left < 1.0 || top - bottom < 1.0)
}

/// Whether a signature speaks for every byte of the file but its own (ISO 32000-1, 12.8.1).
fn covers(pdf: &Pdf, signature: &Dictionary, bytes: &[u8]) -> bool {
    let Some(Object::Array(range)) = pdf.entry(signature, b"ByteRange") else { return false };
    let range: Option<Vec<usize>> =
        range.iter().map(|number| pdf.follow(number).as_i64().ok().and_then(|number| number.try_into().ok())).collect();
    let Some(&[start, end, rest, length]) = range.as_deref() else { return false };
    let is_whole = start == 0 && end < rest && rest.checked_add(length) == Some(bytes.len());
    // What is left out is the signature itself, in hexadecimal digits, and nothing else.
    let own = bytes.get(end..rest).filter(|_| is_whole).map(|own| own.trim_ascii());
    let digits = own.and_then(|own| own.strip_prefix(b"<")).and_then(|own| own.strip_suffix(b">"));
    let is_alone = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let contents = pdf.entry(signature, b"Contents").and_then(|contents| contents.as_str().ok()).unwrap_or_default();
    is_alone && contents.iter().any(|byte| *byte != 0)
}

/// Actions that leave the page or run something; going to a page of the same file is none.
const ACTIONS: [&[u8]; 14] = [
    b"JavaScript",
    b"Launch",
    b"SubmitForm",
    b"ImportData",
    b"ResetForm",
    b"GoToR",
    b"GoToE",
    b"GoTo3DView",
    b"URI",
    b"Rendition",
    b"Movie",
    b"Sound",
    b"SetOCGState",
    b"RichMediaExecute",
];
/// Entries that hold scripts, files or other programs' forms.
const HOLDERS: [&[u8]; 8] =
    [b"JS", b"JavaScript", b"AA", b"XFA", b"EmbeddedFiles", b"EF", b"RichMediaContent", b"RichMediaSettings"];
const ACTIVE_KINDS: [&[u8]; 6] = [b"RichMedia", b"Screen", b"Movie", b"Sound", b"3D", b"FileAttachment"];

fn active_content(pdf: &Pdf) -> Verdict {
    let found = pdf.find_dictionary(|dictionary| {
        if let Some(key) = HOLDERS.iter().find(|key| dictionary.has(key)) {
            return Some(String::from_utf8_lossy(key).into_owned());
        }
        let is = |key: &[u8], names: &[&[u8]]| {
            pdf.name(dictionary, key)
                .filter(|name| names.contains(name))
                .map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let opening =
            pdf.dictionary(dictionary, b"OpenAction").filter(|action| pdf.name(action, b"S") != Some(b"GoTo"));
        is(b"S", &ACTIONS)
            .or_else(|| is(b"Subtype", &ACTIVE_KINDS))
            .or_else(|| is(b"Type", &[b"EmbeddedFile"]))
            .or_else(|| opening.map(|_| "OpenAction".into()))
    });
    match found {
        None => Verdict::Passed,
        Some(what) => Verdict::Refused(format!(
            "this PDF has active content ({what}), such as a script, a link, a form or a file inside: print it to a new \
             PDF, or sign the issued file again, and upload that"
        )),
    }
}
