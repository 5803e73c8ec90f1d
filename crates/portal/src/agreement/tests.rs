//! Does an agreement come out as it was filled in, and is every way found in which one comes back changed?

use std::io::Write as _;

use lopdf::content::Content;
use lopdf::{
    Dictionary, Document, EncryptionState, EncryptionVersion, IncrementalDocument, Object, ObjectId, Permissions,
    SaveOptions,
};
use lopdf::{Stream, dictionary};

use super::marks::drawing;
use super::read::Pdf;
use super::*;

pub(super) fn sample() -> Agreement {
    let clause = |heading: &str, text: &str| Clause { heading: heading.into(), text: text.into() };
    let filling = "The licensee keeps the images on machines that only the named people can read. ".repeat(18);
    Agreement {
        database: "Faces in the Wild".into(),
        release: "2026.1".into(),
        licensor: Licensor { lab: "Affect Lab".into(), institution: "University of Somewhere".into() },
        number: AgreementNumber::new(2026, 123),
        terms: vec![
            clause("Use", "The licensee uses the database for research for no longer than two years after signing."),
            clause("Care", &filling),
            clause(
                "Others",
                "Nothing is given to others.\nPictures of faces are shown in papers only if they are cleared.",
            ),
            clause("End", &filling),
        ],
        licensee: Party {
            name: "Ada Lovelace".into(),
            position: "Professor".into(),
            institution: "Analytical University".into(),
            email: "ada@analytical.example".into(),
            orcid: Some("0000-0002-1825-0097".into()),
            web_page: Some("https://analytical.example/ada".into()),
        },
        purpose: "We study how well engines recognise what people feel.".into(),
        date: "27 November 2026".into(),
        named_students: vec!["Charles Babbage".into()],
    }
}

fn issued() -> Issued {
    Issued { number: sample().number, pdf: agreement_pdf(&sample()).unwrap() }
}

fn check(uploaded: &[u8]) -> Report {
    check_signed(uploaded, &issued(), &Limits::default())
}

/// The issued agreement, changed by somebody.
fn edited(edit: impl FnOnce(&mut Document, &[ObjectId])) -> Vec<u8> {
    let mut document = Document::load_mem(&issued().pdf).unwrap();
    let pages: Vec<ObjectId> = document.page_iter().collect();
    assert_eq!(pages.len(), 3, "the tests speak of three pages");
    edit(&mut document, &pages);
    saved(document)
}

fn saved(mut document: Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn draw_over(document: &mut Document, page: ObjectId, operators: &str) {
    document.add_page_contents(page, format!("\n{operators}\n").into_bytes()).unwrap();
}

fn annotate(document: &mut Document, page: ObjectId, annotation: Dictionary) {
    let annotation = document.add_object(annotation);
    document.get_dictionary_mut(page).unwrap().set("Annots", vec![annotation.into()]);
}

fn ink(rect: [i64; 4]) -> Dictionary {
    let line: Vec<Object> = rect.map(Object::from).into();
    let rect: Vec<Object> = rect.map(Object::from).into();
    dictionary! { "Type" => "Annot", "Subtype" => "Ink", "Rect" => rect, "F" => 4, "InkList" => vec![Object::Array(line)] }
}

const IN_THE_BOX: [i64; 4] = [180, 250, 320, 290];

fn sign(document: &mut Document, pages: &[ObjectId]) {
    annotate(document, pages[2], ink(IN_THE_BOX));
}

fn reason(report: &Report, rule: Rule) -> &str {
    match report.verdict(rule) {
        Some(Verdict::Refused(reason)) => reason,
        other => panic!("{rule:?} is {other:?} in {report:#?}"),
    }
}

fn by_eye(report: &Report, rule: Rule) -> &str {
    assert!(!report.is_refused(), "{report:#?}");
    match report.verdict(rule) {
        Some(Verdict::ByEye(reason)) => reason,
        other => panic!("{rule:?} is {other:?} in {report:#?}"),
    }
}

fn assert_passed(report: &Report) {
    assert!(!report.is_refused() && !report.is_for_eyes(), "{report:#?}");
    assert_eq!(report.findings.len(), 9, "{report:#?}");
}

#[test]
fn the_same_agreement_gives_the_same_bytes() {
    assert_eq!(agreement_pdf(&sample()).unwrap(), agreement_pdf(&sample()).unwrap());
}

#[test]
fn an_unsigned_agreement_lacks_a_signature_and_nothing_else() {
    let report = check(&issued().pdf);
    assert!(reason(&report, Rule::Signature).starts_with("no signature was found on page 3"));
    let n_passed = report.findings.iter().filter(|finding| finding.verdict == Verdict::Passed).count();
    assert_eq!(n_passed, 8, "{report:#?}");
}

#[test]
fn every_page_shows_the_number_and_nothing_hidden_or_beside_the_page() {
    let issued = issued();
    let pdf = Pdf::open(&issued.pdf, &Limits::default()).unwrap();
    let (pages, _) = pdf.pages().unwrap();
    for (page, number) in pages.iter().zip(1..) {
        let drawing = drawing(&pdf, page).unwrap();
        assert!(drawing.text.contains("AFF-2026-000123-38"), "{drawing:?}");
        assert!(drawing.text.contains(&format!("page {number} of 3")), "{drawing:?}");
        assert_eq!(drawing.hidden_text, "");
    }
}

#[test]
fn names_in_other_letters_come_out_and_letters_without_a_shape_are_named() {
    let shown = |name: &str| {
        let mut agreement = sample();
        agreement.licensee.name = name.into();
        let bytes = agreement_pdf(&agreement)?;
        let pdf = Pdf::open(&bytes, &Limits::default()).unwrap();
        let (pages, _) = pdf.pages().unwrap();
        Ok::<_, AgreementError>(drawing(&pdf, &pages[0]).unwrap().text)
    };
    for name in ["Łukasz Müller-Đặng", "Γιώργος Παπαδόπουλος", "Екатерина Щукина"]
    {
        let text = shown(name).unwrap();
        assert!(text.contains(name), "{text}");
    }
    // Joined letters are glyphs of their own; that they are there is seen by their width on the page.
    assert!(shown("محمد الخوارزمي").is_ok());
    assert!(shown("זהבה כהן").is_ok());
    let refused = shown("王小明").unwrap_err().to_string();
    assert_eq!(refused, "the name has the letter `王`, which the agreement's font lacks: write it in Latin letters");
}

#[test]
fn no_answer_leaves_its_page_or_makes_the_writer_panic() {
    let mut agreement = sample();
    agreement.licensee.name = "W".repeat(200);
    agreement.licensee.institution = format!("line\nbreak\ttab\0nul\u{1b}[31m \u{202e}turned {}", "m".repeat(400));
    agreement.database = "D".repeat(300);
    agreement.purpose = format!("{} {}", "x".repeat(3000), "y ".repeat(2000));
    agreement.named_students = vec!["@".repeat(200); 100];
    let bytes = agreement_pdf(&agreement).unwrap();
    let pdf = Pdf::open(&bytes, &Limits::default()).unwrap();
    for page in pdf.pages().unwrap().0 {
        let drawing = drawing(&pdf, &page).unwrap();
        assert_eq!(drawing.hidden_text, "");
        assert!(drawing.marks.iter().all(|mark| mark.place[2] < write::PAGE_WIDTH - 60.0), "{:?}", drawing.marks);
    }
    agreement.purpose = "x".repeat(100_000);
    assert!(matches!(agreement_pdf(&agreement), Err(AgreementError::TooLong { .. })));
    arbtest::arbtest(|source| {
        let mut agreement = sample();
        agreement.licensee.name = source.arbitrary()?;
        agreement.purpose = source.arbitrary()?;
        let _ = agreement_pdf(&agreement);
        Ok(())
    })
    .budget_ms(300);
}

#[test]
fn ink_in_the_box_is_a_signature() {
    let report = check(&edited(sign));
    assert_passed(&report);
    assert_eq!(report.signature, Some(SignatureKind::Drawn));
}

#[test]
fn a_file_that_was_only_packed_otherwise_is_unchanged() {
    let mut document = Document::load_mem(&edited(sign)).unwrap();
    document.renumber_objects();
    document.decompress();
    let mut bytes = Vec::new();
    let options = SaveOptions::builder().use_object_streams(true).use_xref_streams(true).build();
    document.save_with_options(&mut bytes, options).unwrap();
    assert_passed(&check(&bytes));
}

#[test]
fn ink_beside_the_box_is_looked_at_and_on_another_page_refused() {
    let beside = check(&edited(|document, pages| annotate(document, pages[2], ink([70, 420, 300, 500]))));
    assert!(by_eye(&beside, Rule::Text).contains("outside the boxes"));
    by_eye(&beside, Rule::Signature);
    let elsewhere = check(&edited(|document, pages| {
        sign(document, pages);
        annotate(document, pages[0], ink(IN_THE_BOX));
    }));
    assert!(reason(&elsewhere, Rule::Text).starts_with("page 1 has a note or drawing over it (Ink)"));
}

#[test]
fn a_typed_note_and_ink_that_leaves_its_rectangle_are_looked_at() {
    let note = check(&edited(|document, pages| {
        let mut note = ink(IN_THE_BOX);
        note.set("Subtype", "FreeText");
        annotate(document, pages[2], note);
    }));
    assert!(by_eye(&note, Rule::Text).contains("a typed note"));
    let ink = check(&edited(|document, pages| {
        let mut far = ink(IN_THE_BOX);
        far.set("InkList", vec![Object::Array([200, 260, 200, 700].map(Object::from).into())]);
        annotate(document, pages[2], far);
    }));
    assert!(by_eye(&ink, Rule::Text).contains("outside the boxes"));
}

#[test]
fn a_page_tree_that_readers_walk_differently_is_refused() {
    let both = check(&edited(|document, pages| {
        sign(document, pages);
        let root = document.catalog().unwrap().get(b"Pages").unwrap().as_reference().unwrap();
        document.get_dictionary_mut(root).unwrap().set("Type", "Page");
    }));
    reason(&both, Rule::Pdf);
    let miscounted = check(&edited(|document, pages| {
        sign(document, pages);
        let root = document.catalog().unwrap().get(b"Pages").unwrap().as_reference().unwrap();
        document.get_dictionary_mut(root).unwrap().set("Count", 1);
    }));
    reason(&miscounted, Rule::Pdf);
}

#[test]
fn content_that_stands_in_another_file_is_refused() {
    let report = check(&edited(|document, pages| {
        sign(document, pages);
        let content = document.get_page_content(pages[0]);
        let elsewhere = Stream::new(dictionary! { "F" => Object::string_literal("other.bin") }, content);
        let elsewhere = document.add_object(elsewhere);
        document.get_dictionary_mut(pages[0]).unwrap().set("Contents", elsewhere);
    }));
    reason(&report, Rule::Pdf);
}

#[test]
fn a_hidden_or_tiny_note_is_no_signature() {
    let tiny = check(&edited(|document, pages| annotate(document, pages[2], ink([200, 260, 201, 261]))));
    reason(&tiny, Rule::Signature);
    let hidden = check(&edited(|document, pages| {
        let mut note = ink(IN_THE_BOX);
        note.set("F", 2);
        annotate(document, pages[2], note);
    }));
    by_eye(&hidden, Rule::Signature);
}

/// A picture of one pixel, drawn over this rectangle.
fn picture(document: &mut Document, page: ObjectId, [left, bottom, width, height]: [i32; 4]) {
    let image = document.add_object(Stream::new(
        dictionary! {
            "Type" => "XObject", "Subtype" => "Image", "Width" => 1, "Height" => 1,
            "ColorSpace" => "DeviceGray", "BitsPerComponent" => 8,
        },
        vec![0],
    ));
    let mut resources = document.get_dictionary(page).unwrap().get(b"Resources").unwrap().clone();
    if let Object::Reference(id) = resources {
        resources = document.get_object(id).unwrap().clone();
    }
    resources.as_dict_mut().unwrap().set("XObject", dictionary! { "Signed" => image });
    document.get_dictionary_mut(page).unwrap().set("Resources", resources);
    draw_over(document, page, &format!("q {width} 0 0 {height} {left} {bottom} cm /Signed Do Q"));
}

#[test]
fn a_picture_in_the_box_is_a_signature_and_over_the_text_it_is_looked_at_or_refused() {
    let signed = check(&edited(|document, pages| picture(document, pages[2], [180, 250, 140, 40])));
    assert_eq!(signed.verdict(Rule::Signature), Some(&Verdict::Passed), "{signed:#?}");
    assert!(by_eye(&signed, Rule::Text).contains("rewritten"));
    let over = check(&edited(|document, pages| picture(document, pages[2], [60, 420, 400, 200])));
    assert!(by_eye(&over, Rule::Text).contains("outside the boxes"));
    let elsewhere = check(&edited(|document, pages| {
        sign(document, pages);
        picture(document, pages[1], [60, 420, 400, 200]);
    }));
    assert!(reason(&elsewhere, Rule::Text).starts_with("page 2 has lines, areas or pictures that were not issued"));
}

/// The issued bytes with an update behind them that holds a signature; `tail` goes behind what is signed.
fn digitally_signed(tail: &[u8]) -> Vec<u8> {
    let before = issued().pdf;
    let document = Document::load_mem(&before).unwrap();
    let page = document.page_iter().last().unwrap();
    let root = document.trailer.get(b"Root").unwrap().as_reference().unwrap();
    let mut update = IncrementalDocument::create_from(before, document);
    update.opt_clone_object_to_new_document(page).unwrap();
    update.opt_clone_object_to_new_document(root).unwrap();
    let new = &mut update.new_document;
    let wide = 1_111_111_111;
    let value = new.add_object(dictionary! {
        "Type" => "Sig", "Filter" => "Adobe.PPKLite", "SubFilter" => "adbe.pkcs7.detached",
        "ByteRange" => vec![0.into(), wide.into(), wide.into(), wide.into()],
        "Contents" => Object::String(vec![0x30; 512], lopdf::StringFormat::Hexadecimal),
    });
    let field = new.add_object(dictionary! {
        "Type" => "Annot", "Subtype" => "Widget", "FT" => "Sig", "T" => Object::string_literal("Signature"), "V" => value,
        "Rect" => vec![180.into(), 250.into(), 320.into(), 290.into()], "F" => 132,
    });
    new.get_dictionary_mut(page).unwrap().set("Annots", vec![field.into()]);
    let form = dictionary! { "Fields" => vec![Object::from(field)], "SigFlags" => 3 };
    new.get_dictionary_mut(root).unwrap().set("AcroForm", form);
    let mut bytes = Vec::new();
    update.save_to(&mut bytes).unwrap();
    let find = |text: &[u8]| bytes.windows(text.len()).rposition(|window| window.eq_ignore_ascii_case(text)).unwrap();
    let start = find(b"<3030");
    let end = start + 2 + 1024;
    assert_eq!((bytes[start], bytes[end - 1]), (b'<', b'>'));
    let range = format!("[0 {start:<10} {end:<10} {:<10}]", bytes.len() - end);
    let at = find(b"[0 1111111111");
    bytes[at..at + range.len()].copy_from_slice(range.as_bytes());
    bytes.extend_from_slice(tail);
    bytes
}

#[test]
fn a_digital_signature_over_the_whole_file_passes_and_over_a_part_is_looked_at() {
    let report = check(&digitally_signed(b""));
    assert_passed(&report);
    assert_eq!(report.signature, Some(SignatureKind::Digital));
    assert!(by_eye(&check(&digitally_signed(b"\n% added later\n")), Rule::Signature).contains("does not cover"));
}

#[test]
fn an_update_behind_the_issued_bytes_that_replaces_a_page_is_refused() {
    let before = issued().pdf;
    let document = Document::load_mem(&before).unwrap();
    let page = document.page_iter().next().unwrap();
    let mut update = IncrementalDocument::create_from(before.clone(), document);
    update.opt_clone_object_to_new_document(page).unwrap();
    let content = update.new_document.add_object(Stream::new(Dictionary::new(), b"0 0 10 10 re f".to_vec()));
    update.new_document.get_dictionary_mut(page).unwrap().set("Contents", content);
    let mut bytes = Vec::new();
    update.save_to(&mut bytes).unwrap();
    assert!(bytes.starts_with(&before));
    let report = check(&bytes);
    assert!(report.is_refused());
    reason(&report, Rule::Number);
}

fn of_another(change: impl FnOnce(&mut Agreement)) -> Vec<u8> {
    let mut agreement = sample();
    change(&mut agreement);
    let mut document = Document::load_mem(&agreement_pdf(&agreement).unwrap()).unwrap();
    let pages: Vec<ObjectId> = document.page_iter().collect();
    sign(&mut document, &pages);
    saved(document)
}

#[test]
fn a_changed_word_is_found_and_shown() {
    let report = check(&of_another(|agreement| {
        agreement.terms[0].text = agreement.terms[0].text.replace("two years", "ten years");
    }));
    let reason = reason(&report, Rule::Text);
    assert!(reason.starts_with("page 1 was issued with “"), "{reason}");
    assert!(reason.contains("than two years") && reason.contains("than ten years"), "{reason}");
}

#[test]
fn words_in_another_order_are_found() {
    let report = check(&of_another(|agreement| {
        agreement.terms[2].text =
            "Pictures of faces are shown in papers only if they are cleared.\nNothing is given to others.".into();
    }));
    assert!(reason(&report, Rule::Text).contains(" was issued with "));
}

#[test]
fn somebody_elses_agreement_is_named() {
    let report = check(&of_another(|agreement| agreement.number = AgreementNumber::new(2026, 124)));
    let other = AgreementNumber::new(2026, 124);
    assert_eq!(
        reason(&report, Rule::Number),
        format!("this is the agreement {other}, not yours: sign and upload AFF-2026-000123-38")
    );
}

#[test]
fn an_encrypted_file_is_refused_with_or_without_a_password() {
    for password in ["", "secret"] {
        let mut document = Document::load_mem(&edited(sign)).unwrap();
        let version = EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: password,
            key_length: 128,
            permissions: Permissions::all(),
        };
        let state = EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
        let report = check(&saved(document));
        assert_eq!(
            reason(&report, Rule::Encryption),
            "this PDF is encrypted: save it without a password and upload it again"
        );
    }
}

fn with_kids(kids: impl FnOnce(&[ObjectId]) -> Vec<ObjectId>) -> Vec<u8> {
    edited(|document, pages| {
        sign(document, pages);
        let root = document.catalog().unwrap().get(b"Pages").unwrap().as_reference().unwrap();
        let kids = kids(pages);
        let tree = document.get_dictionary_mut(root).unwrap();
        tree.set("Count", kids.len() as i64);
        tree.set("Kids", kids.into_iter().map(Object::from).collect::<Vec<_>>());
    })
}

#[test]
fn five_hundred_pages_are_counted_and_refused() {
    let report = check(&with_kids(|pages| pages.iter().copied().cycle().take(500).collect()));
    assert!(reason(&report, Rule::Pages).starts_with("this PDF has 500 pages, and 3 were issued"));
    let report = check(&with_kids(|pages| pages.iter().copied().cycle().take(5000).collect()));
    assert!(reason(&report, Rule::Pages).starts_with("this PDF has more than 2000 pages"));
}

#[test]
fn a_missing_a_swapped_and_a_doubled_page_are_refused() {
    let missing = check(&with_kids(|pages| vec![pages[0], pages[2]]));
    assert!(reason(&missing, Rule::Pages).starts_with("this PDF has 2 pages"));
    let swapped = check(&with_kids(|pages| vec![pages[1], pages[0], pages[2]]));
    assert!(reason(&swapped, Rule::Text).starts_with("page 1 is a copy of page 2"));
    let doubled = check(&with_kids(|pages| vec![pages[0], pages[0], pages[2]]));
    assert!(reason(&doubled, Rule::Text).starts_with("page 2 is a copy of page 1"));
}

#[test]
fn text_that_is_covered_hidden_or_beside_the_page_is_refused() {
    let font = |document: &Document, page: ObjectId| {
        let fonts = document.get_page_fonts(page).unwrap();
        String::from_utf8(fonts.keys().next().unwrap().clone()).unwrap()
    };
    let with = |operators: &dyn Fn(&str) -> String| {
        check(&edited(|document, pages| {
            sign(document, pages);
            let font = font(document, pages[0]);
            draw_over(document, pages[0], &operators(&font));
        }))
    };
    let covered = with(&|_| "1 g 100 100 300 300 re f".into());
    assert!(reason(&covered, Rule::Text).contains("lines, areas or pictures"));
    for hidden in ["3 Tr 100 100 Td", "1 g 100 100 Td", "-900 100 Td", "0.01 0 0 0.01 100 100 Tm"] {
        let report = with(&|font| format!("BT /{font} 9 Tf {hidden} <000500060007> Tj ET"));
        assert!(reason(&report, Rule::Text).contains("text that cannot be seen"), "{hidden}: {report:#?}");
    }
    let added = with(&|font| format!("BT /{font} 9 Tf 100 100 Td <000500060007> Tj ET"));
    reason(&added, Rule::Text);
}

#[test]
fn words_on_the_signature_page_are_shown_to_the_reviewer() {
    let report = check(&edited(|document, pages| {
        let fonts = document.get_page_fonts(pages[2]).unwrap();
        let font = String::from_utf8(fonts.keys().next().unwrap().clone()).unwrap();
        draw_over(document, pages[2], &format!("BT /{font} 9 Tf 170 380 Td <000500060007> Tj ET"));
    }));
    assert!(by_eye(&report, Rule::Text).contains("has words added"), "{report:#?}");
    by_eye(&report, Rule::Signature);
}

#[test]
fn cropped_turned_and_layered_pages_are_refused() {
    let with = |edit: &dyn Fn(&mut Document, ObjectId)| {
        check(&edited(|document, pages| {
            sign(document, pages);
            edit(document, pages[1]);
        }))
    };
    let cropped = with(&|document, page| {
        let crop: Vec<Object> = [0, 400, 595, 841].map(Object::from).into();
        document.get_dictionary_mut(page).unwrap().set("CropBox", crop);
    });
    assert!(cropped.is_refused(), "{cropped:#?}");
    let turned = with(&|document, page| document.get_dictionary_mut(page).unwrap().set("Rotate", 90));
    assert!(reason(&turned, Rule::Layout).starts_with("page 2 was cropped, turned or resized"));
    let layered = with(&|document, _| {
        document.catalog_mut().unwrap().set("OCProperties", dictionary! { "OCGs" => Vec::<Object>::new() });
    });
    assert!(reason(&layered, Rule::Layout).contains("layers"));
}

type Edit = Box<dyn Fn(&mut Document, ObjectId)>;

fn script() -> Dictionary {
    dictionary! { "S" => "JavaScript", "JS" => Object::string_literal("app.alert(1)") }
}

fn action(kind: &str) -> Dictionary {
    dictionary! { "S" => Object::Name(kind.into()) }
}

#[test]
fn scripts_files_and_links_are_refused_wherever_they_hang() {
    let edits: [(&str, Edit); 8] = [
        ("OpenAction", Box::new(|document, _| document.catalog_mut().unwrap().set("OpenAction", script()))),
        (
            "AA",
            Box::new(|document, page| {
                document.get_dictionary_mut(page).unwrap().set("AA", dictionary! { "O" => script() })
            }),
        ),
        (
            "Launch",
            Box::new(|document, page| {
                let link = dictionary! { "Subtype" => "Link", "Rect" => vec![0.into(), 0.into(), 1.into(), 1.into()], "A" => action("Launch") };
                annotate(document, page, link);
            }),
        ),
        (
            "SubmitForm",
            Box::new(|document, _| {
                document.add_object(action("SubmitForm"));
            }),
        ),
        (
            "URI",
            Box::new(|document, _| {
                document.add_object(Object::Array(vec![Object::Array(vec![action("URI").into()])]));
            }),
        ),
        (
            "GoToE",
            Box::new(|document, _| {
                document.add_object(action("GoToE"));
            }),
        ),
        (
            "XFA",
            Box::new(|document, _| {
                document.catalog_mut().unwrap().set("AcroForm", dictionary! { "XFA" => Object::string_literal("x") })
            }),
        ),
        (
            "EmbeddedFile",
            Box::new(|document, _| {
                document.add_object(Stream::new(dictionary! { "Type" => "EmbeddedFile" }, b"MZ".to_vec()));
            }),
        ),
    ];
    for (name, edit) in edits {
        let document = edited(|document, pages| {
            sign(document, pages);
            edit(document, pages[2]);
        });
        assert!(reason(&check(&document), Rule::ActiveContent).contains(name), "{name}");
        // The same inside an object stream
        let mut packed = Vec::new();
        let options = SaveOptions::builder().use_object_streams(true).use_xref_streams(true).build();
        Document::load_mem(&document).unwrap().save_with_options(&mut packed, options).unwrap();
        assert!(reason(&check(&packed), Rule::ActiveContent).contains(name), "{name}, packed");
    }
}

#[test]
fn a_stream_that_swells_to_a_gibibyte_is_refused() {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..1024 {
        packer.write_all(&zeros).unwrap();
    }
    let packed = packer.finish().unwrap();
    let report = check(&edited(|document, pages| {
        sign(document, pages);
        let bomb = document.add_object(Stream::new(dictionary! { "Filter" => "FlateDecode" }, packed));
        document.get_dictionary_mut(pages[0]).unwrap().set("Contents", bomb);
    }));
    assert!(reason(&report, Rule::Pdf).contains("within limits"));
}

#[test]
fn what_is_no_pdf_cut_off_or_too_large_is_refused() {
    assert!(reason(&check(b""), Rule::Size).contains("empty"));
    assert!(reason(&check(&vec![b' '; 11 << 20]), Rule::Size).starts_with("this file has 11.0 MiB"));
    assert!(reason(&check(b"<html>"), Rule::Pdf).contains("no PDF"));
    assert!(check(b"%PDF-1.7\n%%EOF").is_refused());
    let signed = edited(sign);
    for n_bytes in (10..signed.len() - 20).step_by(signed.len() / 40) {
        assert!(check(&signed[..n_bytes]).is_refused(), "{n_bytes} of {}", signed.len());
    }
}

#[test]
fn changed_bytes_never_panic_and_never_pass_with_another_page() {
    let issued = issued();
    let packed = edited(sign);
    arbtest::arbtest(|source| {
        let mut bytes = packed.clone();
        for _ in 0..source.int_in_range(1..=30)? {
            let at = source.int_in_range(0..=bytes.len() - 1)?;
            match source.int_in_range(0..=3)? {
                0 => bytes.truncate(at.max(8)),
                1 => drop(bytes.splice(at..at, source.bytes(3)?.to_vec())),
                _ => bytes[at] = source.arbitrary()?,
            }
        }
        check_signed(&bytes, &issued, &Limits::default());
        Ok(())
    })
    .budget_ms(300);
}

/// Every page as a picture; of the last one only, if the others are kept.
fn scan(document: &mut Document, pages: &[ObjectId], first: usize) {
    for page in &pages[first..] {
        let empty = document.add_object(Stream::new(Dictionary::new(), Vec::new()));
        document.get_dictionary_mut(*page).unwrap().set("Contents", empty);
        picture(document, *page, [0, 0, 595, 842]);
    }
}

#[test]
fn a_scan_is_looked_at() {
    let report = check(&edited(|document, pages| scan(document, pages, 0)));
    assert!(by_eye(&report, Rule::Number).starts_with("pages 1, 2 and 3 are scanned"));
    assert!(by_eye(&report, Rule::Text).starts_with("pages 1, 2 and 3 are scanned"));
    by_eye(&report, Rule::Signature);
    assert_eq!(report.signature, Some(SignatureKind::Scanned));
    let last = check(&edited(|document, pages| scan(document, pages, 2)));
    assert!(by_eye(&last, Rule::Text).starts_with("page 3 is scanned"));
}

#[test]
fn a_page_that_another_program_has_written_is_looked_at() {
    let report = check(&edited(|document, pages| {
        sign(document, pages);
        for page in pages {
            let content = Content::decode(&document.get_page_content(*page)).unwrap().encode().unwrap();
            let stream = document.add_object(Stream::new(Dictionary::new(), [b"1 w ".to_vec(), content].concat()));
            document.get_dictionary_mut(*page).unwrap().set("Contents", stream);
        }
    }));
    assert!(by_eye(&report, Rule::Text).contains("pages 1, 2 and 3 are rewritten by another program"), "{report:#?}");
}

#[test]
fn a_font_whose_letters_look_otherwise_never_passes_unseen() {
    let report = check(&edited(|document, pages| {
        sign(document, pages);
        let programs: Vec<ObjectId> = document
            .objects
            .iter()
            .filter_map(|(id, object)| {
                let descriptor = object.as_dict().ok()?;
                descriptor
                    .get(b"FontFile2")
                    .or_else(|_| descriptor.get(b"FontFile3"))
                    .ok()?
                    .as_reference()
                    .ok()
                    .or(Some(*id))
            })
            .collect();
        assert!(!programs.is_empty());
        for program in programs {
            let Object::Stream(stream) = document.get_object_mut(program).unwrap() else { panic!("no stream") };
            let mut bytes = stream.get_plain_content().unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            stream.set_plain_content(bytes);
        }
    }));
    assert!(by_eye(&report, Rule::Text).contains("rewritten"));
}

#[test]
fn a_report_is_kept_as_json() {
    let report = check(&issued().pdf);
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains(r#"{"rule":"size","verdict":{"is":"passed"}}"#), "{json}");
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
