//! Does the catalogue keep its promises on both engines? One story a question, each told on SQLite and on PostgreSQL.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use crate::engines::{Engine, engines, hash, run_sql};
use affectory_catalog::{
    AnnotatorKind, Catalog, CatalogError, ConsensusRow, DetectedFace, FaceQuality, ImportItem, ImportOutcome,
    LabelledFace, NewAnnotation, NewFace, NewImage, NewRelease, NewSighting, ReleaseItemRow, ScanOutcome, ScanStatus,
};
use affectory_core::{Arousal, BoundingBox, Expression, FaceId, Landmarks, PerceptualHash, Sha256Hex, Split, Valence};
use tokio::sync::{Notify, SetOnce};
use tokio::time::timeout;

fn annotation(annotator: &str, expression: Expression, valence: f32) -> NewAnnotation {
    NewAnnotation {
        annotator: annotator.into(),
        kind: AnnotatorKind::Imported,
        expression: Some(expression),
        valence: Valence::new(valence).ok(),
        arousal: Arousal::new(-valence).ok(),
    }
}

fn item(n: u64) -> ImportItem {
    ImportItem {
        image: NewImage {
            sha256: hash(n),
            phash: PerceptualHash(u64::MAX - n),
            width: 48,
            height: 64,
            format: "png".into(),
            size_bytes: 1000 + n,
        },
        sighting: NewSighting {
            source: "test".into(),
            path: format!("it's \"{n}\" \u{1f600}; drop table image"),
            page_url: n.is_multiple_of(2).then(|| "https://example.org/p".into()),
            license: None,
            given_split: n.is_multiple_of(3).then_some(Split::Valid),
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::whole(48, 64),
            landmarks: None,
            annotations: vec![annotation("a", Expression::Happy, 0.5), annotation("b", Expression::Sad, -0.25)],
        }],
    }
}

#[tokio::test]
async fn an_import_repeated_adds_nothing_and_hostile_names_come_back_as_they_were() {
    for Engine { catalog, .. } in engines("repeated").await {
        let items: Vec<_> = (0..50).map(item).collect();
        let first = catalog.record_import(&items, 1).await.unwrap();
        assert_eq!(first, ImportOutcome { images: 50, sightings: 50, faces: 50, annotations: 100, restored: 0 });
        assert_eq!(catalog.record_import(&items, 2).await.unwrap(), ImportOutcome::default());
        let counts = catalog.project_counts().await.unwrap();
        assert_eq!((counts.images, counts.faces, counts.annotators, counts.annotations), (50, 50, 2, 100));
        let paths: Vec<String> = items.iter().map(|item| item.sighting.path.clone()).collect();
        let asked: Vec<String> = paths.iter().cloned().chain(["unknown".into()]).collect();
        assert_eq!(catalog.list_sighted("test", &asked).await.unwrap(), paths);

        let faces = catalog.list_labelled_faces(FaceId(0), 1000).await.unwrap();
        assert_eq!(faces.len(), 50);
        for (n, face) in (0..50).zip(&faces) {
            assert_eq!(face.image.image, item(n).image);
            assert_eq!(face.sightings, [item(n).sighting]);
            assert_eq!(face.annotations.len(), 2);
            assert_eq!(face.annotations[1].valence, Valence::new(-0.25).ok());
        }
        let rest = catalog.list_labelled_faces(faces[29].face.id, 1000).await.unwrap();
        assert_eq!(rest, faces[30..]);
    }
}

fn found(n: f32) -> DetectedFace {
    DetectedFace {
        bounding_box: BoundingBox::new(n, 1.0, 10.0, 12.5).unwrap(),
        score: 0.75,
        landmarks: Landmarks::from_text("1;2;3;4;5;6;7;8;9;10").unwrap(),
        quality: FaceQuality {
            size_px: 10.0,
            sharpness: 3.5,
            brightness: 0.5,
            yaw_degrees: 1.0,
            pitch_degrees: -2.0,
            roll_degrees: 0.25,
        },
        crop_sha256: Some(hash(7)),
    }
}

#[tokio::test]
async fn two_processes_never_hold_the_same_image_and_a_dead_ones_lease_ends() {
    for Engine { url, catalog, .. } in engines("leases").await {
        let other = Catalog::connect(&url).await.unwrap();
        let items: Vec<_> = (0..200).map(|n| ImportItem { faces: vec![], ..item(n) }).collect();
        catalog.record_import(&items, 1).await.unwrap();
        let (mine, theirs) =
            tokio::join!(catalog.claim_images("d", "me", 60, 100, 50), other.claim_images("d", "they", 60, 100, 50));
        let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
        let all: HashSet<_> = mine.iter().chain(&theirs).map(|image| image.id).collect();
        assert_eq!((mine.len(), theirs.len(), all.len()), (60, 60, 120));
        // Again and again, because a race shows itself seldom.
        for n in 0..20 {
            let detector = format!("d{n}");
            let (a, b) = tokio::join!(
                catalog.claim_images(&detector, "me", 100, 100, 50),
                other.claim_images(&detector, "they", 100, 100, 50)
            );
            assert_eq!((a.unwrap().len(), b.unwrap().len()), (100, 100));
        }

        let done: Vec<_> = mine
            .iter()
            .map(|image| ScanOutcome {
                image_id: image.id,
                status: ScanStatus::Found,
                error: None,
                unusable: None,
                phash: None,
                faces: vec![found(1.0), found(2.0)],
                updates: vec![],
            })
            .collect();
        catalog.record_scans("d", &done, 110).await.unwrap();
        catalog.record_scans("d", &done, 111).await.unwrap();
        let scan = catalog.face_scan("d").await.unwrap();
        assert_eq!((scan.found, scan.leased, scan.pending, scan.faces), (60, 60, 80, 120));
        assert_eq!(catalog.list_lease_holders("d").await.unwrap(), ["they"]);

        // The lease of the other ended at 150: its images are handed out again, and only those and the new ones.
        let rest = catalog.claim_images("d", "me", 1000, 151, 50).await.unwrap();
        assert_eq!(rest.len(), 140);
        let face = &catalog.list_labelled_faces(FaceId(0), 1).await.unwrap()[0].face;
        assert_eq!((face.quality, face.landmarks.clone()), (Some(found(1.0).quality), Some(found(1.0).landmarks)));
    }
}

#[tokio::test]
async fn the_count_table_follows_consensus_and_the_split_as_given() {
    for Engine { catalog, .. } in engines("counts").await {
        catalog.record_import(&(0..9).map(item).collect::<Vec<_>>(), 1).await.unwrap();
        let faces = catalog.list_labelled_faces(FaceId(0), 100).await.unwrap();
        let row = |face: &LabelledFace, expression| ConsensusRow {
            face_id: face.face.id,
            method: "majority".into(),
            expression,
            valence: None,
            arousal: None,
            is_proxy: false,
            n_annotations: 2,
            agreement: Some(0.5),
            run_id: None,
            shares: None,
            valence_spread: None,
            arousal_spread: None,
        };
        let rows: Vec<_> = faces[..6].iter().map(|face| row(face, Some(Expression::Fear))).collect();
        catalog.record_consensus(&rows, 2).await.unwrap();
        let rows: Vec<_> = faces[..2].iter().map(|face| row(face, Some(Expression::Happy))).collect();
        catalog.record_consensus(&rows, 3).await.unwrap();
        let table = catalog.count_table("majority").await.unwrap();
        let n = |split, expression| -> u64 {
            let cells = table.iter().filter(|c| c.given_split == split && c.expression == expression);
            cells.map(|cell| cell.n_faces).sum()
        };
        assert_eq!(n(Some(Split::Valid), Some(Expression::Happy)), 1);
        assert_eq!(n(Some(Split::Valid), Some(Expression::Fear)), 1);
        assert_eq!(n(None, Some(Expression::Fear)), 3);
        assert_eq!(table.iter().map(|cell| cell.n_faces).sum::<u64>(), 9);
    }
}

fn release(name: &str) -> NewRelease {
    NewRelease { name: name.into(), seed: u64::MAX, labels: "happy,sad".into(), parameters: "{}".into() }
}

fn items_of(faces: &[LabelledFace]) -> Vec<ReleaseItemRow> {
    let item = |(item_idx, face): (u64, &LabelledFace)| ReleaseItemRow {
        item_idx,
        face_id: face.face.id,
        split: Split::Train,
        expression: Some(Expression::Happy),
    };
    (0..).zip(faces).map(item).collect()
}

#[tokio::test]
async fn a_release_that_waits_for_its_manifest_misses_no_withdrawal_and_leaves_nothing_if_that_is_given_up() {
    for Engine { url, catalog, .. } in engines("waiting").await {
        catalog.record_import(&(0..3).map(item).collect::<Vec<_>>(), 1).await.unwrap();
        let items = items_of(&catalog.list_labelled_faces(FaceId(0), 100).await.unwrap());
        let (asked, manifest) = (Notify::new(), SetOnce::<Sha256Hex>::new());
        let wait = async || {
            asked.notify_one();
            manifest.wait().await.clone()
        };
        let given_up = release("one");
        tokio::select! {
            recorded = catalog.record_release(&given_up, &items, wait, 5) => panic!("{recorded:?}"),
            () = asked.notified() => {}
        }
        assert_eq!(catalog.list_releases().await.unwrap(), []);

        let taken_up = release("one");
        let recording = catalog.record_release(&taken_up, &items, wait, 6);
        let others = async {
            asked.notified().await;
            let image = hash(1);
            let mut withdrawal = pin!(catalog.withdraw_image(&image, "asked by mail", 7));
            if url.starts_with("sqlite") {
                // It has one writer: who waits for it finds a release.
                assert!(timeout(Duration::from_millis(200), &mut withdrawal).await.is_err());
                manifest.set(hash(9)).unwrap();
                assert_eq!(withdrawal.await.unwrap(), Some(vec!["one".to_owned()]));
            } else {
                assert_eq!(withdrawal.await.unwrap(), Some(vec![]), "it is no release yet");
                manifest.set(hash(9)).unwrap();
            }
        };
        let (recorded, ()) = tokio::join!(recording, others);
        assert_eq!(recorded.unwrap(), catalog.find_release("one").await.unwrap());
        assert_eq!(catalog.find_release("one").await.unwrap().manifest_sha256, hash(9));
        assert_eq!(catalog.withdraw_image(&hash(1), "again", 8).await.unwrap(), Some(vec!["one".to_owned()]));
        assert!(catalog.verify_audit().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_release_name_is_used_once_and_a_withdrawal_reaches_every_release() {
    for Engine { catalog, .. } in engines("releases").await {
        catalog.record_import(&(0..3).map(item).collect::<Vec<_>>(), 1).await.unwrap();
        let faces = catalog.list_labelled_faces(FaceId(0), 100).await.unwrap();
        let items = items_of(&faces);
        for name in ["one", "two"] {
            let row = catalog.record_release(&release(name), &items, async || hash(9), 5).await.unwrap();
            assert_eq!((row.n_items, row.manifest_sha256, row.release), (3, hash(9), release(name)));
        }
        let again = catalog.record_release(&release("one"), &items, async || hash(9), 6).await;
        assert!(matches!(again, Err(CatalogError::ReleaseExists(name)) if name == "one"));
        assert_eq!(catalog.list_releases().await.unwrap().len(), 2);

        let touched = catalog.withdraw_image(&hash(1), "asked by mail", 7).await.unwrap();
        assert_eq!(touched, Some(vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(catalog.withdraw_image(&hash(77), "unknown", 8).await.unwrap(), None);
        assert_eq!(catalog.list_withdrawn().await.unwrap(), [hash(1)]);
        assert!(catalog.verify_audit().await.unwrap().is_ok_and(|entries| entries >= 3));
    }
}

#[tokio::test]
async fn a_catalogue_from_a_newer_program_is_refused_and_left_as_it_is() {
    for Engine { url, catalog, .. } in engines("newer").await {
        catalog.close().await;
        run_sql(&url, "insert into schema_version (version) values (99)").await;
        let refused = Catalog::connect(&url).await;
        assert!(matches!(refused, Err(CatalogError::NewerSchema { found: 99, known: 14 })), "{refused:?}");
    }
}
