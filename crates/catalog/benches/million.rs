//! How does the catalogue bear 1,000,000 images, faces and annotations? Bulk insert in rows/s, and the count table.
//!
//! `cargo bench -p affectory-catalog --bench million [N]`; aims: >= 20,000 rows/s, count table < 1 s.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::time::Instant;

use affectory_catalog::{
    AnnotatorKind, Catalog, ConsensusRow, ImportItem, NewAnnotation, NewFace, NewImage, NewSighting,
};
use affectory_core::{BoundingBox, Expression, FaceId, PerceptualHash, Sha256Hex, Split};

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
    let folder = tempfile::tempdir().unwrap();
    run("SQLite", &format!("sqlite:{}", folder.path().join("catalog.sqlite").display()), n_images).await;
    match std::env::var("AFFECTORY_TEST_POSTGRES") {
        Ok(url) => run("PostgreSQL", &url, n_images).await,
        Err(_) => println!("PostgreSQL: SKIPPED, AFFECTORY_TEST_POSTGRES is not set (see scripts/test-servers)"),
    }
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
}
