//! How does the catalogue bear 1,000,000 images, faces and annotations, or 10,000,000? Bulk insert, what a release reads,
//! the count table, the next faces of an annotator, memory.
//!
//! `cargo bench --workspace --bench catalog -- [N] [sqlite|postgres]`; aims at 10,000,000: count table < 2 s, next faces
//! < 20 ms, all pages of a release < 10 min with < 1 GB.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::time::Instant;

use affectory_catalog::{
    AnnotatorKind, Catalog, ConsensusRow, FaceRequest, ImportItem, NewAnnotation, NewFace, NewImage, NewPoolFace,
    NewSighting, PoolRules, PoolState, Strategy,
};
use affectory_core::{AnnotatorId, BoundingBox, Expression, FaceId, PerceptualHash, Sha256Hex, Split};
use sqlx::Connection as _;

const BATCH: u64 = 1_000;

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
            page_url: None,
            license: None,
            given_split: Some(Split::ALL[usize::from(n.is_multiple_of(10))]),
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::whole(425, 425),
            landmarks: None,
            annotations: vec![NewAnnotation {
                annotator: format!("annotator {}", n % 12),
                kind: AnnotatorKind::Person,
                expression: Some(Expression::ALL[(mixed >> 32) as usize % 11]),
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
    if only != Some("postgres") {
        let folder = tempfile::tempdir().unwrap();
        run("SQLite", &format!("sqlite:{}", folder.path().join("catalog.sqlite").display()), n_images).await;
    }
    if only != Some("sqlite") {
        match std::env::var("AFFECTORY_TEST_POSTGRES") {
            Ok(server) => {
                let name = format!("bench_{}", std::process::id());
                statement(&server, &format!("create database {name}")).await;
                run("PostgreSQL", &format!("{}/{name}", server.rsplit_once('/').unwrap().0), n_images).await;
                statement(&server, &format!("drop database {name} with (force)")).await;
            }
            Err(_) => println!("PostgreSQL: SKIPPED, AFFECTORY_TEST_POSTGRES is not set (see scripts/test-servers)"),
        }
    }
}

async fn statement(url: &str, text: &str) {
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
}

/// The most memory that this process has had, MiB; a second engine's figure includes the first's.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

async fn run(engine: &str, url: &str, n_images: u64) {
    let catalog = Catalog::connect(url).await.unwrap();
    let began = Instant::now();
    let mut first = 0;
    while first < n_images {
        let last = (first + BATCH).min(n_images);
        let items: Vec<_> = (first..last).map(item).collect();
        catalog.record_import(&items, 1).await.unwrap();
        first = last;
    }
    let seconds = began.elapsed().as_secs_f64();
    // Four rows an image: image, sighting, face, annotation.
    println!("{engine}: {n_images} images in {seconds:.1} s, {:.0} rows/s", n_images as f64 * 4.0 / seconds);

    let began = Instant::now();
    let (mut after, mut n_faces) = (FaceId(0), 0);
    loop {
        let faces = catalog.list_labelled_faces(after, 5_000).await.unwrap();
        let Some(last) = faces.last() else { break };
        after = last.face.id;
        n_faces += faces.len();
        let rows: Vec<_> = faces
            .iter()
            .map(|face| ConsensusRow {
                face_id: face.face.id,
                method: "majority".into(),
                expression: face.annotations.first().and_then(|a| a.expression),
                valence: None,
                arousal: None,
                is_proxy: false,
                n_annotations: 1,
                agreement: Some(1.0),
                run_id: None,
                shares: None,
                valence_spread: None,
                arousal_spread: None,
            })
            .collect();
        catalog.record_consensus(&rows, 2).await.unwrap();
    }
    println!("{engine}: consensus of {n_faces} faces read and recorded in {:.1} s", began.elapsed().as_secs_f64());

    let began = Instant::now();
    let table = catalog.count_table("majority").await.unwrap();
    let total: u64 = table.iter().map(|cell| cell.n_faces).sum();
    println!("{engine}: count table of {total} faces in {:.3} s", began.elapsed().as_secs_f64());

    next_faces(engine, &catalog, n_images).await;
    println!("{engine}: peak memory of this process {} MiB", peak_mib());
    catalog.close().await;
}

/// Twelve annotators ask for their next dozen, in a pool of all faces of which each is wanted once.
async fn next_faces(engine: &str, catalog: &Catalog, n_faces: u64) {
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
    let pool = catalog.insert_pool("bench", &rules, None, 3).await.unwrap();
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
