//! How does the catalogue bear 1,000,000 images, faces and annotations, or 10,000,000? Bulk insert, a release of all of them
//! and the memory it takes, the count table, the next faces of an annotator.
//!
//! `cargo bench --workspace --bench catalog -- [N] [sqlite|postgres]`; aims at 10,000,000: count table < 2 s, next faces
//! < 20 ms, release < 10 min with < 1 GB. The first 200,000 images are imported, and that is timed; the others are copies of
//! them with other hashes, made by the engine. Of three images two share a page. Filling ten million takes ten minutes:
//! AFFECTORY_BENCH_FOLDER names a folder that keeps what was filled (on PostgreSQL, with its database) for the next run.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use affectory_catalog::{
    AnnotatorKind, Catalog, FaceRequest, ImportItem, NewAnnotation, NewFace, NewImage, NewPoolFace, NewSighting,
    PoolRules, PoolState, Project, ProjectConfig, Strategy,
};
use affectory_core::{AnnotatorId, BoundingBox, Expression, FaceId, LabelSet, PerceptualHash, Sha256Hex, Split};
use affectory_release::build::{BuildOptions, DEFAULT_DISTANCE, Fractions, Splits, build};
use sqlx::Connection as _;

const BATCH: u64 = 1_000;

/// So many images are imported; the others are their copies.
const IMPORTED: u64 = 200_000;

fn item(n: u64) -> ImportItem {
    // Hashes in no order, as real ones are: an index that grew at its end alone would flatter.
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ImportItem {
        image: NewImage {
            sha256: Sha256Hex::from_digest(&std::array::from_fn(|i| {
                (mixed.rotate_left(8 * i as u32) ^ i as u64) as u8
            })),
            phash: PerceptualHash(mixed),
            width: 425,
            height: 425,
            format: "jpeg".into(),
            size_bytes: 40_000,
        },
        sighting: NewSighting {
            source: "bench".into(),
            path: format!("{n}.jpg"),
            page_url: Some(format!("https://example.org/{}", n - n % 3 / 2)),
            license: Some("CC BY 4.0".into()),
            given_split: Some(Split::ALL[usize::from(n.is_multiple_of(10))]),
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::whole(425, 425),
            landmarks: None,
            annotations: vec![NewAnnotation {
                annotator: format!("annotator {}", n % 12),
                kind: AnnotatorKind::Person,
                expression: Some(Expression::ALL[(mixed >> 32) as usize % 8]),
                valence: None,
                arousal: None,
            }],
        }],
    }
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a benchmark asks for its size and its server")]
async fn main() {
    let n_images = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let only = ["sqlite", "postgres"].into_iter().find(|engine| std::env::args().any(|arg| arg == *engine));
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("AFFECTORY_BENCH_FOLDER").map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(|| temporary.path().to_owned());
    if only != Some("postgres") {
        run("SQLite", &folder.join("sqlite"), "sqlite", n_images).await;
    }
    if only != Some("sqlite") {
        match std::env::var("AFFECTORY_TEST_POSTGRES") {
            Ok(server) => {
                // A project's settings may not hold the password: PGPASSWORD brings it.
                let (account, place) = server.split_once('@').unwrap();
                let server = format!("{}@{place}", account.rsplit_once(':').unwrap().0);
                let name = format!("bench_{}", std::process::id());
                let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
                let root = folder.join("postgres");
                if !root.exists() {
                    statement(&server, &format!("create database {name}")).await;
                }
                run("PostgreSQL", &root, &url, n_images).await;
                if kept.is_none() {
                    statement(&server, &format!("drop database {name} with (force)")).await;
                }
            }
            Err(_) => println!("PostgreSQL: SKIPPED, AFFECTORY_TEST_POSTGRES is not set (see scripts/test-servers)"),
        }
    }
}

async fn statement(url: &str, text: &str) {
    let text = sqlx::AssertSqlSafe(text.to_owned());
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    }
}

/// One more copy of the first `n` images and all that hangs on them, the `round`th, with ids behind all others.
async fn copy(url: &str, n: u64, round: u64) {
    let later = n * round;
    // Other hashes, in no order either.
    let mixed = format!("(id * 2654435761 + {round} * 2654435789) % 4294967296");
    let (digits, given) = if url.starts_with("sqlite:") {
        (format!("printf('%08x', {mixed})"), "")
    } else {
        (format!("lpad(to_hex({mixed}), 8, '0')"), "overriding system value")
    };
    let rows = format!(
        "begin;
         insert into image (id, sha256, phash, width, height, format, size_bytes, first_seen_ms) {given}
         select id + {later}, {digits} || substr(sha256, 9), phash / 128 + {round} * 1234567890123, width, height, format,
                size_bytes, first_seen_ms
         from image where id <= {n};
         insert into sighting (image_id, source, path, page_url, license, given_split, seen_ms)
         select image_id + {later}, source, path || '#{round}', page_url || '#{round}', license, given_split, seen_ms
         from sighting where image_id <= {n};
         insert into face (id, image_id, origin, x, y, width, height, given_split, created_ms) {given}
         select id + {later}, image_id + {later}, origin, x, y, width, height, given_split, created_ms
         from face where id <= {n};
         insert into annotation (face_id, annotator_id, origin, expression, created_ms)
         select face_id + {later}, annotator_id, origin, expression, created_ms from annotation where face_id <= {n};
         commit"
    );
    statement(url, &rows).await;
}

/// The most memory that this process has had since it was last asked to forget that, MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

async fn run(engine: &str, folder: &Path, url: &str, n_images: u64) {
    let project = match Project::open(folder).await {
        Ok(project) => project,
        Err(_) => {
            let config = ProjectConfig { catalog: url.into(), ..ProjectConfig::default() };
            let project = Project::init(folder, config).await.unwrap();
            fill(engine, &project, url, n_images).await;
            project
        }
    };
    let catalog = &project.catalog;
    let counts = catalog.project_counts().await.unwrap();
    let name = format!("all-{}", counts.releases);

    // Linux counts the largest size anew.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let began = Instant::now();
    let options = BuildOptions {
        name: name.clone(),
        seed: 1,
        labels: LabelSet::eight(),
        splits: Splits::Fractions(Fractions::new(0.8, 0.1, 0.1).unwrap()),
        duplicate_distance: Some(DEFAULT_DISTANCE),
        program_version: "bench".into(),
    };
    let built = build(&project, &options, 2).await.unwrap();
    println!(
        "{engine}: release of {} items in {} groups in {:.1} s, peak memory {} MiB",
        built.row.n_items,
        built.n_groups,
        began.elapsed().as_secs_f64(),
        peak_mib()
    );

    let began = Instant::now();
    let table = catalog.count_table("majority").await.unwrap();
    let total: u64 = table.iter().map(|cell| cell.n_faces).sum();
    println!("{engine}: count table of {total} faces in {:.3} s", began.elapsed().as_secs_f64());
    next_faces(engine, catalog, &name, counts.faces).await;
    catalog.close().await;
}

/// At least so many images, each with a sighting, a face and an annotation.
async fn fill(engine: &str, project: &Project, url: &str, n_images: u64) {
    let database = project.root.join("catalog.sqlite");
    let url = if url == "sqlite" { format!("sqlite:{}", database.display()) } else { url.to_owned() };
    let n_imported = n_images.min(IMPORTED);
    let began = Instant::now();
    let mut first = 0;
    while first < n_imported {
        let last = (first + BATCH).min(n_imported);
        let items: Vec<_> = (first..last).map(item).collect();
        project.catalog.record_import(&items, 1).await.unwrap();
        first = last;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rows_per_s = n_imported as f64 * 4.0 / seconds;
    println!("{engine}: {n_imported} images imported in {seconds:.1} s, {rows_per_s:.0} rows/s");
    let began = Instant::now();
    for round in 1..n_images.div_ceil(n_imported) {
        copy(&url, n_imported, round).await;
    }
    println!("{engine}: the others copied in {:.1} s", began.elapsed().as_secs_f64());
}

/// Twelve annotators ask for their next dozen, in a pool of all faces of which each is wanted once.
async fn next_faces(engine: &str, catalog: &Catalog, name: &str, n_faces: u64) {
    let rules = PoolRules {
        n_annotators: 1,
        overlap_percent: 0,
        gold_percent: 0,
        strategy: Strategy::Random,
        is_balanced: false,
        is_assisted: false,
        needs_quiz: false,
        seed: 1,
    };
    let began = Instant::now();
    let pool = catalog.insert_pool(name, &rules, None, 3).await.unwrap();
    let ids: Vec<i64> = (1..=n_faces.cast_signed()).collect();
    for page in ids.chunks(5_000) {
        let faces: Vec<_> = page
            .iter()
            .map(|id| NewPoolFace {
                face_id: FaceId(*id),
                place: *id,
                look_id: FaceId(*id),
                category: None,
                n_wanted: 1,
            })
            .collect();
        catalog.insert_pool_faces(pool, &faces).await.unwrap();
    }
    catalog.set_pool_state(pool, PoolState::Open, "bench", 4).await.unwrap();
    println!("{engine}: pool of {n_faces} faces in {:.1} s", began.elapsed().as_secs_f64());
    let mut times_ms = Vec::new();
    for round in 1..=20_u32 {
        for annotator in 1..=12 {
            let request = FaceRequest {
                pool_id: pool,
                annotator_id: AnnotatorId(annotator),
                limit: 12 * round,
                after_place: 0,
                gold_percent: 0,
                seed: 1,
                lease_end_ms: 1_000_000,
            };
            let began = Instant::now();
            catalog.give_faces(&request, 5).await.unwrap();
            times_ms.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    times_ms.sort_by(f64::total_cmp);
    let (median, slow) = (times_ms[times_ms.len() / 2], times_ms[times_ms.len() * 95 / 100]);
    println!("{engine}: next 12 faces in {median:.1} ms (median), {slow:.1} ms (95 %)");
}
