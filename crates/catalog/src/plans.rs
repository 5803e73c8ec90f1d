//! Do the questions that are asked all day look rows up, on both engines, or go through a whole table?
//!
//! The statements are the program's own: a test build notes what a method of the catalogue sends ([`heard`]), and has each
//! of them explained with the values that it came with. The tables hold 100,000 rows, from which on a planner's choice counts.

use std::cell::RefCell;

use affectory_core::{AnnotatorId, CandidateId, Expression, FaceId, ImageId, PoolId, Sha256Hex};

use crate::database::{Database, Value};
use crate::{AnswerAct, AnswerEvent, AttemptLimit, Catalog, FaceRequest, HostPlace};

thread_local! {
    static HEARD: RefCell<Vec<(&'static str, Vec<Value>)>> = const { RefCell::new(Vec::new()) };
}

/// Notes a statement.
pub(crate) fn heard(sql: &'static str, values: &[Value]) {
    HEARD.with_borrow_mut(|heard| heard.push((sql, values.to_vec())));
}

/// Tables that grow with the project.
const BIG: [&str; 12] = [
    "attempt",
    "image",
    "face",
    "sighting",
    "candidate",
    "hit",
    "face_scan",
    "annotation",
    "consensus",
    "pool_face",
    "assignment",
    "release_item",
];

/// Each of 100,000 rows (1,000 hosts). A row's id is its number, because rows come in order into a new table.
const FILL: &str = "
    insert into query (provider, text, language, created_ms) values ('p', 't', 'en', 1);
    insert into search (query_id, provider, due_ms) values (1, 'p', 1);
    insert into annotator (name, kind) values ('a', 'person'), ('b', 'person'), ('c', 'person');
    insert into pool (name, state, strategy, n_annotators, overlap_percent, gold_percent, is_balanced, is_assisted,
        needs_quiz, seed, created_ms) values ('p', 'open', 'random', 1, 0, 10, 0, 0, 0, 1, 1);
    insert into release (name, manifest_sha256, seed, labels, parameters, n_items, built_ms)
        values ('r', '{hash}', 1, 'x', '{}', 1, 1);
    insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
        select {hash_i}, i, 9, 9, 'png', 9, 1 from {n};
    insert into sighting (image_id, source, path, seen_ms) select i, 's', cast(i as text), 1 from {n};
    insert into face (image_id, origin, x, y, width, height, created_ms) select i, 'given', 0, 0, 9, 9, 1 from {n};
    insert into host (name, due_ms) select cast(i as text), i from {n} where i <= 1000;
    insert into candidate (url, url_sha256, host, next_attempt_ms, image_id)
        select cast(i as text), cast(i as text), cast(i % 1000 + 1 as text), case when i % 2 = 0 then i end, i from {n};
    insert into hit (search_id, candidate_id, rank, engine, found_ms) select 1, i, 1, 'e', 1 from {n};
    insert into face_scan (detector, image_id, status, lease_end_ms, scanned_ms)
        select 'd', i, case when i <= 90000 then 'found' end, case when i > 90000 then 0 end, 1 from {n};
    insert into annotation (face_id, annotator_id, origin, expression, created_ms, pool_id)
        select i, i % 3 + 1, 'o', i % 8, i, 1 from {n};
    insert into consensus (method, face_id, expression, is_proxy, n_annotations, given_split, computed_ms)
        select 'majority', i, i % 8, 0, 1, i % 3, 1 from {n};
    insert into pool_face (pool_id, face_id, place, look_id, n_wanted, n_done, n_open, is_gold)
        select 1, i, i, i, 1, case when i <= 50000 then 1 else 0 end, case when i <= 50000 then 0 else 1 end,
               case when i % 100 = 0 then 1 else 0 end from {n};
    insert into assignment (face_id, annotator_id, pool_id, look_id, done_ms, given_ms)
        select i, i % 3 + 1, 1, i, i, i from {n} where i <= 50000;
    insert into release_item (release_id, item_idx, face_id, image_id, split) select 1, i, i, i, 0 from {n};
    insert into attempt (of_sha256, n, ends_ms) select {hash_i}, 1, i from {n};";

const N_ROWS: &str = "(with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000)
    select i from n) as numbers";

async fn filled(url: &str) -> Catalog {
    let catalog = Catalog::connect(url).await.unwrap();
    let zeros = "0".repeat(64);
    let hash_i = format!("substr('{zeros}' || cast(i as text), length(cast(i as text)) + 1)");
    let script = FILL.replace("{hash_i}", &hash_i).replace("{hash}", &zeros).replace("{n}", N_ROWS);
    let mut work = catalog.database.write().await.unwrap();
    work.run_script(script).await.unwrap();
    work.commit().await.unwrap();
    if let Database::Postgres(pool) = &catalog.database {
        sqlx::query("vacuum analyze").execute(pool).await.unwrap();
    }
    catalog
}

/// Takes most assignments away.
async fn given_to_few(catalog: &Catalog) {
    let mut work = catalog.database.write().await.unwrap();
    work.run_script("delete from assignment where face_id > 2000".to_owned()).await.unwrap();
    work.commit().await.unwrap();
    if let Database::Postgres(pool) = &catalog.database {
        sqlx::query("vacuum analyze assignment").execute(pool).await.unwrap();
    }
}

/// The lines of the plans of all statements since the last call that go through a big table.
async fn scans(catalog: &Catalog) -> Vec<String> {
    let statements = HEARD.take();
    let mut found = Vec::new();
    let mut work = catalog.database.read().await.unwrap();
    for (sql, values) in statements {
        if sql.trim_start().starts_with("select pg_advisory") {
            // Some turns also say how the planner is to go about what follows.
            work.fetch(sql, values).await.unwrap();
            continue;
        }
        let lines = work.explain(sql, values).await.unwrap();
        let is_scan = |line: &&String| {
            BIG.iter().any(|table| {
                let words: Vec<&str> = line.split_whitespace().collect();
                // SQLite's `SCAN image` goes through the table, `SCAN image USING INDEX image_withdrawn` through an index.
                words.windows(4).any(|four| four[..2] == ["Seq", "Scan"] && four[3] == *table)
                    || (words.windows(2).any(|two| two[0] == "SCAN" && two[1] == *table) && !words.contains(&"USING"))
            })
        };
        let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        found.extend(lines.iter().filter(is_scan).map(|line| format!("`{}` in `{words}`", line.trim())));
    }
    // Those of this function itself.
    HEARD.take();
    found
}

async fn ask_all(catalog: &Catalog) {
    HEARD.take();
    let mut wrong = Vec::new();
    macro_rules! ask {
        ($($question:tt)*) => {
            catalog.$($question)*.await.unwrap();
            wrong.extend(scans(catalog).await);
        };
    }
    ask!(claim_hosts("w", 16, 2_000, 10));
    let place = |host: &str| HostPlace { host: host.into(), due_ms: i64::MIN, id: CandidateId(0) };
    ask!(list_due_candidates(&[place("1"), place("77")], 10, 50_000));
    ask!(next_host_due(9));
    ask!(claim_images("d", "w", 64, 9, 10));
    let request = FaceRequest {
        pool_id: PoolId(1),
        annotator_id: AnnotatorId(1),
        limit: 12,
        after_place: 0,
        gold_percent: 10,
        seed: 1,
        lease_end_ms: 1_000_000,
    };
    ask!(is_given(FaceId(70_000), AnnotatorId(1)));
    ask!(find_face_picture(FaceId(70_000)));
    for id in ["of many", "of few"] {
        ask!(give_faces(&request, 10));
        ask!(return_leases(9));
        let event = AnswerEvent {
            id: id.into(),
            face_id: FaceId(3),
            annotator_id: AnnotatorId(1),
            pool_id: PoolId(1),
            time_ms: 11,
            act: AnswerAct::Answer { expression: Expression::Happy, valence: None, arousal: None, elapsed_ms: 1 },
        };
        ask!(record_events(&[event]));
        // The same when few were given out yet: the table grows while a hundred wait for their next face.
        given_to_few(catalog).await;
    }
    ask!(list_own_answers(AnnotatorId(1), PoolId(1), 10, 20));
    ask!(list_labelled_faces(FaceId(70_000), 1_000));
    ask!(list_pool_candidates(FaceId(70_000), 1_000));
    ask!(list_collected_images(ImageId(70_000), 1_000));
    ask!(list_ratings(affectory_core::AnnotationId(70_000), 1_000));
    ask!(list_face_answers(FaceId(70_000)));
    ask!(list_audit(None, 50));
    ask!(list_sure_categories(0.9));
    ask!(list_unsuggested(PoolId(1), "m", (FaceId(70_000), FaceId(i64::MAX)), 100));
    ask!(list_withdrawn());
    ask!(list_withdrawn_of(&[&Sha256Hex::from_digest(&[1; 32])]));
    ask!(find_session(&Sha256Hex::from_digest(&[1; 32]), 9));
    let limit = AttemptLimit { of: Sha256Hex::from_digest(&[1; 32]), n: 5, window_ms: 1_000 };
    ask!(count_attempt(&[limit], 9));
    ask!(sweep_attempts(9));
    ask!(withdraw_image(&Sha256Hex::from_digest(&[1; 32]), "x", 9));
    ask!(count_table("majority"));
    let all = wrong.join("\n");
    assert!(wrong.is_empty(), "{all}");
}

#[tokio::test]
async fn sqlite_goes_through_no_big_table() {
    let folder = tempfile::tempdir().unwrap();
    ask_all(&filled(&format!("sqlite:{}", folder.path().join("c").display())).await).await;
}

#[tokio::test]
async fn postgresql_goes_through_no_big_table() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where its server is")]
    let server = std::env::var("AFFECTORY_TEST_POSTGRES")
        .expect("AFFECTORY_TEST_POSTGRES names no PostgreSQL server: run the tests by scripts/test, which starts one");
    let name = format!("plans_{}", std::process::id());
    let admin = Database::connect_postgres(&server, None).await.unwrap();
    let Database::Postgres(pool) = &admin else { unreachable!("a postgres:// URL") };
    for statement in [format!("drop database if exists {name}"), format!("create database {name}")] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
    }
    let catalog = filled(&format!("{}/{name}", server.rsplit_once('/').unwrap().0)).await;
    ask_all(&catalog).await;
    catalog.close().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("drop database {name}"))).execute(pool).await.unwrap();
}
