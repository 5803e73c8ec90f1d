//! Does the catalogue keep its promises as the queue of a collection, on both engines?

use crate::engines::{Engine, databases, engines, hash, run_sql};
use affectory_catalog::{
    Catalog, FetchEnd, FetchRecord, FetchedImage, HostPlace, ImageStore, ImportItem, NewFace, NewHit, NewImage,
    NewPage, NewQuery, NewSighting, PaceRow, PageOutcome, ScanOutcome, ScanStatus, SearchFailure, SearchNext,
    SearchRow, Unusable,
};
use affectory_core::{BoundingBox, CandidateId, Expression, FaceId, ImageId, PerceptualHash, Sha256Hex};

pub fn query(n: u64) -> NewQuery {
    NewQuery {
        provider: "p".into(),
        text: format!("wütende Frau {n}"),
        language: "de".into(),
        expression: Some(Expression::Anger),
        negatives: vec!["Zeichnung".into(), "it's".into()],
    }
}

pub fn hit(n: u64, rank: u32) -> NewHit {
    NewHit {
        rank,
        url: format!("https://h{}.example/{n}.jpg", n % 3),
        url_sha256: hash(n),
        host: format!("h{}.example", n % 3),
        engine: "e".into(),
        page_url: Some(format!("https://h.example/page/{n}")),
        title: None,
        license: Some("cc0".into()),
        license_url: None,
        creator: None,
        attribution: None,
    }
}

pub async fn claimed(catalog: &Catalog, worker: &str, now_ms: i64) -> SearchRow {
    catalog.claim_search("p", worker, now_ms, 1000).await.unwrap().unwrap()
}

/// A catalogue whose first search brought ten addresses on three hosts.
async fn with_candidates(catalog: &Catalog) -> SearchRow {
    catalog.plan_queries(&[query(0)], 10).await.unwrap();
    let search = claimed(catalog, "w", 10).await;
    let hits: Vec<_> = (0..10).map(|n| hit(n, n as u32 + 1)).collect();
    catalog.record_page((search.id, "w"), &NewPage::last(&hits), 20).await.unwrap();
    search
}

fn place(host: &str) -> HostPlace {
    HostPlace { host: host.into(), due_ms: i64::MIN, id: CandidateId(0) }
}

pub fn ended(id: CandidateId, end: FetchEnd, outcome: &'static str) -> FetchRecord {
    FetchRecord {
        id,
        end,
        outcome,
        detail: None,
        http_status: Some(200),
        final_url: None,
        etag: Some("\"x\"".into()),
        last_modified: None,
        elapsed_ms: 5,
    }
}

pub fn image(n: u64) -> FetchEnd {
    FetchEnd::Image(FetchedImage { sha256: hash(n), width: 40, height: 50, format: "jpeg".into(), size_bytes: 9 })
}

#[tokio::test]
async fn a_plan_recorded_twice_is_there_once_and_every_query_gets_its_first_page_first() {
    for Engine { catalog, .. } in engines("plan").await {
        assert_eq!(catalog.plan_queries(&[query(0), query(1)], 10).await.unwrap(), 2);
        assert_eq!(catalog.plan_queries(&[query(0), query(1), query(2)], 11).await.unwrap(), 1);
        let first = claimed(&catalog, "w", 20).await;
        assert_eq!(first.query, query(0));
        let next = SearchNext::Page("2".into());
        let hits = [hit(1, 1), hit(2, 2)];
        let page = NewPage { next: &next, total: Some(99), ..NewPage::last(&hits) };
        let page = catalog.record_page((first.id, "w"), &page, 30).await.unwrap();
        assert_eq!(page, PageOutcome { hits: 2, candidates: 2 });
        for n in [1, 2] {
            let search = claimed(&catalog, "w", 40).await;
            assert_eq!(search.query, query(n));
            // What another query found already is a hit, and no new address.
            let page = catalog.record_page((search.id, "w"), &NewPage::last(&[hit(2, 1)]), 41).await.unwrap();
            assert_eq!(page, PageOutcome { hits: 1, candidates: 0 });
        }
        let again = claimed(&catalog, "w", 50).await;
        assert_eq!((again.id, again.cursor.as_deref(), again.n_hits), (first.id, Some("2"), 2));
        let next = SearchNext::Split(vec!["a".into(), "b".into()]);
        catalog.record_page((again.id, "w"), &NewPage { next: &next, ..NewPage::last(&[]) }, 51).await.unwrap();
        let slice = claimed(&catalog, "w", 60).await;
        assert_eq!((slice.slice.as_str(), slice.n_hits, slice.query_hits), ("a", 0, 2));
        let counts = &catalog.count_searches().await.unwrap()[0];
        assert_eq!((counts.queries, counts.open, counts.pages, counts.hits), (3, 2, 4, 4));
        // Enough of this query: its other slice is not asked, either.
        catalog.end_query(slice.id).await.unwrap();
        assert_eq!(catalog.next_search_due("p").await.unwrap(), None);
        assert!(catalog.claim_search("p", "w", 70, 1000).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_search_whose_lease_ended_is_not_recorded_by_its_late_worker() {
    for Engine { catalog, .. } in engines("late").await {
        catalog.plan_queries(&[query(0)], 10).await.unwrap();
        let search = claimed(&catalog, "slow", 10).await;
        assert!(catalog.claim_search("p", "other", 500, 1000).await.unwrap().is_none());
        assert_eq!(claimed(&catalog, "other", 1010).await.id, search.id);
        let late = catalog.record_page((search.id, "slow"), &NewPage::last(&[hit(1, 1)]), 1020).await.unwrap();
        assert_eq!(late, PageOutcome::default());
        let failure = SearchFailure { reason: "busy".into(), again_ms: Some(5000) };
        catalog.record_search_failure((search.id, "other"), &failure).await.unwrap();
        assert_eq!(catalog.next_search_due("p").await.unwrap(), Some(5000));
        let again = claimed(&catalog, "other", 5000).await;
        assert_eq!(again.attempts, 1);
        let over = SearchFailure { reason: "refused".into(), again_ms: None };
        catalog.record_search_failure((search.id, "other"), &over).await.unwrap();
        assert_eq!(catalog.next_search_due("p").await.unwrap(), None);
        let why = &catalog.count_search_failures(9).await.unwrap()[..];
        let [why] = why else { panic!("{why:?}") };
        assert_eq!((why.state.as_str(), why.reason.as_str(), why.searches), ("failed", "refused", 1));
    }
}

#[tokio::test]
async fn a_host_belongs_to_one_worker_and_its_queue_goes_on_where_it_was_left() {
    for Engine { url, catalog, .. } in engines("hosts").await {
        let other = Catalog::connect(&url).await.unwrap();
        with_candidates(&catalog).await;
        let (mine, theirs) = tokio::join!(catalog.claim_hosts("me", 2, 30, 100), other.claim_hosts("they", 2, 30, 100));
        let mut all: Vec<_> = [mine.unwrap(), theirs.unwrap()].concat();
        all.sort_unstable();
        assert_eq!(all, ["h0.example", "h1.example", "h2.example"]);

        let first = catalog.list_due_candidates(&[place("h0.example")], 3, 30).await.unwrap();
        let last = first.last().unwrap();
        let left = HostPlace { host: last.host.clone(), due_ms: last.due_ms, id: last.id };
        let rest = catalog.list_due_candidates(&[left], 3, 30).await.unwrap();
        let urls: Vec<_> = first.iter().chain(&rest).map(|candidate| candidate.url.as_str()).collect();
        assert_eq!(urls, [0, 3, 6, 9].map(|n| format!("https://h0.example/{n}.jpg")));

        // A dead worker's hosts are free at once; a silent one's when the lease ends.
        assert_eq!(catalog.list_collectors().await.unwrap(), ["me", "they"]);
        catalog.release_collector("me").await.unwrap();
        catalog.renew_hosts("they", 500).await.unwrap();
        let n_mine = 3 - catalog.renew_hosts("they", 500).await.unwrap();
        assert_eq!(catalog.claim_hosts("heir", 9, 131, 10).await.unwrap().len() as u64, n_mine);
        assert_eq!(catalog.claim_hosts("heir", 9, 500, 10).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_host_that_rests_is_given_to_nobody_before_its_time() {
    for Engine { catalog, .. } in engines("rests").await {
        with_candidates(&catalog).await;
        let host = catalog.claim_hosts("me", 1, 30, 100).await.unwrap().remove(0);
        catalog.let_hosts_rest("they", &[(host.clone(), 9_000)]).await.unwrap(); // not theirs
        catalog.let_hosts_rest("me", &[(host.clone(), 5_000)]).await.unwrap();
        // Nor when more is found there.
        catalog.plan_queries(&[query(1)], 31).await.unwrap();
        let search = claimed(&catalog, "w", 31).await;
        catalog.record_page((search.id, "w"), &NewPage::last(&[hit(12, 1)]), 40).await.unwrap();
        assert_eq!(catalog.claim_hosts("they", 9, 4_999, 100).await.unwrap(), ["h1.example", "h2.example"]);
        let open = catalog.count_open_hosts(4_999).await.unwrap();
        assert_eq!((open.due, open.leased, open.next_due_ms), (0, 2, Some(5_000)));
        assert_eq!(catalog.next_host_due(4_999).await.unwrap(), Some(5_000));
        assert_eq!(catalog.claim_hosts("they", 9, 5_000, 100).await.unwrap(), [host]);
        assert_eq!(catalog.list_due_candidates(&[place("h0.example")], 9, 5_000).await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn every_address_has_one_outcome_and_an_image_keeps_every_hit() {
    for Engine { catalog, .. } in engines("outcomes").await {
        with_candidates(&catalog).await;
        // A second query finds two of the same addresses.
        catalog.plan_queries(&[query(1)], 21).await.unwrap();
        let search = claimed(&catalog, "w", 21).await;
        let hits = [hit(3, 1), hit(4, 2)];
        catalog.record_page((search.id, "w"), &NewPage::last(&hits), 22).await.unwrap();

        let hosts = catalog.claim_hosts("me", 9, 30, 100).await.unwrap();
        let places: Vec<_> = hosts.iter().map(|host| place(host)).collect();
        let due = catalog.list_due_candidates(&places, 9, 30).await.unwrap();
        assert_eq!(due.len(), 10);
        let of = |n: u64| due.iter().find(|row| row.url.ends_with(&format!("/{n}.jpg"))).unwrap().id;
        let records = [
            // Two addresses, one picture.
            ended(of(3), image(77), "fetched"),
            ended(of(4), image(77), "fetched"),
            ended(of(5), FetchEnd::Rejected, "gone"),
            ended(of(6), FetchEnd::Again { again_ms: 900 }, "http-5xx"),
            ended(of(7), FetchEnd::Failed, "timeout-body"),
        ];
        let recorded = catalog.record_fetches(&records, 40).await.unwrap();
        assert_eq!((recorded.new_images, recorded.ended), (1, 4));
        catalog.release_hosts("me", &hosts).await.unwrap();
        assert_eq!(catalog.next_host_due(40).await.unwrap(), Some(20));

        let outcomes = catalog.count_outcomes().await.unwrap();
        let of_class = |class: Option<&str>| -> u64 {
            outcomes.iter().filter(|row| row.outcome.as_deref() == class).map(|row| row.candidates).sum()
        };
        assert_eq!([None, Some("fetched"), Some("gone"), Some("http-5xx")].map(of_class), [5, 2, 1, 1]);
        let counts = catalog.project_counts().await.unwrap();
        assert_eq!((counts.images, counts.sightings), (1, 4));
        let yields = catalog.count_yield().await.unwrap();
        assert_eq!((yields[0].candidates, yields[0].fetched), (10, 2));
        let queries = catalog.list_queries().await.unwrap();
        let first = &queries[0];
        assert_eq!((first.addresses, first.fetched, first.open, first.failed), (10, 2, 0, 0));
        assert_eq!(first.text, "wütende Frau 0");

        // Again, only what failed; and what was fetched is asked for under a condition.
        assert_eq!(catalog.retry_candidates(&["timeout-body".into(), "fetched".into()], 50).await.unwrap(), 3);
        catalog.claim_hosts("me", 9, 50, 100).await.unwrap();
        let due = catalog.list_due_candidates(&places, 9, 50).await.unwrap();
        let again: Vec<_> = due.iter().filter(|row| row.due_ms == 50).collect();
        assert_eq!(again.iter().filter(|row| row.etag.is_some()).count(), 3);
        catalog.record_fetches(&[ended(of(3), FetchEnd::Unchanged, "not-modified")], 60).await.unwrap();
        assert_eq!(catalog.project_counts().await.unwrap().sightings, 4);

        // Faces come from the detector, with what the picture looks like; their sightings are the hits.
        let images = catalog.claim_images("d", "me", 9, 70, 100).await.unwrap();
        assert_eq!(images.len(), 1);
        let face = affectory_catalog::DetectedFace {
            bounding_box: BoundingBox::new(1.0, 1.0, 10.0, 12.0).unwrap(),
            score: 0.9,
            landmarks: affectory_core::Landmarks::from_text("1;2;3;4;5;6;7;8;9;10").unwrap(),
            quality: affectory_catalog::FaceQuality {
                size_px: 10.0,
                sharpness: 1.0,
                brightness: 0.5,
                yaw_degrees: 0.0,
                pitch_degrees: 0.0,
                roll_degrees: 0.0,
            },
            crop_sha256: None,
        };
        let seen = ScanOutcome {
            image_id: images[0].id,
            status: ScanStatus::Found,
            error: None,
            unusable: None,
            phash: Some(PerceptualHash(u64::MAX - 5)),
            faces: vec![face],
            updates: vec![],
        };
        catalog.record_scans("d", &[seen], 80).await.unwrap();
        let faces = catalog.list_labelled_faces(FaceId(0), 9).await.unwrap();
        assert_eq!(faces[0].image.image.phash, PerceptualHash(u64::MAX - 5));
        let pages: Vec<_> = faces[0].sightings.iter().map(|sighting| sighting.page_url.as_deref().unwrap()).collect();
        assert_eq!(pages.len(), 4);
        assert!(pages.contains(&"https://h.example/page/3") && pages.contains(&"https://h.example/page/4"));
        assert_eq!(faces[0].sightings[0].source, "p");
    }
}

/// A fetched image is not decoded; when an import brings the same bytes, what it looks like is known from then on.
#[tokio::test]
async fn collected_images_come_in_pages_with_every_sighting_and_without_withdrawn_ones() {
    for Engine { catalog, .. } in engines("collected").await {
        with_candidates(&catalog).await;
        catalog.plan_queries(&[query(1)], 21).await.unwrap();
        let search = claimed(&catalog, "w", 21).await;
        let (title, credit) = (Some("a \"late\" one\n".into()), Some("by \"Ann\", CC BY 2.0".into()));
        let late = NewHit { title, attribution: credit, ..hit(3, 7) };
        catalog.record_page((search.id, "w"), &NewPage::last(&[late]), 22).await.unwrap();
        let hosts = catalog.claim_hosts("me", 9, 30, 100).await.unwrap();
        let places: Vec<_> = hosts.iter().map(|host| place(host)).collect();
        let due = catalog.list_due_candidates(&places, 9, 30).await.unwrap();
        let of = |n: u64| due.iter().find(|row| row.url.ends_with(&format!("/{n}.jpg"))).unwrap().id;
        let records = [
            ended(of(3), image(71), "fetched"),
            ended(of(4), image(72), "fetched"),
            ended(of(5), FetchEnd::Rejected, "gone"),
            // Another address of the first picture.
            ended(of(6), image(71), "fetched"),
            ended(of(7), image(73), "fetched"),
        ];
        catalog.record_fetches(&records, 40).await.unwrap();
        // An image that no search led to is no part of the collection.
        let item = ImportItem {
            image: NewImage {
                sha256: hash(99),
                phash: PerceptualHash(1),
                width: 1,
                height: 1,
                format: "png".into(),
                size_bytes: 1,
            },
            sighting: NewSighting {
                source: "s".into(),
                path: "x".into(),
                page_url: None,
                license: None,
                given_split: None,
            },
            faces: vec![],
        };
        catalog.record_import(&[item], 45).await.unwrap();
        catalog.withdraw_image(&hash(72), "asked for", 50).await.unwrap();

        let page = catalog.list_collected_images(ImageId(0), 1).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!((&page[0].image.image.sha256, page[0].phash), (&hash(71), None));
        let met: Vec<_> = page[0].sightings.iter().map(|s| (s.url.as_str(), s.rank, s.found_ms)).collect();
        let expected = [
            ("https://h0.example/3.jpg", 4, 20),
            ("https://h0.example/6.jpg", 7, 20),
            ("https://h0.example/3.jpg", 7, 22),
        ];
        assert_eq!(met, expected);
        let last = &page[0].sightings[2];
        assert_eq!((last.query.as_str(), last.language.as_str()), ("wütende Frau 1", "de"));
        assert_eq!((last.expression, last.title.as_deref()), (Some(Expression::Anger), Some("a \"late\" one\n")));
        assert_eq!(last.attribution.as_deref(), Some("by \"Ann\", CC BY 2.0"));
        let rest = catalog.list_collected_images(page[0].image.id, 9).await.unwrap();
        assert_eq!(rest.iter().map(|image| &image.image.image.sha256).collect::<Vec<_>>(), [&hash(73)]);
    }
}

#[tokio::test]
async fn an_import_tells_what_a_fetched_image_looks_like() {
    for Engine { catalog, .. } in engines("looks").await {
        with_candidates(&catalog).await;
        let hosts = catalog.claim_hosts("me", 1, 30, 100).await.unwrap();
        let due = catalog.list_due_candidates(&[place(&hosts[0])], 1, 30).await.unwrap();
        catalog.record_fetches(&[ended(due[0].id, image(77), "fetched")], 40).await.unwrap();
        let item = ImportItem {
            image: NewImage {
                sha256: hash(77),
                phash: PerceptualHash(12345),
                width: 40,
                height: 50,
                format: "jpeg".into(),
                size_bytes: 9,
            },
            sighting: NewSighting {
                source: "s".into(),
                path: "x".into(),
                page_url: None,
                license: None,
                given_split: None,
            },
            faces: vec![NewFace { bounding_box: BoundingBox::whole(40, 50), landmarks: None, annotations: vec![] }],
        };
        assert_eq!(catalog.record_import(&[item], 50).await.unwrap().images, 0);
        let face = &catalog.list_labelled_faces(FaceId(0), 9).await.unwrap()[0];
        assert_eq!(face.image.image.phash, PerceptualHash(12345));
        assert_eq!(face.sightings.len(), 2);
    }
}

fn looked_at(image_id: ImageId, unusable: Option<Unusable>) -> ScanOutcome {
    ScanOutcome {
        image_id,
        status: ScanStatus::NoFace,
        error: None,
        unusable,
        phash: Some(PerceptualHash(1)),
        faces: Vec::new(),
        updates: Vec::new(),
    }
}

/// Three pictures in the store and the catalogue, fetched from three addresses.
async fn with_fetched(catalog: &Catalog, store: &ImageStore) -> Vec<Sha256Hex> {
    with_candidates(catalog).await;
    let mut candidates = Vec::new();
    for host in ["h0.example", "h1.example"] {
        candidates.extend(catalog.list_due_candidates(&[place(host)], 9, 30).await.unwrap());
    }
    let mut hashes = Vec::new();
    let mut records = Vec::new();
    for (n, candidate) in candidates.iter().enumerate().take(3) {
        let sha256 = store.put(format!("picture {n}").into()).await.unwrap();
        let image = FetchedImage { sha256: sha256.clone(), width: 4, height: 5, format: "jpeg".into(), size_bytes: 9 };
        records.push(ended(candidate.id, FetchEnd::Image(image), "fetched"));
        hashes.push(sha256);
    }
    assert_eq!(records.len(), 3);
    catalog.record_fetches(&records, 60_000).await.unwrap();
    hashes
}

/// Only what collecting alone brought may leave the store; whoever brings it again gets it back; the pace is kept.
#[tokio::test]
async fn an_unusable_image_leaves_the_store_and_an_import_brings_it_back() {
    for (url, _folder) in databases("drops").await {
        let catalog = Catalog::connect(&url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::local(folder.path()).unwrap();
        let hashes = with_fetched(&catalog, &store).await;
        let pace = PaceRow { start_ms: 60_000, ended: 3, images: 3, size_bytes: 27 };
        assert_eq!(catalog.list_pace(0).await.unwrap(), [pace]);

        let images = catalog.claim_images("d", "w", 9, 70_000, 10).await.unwrap();
        let id = |n: usize| images.iter().find(|image| image.image.sha256 == hashes[n]).unwrap().id;
        let imported = |n: usize, path: &str| ImportItem {
            image: NewImage {
                sha256: hashes[n].clone(),
                phash: PerceptualHash(1),
                width: 4,
                height: 5,
                format: "jpeg".into(),
                size_bytes: 9,
            },
            sighting: NewSighting {
                source: "lab".into(),
                path: path.into(),
                page_url: None,
                license: None,
                given_split: None,
            },
            faces: Vec::new(),
        };
        catalog.record_import(&[imported(1, "theirs")], 71_000).await.unwrap();
        let seen = [
            looked_at(id(0), Some(Unusable::NoFace)),
            looked_at(id(1), Some(Unusable::NoFace)),
            looked_at(id(2), None),
        ];
        catalog.record_scans("d", &seen, 72_000).await.unwrap();
        assert_eq!(catalog.drop_unusable(&store, 9, 73_000).await.unwrap(), 1);
        assert_eq!(catalog.drop_unusable(&store, 9, 73_000).await.unwrap(), 0);
        let kept = [false, true, true];
        for (sha256, is_kept) in hashes.iter().zip(kept) {
            assert_eq!(store.contains(sha256).await.unwrap(), is_kept);
        }
        // Another detector is not sent to look at what is not there; the first one's count stays right.
        assert_eq!(catalog.claim_images("other", "w", 9, 74_000, 10).await.unwrap().len(), 2);
        assert_eq!(catalog.face_scan("other").await.unwrap().pending, 0);
        assert_eq!(catalog.face_scan("d").await.unwrap().pending, 0);

        let outcome = catalog.record_import(&[imported(0, "ours")], 75_000).await.unwrap();
        assert_eq!(outcome.restored, 1, "the importer is told to store the bytes again");
        store.put("picture 0".into()).await.unwrap();
        assert_eq!(catalog.drop_unusable(&store, 9, 76_000).await.unwrap(), 0, "it is an import's now");
        assert!(store.contains(&hashes[0]).await.unwrap());
    }
}

/// A project of the second version with data in it opens with this one, and nothing of it is lost.
#[tokio::test]
async fn a_catalogue_of_version_2_is_brought_forward_with_its_data() {
    const PORTABLE: [&str; 2] =
        [include_str!("../../migrations/0001_the_way.sql"), include_str!("../../migrations/0002_collect.sql")];
    let tails = [
        include_str!("../../migrations/0001_the_way.sqlite.sql"),
        include_str!("../../migrations/0001_the_way.postgres.sql"),
    ];
    let identities = ["integer primary key", "bigint generated always as identity primary key"];
    for (((url, _folder), tail), identity) in databases("from_2").await.into_iter().zip(tails).zip(identities) {
        run_sql(&url, &PORTABLE[0].replace("{identity}", identity)).await;
        run_sql(&url, tail).await;
        run_sql(&url, &PORTABLE[1].replace("{identity}", identity)).await;
        let (sha, key) = (hash(5), "7".repeat(64));
        run_sql(
            &url,
            &format!(
                "create table schema_version (version bigint primary key);
                 insert into schema_version (version) values (1), (2);
                 insert into image (sha256, phash, phash_known, width, height, format, size_bytes, first_seen_ms)
                     values ('{sha}', 0, 0, 4, 5, 'png', 6, 7);
                 insert into host (name) values ('x.org');
                 insert into candidate (url, url_sha256, host, state, outcome, attempts, image_id, found_ms, ended_ms)
                     values ('https://x.org/1', '{key}', 'x.org', 'fetched', 'fetched', 1, 1, 2, 3);"
            ),
        )
        .await;
        let catalog = Catalog::connect(&url).await.unwrap();
        assert_eq!(catalog.count_outcomes().await.unwrap()[0].state, "fetched");
        let images = catalog.claim_images("d", "w", 9, 10, 10).await.unwrap();
        assert_eq!(images[0].image.sha256, sha);
        catalog.record_scans("d", &[looked_at(images[0].id, Some(Unusable::Unreadable))], 11).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::local(folder.path()).unwrap();
        assert_eq!(catalog.drop_unusable(&store, 9, 12).await.unwrap(), 1, "an object that is gone is no failure");
    }
}

/// A project of the first version with data in it opens with this one, and nothing of it is lost.
#[tokio::test]
async fn a_catalogue_of_version_1_is_brought_forward_with_its_data() {
    const PORTABLE: &str = include_str!("../../migrations/0001_the_way.sql");
    let tails = [
        include_str!("../../migrations/0001_the_way.sqlite.sql"),
        include_str!("../../migrations/0001_the_way.postgres.sql"),
    ];
    let identities = ["integer primary key", "bigint generated always as identity primary key"];
    for (((url, _folder), tail), identity) in databases("from_1").await.into_iter().zip(tails).zip(identities) {
        run_sql(&url, &PORTABLE.replace("{identity}", identity)).await;
        run_sql(&url, tail).await;
        let sha = hash(5);
        run_sql(
            &url,
            &format!(
                "create table schema_version (version bigint primary key);
                 insert into schema_version (version) values (1);
                 insert into query (provider, text, language, expression, created_ms) values ('p', 'old', 'en', 1, 3);
                 insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                     values ('{sha}', -7, 4, 5, 'png', 6, 7);
                 insert into sighting (image_id, source, path, page_url, seen_ms) values (1, 's', 'x', 'page', 7);
                 insert into face (image_id, origin, x, y, width, height, created_ms) values (1, 'given', 0, 0, 4, 5, 7);
                 insert into annotator (name, kind) values ('a', 'person');
                 insert into annotation (face_id, annotator_id, origin, expression, created_ms) values (1, 1, 's:x', 2, 8);"
            ),
        )
        .await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let faces = catalog.list_labelled_faces(FaceId(0), 9).await.unwrap();
        assert_eq!(faces.len(), 1);
        assert_eq!(faces[0].image.image.phash, PerceptualHash((-7i64).cast_unsigned()));
        assert_eq!(faces[0].annotations[0].expression, Some(Expression::Sad));
        assert_eq!(faces[0].sightings[0].page_url.as_deref(), Some("page"));
        // The old query has no search yet; the next plan opens one.
        catalog.plan_queries(&[], 9).await.unwrap();
        let search = claimed(&catalog, "w", 10).await;
        assert_eq!((search.query.text.as_str(), search.query.negatives.len()), ("old", 0));
    }
}

#[tokio::test]
async fn shards_name_what_is_free_and_nothing_is_leased_twice() {
    for Engine { catalog, url, .. } in engines("shards").await {
        let engine = url.split(':').next().unwrap();
        with_candidates(&catalog).await;
        let open = catalog.list_open_hosts(9, 3, 20).await.unwrap();
        let told: Vec<(&str, u64)> = open.iter().map(|host| (host.name.as_str(), host.n_due)).collect();
        assert_eq!(
            told,
            [("h0.example", 3), ("h1.example", 3), ("h2.example", 3)],
            "{engine}: counted as far as asked"
        );
        assert!(open.iter().all(|host| host.first.is_some()));
        let names: Vec<String> = ["h0.example", "h1.example", "h9.example"].map(str::to_owned).to_vec();
        let mut first = catalog.claim_named_hosts("a", &names, 20, 100).await.unwrap();
        first.sort();
        assert_eq!(first, names[..2], "{engine}");
        assert!(catalog.claim_named_hosts("b", &names, 20, 100).await.unwrap().is_empty(), "{engine}");
        let open = catalog.count_open_hosts(20).await.unwrap();
        assert_eq!((open.due, open.leased), (1, 2), "{engine}");
        let left = catalog.list_open_hosts(9, 9, 20).await.unwrap();
        assert_eq!(left.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["h2.example"], "{engine}");
        assert_eq!(catalog.oldest_open("d", 25).await.unwrap().host_ms, Some(20), "{engine}");
        // A lease that has ended is free.
        assert_eq!(catalog.claim_named_hosts("b", &names, 121, 100).await.unwrap().len(), 2, "{engine}");

        crate::annotating::import_faces(&catalog, 5).await;
        let images = catalog.list_open_images("d", ImageId(0), 9, 10).await.unwrap();
        assert_eq!(images.len(), 5, "{engine}");
        let range = (images[1], images[3]);
        let claim = async |worker| {
            let claimed = catalog.claim_images_within(("d", worker), range, 2, (10, 100)).await.unwrap();
            claimed.into_iter().map(|image| image.id).collect::<Vec<_>>()
        };
        assert_eq!(claim("a").await, images[1..3], "{engine}");
        assert_eq!(claim("b").await, images[3..4], "{engine}");
        assert!(claim("b").await.is_empty(), "{engine}");
        let left = catalog.list_open_images("d", images[0], 9, 50).await.unwrap();
        assert_eq!(left, images[4..], "{engine}");
        // Leases that have ended are offered again.
        assert_eq!(catalog.list_open_images("d", images[0], 9, 111).await.unwrap(), images[1..], "{engine}");

        let ahead = catalog.clock_ahead_ms(|| i64::MAX / 2).await.unwrap();
        assert_eq!(ahead.is_some(), engine == "postgres", "{engine}");
        assert!(ahead.is_none_or(|ahead_ms| ahead_ms > 1_000_000), "{engine}");
    }
}
