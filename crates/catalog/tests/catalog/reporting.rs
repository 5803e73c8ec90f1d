//! Are the figures of the report right, on both engines?

use affectory_catalog::{
    AddressCounts, AnnotatorKind, Catalog, CopyCount, DetectedFace, FaceQuality, FetchEnd, FetchRecord, FetchedImage,
    HostCount, HostPlace, ImageRow, ImportItem, IntentVotes, LicenseCount, NewAnnotation, NewFace, NewHit, NewImage,
    NewPage, NewQuery, NewSighting, ScanOutcome, ScanStatus, Unusable, UnusableCount,
};
use affectory_core::{BoundingBox, CandidateId, Expression, ImageId, Landmarks, PerceptualHash, Point};

use crate::engines::{Engine, engines, hash};

fn query(text: &str, language: &str, expression: Expression) -> NewQuery {
    NewQuery {
        provider: "p".into(),
        text: text.into(),
        language: language.into(),
        expression: Some(expression),
        negatives: Vec::new(),
    }
}

fn hit(n: u64, engine: &str, license: Option<&str>) -> NewHit {
    NewHit {
        rank: 1,
        url: format!("https://h{}.example/{n}.jpg", n % 2),
        url_sha256: hash(n),
        host: format!("h{}.example", n % 2),
        engine: engine.into(),
        page_url: None,
        title: None,
        license: license.map(Into::into),
        license_url: None,
        creator: None,
        attribution: None,
    }
}

fn ended(id: CandidateId, end: FetchEnd, outcome: &'static str, elapsed_ms: u64) -> FetchRecord {
    FetchRecord {
        id,
        end,
        outcome,
        detail: None,
        http_status: None,
        final_url: None,
        etag: None,
        last_modified: None,
        elapsed_ms,
    }
}

fn image(n: u64) -> FetchEnd {
    FetchEnd::Image(FetchedImage {
        sha256: hash(100 + n),
        width: 400,
        height: 500,
        format: "jpeg".into(),
        size_bytes: 9,
    })
}

fn face(size_px: f32, crop: Option<u64>) -> DetectedFace {
    DetectedFace {
        bounding_box: BoundingBox::new(size_px, 2.0, size_px, size_px).unwrap(),
        score: 0.9,
        landmarks: Landmarks::new(vec![Point { x: 1.0, y: 2.0 }; 5]).unwrap(),
        quality: FaceQuality {
            size_px,
            sharpness: 1.0,
            brightness: 0.5,
            yaw_degrees: 0.0,
            pitch_degrees: 0.0,
            roll_degrees: 0.0,
        },
        crop_sha256: crop.map(hash),
    }
}

fn seen(image: u64, images: &[ImageRow], unusable: Option<Unusable>, faces: Vec<DetectedFace>) -> ScanOutcome {
    ScanOutcome {
        image_id: images.iter().find(|row| row.image.sha256 == hash(100 + image)).unwrap().id,
        status: if faces.is_empty() { ScanStatus::NoFace } else { ScanStatus::Found },
        error: None,
        unusable,
        phash: Some(PerceptualHash(image)),
        faces,
        updates: Vec::new(),
    }
}

/// Three queries (fear in German and Farsi, joy in German; a fourth finds nothing) and seven addresses: 1 and 2 are the
/// same image with two faces, 3 has one that is too small, 4 none, 5 waits for the detector, 6 is gone, 7 waits.
async fn collection(catalog: &Catalog) {
    let queries = [
        query("Angst", "de", Expression::Fear),
        query("چهره ترسیده", "fa", Expression::Fear),
        query("Freude", "de", Expression::Happy),
        query("nichts", "de", Expression::Contempt),
    ];
    catalog.plan_queries(&queries, 10).await.unwrap();
    let answers = [
        vec![hit(1, "bing", Some("cc0")), hit(2, "bing", Some("cc0")), hit(3, "bing", None)],
        vec![hit(1, "google", Some("by")), hit(4, "google", Some("cc0"))],
        vec![hit(1, "bing", Some("cc0")), hit(5, "bing", None), hit(6, "bing", None), hit(7, "bing", None)],
        Vec::new(),
    ];
    for hits in answers {
        let search = catalog.claim_search("p", "w", 20, 1000).await.unwrap().unwrap();
        catalog.record_page((search.id, "w"), &NewPage::last(&hits), 30).await.unwrap();
    }
    let ids = addresses(catalog).await;
    let records = [
        ended(ids[0], image(1), "fetched", 10),
        ended(ids[1], image(1), "fetched", 30),
        ended(ids[2], image(2), "fetched", 20),
        ended(ids[3], image(3), "fetched", 40),
        ended(ids[4], image(4), "fetched", 50),
        ended(ids[5], FetchEnd::Rejected, "gone", 60),
    ];
    catalog.record_fetches(&records, 90).await.unwrap();
    let images = catalog.claim_images("mtcnn", "w", 9, 91, 1000).await.unwrap();
    let outcomes = [
        seen(1, &images, None, vec![face(80.0, Some(200)), face(50.0, None)]),
        seen(2, &images, Some(Unusable::SmallFaces), vec![face(40.0, None)]),
        seen(3, &images, Some(Unusable::NoFace), Vec::new()),
    ];
    catalog.record_scans("mtcnn", &outcomes, 95).await.unwrap();
}

/// The ids of the seven addresses; PostgreSQL leaves gaps for what was there before.
async fn addresses(catalog: &Catalog) -> Vec<CandidateId> {
    let place = |host: &str| HostPlace { host: host.into(), due_ms: i64::MIN, id: CandidateId(0) };
    let places = [place("h0.example"), place("h1.example")];
    let due = catalog.list_due_candidates(&places, 9, 50).await.unwrap();
    let mut ids: Vec<CandidateId> = due.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn the_drop_out_is_counted_step_by_step() {
    for Engine { catalog, .. } in engines("drop_out").await {
        let empty = (catalog.collection_totals().await.unwrap(), catalog.count_fetched_images(60).await.unwrap());
        assert_eq!(empty, Default::default());
        collection(&catalog).await;
        let totals = catalog.collection_totals().await.unwrap();
        assert_eq!((totals.queries, totals.searches_done, totals.searches_open), (4, 4, 0));
        assert_eq!((totals.hits, totals.addresses, totals.tried, totals.fetched), (9, 7, 6, 5));
        assert_eq!((totals.first_ms, totals.last_ms), (Some(10), Some(90)));
        let images = catalog.count_fetched_images(60).await.unwrap();
        assert_eq!((images.images, images.decoded, images.with_face, images.usable, images.kept), (4, 3, 2, 1, 1));
        assert_eq!((images.waiting, images.faces, images.usable_faces), (1, 3, 1));
        catalog.withdraw_image(&hash(101), "asked for", 99).await.unwrap();
        let images = catalog.count_fetched_images(60).await.unwrap();
        assert_eq!((images.usable, images.kept, images.withdrawn), (1, 0, 1));
        let reason = |reason: &str| UnusableCount { reason: reason.into(), images: 1, dropped: 0 };
        assert_eq!(catalog.count_unusable().await.unwrap(), [reason("no-face"), reason("small-faces")]);
        let copies = [CopyCount { addresses: 1, images: 3 }, CopyCount { addresses: 2, images: 1 }];
        assert_eq!(catalog.count_copies().await.unwrap(), copies);
        let first = catalog.list_looks(ImageId(0), 1).await.unwrap();
        let rest = catalog.list_looks(first[0].image_id, 9).await.unwrap();
        assert_eq!(first.into_iter().chain(rest).map(|look| look.phash.0).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[tokio::test]
async fn what_was_found_is_counted_by_place_query_licence_and_host() {
    for Engine { catalog, .. } in engines("findings").await {
        collection(&catalog).await;
        let findings = catalog.count_findings(60).await.unwrap();
        let sum = |wanted: &dyn Fn(&affectory_catalog::FindingPlace) -> bool| {
            let within =
                findings.iter().filter(|finding| finding.places.iter().any(wanted)).map(|finding| finding.counts);
            within.fold([0; 3], |sum, c| [sum[0] + c.addresses, sum[1] + c.fetched, sum[2] + c.usable])
        };
        assert_eq!(sum(&|_| true), [7, 5, 2]);
        assert_eq!(sum(&|place| place.expression == Some(Expression::Fear)), [4, 4, 2]);
        assert_eq!(sum(&|place| place.engine == "bing" && place.expression == Some(Expression::Happy)), [4, 2, 1]);
        assert_eq!(sum(&|place| place.language == "fa"), [2, 2, 1]);

        let queries = catalog.count_queries(2, 60).await.unwrap();
        assert_eq!((queries.asked, queries.without_hit, queries.without_usable), (4, 1, 0));
        let texts = |rows: &[affectory_catalog::QueryCount]| rows.iter().map(|q| q.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&queries.best), ["Angst", "Freude"]);
        assert_eq!(texts(&queries.least), ["چهره ترسیده"]);
        assert_eq!(queries.best[0].counts, AddressCounts { addresses: 3, fetched: 3, usable: 2 });

        let license = |license: Option<&str>, addresses, fetched| LicenseCount {
            license: license.map(Into::into),
            addresses,
            fetched,
        };
        let licenses = [license(None, 4, 2), license(Some("cc0"), 3, 3), license(Some("by"), 1, 1)];
        assert_eq!(catalog.count_licenses().await.unwrap(), licenses);

        let (hosts, n_hosts) = catalog.list_top_hosts(1).await.unwrap();
        let h1 = HostCount {
            host: "h1.example".into(),
            addresses: 4,
            fetched: 3,
            refused: 0,
            failed: 0,
            median_ms: Some(20),
        };
        assert_eq!((hosts, n_hosts), (vec![h1], 2));
    }
}

#[tokio::test]
async fn annotations_meet_the_expressions_that_were_asked_for() {
    for Engine { catalog, .. } in engines("intents").await {
        collection(&catalog).await;
        assert_eq!(catalog.count_intent_votes().await.unwrap(), []);
        let annotation = |annotator: &str, kind, expression| NewAnnotation {
            annotator: annotator.into(),
            kind,
            expression: Some(expression),
            valence: None,
            arousal: None,
        };
        // An import of the same bytes as image 1, which queries for fear and for joy found.
        let item = ImportItem {
            image: NewImage {
                sha256: hash(101),
                phash: PerceptualHash(1),
                width: 400,
                height: 500,
                format: "jpeg".into(),
                size_bytes: 9,
            },
            sighting: NewSighting {
                source: "lab".into(),
                path: "1.jpg".into(),
                page_url: None,
                license: None,
                given_split: None,
            },
            faces: vec![NewFace {
                bounding_box: BoundingBox::whole(400, 500),
                landmarks: None,
                annotations: vec![
                    annotation("a", AnnotatorKind::Person, Expression::Surprise),
                    annotation("b", AnnotatorKind::Imported, Expression::Surprise),
                    annotation("c", AnnotatorKind::Person, Expression::Fear),
                    annotation("m", AnnotatorKind::Model, Expression::Anger),
                ],
            }],
        };
        catalog.record_import(&[item], 100).await.unwrap();
        let mut votes = [0; 11];
        votes[Expression::Surprise.index()] = 2;
        votes[Expression::Fear.index()] = 1;
        let row = |intent| IntentVotes { intent, votes, faces: 1 };
        assert_eq!(catalog.count_intent_votes().await.unwrap(), [row(Expression::Happy), row(Expression::Fear)]);
        catalog.withdraw_image(&hash(101), "asked for", 110).await.unwrap();
        assert_eq!(catalog.count_intent_votes().await.unwrap(), []);
    }
}

#[tokio::test]
async fn only_usable_faces_of_images_that_may_be_shown_are_samples() {
    for Engine { catalog, .. } in engines("samples").await {
        collection(&catalog).await;
        let last = catalog.last_candidate().await.unwrap();
        let addresses: Vec<CandidateId> = (1..=last.0).rev().map(CandidateId).collect();
        let samples = catalog.list_face_samples(&addresses, 60).await.unwrap();
        let found: Vec<_> = samples.iter().map(|s| (s.query.as_str(), s.expression, s.host.as_str())).collect();
        let angst = |host| ("Angst", Expression::Fear, host);
        let expected = [
            angst("h0.example"),
            angst("h1.example"),
            ("چهره ترسیده", Expression::Fear, "h1.example"),
            ("Freude", Expression::Happy, "h1.example"),
        ];
        assert_eq!(found, expected);
        assert!(samples.iter().all(|sample| sample.crop_sha256 == hash(200)));
        assert_eq!(catalog.list_face_samples(&addresses, 81).await.unwrap(), []);
        catalog.withdraw_image(&hash(101), "asked for", 110).await.unwrap();
        assert_eq!(catalog.list_face_samples(&addresses, 60).await.unwrap(), []);
    }
}
