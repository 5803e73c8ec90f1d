//! Does a log survive the way into another catalogue, and does a consensus become visible as one, on both engines?

use affectory_catalog::{
    AnnotatorKind, AnswerAct, Catalog, CatalogError, ConsensusRow, LogOutcome, LoggedAnnotation, NewConsensusRun,
    Suggestion, SureSuggestion,
};
use affectory_core::{AnnotationId, Expression, FaceId, Valence};

use crate::annotating::{annotator, event, given, happy, import_faces, pool_of};
use crate::engines::{Engine, engines, hash};

async fn whole_log(catalog: &Catalog) -> Vec<LoggedAnnotation> {
    let mut log = catalog.read_log().await.unwrap();
    let mut rows = Vec::new();
    loop {
        let page = log.next_page(2).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// Two people before three faces: an answer, a correction, one taken back, one decided by a reviewer.
async fn annotate(catalog: &Catalog) {
    // Another pool first, so that the rows of pools differ between the projects.
    catalog.insert_pool("other", &crate::annotating::RULES, None, 1).await.unwrap();
    let pool = pool_of(catalog, [(1, 1), (2, 2), (3, 3)].into_iter()).await;
    let thought = Suggestion { expression: Some(Expression::Fear), valence: None, arousal: None, by: "m".into() };
    let sure = SureSuggestion { face_id: FaceId(1), suggestion: thought, confidence: 0.5, uncertainty: 1.0 };
    catalog.record_suggestions(pool, &[sure]).await.unwrap();
    let (a, b) = (annotator(catalog, "a").await, annotator(catalog, "b").await);
    for person in [a, b] {
        given(catalog, pool, person, 9, 10).await;
    }
    let undo = || AnswerAct::Undo { lease_end_ms: 99 };
    let events = [
        event("1", pool, a, 1, happy()),
        event("2", pool, b, 1, happy()),
        event("3", pool, a, 1, undo()),
        event("4", pool, a, 1, happy()),
        event("5", pool, b, 2, happy()),
        event("6", pool, b, 2, undo()),
    ];
    catalog.record_events(&events).await.unwrap();
    let account = catalog.find_login("b").await.unwrap().unwrap().0;
    for expression in [Expression::Sad, Expression::Anger] {
        catalog.adjudicate(FaceId(1), expression, None, &account, 70).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_arrives_whole_once_and_changes_nothing_that_is_there() {
    let [sqlite, postgres] = engines("exchange_from").await;
    let [to_sqlite, to_postgres] = engines("exchange_to").await;
    for (from, to) in [(sqlite, to_postgres), (postgres, to_sqlite)] {
        let (from, to) = (&from.catalog, &to.catalog);
        import_faces(from, 3).await;
        annotate(from).await;
        let rows = whole_log(from).await;
        assert_eq!(rows.len(), 8);
        assert_eq!(rows[0].origin, "pool:p");
        assert_eq!(rows[5].supersedes.as_ref().map(|older| older.revision), Some(1));
        assert!(rows[0].suggestion.as_ref().is_some_and(|(thought, is_shown)| thought.by == "m" && !is_shown));
        let head = from.read_log().await.unwrap().head().await.unwrap();
        assert_eq!((head.n_annotations, head.n_annotators, head.n_faces, head.pools.len()), (8, 2, 2, 1));

        import_faces(to, 1).await;
        let pools = to.begin_log_import(&head.pools, "t", 5).await.unwrap();
        let first = to.record_log(&rows, &pools, 5).await.unwrap();
        let unknown =
            |outcome: &LogOutcome| matches!(outcome, LogOutcome::Rejected(why) if why.contains("not in this"));
        assert_eq!(first.iter().filter(|outcome| unknown(outcome)).count(), 2, "{first:?}");
        import_faces(to, 3).await;
        let second = to.record_log(&rows, &pools, 6).await.unwrap();
        assert_eq!(second.iter().filter(|outcome| **outcome == LogOutcome::Added).count(), 2);
        assert_eq!(second.iter().filter(|outcome| **outcome == LogOutcome::Known).count(), 6);

        // What is there is not changed, and nobody is spoken for who has an account here.
        let mut other = rows[1].clone();
        other.valence = Some(Valence::new(-1.0).unwrap());
        let mut stranger = rows[1].clone();
        (stranger.annotator, stranger.kind) = ("x".into(), AnnotatorKind::Model);
        let mut again = stranger.clone();
        (again.event_id, again.kind) = (None, AnnotatorKind::Person);
        let mut late = again.clone();
        (late.annotator, late.revision) = ("y".into(), 1);
        let refused = to.record_log(&[other, stranger, again, late], &pools, 7).await.unwrap();
        for (outcome, word) in refused.iter().zip(["another answer", "its event", "kind", "supersede"]) {
            assert!(matches!(outcome, LogOutcome::Rejected(why) if why.contains(word)), "{outcome:?}: {word}");
        }
        let mut mine = rows[0].clone();
        (mine.origin, mine.event_id, mine.pool) = ("o:1".into(), None, None);
        let mine = from.record_log(&[mine], &pools, 7).await.unwrap();
        assert!(matches!(&mine[0], LogOutcome::Rejected(why) if why.contains("account here")), "{mine:?}");
        let (mut found, mut expected) = (whole_log(to).await, rows);
        let by_key = |row: &LoggedAnnotation| (row.event_id.clone(), row.revision, row.image_sha256.to_string());
        found.sort_by_key(by_key);
        expected.sort_by_key(by_key);
        assert_eq!(found, expected);
        // A person whose name came with the log does not stand in the way of this project's first account.
        let own = annotator(to, "own").await;
        assert_eq!(to.list_annotators().await.unwrap()[&own].0, "person/0001-2");
    }
}

#[tokio::test]
async fn a_run_is_complete_with_its_last_row_and_takes_its_predecessors_rows_away() {
    for Engine { catalog, .. } in engines("consensus_runs").await {
        import_faces(&catalog, 3).await;
        let run = |n_faces| NewConsensusRun {
            method: "majority".into(),
            parameters: "{}".into(),
            program_version: "0".into(),
            last_annotation_id: AnnotationId(7),
            n_annotations: 9,
            n_faces,
            inputs_sha256: hash(1),
            result_sha256: hash(2),
            details: "{}".into(),
        };
        let mut shares = [0.0; 11];
        (shares[1], shares[10]) = (1.0 / 3.0, 2.0 / 3.0);
        let row = |face, run_id| ConsensusRow {
            face_id: FaceId(face),
            method: "majority".into(),
            expression: Some(Expression::Happy),
            valence: None,
            arousal: None,
            is_proxy: false,
            n_annotations: 2,
            agreement: Some(0.5),
            run_id,
            shares: Some(shares),
            valence_spread: Some(0.25),
            arousal_spread: None,
        };
        catalog.record_consensus(&[row(1, None), row(2, None), row(3, None)], 1).await.unwrap();
        let id = catalog.insert_consensus_run(&run(2), 2).await.unwrap();
        catalog.record_consensus(&[row(2, Some(id))], 2).await.unwrap();
        let early = catalog.finish_consensus_run(id, &run(2)).await;
        assert!(matches!(early, Err(CatalogError::ConsensusOvertaken(_))));
        assert!(!catalog.list_consensus_runs().await.unwrap()[0].is_complete);
        catalog.record_consensus(&[row(3, Some(id))], 2).await.unwrap();
        catalog.finish_consensus_run(id, &run(2)).await.unwrap();
        let runs = catalog.list_consensus_runs().await.unwrap();
        assert_eq!((runs.len(), runs[0].is_complete, &runs[0].run), (1, true, &run(2)));
        let found = catalog.list_consensus(id, &[1, 2, 3].map(FaceId)).await.unwrap();
        assert_eq!(found, [row(2, Some(id)), row(3, Some(id))]);
    }
}
