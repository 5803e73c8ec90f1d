//! Does the log of annotations come back from another project byte for byte, and give the same consensus each time?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::HashMap;
use std::path::Path;

use affectory_annotate::{
    ConsensusReport, ConsensusRequest, LogImport, LogImportReport, export_log, import_log, record_consensus,
};
use affectory_catalog::{
    AnnotatorKind, ImportItem, LogOutcome, LoggedAnnotation, LoggedReference, NewFace, NewImage, NewSighting,
    PoolRules, Project, ProjectConfig, Strategy, Suggestion,
};
use affectory_core::{
    AnnotationId, Arousal, BoundingBox, Expression, PerceptualHash, Sha256Hex, Silent, Stop, Valence,
};
use affectory_evaluate::{ConsensusMethod, DawidSkeneOptions, WeightedMeanOptions};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const N_FACES: u8 = 12;

fn image(n: u8) -> Sha256Hex {
    Sha256Hex::from_digest(&[n; 32])
}

fn place(n: u8) -> BoundingBox {
    BoundingBox::new(0.1 * f32::from(n), -1.5, 33.333_332, 40.0).unwrap()
}

/// A project with images of one face each, in the order given.
async fn project(dir: &Path, order: impl Iterator<Item = u8>) -> Project {
    let project = Project::init(dir, ProjectConfig::default()).await.unwrap();
    let item = |n: u8| ImportItem {
        image: NewImage {
            sha256: image(n),
            phash: PerceptualHash(n.into()),
            width: 100,
            height: 100,
            format: "png".into(),
            size_bytes: 9,
        },
        sighting: NewSighting {
            source: "s".into(),
            path: n.to_string(),
            page_url: None,
            license: None,
            given_split: None,
        },
        faces: vec![NewFace { bounding_box: place(n), landmarks: None, annotations: vec![] }],
    };
    project.catalog.record_import(&order.map(item).collect::<Vec<_>>(), 1).await.unwrap();
    project
}

/// Answers, corrections, answers taken back, adjudications, formulas, networks and pools, as chance has it.
fn chance_log(seed: u64) -> Vec<LoggedAnnotation> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let kinds = AnnotatorKind::ALL;
    let mut revisions: HashMap<(u8, usize, String), u32> = HashMap::new();
    let mut row = |number: u32| {
        let (face, who) = (dice.random_range(0..N_FACES), dice.random_range(0..kinds.len()));
        let pool = dice.random_bool(0.4).then(|| ["p", "zweiter Pool"][dice.random_range(0..2)].to_owned());
        let plain = ["ferplus:a b/é.png", "adjudication", "pool:x"][dice.random_range(0..3)].to_owned();
        let origin = pool.as_ref().map_or(plain, |pool| format!("pool:{pool}"));
        let annotator = format!("{}/{who} \"quoted\"", kinds[who].name());
        let next = revisions.entry((face, who, origin.clone())).or_insert(0);
        let revision = *next;
        *next += 1;
        let older = |revision| LoggedReference { annotator: annotator.clone(), origin: origin.clone(), revision };
        let supersedes = revision.checked_sub(1).map(older);
        let number_in = |dice: &mut ChaCha8Rng| dice.random_bool(0.7).then(|| dice.random_range(-1.0..=1.0_f32));
        let expression_in =
            |dice: &mut ChaCha8Rng| dice.random_bool(0.8).then(|| Expression::ALL[dice.random_range(0..11)]);
        let thought = Suggestion {
            expression: expression_in(&mut dice),
            valence: number_in(&mut dice).map(|value| Valence::new(value).unwrap()),
            arousal: None,
            by: "model α".into(),
        };
        LoggedAnnotation {
            image_sha256: image(face),
            bounding_box: place(face),
            face_origin: if face == 0 { "mtcnn" } else { "given" }.into(),
            annotator,
            kind: kinds[who],
            origin,
            revision,
            supersedes,
            expression: expression_in(&mut dice),
            valence: number_in(&mut dice).map(|value| Valence::new(value).unwrap()),
            arousal: number_in(&mut dice).map(|value| Arousal::new(value).unwrap()),
            created_ms: dice.random_range(0..1_000_000),
            pool,
            event_id: dice.random_bool(0.5).then(|| format!("event {number}")),
            elapsed_ms: dice.random_bool(0.5).then(|| dice.random_range(0..=u32::MAX)),
            suggestion: dice.random_bool(0.3).then(|| (thought, dice.random_bool(0.5))),
        }
    };
    (0..300).map(&mut row).collect()
}

async fn record(project: &Project, rows: &[LoggedAnnotation]) {
    let rules = |seed| PoolRules {
        n_annotators: 2,
        overlap_percent: 10,
        gold_percent: 0,
        strategy: Strategy::Query,
        is_balanced: true,
        is_assisted: false,
        needs_quiz: true,
        seed,
    };
    let pools =
        [("unused".to_owned(), rules(1)), ("p".to_owned(), rules(u64::MAX)), ("zweiter Pool".to_owned(), rules(0))];
    let pools = project.catalog.begin_log_import(&pools, "t", 1).await.unwrap();
    let outcomes = project.catalog.record_log(rows, &pools, 1).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == LogOutcome::Added), "{outcomes:?}");
}

async fn exported(project: &Project) -> String {
    let mut out = Vec::new();
    export_log(&project.catalog, "9.9", &mut out, (&Stop::default(), &Silent)).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn imported(project: &Project, text: &[u8], prefix: Option<&str>) -> LogImportReport {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let request = LogImport { file: file.path().to_owned(), rename_people: prefix.map(str::to_owned) };
    import_log(project, &request, (&Stop::default(), &Silent), 5).await.unwrap()
}

#[tokio::test]
async fn any_log_comes_back_byte_for_byte_also_after_a_kill_in_the_middle() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let from = project(&folder.path().join("a"), 0..N_FACES).await;
        let to = project(&folder.path().join("b"), (0..N_FACES).rev()).await;
        record(&from, &chance_log(seed)).await;
        let text = exported(&from).await;
        assert_eq!(text.lines().count(), 301);
        // As far as a killed import came, then the whole file, then again.
        let part: String = text.lines().take(100).map(|line| format!("{line}\n")).collect();
        let first = imported(&to, part.as_bytes(), None).await;
        assert_eq!((first.n_added, first.n_rejected, first.n_missing), (99, 0, 201));
        let second = imported(&to, text.as_bytes(), None).await;
        assert_eq!((second.n_added, second.n_known, second.n_rejected, second.n_missing), (201, 99, 0, 0));
        assert_eq!(exported(&to).await, text);
        assert_eq!(imported(&to, text.as_bytes(), None).await.n_added, 0);
        // Under other names people are other people; what is known by its event stays one.
        let renamed = imported(&to, text.as_bytes(), Some("lab/")).await;
        assert!(renamed.n_added > 0 && exported(&to).await.contains("\"annotator\":\"lab/person/0 "));
    }
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_left_out_with_its_number_and_a_reason_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let from = project(&folder.path().join("a"), 0..N_FACES).await;
    record(&from, &chance_log(1)[..3]).await;
    let text = exported(&from).await;
    let lines: Vec<&str> = text.lines().collect();
    let unknown = lines[1].replace(&lines[1][10..74], &"ab".repeat(32));
    let changed = |name: &str, value: &str| {
        let mut line: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        line[name] = serde_json::json!("HERE");
        line.to_string().replace("\"HERE\"", value)
    };
    let bad = [
        ("not in this project", unknown),
        ("at most 65536", format!("\"{}\"", "x".repeat(10 << 20))),
        ("unknown field", changed("extra", &format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)))),
        ("unknown field", changed("email", "\"a@b\"")),
        ("control characters", changed("annotator", "\"\\u001b[31m\\u0000\"")),
        ("valence", changed("valence", "1.5")),
        ("expected value", changed("valence", "NaN")),
        ("number out of range", changed("arousal", "1e999")),
        ("expected", changed("expression", "\"joy\\u001b\"")),
        ("no time", changed("created_ms", "-1")),
        ("expected u32", changed("revision", "4294967296")),
        ("supersede", changed("revision", "7")),
        ("no kind", changed("kind", "\"god\"")),
        (
            "needs the name of a pool",
            changed("origin", "\"pool:7\"").replace("\"p\"", "null").replace("\"zweiter Pool\"", "null"),
        ),
        ("header does not name", changed("pool", "\"elsewhere\"")),
        ("expected value", "\u{1b}[2J".to_owned()),
        ("EOF", String::new()),
    ];
    let to = project(&folder.path().join("b"), 0..N_FACES).await;
    let mut hostile = format!("{}\n", lines[0]).into_bytes();
    for (_, line) in &bad {
        hostile.extend_from_slice(line.as_bytes());
        hostile.push(b'\n');
    }
    hostile.extend_from_slice(b"\xff\xfe\n");
    hostile.extend_from_slice(lines[2].as_bytes());
    let report = imported(&to, &hostile, None).await;
    assert_eq!((report.n_added, report.n_rejected), (1, bad.len() as u64 + 1));
    let table = std::fs::read_to_string(&report.rejects).unwrap();
    let mut rejects: Vec<csv::StringRecord> =
        csv::Reader::from_reader(table.as_bytes()).records().collect::<Result<_, _>>().unwrap();
    rejects.sort_by_key(|row| row[1].parse::<u64>().unwrap());
    for ((number, (word, _)), row) in (2..).zip(&bad).zip(&rejects) {
        assert_eq!(row[1], u64::to_string(&number));
        assert!(row[2].contains(word), "line {number}: {row:?}");
        assert!(!row[2].contains(char::is_control) && row[2].len() < 1_000);
    }
    for header in ["", "{}", "[[", "{\"format\":\"other\"}", &"x".repeat(2 << 20)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), header).unwrap();
        let request = LogImport { file: file.path().to_owned(), rename_people: None };
        let refused = import_log(&to, &request, (&Stop::default(), &Silent), 5).await.unwrap_err().to_string();
        assert!(refused.contains("is no log of annotations") && refused.lines().count() == 1, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consensus_up_to_the_same_annotation_is_the_same_whatever_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(&folder.path().join("a"), 0..N_FACES).await;
    let rows = chance_log(2);
    record(&project, &rows[..200]).await;
    let form = async |method, upto| -> ConsensusReport {
        let request = ConsensusRequest { method, upto, program_version: "0".into() };
        record_consensus(&project.catalog, &request, (&Stop::default(), &Silent), 7).await.unwrap()
    };
    let methods = [
        ConsensusMethod::Majority,
        ConsensusMethod::SoftLabel(0.5),
        ConsensusMethod::DawidSkene(DawidSkeneOptions::default()),
        ConsensusMethod::WeightedMean(WeightedMeanOptions::default()),
    ];
    let mut before = Vec::new();
    for method in methods {
        before.push(form(method, None).await);
    }
    record(&project, &rows[200..]).await;
    for (method, before) in methods.into_iter().zip(&before) {
        let after = form(method, Some(AnnotationId(200))).await;
        assert_eq!((&after.run, after.summary), (&before.run, before.summary));
        let now = form(method, None).await.run;
        assert!(now.inputs_sha256 != before.run.inputs_sha256 && now.result_sha256 != before.run.result_sha256);
    }
    let is_same = |report: &ConsensusReport| report.run.inputs_sha256 == before[0].run.inputs_sha256;
    assert!(before.iter().all(is_same), "all methods see the same");
    assert!(before[0].summary.n_adjudicated > 0);
    let runs = project.catalog.list_consensus_runs().await.unwrap();
    assert!(runs.len() == 12 && runs.iter().all(|run| run.is_complete));
    // The newest of each method has its rows, and only it.
    let faces: Vec<_> = (1..=i64::from(N_FACES) + 1).map(affectory_core::FaceId).collect();
    let mut n_rows = Vec::new();
    for run in &runs {
        n_rows.push(project.catalog.list_consensus(run.id, &faces).await.unwrap().len() as u64);
    }
    let newest: Vec<usize> = (0..12).filter(|place| n_rows[*place] > 0).collect();
    assert_eq!(newest, [0, 2, 4, 6], "after and now take turns");
    assert!(newest.iter().all(|place| n_rows[*place] == runs[*place].run.n_faces));
}
