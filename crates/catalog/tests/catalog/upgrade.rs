//! Does a project go on that an older version left in the middle of its work?

use std::collections::BTreeMap;

use affectory_catalog::{
    AttemptLimit, Catalog, HostPlace, NewHit, NewPage, NewRelease, ReleaseItemRow, Spending, WrittenPack,
};
use affectory_core::{CandidateId, Expression, FaceId, ImageId, Split};

use crate::collection::{ended, hit, image, query};
use crate::engines::{databases, hash, run_sql};

/// The migrations of version 6, of which a published one never changes.
const VERSION_6: [&str; 6] = [
    include_str!("../../migrations/0001_the_way.sql"),
    include_str!("../../migrations/0002_collect.sql"),
    include_str!("../../migrations/0003_faces_behind.sql"),
    include_str!("../../migrations/0004_annotate.sql"),
    include_str!("../../migrations/0005_portal.sql"),
    include_str!("../../migrations/0006_challenge.sql"),
];
const TAIL_SQLITE: &str = include_str!("../../migrations/0001_the_way.sqlite.sql");
const TAIL_POSTGRES: &str = include_str!("../../migrations/0001_the_way.postgres.sql");

/// What version 7 added, on PostgreSQL only.
const VERSION_7: &str = include_str!("../../migrations/0007_outages.postgres.sql");

/// What version 8 added.
const VERSION_8: &str = include_str!("../../migrations/0008_attempts.sql");

/// What versions 9 and 10 added; the latter on PostgreSQL only.
const VERSION_9: &str = include_str!("../../migrations/0009_packs.sql");
const VERSION_10: &str = include_str!("../../migrations/0010_checked_by_join.postgres.sql");

/// What versions 11 and 12 added; the latter on PostgreSQL only.
const VERSION_11: &str = include_str!("../../migrations/0011_sure.sql");
const VERSION_12: &str = include_str!("../../migrations/0012_release_of_items.postgres.sql");

/// What version 13 added.
const VERSION_13: [&str; 2] = [
    include_str!("../../migrations/0013_consensus_by_face.sqlite.sql"),
    include_str!("../../migrations/0013_consensus_by_face.postgres.sql"),
];

/// What `fixtures/interrupted.py` got of a collection killed after five seconds: 55 addresses, 23 fetched, a host leased.
const INTERRUPTED: &str = include_str!("../fixtures/interrupted-version-6.sql");
const WORKER: &str = "vm/26480/4418383";
const LATER_MS: i64 = 1_795_900_000_000;

/// The tables of version 6.
async fn version_6(url: &str) {
    let (identity, tail) = match url.starts_with("sqlite:") {
        true => ("integer primary key", TAIL_SQLITE),
        false => ("bigint generated always as identity primary key", TAIL_POSTGRES),
    };
    let tables = VERSION_6.concat().replace("{identity}", identity);
    run_sql(url, &format!("create table schema_version (version bigint primary key); {tables} {tail}")).await;
}

async fn interrupted(url: &str) {
    version_6(url).await;
    if url.starts_with("sqlite:") {
        return run_sql(url, &format!("begin; {INTERRUPTED} commit;")).await;
    }
    let rows = INTERRUPTED.replace(") values (", ") overriding system value values (");
    run_sql(url, &format!("begin; {rows} commit;")).await;
    let next_ids = "do $$ declare name text; begin
        for name in select table_name from information_schema.columns where is_identity = 'YES' loop
            execute format('select setval(pg_get_serial_sequence(%L, ''id''), greatest(max(id), 1)) from %I',
                quote_ident(name), name);
        end loop; end $$";
    run_sql(url, next_ids).await;
}

#[tokio::test]
async fn a_collection_that_version_6_left_in_the_middle_goes_on() {
    for (url, _folder) in databases("interrupted").await {
        interrupted(&url).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let counts = catalog.project_counts().await.unwrap();
        assert_eq!(counts.images, 23);
        assert_eq!(catalog.list_collectors().await.unwrap(), [WORKER]);
        // Its process is gone: what it held is given back, or its lease has ended.
        catalog.release_collector(WORKER).await.unwrap();
        assert_eq!(catalog.claim_hosts("new", 9, LATER_MS, 1_000).await.unwrap(), ["127.0.0.1"]);
        let place = HostPlace { host: "127.0.0.1".into(), due_ms: i64::MIN, id: CandidateId(0) };
        let due = catalog.list_due_candidates(&[place], 100, LATER_MS).await.unwrap();
        let outcomes = catalog.count_outcomes().await.unwrap();
        let n_ended: u64 = outcomes.iter().filter(|row| row.state != "new").map(|row| row.candidates).sum();
        assert_eq!(due.len() as u64 + n_ended, 55);
        let records: Vec<_> =
            (700..).zip(&due).map(|(n, candidate)| ended(candidate.id, image(n), "fetched")).collect();
        let recorded = catalog.record_fetches(&records, LATER_MS).await.unwrap();
        assert_eq!((recorded.new_images, recorded.ended), (due.len() as u64, due.len() as u64));
        // A search goes on at the page where it was, and the images wait for a look.
        let search = catalog.claim_search("pexels", "new", LATER_MS, 1_000).await.unwrap().unwrap();
        assert!(search.cursor.is_some());
        let images = catalog.claim_images("mtcnn", "new", 500, LATER_MS, 1_000).await.unwrap();
        assert_eq!(images.len() as u64, 23 + due.len() as u64 - looked_at(&catalog).await);
        assert!(catalog.verify_audit().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn who_was_signed_in_under_version_7_still_is_and_attempts_are_counted_from_now_on() {
    for (url, _folder) in databases("version_7").await {
        version_6(&url).await;
        let tail = if url.starts_with("sqlite:") { "" } else { VERSION_7 };
        let rows = format!(
            "insert into schema_version values (7);
             insert into annotator (name, kind) values ('person/0001', 'person');
             insert into account (email, name, role, password_hash, created_ms, annotator_id)
                 values ('a@lab.org', 'A', 'lead', 'x', 1, 1);
             insert into session (token_sha256, account_id, created_ms, expires_ms) values ('{}', 1, 1, 1000);",
            hash(1)
        );
        run_sql(&url, &format!("{tail} {rows}")).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        assert_eq!(catalog.find_session(&hash(1), 999).await.unwrap().unwrap().email, "a@lab.org");
        let limit = || AttemptLimit { of: hash(2), n: 1, window_ms: 100 };
        assert_eq!(catalog.count_attempt(&[limit()], 10).await.unwrap(), None);
        assert_eq!(catalog.count_attempt(&[limit()], 20).await.unwrap(), Some(110));
    }
}

#[tokio::test]
async fn a_release_of_version_8_can_be_packed() {
    for (url, _folder) in databases("version_8").await {
        version_6(&url).await;
        let tail = if url.starts_with("sqlite:") { "" } else { VERSION_7 };
        let manifest = hash(1);
        let rows = format!(
            "insert into schema_version values (8);
             insert into release (name, manifest_sha256, seed, labels, parameters, n_items, built_ms)
                 values ('r', '{manifest}', 1, 'happy', '', 0, 1);
             insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                 values ('{manifest}', 1, 9, 9, 'png', 9, 1);
             insert into face (image_id, origin, x, y, width, height, created_ms) values (1, 'given', 0, 0, 9, 9, 1);
             insert into release_item (release_id, item_idx, face_id, image_id, split) values (1, 0, 1, 1, 0);"
        );
        run_sql(&url, &format!("{tail} {VERSION_8} {rows}")).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        assert_eq!(catalog.withdraw_image(&hash(1), "asked", 1).await.unwrap().unwrap(), ["r"]);
        // On PostgreSQL no constraint looks for release and face any longer, but the statement does for the face, and the release
        // comes with its items.
        let release = NewRelease { name: "s".into(), seed: 1, labels: "happy".into(), parameters: String::new() };
        let item = |face| ReleaseItemRow { item_idx: 0, face_id: FaceId(face), split: Split::Train, expression: None };
        assert!(catalog.record_release(&release, &[item(2)], async || hash(4), 1).await.is_err());
        catalog.record_release(&release, &[item(1)], async || hash(4), 1).await.unwrap();
        let release = catalog.find_release("r").await.unwrap().id;
        assert_eq!(catalog.find_packing(release).await.unwrap(), None);
        let planned = catalog.plan_packs(release, 10, &[(Split::Train, 2), (Split::Test, 1)]).await.unwrap();
        assert!(planned.packs.iter().all(|pack| pack.written.is_none()));
        // Whoever comes later, with another size, finds what is planned.
        assert_eq!(catalog.plan_packs(release, 99, &[(Split::Train, 1)]).await.unwrap(), planned);
        let written = WrittenPack { n_images: 7, n_bytes: 1 << 40, sha256: hash(2), made_from: hash(3) };
        let first = WrittenPack { n_images: 8, made_from: hash(5), ..written.clone() };
        assert_eq!(catalog.record_pack(release, (Split::Train, 1), &first).await.unwrap(), None);
        assert_eq!(catalog.record_pack(release, (Split::Train, 1), &written).await.unwrap(), Some(first));
        let packing = catalog.find_packing(release).await.unwrap().unwrap();
        let places: Vec<_> = packing.packs.iter().map(|pack| (pack.split, pack.number, pack.written.clone())).collect();
        let expected = [(Split::Train, 0, None), (Split::Train, 1, Some(written)), (Split::Test, 0, None)];
        assert_eq!((packing.images_per_pack, places), (10, expected.to_vec()));
    }
}

#[tokio::test]
async fn what_a_model_was_sure_of_under_version_10_is_listed() {
    for (url, _folder) in databases("version_10").await {
        version_6(&url).await;
        let (outages, joins) = if url.starts_with("sqlite:") { ("", "") } else { (VERSION_7, VERSION_10) };
        let rows = format!(
            "insert into schema_version values (10);
             insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                 values ('{}', 1, 9, 9, 'png', 9, 1);
             insert into face (image_id, origin, x, y, width, height, created_ms) values (1, 'given', 0, 0, 9, 9, 1);
             insert into pool (name, state, strategy, n_annotators, overlap_percent, gold_percent, is_balanced,
                 is_assisted, needs_quiz, seed, created_ms) values ('p', 'open', 'random', 1, 0, 0, 0, 0, 0, 1, 1);
             insert into pool_face (pool_id, face_id, place, look_id, n_wanted, n_open, suggested_by,
                 suggested_expression, confidence) values (1, 1, 1, 1, 1, 1, 'm', 1, 0.95);",
            hash(1)
        );
        run_sql(&url, &format!("{outages} {VERSION_8} {VERSION_9} {joins} {rows}")).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        assert_eq!(catalog.list_sure_categories(0.9).await.unwrap(), [(FaceId(1), Expression::Happy, 0.95)]);
        assert_eq!(catalog.list_sure_categories(0.96).await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_was_agreed_under_version_12_stays_and_is_replaced_by_what_is_agreed_later() {
    for (url, _folder) in databases("version_12").await {
        version_6(&url).await;
        let on_postgres = [VERSION_7, VERSION_10, VERSION_12];
        let [outages, joins, items] = if url.starts_with("sqlite:") { [""; 3] } else { on_postgres };
        let hash = hash(1);
        let rows = format!(
            "insert into schema_version values (12);
             insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                 values ('{hash}', 1, 9, 9, 'png', 9, 1);
             insert into face (image_id, origin, x, y, width, height, given_split, created_ms)
                 values (1, 'given', 0, 0, 9, 9, 1, 1), (1, 'mtcnn', 0, 0, 9, 9, 1, 1);
             insert into consensus_run (method, parameters, program_version, last_annotation_id, n_annotations, n_faces,
                 inputs_sha256, result_sha256, details, is_complete, computed_ms)
                 values ('dawid-skene', '{{}}', '1', 1, 1, 2, '{hash}', '{hash}', '{{}}', 1, 5);
             insert into consensus (method, face_id, expression, valence, is_proxy, n_annotations, agreement, given_split,
                 computed_ms, run_id, shares, arousal_spread)
                 values ('majority', 2, 3, -0.5, 0, 4, 0.75, 1, 5, null, null, 0.25),
                        ('majority', 1, null, null, 1, 0, null, 1, 5, null, null, null),
                        ('dawid-skene', 2, 1, null, 0, 4, 1, 1, 5, 1, '{{\"happy\":1.0}}', null);"
        );
        run_sql(&url, &format!("{outages} {VERSION_8} {VERSION_9} {joins} {VERSION_11} {items} {rows}")).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let agreed = catalog.list_consensus(1, &[FaceId(1), FaceId(2)]).await.unwrap();
        let shares = agreed[0].shares.unwrap()[Expression::Happy.index()];
        assert_eq!(
            (agreed.len(), agreed[0].face_id, agreed[0].expression, shares),
            (1, FaceId(2), Some(Expression::Happy), 1.0)
        );
        let count = async || {
            let cells = catalog.count_table("majority").await.unwrap();
            cells.iter().map(|cell| (cell.given_split, cell.expression, cell.n_faces)).collect::<Vec<_>>()
        };
        let valid = Some(Split::Valid);
        assert_eq!(count().await, [(valid, None, 1), (valid, Some(Expression::Surprise), 1)]);
        // One row for each face and method, as before: a later answer takes the place of an earlier one.
        let mut later = agreed;
        later[0].method = "majority".into();
        later[0].run_id = None;
        catalog.record_consensus(&later, 6).await.unwrap();
        assert_eq!(count().await, [(valid, None, 1), (valid, Some(Expression::Happy), 1)]);
        assert_eq!(catalog.list_consensus(1, &[FaceId(2)]).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_was_found_under_version_13_has_no_credit_and_what_is_found_later_has() {
    for (url, _folder) in databases("version_13").await {
        version_6(&url).await;
        let on_postgres = [VERSION_7, VERSION_10, VERSION_12];
        let ([outages, joins, items], agreed) = match url.starts_with("sqlite:") {
            true => ([""; 3], VERSION_13[0]),
            false => (on_postgres, VERSION_13[1]),
        };
        let rows = format!(
            "insert into schema_version values (13);
             insert into query (provider, text, language, expression, negatives, created_ms)
                 values ('p', 'x', 'de', 1, '[]', 1);
             insert into search (query_id, provider, n_pages, n_hits, cursor, due_ms) values (1, 'p', 1, 1, '2', 5);
             insert into quota (provider, day, n_requests) values ('p', 0, 1);
             insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                 values ('{0}', 1, 9, 9, 'png', 9, 1);
             insert into candidate (url, url_sha256, host, state, outcome, attempts, image_id, found_ms, ended_ms)
                 values ('https://h.example/1.jpg', '{0}', 'h.example', 'fetched', 'fetched', 1, 1, 1, 2);
             insert into hit (search_id, candidate_id, rank, engine, license, found_ms)
                 values (1, 1, 1, 'e', 'CC BY 2.0', 1);",
            hash(1)
        );
        let script = format!("{outages} {VERSION_8} {VERSION_9} {joins} {VERSION_11} {items} {agreed} {rows}");
        run_sql(&url, &script).await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let search = catalog.claim_search("p", "w", 9, 100).await.unwrap().unwrap();
        assert_eq!(catalog.spend_quota("p", 9, 0, 9).await.unwrap(), Spending::Granted);
        let hits = [NewHit { url_sha256: hash(1), attribution: Some("by Ann".into()), ..hit(2, 7) }];
        let left_out = BTreeMap::from([("bad-url", 3)]);
        let page = NewPage { left_out: &left_out, ..NewPage::last(&hits) };
        // This search knows the address already; another one finds it anew.
        assert_eq!(catalog.record_page((search.id, "w"), &page, 10).await.unwrap().hits, 0);
        catalog.plan_queries(&[query(1)], 11).await.unwrap();
        let search = catalog.claim_search("p", "w", 12, 100).await.unwrap().unwrap();
        assert_eq!(catalog.record_page((search.id, "w"), &page, 13).await.unwrap().hits, 1);
        let images = catalog.list_collected_images(ImageId(0), 9).await.unwrap();
        let credits: Vec<_> = images[0].sightings.iter().map(|sighting| sighting.attribution.as_deref()).collect();
        assert_eq!(credits, [None, Some("by Ann")]);
        assert_eq!(catalog.count_left_out().await.unwrap()[0].results, 6);
        assert_eq!(catalog.list_refusals().await.unwrap(), []);
    }
}

/// How many images the killed process had looked at.
async fn looked_at(catalog: &Catalog) -> u64 {
    let scan = catalog.face_scan("mtcnn").await.unwrap();
    scan.found + scan.no_face + scan.unreadable
}
