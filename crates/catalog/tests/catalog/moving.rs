//! Does a catalogue move to the other engine and back with every row as it was, and does anything that goes wrong leave it?

use std::collections::BTreeMap;
use std::path::Path;

use affectory_catalog::{
    AnnotatorKind, Catalog, CatalogError, ImportItem, Moved, NewAnnotation, NewFace, NewImage, NewSighting, Passwords,
    Project, ProjectConfig, Secrets, move_catalog,
};
use affectory_core::{BoundingBox, Expression, PerceptualHash};

use crate::engines::{databases, hash, run_sql};

fn item(n: u64) -> ImportItem {
    ImportItem {
        image: NewImage {
            sha256: hash(n),
            phash: PerceptualHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            width: 48,
            height: 64,
            format: "png".into(),
            size_bytes: 9,
        },
        sighting: NewSighting {
            source: "test".into(),
            path: format!("{n}\t\\N \\. 'it'\r\n\"\u{1f600}\u{7f}\u{1}"),
            page_url: n.is_multiple_of(2).then(String::new),
            license: None,
            given_split: None,
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::new(0.1, 0.2 + n as f32, 1.0 / 3.0, 1e-30).unwrap(),
            landmarks: None,
            annotations: vec![NewAnnotation {
                annotator: "a".into(),
                kind: AnnotatorKind::Imported,
                expression: Some(Expression::Happy),
                valence: None,
                arousal: None,
            }],
        }],
    }
}

/// More rows than a page; numbers of every size; text with everything in it; ids with gaps.
const AWKWARD: &str = "
    insert into pool (id, name, strategy, n_annotators, overlap_percent, gold_percent, is_balanced, is_assisted, needs_quiz,
        seed, created_ms) values (77, 'p', 'random', 1, 0, 0, 0, 0, 0, -9223372036854775807, 9223372036854775807);
    insert into pool_face (pool_id, face_id, place, look_id, n_wanted, n_open, uncertainty) values
        (77, 1, 1, 1, 1, 1, 5e-324), (77, 2, 2, 2, 1, 1, 1.7976931348623157e308), (77, 3, 3, 3, 1, 1, 0.1),
        (77, 4, 4, 4, 1, 1, -0.0), (77, 5, 5, 5, 1, 1, 12345678901234567000), (77, 6, 6, 6, 1, 1, 2.2250738585072011e-308),
        (77, 7, 7, 7, 1, 1, 9007199254740993), (77, 8, 8, 8, 1, 1, 0.30000000000000004);
    insert into host (name, due_ms) values ('b', 1), ('B', 2), ('a', 3), ('\u{e4}', 4), ('_', 5), ('\u{10ffff}', 6), ('', 7);
    insert into setting (name, value) values ('quiz', '0.5');
    insert into quota (provider, day, n_requests) values ('x', 1, 2);";

async fn project_in(dir: &Path, catalog: &str) -> Project {
    let project =
        Project::init(dir, ProjectConfig { catalog: catalog.into(), ..ProjectConfig::default() }).await.unwrap();
    let items: Vec<_> = (0..6_000).map(item).collect();
    project.catalog.record_import(&items, 1).await.unwrap();
    project.catalog.withdraw_image(&hash(3), "asked\nby mail", 7).await.unwrap();
    project
}

async fn moved(dir: &Path, to: &str, now_ms: i64) -> Result<Moved, CatalogError> {
    let password = password();
    let passwords = Passwords { from: password.as_deref(), to: password.as_deref() };
    move_catalog(dir, to, passwords, now_ms, |_| {}).await
}

async fn opened(dir: &Path) -> Result<Project, CatalogError> {
    Project::open_with(dir, &Secrets { postgres_password: password(), ..Secrets::default() }).await
}

/// The URL of an empty database as a project's file may have it, and the one with the password.
async fn database(story: &str) -> (String, String) {
    let [_, (url, _)] = databases(story).await;
    let bare = match password() {
        Some(password) => url.replacen(&format!(":{password}@"), "@", 1),
        None => url.clone(),
    };
    (bare, url)
}

/// The password in the URL of the tests' server.
fn password() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where its server is")]
    let server = std::env::var("AFFECTORY_TEST_POSTGRES").unwrap();
    let account = server.split_once("://")?.1.rsplit_once('@')?.0;
    Some(account.split_once(':')?.1.to_owned())
}

fn hashes(moved: &Moved) -> BTreeMap<String, String> {
    moved.tables.iter().map(|table| (table.table.clone(), table.sha256.to_string())).collect()
}

#[tokio::test]
async fn a_catalogue_goes_to_postgresql_and_back_with_every_row_as_it_was() {
    let (url, full) = database("moving").await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    let old = project_in(&dir, "sqlite").await;
    run_sql(&format!("sqlite:{}", dir.join("catalog.sqlite").display()), AWKWARD).await;
    let toml = std::fs::read_to_string(dir.join("affectory.toml")).unwrap();
    std::fs::write(dir.join("affectory.toml"), format!("# ours\n{toml}")).unwrap();

    let there = moved(&dir, &url, 100).await.unwrap();
    let rows: BTreeMap<&str, u64> = there.tables.iter().map(|table| (table.table.as_str(), table.rows)).collect();
    assert_eq!((rows["image"], rows["face"], rows["annotation"], rows["host"]), (6_000, 6_000, 6_000, 7));
    // Whoever still has the old one open is told.
    let refused = old.catalog.record_import(&[item(9_000)], 2).await.unwrap_err();
    assert!(format!("{refused:?}").contains("moved"), "{refused:?}");
    old.catalog.close().await;
    let closed = Catalog::connect(&format!("sqlite:{}", dir.join("catalog.sqlite").display())).await;
    assert!(matches!(closed, Err(CatalogError::MovedAway(to)) if to == url));

    let toml = std::fs::read_to_string(dir.join("affectory.toml")).unwrap();
    assert!(toml.starts_with("# ours\n") && toml.contains(&url), "{toml}");
    let project = opened(&dir).await.unwrap();
    assert!(project.catalog.verify_audit().await.unwrap().is_ok());
    let audit = project.catalog.list_audit(None, 9).await.unwrap();
    assert_eq!((audit[0].action.as_str(), audit[0].time_ms), ("catalogue move", 100));
    // The next ids are new ones.
    assert_eq!(project.catalog.record_import(&[item(6_000)], 3).await.unwrap().images, 1);
    let again = moved(&dir, &url, 101).await;
    assert!(matches!(again, Err(CatalogError::NotMoved(_))), "{again:?}");
    run_sql(&full, "delete from pool_face; delete from pool; delete from host where name = ''").await;
    let counts = project.catalog.project_counts().await.unwrap();
    project.catalog.close().await;

    let back = moved(&dir, "sqlite", 200).await.unwrap();
    let (there, back) = (hashes(&there), hashes(&back));
    let same = ["annotator", "consensus", "quota", "setting", "release", "account"];
    assert!(same.iter().all(|table| there[*table] == back[*table]), "{there:?} {back:?}");
    assert_eq!(there.len(), back.len());
    assert_ne!(there["image"], back["image"]);
    assert!(dir.join("catalog.sqlite.moved-200").is_file() && !dir.join("catalog.sqlite.moving").exists());
    let project = opened(&dir).await.unwrap();
    assert_eq!(project.config.catalog, "sqlite");
    assert_eq!(project.catalog.project_counts().await.unwrap(), counts);
    assert_eq!(project.catalog.verify_audit().await.unwrap(), Ok(3));
    assert_eq!(project.catalog.record_import(&[item(6_001)], 3).await.unwrap().images, 1);
    let closed = Catalog::connect(&full).await;
    assert!(matches!(closed, Err(CatalogError::MovedAway(to)) if to == "sqlite"));
}

/// Straight from one server to another, and the same hashes as on the way by SQLite.
#[tokio::test]
async fn both_engines_hash_the_same_rows_alike() {
    let (first, _) = database("moving_first").await;
    let (second, _) = database("moving_second").await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    project_in(&dir, "sqlite").await.catalog.close().await;
    run_sql(&format!("sqlite:{}", dir.join("catalog.sqlite").display()), AWKWARD).await;
    let one = hashes(&moved(&dir, &first, 1).await.unwrap());
    let mut two = hashes(&moved(&dir, &second, 2).await.unwrap());
    let mut three = hashes(&moved(&dir, "sqlite", 3).await.unwrap());
    // Each move is an entry.
    assert_ne!(one["audit"], two["audit"]);
    for hashes in [&mut two, &mut three] {
        hashes.insert("audit".into(), one["audit"].clone());
    }
    assert_eq!(one, two);
    assert_eq!(one, three);
}

#[tokio::test]
async fn what_cannot_be_moved_stays_and_says_why() {
    let (url, full) = database("not_moving").await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    let project = project_in(&dir, "sqlite").await;
    let sqlite = format!("sqlite:{}", dir.join("catalog.sqlite").display());
    let toml = std::fs::read_to_string(dir.join("affectory.toml")).unwrap();
    let refused = async |to: &str, word: &str| {
        let line = moved(&dir, to, 1).await.unwrap_err().to_string();
        assert!(line.contains(word), "{line}");
        assert_eq!(std::fs::read_to_string(dir.join("affectory.toml")).unwrap(), toml);
    };
    refused("mysql://x", "neither").await;
    refused("postgres://u:secret@h/d", "password").await;
    refused("sqlite", "already").await;
    refused(&url.replacen("://", "://nobody.", 1), "open the new").await;
    // An older program kept U+0000.
    run_sql(&sqlite, "insert into setting (name, value) values ('x', 'a' || char(0) || 'b')").await;
    refused(&url, "U+0000").await;
    run_sql(&sqlite, "update setting set value = cast(x'c328' as text) where name = 'x'").await;
    refused(&url, "setting cannot be read").await;
    run_sql(
        &sqlite,
        "update setting set value = 'v' where name = 'x'; update face set sharpness = 'word' where id = 5",
    )
    .await;
    refused(&url, "face cannot be read").await;
    run_sql(&sqlite, "update face set sharpness = null where id = 5").await;
    // A row in the new database's way, then somebody else's tables.
    run_sql(&full, "insert into host (name) values ('h')").await;
    refused(&url, "holds a catalogue already").await;
    run_sql(&full, "drop schema public cascade; create schema public; create table theirs (n bigint)").await;
    refused(&url, "another program").await;
    run_sql(&full, "drop table theirs").await;
    assert_eq!(project.catalog.record_import(&[item(9_000)], 2).await.unwrap().images, 1);
    project.catalog.close().await;
    moved(&dir, &url, 2).await.unwrap();
}

/// Of two moves at once one is done, and the other says where the catalogue went.
#[tokio::test]
async fn two_moves_at_once_are_one() {
    let (first, _) = database("moving_at_once").await;
    let (second, _) = database("moving_at_once_too").await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("p");
    project_in(&dir, "sqlite").await.catalog.close().await;
    let (one, two) = tokio::join!(moved(&dir, &first, 1), moved(&dir, &second, 1));
    let (done, refused) = if one.is_ok() { (one, two) } else { (two, one) };
    done.unwrap();
    let line = refused.unwrap_err().to_string();
    assert!(line.contains("was moved to postgres://"), "{line}");
    assert_eq!(opened(&dir).await.unwrap().catalog.project_counts().await.unwrap().images, 6_000);
    // As after a kill between the old catalogue's end and the new line in affectory.toml: the same command goes on.
    let config = std::fs::read_to_string(dir.join("affectory.toml")).unwrap();
    let to = if config.contains(&second) { &second } else { &first };
    std::fs::write(dir.join("affectory.toml"), "catalog = \"sqlite\"\n").unwrap();
    assert!(matches!(opened(&dir).await, Err(CatalogError::MovedAway(_))));
    assert!(moved(&dir, to, 2).await.unwrap().tables.is_empty());
    assert_eq!(opened(&dir).await.unwrap().config.catalog, *to);
}
