//! Does the report say what the catalogue says, show nobody who was withdrawn, and stay a page whatever names it holds?

use affectory_catalog::{
    AnnotatorKind, DetectedFace, FaceQuality, FetchEnd, FetchRecord, FetchedImage, ImportItem, NewAnnotation, NewFace,
    NewHit, NewImage, NewPage, NewQuery, NewSighting, Project, ProjectConfig, ScanOutcome, ScanStatus,
};
use affectory_collect::{Keywords, Pictures, Report, ReportRequest, gather_report, report_html, write_report};
use affectory_core::{BoundingBox, CandidateId, Expression, ImageId, Landmarks, PerceptualHash, Point, Sha256Hex};
use affectory_imaging::{RgbImage, encode_jpeg, sha256};

const FEAR_FA: &str = "چهره ترسیده";
/// What names from outside may hold. Each would be markup, a script or a turned line if it came out as it went in.
const HOSTILE: [&str; 4] =
    ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(2)>", "javascript:alert(3)", "abc\u{202e}gpj.exe\u{0}"];

struct Lab {
    project: Project,
    _folder: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
        Lab { project, _folder: folder }
    }

    /// Puts a query on the list and answers it.
    async fn answer(&self, (text, language, expression): (&str, &str, Expression), hits: &[NewHit]) {
        let query = NewQuery {
            provider: "p".into(),
            text: text.into(),
            language: language.into(),
            expression: Some(expression),
            negatives: Vec::new(),
        };
        let catalog = &self.project.catalog;
        catalog.plan_queries(&[query], 10).await.unwrap();
        let search = catalog.claim_search("p", "w", 20, 1000).await.unwrap().unwrap();
        catalog.record_page((search.id, "w"), &NewPage::last(hits), 30).await.unwrap();
    }

    /// Records that an address brought image `n`, and that the image shows one face; says which crop it has.
    async fn fetched(&self, address: i64, n: u8) -> Sha256Hex {
        let image = FetchedImage { sha256: sha(n), width: 300, height: 300, format: "jpeg".into(), size_bytes: 9 };
        let record = FetchRecord {
            id: CandidateId(address),
            end: FetchEnd::Image(image),
            outcome: "fetched",
            detail: None,
            http_status: Some(200),
            final_url: None,
            etag: None,
            last_modified: None,
            elapsed_ms: 7,
        };
        self.project.catalog.record_fetches(&[record], 60_000 * address).await.unwrap();
        let crop = encode_jpeg(&RgbImage::filled(112, 112, [n * 60, 90, 40]), 90).unwrap();
        let crop_sha256 = self.project.store.put(crop.into()).await.unwrap();
        let face = DetectedFace {
            bounding_box: BoundingBox::new(1.0, 2.0, 80.0, 80.0).unwrap(),
            score: 0.9,
            landmarks: Landmarks::new(vec![Point { x: 1.0, y: 2.0 }; 5]).unwrap(),
            quality: FaceQuality {
                size_px: 80.0,
                sharpness: 1.0,
                brightness: 0.5,
                yaw_degrees: 0.0,
                pitch_degrees: 0.0,
                roll_degrees: 0.0,
            },
            crop_sha256: Some(crop_sha256.clone()),
        };
        let seen = ScanOutcome {
            image_id: ImageId(i64::from(n)),
            status: ScanStatus::Found,
            error: None,
            unusable: None,
            phash: Some(PerceptualHash(u64::from(n))),
            faces: vec![face],
            updates: Vec::new(),
        };
        self.project.catalog.record_scans("mtcnn", &[seen], 60_000).await.unwrap();
        crop_sha256
    }

    async fn report(&self, pictures: Pictures) -> Report {
        let request = ReportRequest { project: "p <b>", now_ms: 1_773_500_940_000, usable_px: 60, pictures };
        gather_report(&self.project, &Keywords::bundled().unwrap(), &request).await.unwrap()
    }
}

fn sha(n: u8) -> Sha256Hex {
    Sha256Hex::from_digest(&[n; 32])
}

fn hit(n: usize, words: &str) -> NewHit {
    let url = format!("https://h.example/{n}.jpg");
    NewHit {
        rank: 1,
        url_sha256: sha256(url.as_bytes()),
        url,
        host: words.to_owned(),
        engine: words.to_owned(),
        page_url: Some(words.to_owned()),
        title: Some(words.to_owned()),
        license: Some(words.to_owned()),
        license_url: Some(words.to_owned()),
        creator: Some(words.to_owned()),
        attribution: None,
    }
}

#[tokio::test]
async fn names_from_outside_never_come_out_as_markup() {
    let lab = Lab::new().await;
    for (n, words) in HOSTILE.into_iter().enumerate() {
        lab.answer((words, words, Expression::Anger), &[hit(n, words)]).await;
        lab.fetched(n as i64 + 1, n as u8 + 1).await;
    }
    let html = report_html(&lab.report(Pictures::Seed(1)).await);
    // They are all there, as words.
    assert!(html.matches("&lt;script&gt;alert(1)").count() >= 5, "query, engine, language, licence, host");
    assert!(html.contains("javascript:alert(3)") && html.contains("abcgpj.exe") && html.contains("p &lt;b&gt;"));
    let lower = html.to_lowercase();
    assert!(!lower.contains("<script") && !lower.contains("<img src=x") && !lower.contains("href=\"javascript"));
    assert!(!html.contains(['\u{202e}', '\u{0}']));
    // Every tag of the page is one that the templates write.
    let tags: std::collections::BTreeSet<&str> = html
        .split('<')
        .skip(1)
        .map(|rest| rest.trim_start_matches(['/', '!']).split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
        .collect();
    let known = "DOCTYPE a bdi body caption code dd div dl dt figcaption figure footer h1 h2 h3 head header html img li \
                 line main meta nav ol p polyline rect section small span strong style svg table tbody td text tfoot th \
                 thead title tr ul";
    for tag in tags {
        assert!(known.split(' ').any(|name| name == tag), "<{tag}>");
    }
    // Nothing is loaded: the only addresses are data and places in the page.
    for attribute in html.split([' ', '\n']).filter(|word| word.starts_with("src=\"") || word.starts_with("href=\"")) {
        assert!(
            attribute.starts_with("src=\"data:image/jpeg;base64,") || attribute.starts_with("href=\"#"),
            "{attribute}"
        );
    }
    assert!(html.contains("content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\""));
}

#[tokio::test]
async fn the_steps_never_increase_and_a_withdrawn_face_is_shown_nowhere() {
    let lab = Lab::new().await;
    let license = "https://creativecommons.org/licenses/by/4.0/";
    lab.answer(("Angst", "de", Expression::Fear), &[hit(0, license), hit(1, "cc0"), hit(2, "cc0")]).await;
    lab.answer((FEAR_FA, "fa", Expression::Fear), &[hit(0, license), hit(3, "cc0")]).await;
    let (kept, withdrawn) = (lab.fetched(1, 1).await, lab.fetched(2, 2).await);
    let before = lab.report(Pictures::Seed(1)).await;
    let crops = |report: &Report| -> Vec<String> {
        report.mosaics.iter().flatten().flat_map(|mosaic| &mosaic.faces).map(|face| face.crop_sha256.clone()).collect()
    };
    assert_eq!(crops(&before).len(), 2);
    let picture = |report: &Report, crop: &Sha256Hex| {
        let mut faces = report.mosaics.iter().flatten().flat_map(|mosaic| &mosaic.faces);
        faces.find(|face| face.crop_sha256 == crop.as_str()).map(|face| face.jpeg.clone())
    };
    let gone = picture(&before, &withdrawn).unwrap();

    lab.project.catalog.withdraw_image(&sha(2), "asked for", 70_000).await.unwrap();
    let report = lab.report(Pictures::Seed(1)).await;
    let steps: Vec<u64> = report.steps.iter().map(|step| step.count).collect();
    assert_eq!(steps, [5, 4, 2, 2, 2, 2, 2, 2, 1]);
    assert!(steps.is_sorted_by(|a, b| a >= b));
    assert_eq!(crops(&report), [kept.as_str()]);
    assert_eq!(picture(&report, &withdrawn), None);
    let html = report_html(&report);
    assert_eq!(html.matches("data:image/jpeg").count(), 1);
    assert_ne!(picture(&report, &kept), Some(gone));

    // Farsi stands by itself, and says how it is written; an address of the web is a link.
    assert!(html.contains(&format!("<bdi lang=\"fa\" dir=\"rtl\">{FEAR_FA}</bdi>")));
    assert!(html.contains(&format!("<a href=\"{license}\" rel=\"noreferrer noopener\">")));
    let none = report_html(&lab.report(Pictures::None).await);
    assert!(!none.contains("<img") && none.contains("without pictures"));

    // The same seed, catalogue and time: the same bytes, in one step on the disk.
    assert_eq!(report_html(&lab.report(Pictures::Seed(1)).await), html);
    let path = lab.project.root.join("report.html");
    write_report(&path, &none).unwrap();
    write_report(&path, &html).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), html);
}

#[tokio::test]
async fn annotations_stand_beside_the_expression_that_was_asked_for() {
    let lab = Lab::new().await;
    assert!(report_html(&lab.report(Pictures::None).await).contains("Nobody has annotated"));
    let hits: Vec<NewHit> = (0..3).map(|n| hit(n, "cc0")).collect();
    lab.answer(("Angst", "de", Expression::Fear), &hits).await;
    lab.answer(("Wut", "de", Expression::Anger), &hits[2..]).await;
    // Image 1: two of three say fear. Image 2: a tie. Image 3, asked for twice: anger.
    let votes: [&[Expression]; 3] = [
        &[Expression::Fear, Expression::Fear, Expression::Surprise],
        &[Expression::Fear, Expression::NonFace],
        &[Expression::Anger],
    ];
    for (n, votes) in (1u8..).zip(votes) {
        lab.fetched(i64::from(n), n).await;
        let annotations = votes.iter().enumerate().map(|(k, expression)| NewAnnotation {
            annotator: format!("person {k}"),
            kind: AnnotatorKind::Person,
            expression: Some(*expression),
            valence: None,
            arousal: None,
        });
        let item = ImportItem {
            image: NewImage {
                sha256: sha(n),
                phash: PerceptualHash(n.into()),
                width: 300,
                height: 300,
                format: "jpeg".into(),
                size_bytes: 9,
            },
            sighting: NewSighting {
                source: "lab".into(),
                path: format!("{n}.jpg"),
                page_url: None,
                license: None,
                given_split: None,
            },
            faces: vec![NewFace {
                bounding_box: BoundingBox::whole(300, 300),
                landmarks: None,
                annotations: annotations.collect(),
            }],
        };
        lab.project.catalog.record_import(&[item], 100).await.unwrap();
    }
    let report = lab.report(Pictures::None).await;
    let row = |intent| report.intents.iter().find(|row| row.intent == intent).unwrap();
    let (fear, anger) = (row(Expression::Fear), row(Expression::Anger));
    assert_eq!((fear.counts[Expression::Fear.index()], fear.counts[Expression::Anger.index()]), (1, 1));
    assert_eq!((fear.undecided, fear.faces()), (1, 3));
    assert_eq!((anger.counts[Expression::Anger.index()], anger.faces()), (1, 1));
    assert!(report_html(&report).contains("33.3\u{a0}%"));
}
