//! Do labels survive every layout? A drawn database is released, exported four ways, and each export imported again.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::path::{Path, PathBuf};

use affectory_catalog::{NewAccount, Project, ProjectConfig, Role};
use affectory_core::{Arousal, Expression, FaceId, LabelSet, Silent, Split, Stop, Valence};
use affectory_imaging::{Limits, encode_png};
use affectory_release::build::{BuildOptions, DEFAULT_DISTANCE, Fractions, Splits, build};
use affectory_release::export::{ExportFormat, export};
use affectory_release::import::{ImportFormat, ImportRequest, ImportSummary, import};
use affectory_release::{ReleaseError, load_release, verify};

const N_FACES: u32 = 120;

fn draw_database(folder: &Path) -> PathBuf {
    let mut table = String::from("image,expression,valence,arousal\n");
    for number in 0..N_FACES {
        let face = affectory_synthetic::sample(number, 5, 48);
        std::fs::write(folder.join(format!("{number}.png")), encode_png(&face.drawn.image).unwrap()).unwrap();
        let place = face.drawn.place.map(|p| format!("{},{}", p.valence.value(), p.arousal.value()));
        table += &format!("{number}.png,{},{}\n", face.drawn.expression, place.unwrap_or(",".into()));
    }
    let path = folder.join("labels.csv");
    std::fs::write(&path, table).unwrap();
    path
}

async fn bring(project: &Project, format: ImportFormat, path: &Path) -> ImportSummary {
    let request =
        ImportRequest { format, path: path.to_owned(), source: format.name().into(), limits: Limits::default() };
    import(project, &request, 1, &Stop::default(), &Silent).await.unwrap()
}

fn options(name: &str, splits: Splits) -> BuildOptions {
    BuildOptions {
        name: name.into(),
        seed: 11,
        labels: LabelSet::eight(),
        splits,
        duplicate_distance: Some(DEFAULT_DISTANCE),
        program_version: "test".into(),
    }
}

async fn project_at(folder: &Path) -> Project {
    Project::init(folder, ProjectConfig::default()).await.unwrap()
}

/// Labels of a release in an order of their own; valence and arousal where the layout carries them.
async fn labels_of(project: &Project, name: &str, with_affect: bool) -> Vec<String> {
    let release = load_release(project, name).await.unwrap();
    let mut labels: Vec<String> = release
        .items
        .iter()
        .map(|item| {
            let affect = (item.valence.map(|v| v.value()), item.arousal.map(|a| a.value()));
            let affect = if with_affect { format!("{affect:?}") } else { String::new() };
            format!("{} {} {affect}", item.split, item.expression)
        })
        .collect();
    labels.sort_unstable();
    labels
}

#[tokio::test]
async fn every_layout_is_read_back_to_the_same_labels() {
    let folder = tempfile::tempdir().unwrap();
    let table = draw_database(folder.path());
    let project = project_at(&folder.path().join("p")).await;
    let summary = bring(&project, ImportFormat::Csv, &table).await;
    assert_eq!((summary.new.images, summary.rejected), (u64::from(N_FACES), 0));
    // Validation and training only: AffectNet's layouts have no third split.
    let splits = Splits::Fractions(Fractions::new(0.8, 0.2, 0.0).unwrap());
    build(&project, &options("r", splits), 1).await.unwrap();

    let layouts = [
        (ExportFormat::AffectNet, ImportFormat::AffectNet, true),
        (ExportFormat::AffectNetNpy, ImportFormat::AffectNetNpy, true),
        (ExportFormat::Csv, ImportFormat::Csv, true),
        (ExportFormat::Folder, ImportFormat::Folder, false),
    ];
    for (written, read, with_affect) in layouts {
        let out = folder.path().join(written.name());
        let exported = export(&project, "r", written, &out, &Stop::default(), &Silent).await.unwrap();
        let again = project_at(&folder.path().join(format!("p-{}", written.name()))).await;
        let path = if written == ExportFormat::Csv { out.join("labels.csv") } else { out.clone() };
        let summary = bring(&again, read, &path).await;
        assert_eq!(summary.rejected, 0, "{}", written.name());
        // Near-duplicates in two splits cannot be, so nothing may be left out the second time.
        build(&again, &options("r", Splits::Given), 1).await.unwrap();
        let (before, after) = (labels_of(&project, "r", with_affect).await, labels_of(&again, "r", with_affect).await);
        assert_eq!(before.len() as u64, exported.n_items);
        assert_eq!(after, before, "{}", written.name());
        let taken = export(&project, "r", written, &out, &Stop::default(), &Silent).await;
        assert!(matches!(taken, Err(ReleaseError::TargetTaken(_))));
    }
}

#[tokio::test]
async fn files_of_a_killed_build_are_taken_up_foreign_ones_are_refused_and_of_two_builds_of_one_name_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let table = draw_database(folder.path());
    let project = project_at(&folder.path().join("p")).await;
    bring(&project, ImportFormat::Csv, &table).await;
    let options = |name| options(name, Splits::Fractions(Fractions::new(0.6, 0.2, 0.2).unwrap()));
    let names = async || -> Vec<String> {
        project.catalog.list_releases().await.unwrap().into_iter().map(|row| row.release.name).collect()
    };
    let left = project.releases_dir().join("left");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("manifest.csv"), "somebody else's").unwrap();
    let refused = build(&project, &options("left"), 1).await;
    assert!(matches!(refused, Err(ReleaseError::ForeignFolder(_))), "{refused:?}");
    assert_eq!(names().await, [""; 0], "what was recorded meanwhile is gone");

    let first = build(&project, &options("first"), 2).await.unwrap();
    std::fs::copy(first.folder.join("manifest.csv"), left.join("manifest.csv")).unwrap();
    let taken_up = build(&project, &options("left"), 3).await.unwrap();
    assert!(taken_up.was_repaired && !first.was_repaired);

    let (one, other) = (options("both"), options("both"));
    let built = tokio::join!(build(&project, &one, 4), build(&project, &other, 4));
    let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = built else { panic!("{built:?}") };
    assert!(error.to_string().contains("both"), "{error}");
    assert_eq!(names().await, ["first", "left", "both"]);
    assert_eq!(verify(&project, "both").await.unwrap(), []);
}

#[tokio::test]
async fn a_release_keeps_copies_together_and_verify_notices_a_changed_byte() {
    let folder = tempfile::tempdir().unwrap();
    let table = draw_database(folder.path());
    let project = project_at(&folder.path().join("p")).await;
    bring(&project, ImportFormat::Csv, &table).await;
    let splits = Splits::Fractions(Fractions::new(0.6, 0.2, 0.2).unwrap());
    let one = build(&project, &options("one", splits), 1).await.unwrap();
    let two = build(&project, &options("two", splits), 2).await.unwrap();
    assert_eq!(one.row.manifest_sha256, two.row.manifest_sha256, "same seed, same release");
    assert!(one.n_groups < one.row.n_items, "the sample's copies are found");
    for split in Split::ALL {
        assert!(one.counts.total(split) > 0, "{split}");
    }
    assert_eq!(verify(&project, "one").await.unwrap(), []);

    let manifest = std::fs::read_dir(&one.folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("manifest")))
        .unwrap();
    let mut bytes = std::fs::read(&manifest).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    // A release is read-only; whoever changes it has to insist.
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, bytes).unwrap();
    assert!(verify(&project, "one").await.unwrap().iter().any(affectory_release::Finding::is_fault));
    assert!(matches!(load_release(&project, "one").await, Err(ReleaseError::Damaged { .. })));
}

#[tokio::test]
async fn a_release_takes_what_a_reviewer_decided_and_an_earlier_one_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let project = project_at(&folder.path().join("p")).await;
    bring(&project, ImportFormat::Csv, &draw_database(folder.path())).await;
    let splits = Splits::Fractions(Fractions::new(0.6, 0.2, 0.2).unwrap());
    build(&project, &options("before", splits), 1).await.unwrap();
    let before = load_release(&project, "before").await.unwrap();
    let item = before.items.iter().find(|item| item.expression == Expression::Happy).unwrap();
    let faces = project.catalog.list_labelled_faces(FaceId(0), 999).await.unwrap();
    let face = faces.iter().find(|face| face.image.image.sha256 == item.image_sha256).unwrap().face.id;

    let new = NewAccount { email: "r@x", name: "r", role: Role::Reviewer, language: "en", password_hash: "x" };
    let reviewer = project.catalog.insert_account(&new, "test", 2).await.unwrap();
    let point = Some((Valence::new(-0.5).unwrap(), Arousal::new(0.25).unwrap()));
    project.catalog.adjudicate(face, Expression::Contempt, point, &reviewer, 3).await.unwrap();
    build(&project, &options("after", splits), 4).await.unwrap();
    let after = load_release(&project, "after").await.unwrap();
    let decided = after.items.iter().find(|other| other.item == item.item).unwrap();
    assert_eq!((decided.expression, decided.valence.map(Valence::value)), (Expression::Contempt, Some(-0.5)));
    assert_eq!(load_release(&project, "before").await.unwrap().items, before.items);
}
