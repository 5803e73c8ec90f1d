//! Do annotators get the right faces, and does each answer enter the log once, on both engines?

use affectory_catalog::{
    AccountChange, AnnotatorKind, AnswerAct, AnswerEvent, Catalog, EventOutcome, FaceRequest, Gold, ImportItem,
    Invitation, NewFace, NewImage, NewPoolFace, NewSighting, PoolRules, PoolState, Role, Strategy, Suggestion,
    SureSuggestion,
};
use affectory_core::{
    AnnotationId, AnnotatorId, Arousal, BoundingBox, Expression, FaceId, PerceptualHash, PoolId, Valence,
};

use crate::engines::{databases, engines, hash, run_sql};

pub const RULES: PoolRules = PoolRules {
    n_annotators: 2,
    overlap_percent: 50,
    gold_percent: 0,
    strategy: Strategy::Random,
    is_balanced: false,
    is_assisted: false,
    needs_quiz: false,
    seed: 1,
};

pub async fn import_faces(catalog: &Catalog, n_faces: u64) {
    let item = |n: u64| ImportItem {
        image: NewImage {
            sha256: hash(n),
            phash: PerceptualHash(n),
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
        faces: vec![NewFace {
            bounding_box: BoundingBox::new(10.0, 20.0, 50.0, 40.0).unwrap(),
            landmarks: None,
            annotations: vec![],
        }],
    };
    catalog.record_import(&(1..=n_faces).map(item).collect::<Vec<_>>(), 1).await.unwrap();
}

/// A pool of faces 1 to n that wants two answers of each.
pub async fn pool_of(catalog: &Catalog, faces: impl Iterator<Item = (i64, i64)>) -> PoolId {
    let pool = catalog.insert_pool("p", &RULES, None, 1).await.unwrap();
    let faces = faces.map(|(face, look)| NewPoolFace {
        face_id: FaceId(face),
        place: face,
        look_id: FaceId(look),
        category: None,
        n_wanted: 2,
    });
    catalog.insert_pool_faces(pool, &faces.collect::<Vec<_>>()).await.unwrap();
    catalog.set_pool_state(pool, PoolState::Open, "t", 1).await.unwrap();
    pool
}

pub async fn annotator(catalog: &Catalog, name: &str) -> AnnotatorId {
    let new =
        affectory_catalog::NewAccount { email: name, name, role: Role::Annotator, language: "en", password_hash: "x" };
    catalog.insert_account(&new, "t", 1).await.unwrap().annotator_id
}

pub async fn given(catalog: &Catalog, pool: PoolId, annotator: AnnotatorId, limit: u32, now_ms: i64) -> Vec<i64> {
    let request = FaceRequest {
        pool_id: pool,
        annotator_id: annotator,
        limit,
        after_place: 0,
        gold_percent: 20,
        seed: 1,
        lease_end_ms: now_ms + 1_000,
    };
    let given = catalog.give_faces(&request, now_ms).await.unwrap();
    given.faces.iter().map(|(face, _)| face.0).collect()
}

pub fn event(id: &str, pool: PoolId, annotator: AnnotatorId, face: i64, act: AnswerAct) -> AnswerEvent {
    AnswerEvent { id: id.into(), annotator_id: annotator, pool_id: pool, face_id: FaceId(face), time_ms: 50, act }
}

pub fn happy() -> AnswerAct {
    AnswerAct::Answer {
        expression: Expression::Happy,
        valence: Some(Valence::new(0.5).unwrap()),
        arousal: Some(Arousal::new(0.1).unwrap()),
        elapsed_ms: 900,
    }
}

async fn done(catalog: &Catalog, pool: PoolId) -> (u64, u64) {
    let row = catalog.find_pool(pool).await.unwrap().unwrap();
    (row.n_done, row.n_wanted)
}

#[tokio::test]
async fn a_face_goes_to_as_many_annotators_as_it_wants_and_to_none_twice() {
    for engine in engines("given").await {
        let catalog = &engine.catalog;
        import_faces(catalog, 4).await;
        // Faces 1 and 2 look alike.
        let pool = pool_of(catalog, [(1, 1), (2, 1), (3, 3), (4, 4)].into_iter()).await;
        let people = [annotator(catalog, "a").await, annotator(catalog, "b").await, annotator(catalog, "c").await];
        assert_eq!(given(catalog, pool, people[0], 9, 10).await, [1, 3, 4]);
        assert_eq!(given(catalog, pool, people[0], 9, 10).await, [1, 3, 4], "asking again gives the same");
        assert_eq!(given(catalog, pool, people[1], 9, 10).await, [1, 3, 4]);
        assert_eq!(given(catalog, pool, people[2], 9, 10).await, [2], "the others are in two hands");
        // b goes home: what b held goes to others when the lease ends, and to b again where nobody took it.
        let answers = [event("e1", pool, people[0], 1, happy()), event("e2", pool, people[0], 3, happy())];
        catalog.record_events(&answers).await.unwrap();
        assert_eq!(catalog.return_leases(1_010).await.unwrap(), 5);
        assert_eq!(given(catalog, pool, people[2], 9, 1_020).await, [1, 3, 4]);
        assert_eq!(given(catalog, pool, people[1], 9, 1_020).await, [2, 4]);
        let wanted_nowhere = catalog.record_events(&[event("e3", pool, people[1], 1, happy())]).await.unwrap();
        assert_eq!(wanted_nowhere, [EventOutcome::LooksAlike]);
        assert_eq!(
            catalog.record_events(&[event("e4", pool, people[1], 4_000, happy())]).await.unwrap(),
            [EventOutcome::NotGiven]
        );
        // An answer that comes after its lease has ended counts all the same.
        let late = catalog.record_events(&[event("e5", pool, people[1], 3, happy())]).await.unwrap();
        assert_eq!(late, [EventOutcome::Recorded(None)]);
        assert_eq!(done(catalog, pool).await, (3, 8));
        // Nobody waits for a withdrawn image.
        catalog.withdraw_image(&hash(4), "asked", 2_000).await.unwrap();
        assert_eq!(done(catalog, pool).await, (3, 6));
        assert!(catalog.find_face_picture(FaceId(4)).await.unwrap().unwrap().is_withdrawn);
    }
}

#[tokio::test]
async fn an_answer_is_recorded_once_and_a_correction_supersedes_it() {
    for engine in engines("answered").await {
        let catalog = &engine.catalog;
        import_faces(catalog, 3).await;
        let pool = pool_of(catalog, [(1, 1), (2, 2), (3, 3)].into_iter()).await;
        let a = annotator(catalog, "a").await;
        assert_eq!(given(catalog, pool, a, 3, 10).await, [1, 2, 3]);
        let thought = Suggestion { expression: Some(Expression::Sad), valence: None, arousal: None, by: "m".into() };
        let sure =
            SureSuggestion { face_id: FaceId(1), suggestion: thought.clone(), confidence: 0.5, uncertainty: 1.5 };
        catalog.record_suggestions(pool, &[sure]).await.unwrap();
        assert_eq!(catalog.list_sure_categories(0.4).await.unwrap(), [(FaceId(1), Expression::Sad, 0.5)]);
        assert_eq!(catalog.list_sure_categories(0.6).await.unwrap(), []);
        let undo = || AnswerAct::Undo { lease_end_ms: 9_000 };
        let batch = [
            event("e1", pool, a, 1, happy()),
            event("e1", pool, a, 1, happy()),
            event("e2", pool, a, 1, undo()),
            event("e3", pool, a, 1, happy()),
            event("e4", pool, a, 2, happy()),
            event("e5", pool, a, 2, undo()),
            event("e6", pool, a, 3, AnswerAct::Flag("two faces?".into())),
        ];
        let outcomes = catalog.record_events(&batch).await.unwrap();
        assert_eq!(outcomes[0], EventOutcome::Recorded(Some(thought)));
        assert_eq!(outcomes[1], EventOutcome::Repeated);
        assert!(outcomes[2..].iter().all(|outcome| matches!(outcome, EventOutcome::Recorded(_))));
        assert_eq!(
            catalog.record_events(&batch).await.unwrap()[3],
            EventOutcome::Repeated,
            "sent again after a failure"
        );
        assert_eq!(done(catalog, pool).await, (1, 6));
        let rows = catalog.list_ratings(AnnotationId(0), 99).await.unwrap();
        let log: Vec<_> = rows.iter().map(|row| (row.face_id.0, row.expression, row.supersedes)).collect();
        let (happy, id) = (Some(Expression::Happy), |idx: usize| Some(rows[idx].id));
        assert_eq!(
            log,
            [(1, happy, None), (2, happy, None), (1, None, id(0)), (2, None, id(1)), (1, happy, id(2))],
            "nothing is changed or deleted"
        );
        assert_eq!(rows[0].elapsed_ms, Some(900));
        let own = catalog.list_own_answers(a, pool, 0, 9).await.unwrap();
        assert_eq!(own.iter().map(|answer| answer.face_id.0).collect::<Vec<_>>(), [1]);
        // The second request was faster than the first: its answer is the newest all the same.
        let sooner = AnswerEvent { time_ms: 990, ..event("e8", pool, a, 3, self::happy()) };
        for event in [AnswerEvent { time_ms: 1_020, ..event("e7", pool, a, 2, self::happy()) }, sooner] {
            catalog.record_events(&[event]).await.unwrap();
        }
        let own = catalog.list_own_answers(a, pool, 0, 9).await.unwrap();
        assert_eq!(own.iter().map(|answer| answer.face_id.0).collect::<Vec<_>>(), [3, 2, 1]);
        catalog.record_events(&[event("e9", pool, a, 2, undo()), event("e10", pool, a, 3, undo())]).await.unwrap();
        assert_eq!(given(catalog, pool, a, 3, 60).await, [2, 3], "what was taken back is theirs again");
        let flags = catalog.list_open_flags(9).await.unwrap();
        assert_eq!((flags.len(), flags[0].note.as_str()), (1, "two faces?"));
    }
}

#[tokio::test]
async fn what_a_model_is_least_certain_of_is_given_first() {
    for engine in engines("uncertain").await {
        let catalog = &engine.catalog;
        import_faces(catalog, 3).await;
        let pool = pool_of(catalog, [(1, 1), (2, 2), (3, 3)].into_iter()).await;
        let sure = |face, uncertainty| SureSuggestion {
            face_id: FaceId(face),
            suggestion: Suggestion { expression: None, valence: None, arousal: None, by: "m".into() },
            confidence: 0.5,
            uncertainty,
        };
        catalog.record_suggestions(pool, &[sure(1, 0.1), sure(2, 0.9)]).await.unwrap();
        assert_eq!(
            catalog.list_unsuggested(pool, "m", (FaceId(0), FaceId(99)), 9).await.unwrap(),
            [FaceId(3)],
            "where it goes on"
        );
        assert_eq!(catalog.order_by_uncertainty(pool, "t", 5).await.unwrap(), 3);
        let a = annotator(catalog, "a").await;
        assert_eq!(given(catalog, pool, a, 9, 10).await, [2, 1, 3]);
    }
}

/// Gold faces come at the pool's rate, to everybody, and count for nothing in its progress.
#[tokio::test]
async fn gold_faces_are_mixed_in() {
    for engine in engines("gold").await {
        let catalog = &engine.catalog;
        import_faces(catalog, 300).await;
        let pool = pool_of(catalog, (1..=250).map(|face| (face, face))).await;
        let gold = |face| Gold { face_id: FaceId(face), expression: Expression::Fear, valence: None, arousal: None };
        catalog.set_gold(pool, &(251..=300).map(gold).collect::<Vec<_>>(), "t", 2).await.unwrap();
        assert_eq!(done(catalog, pool).await, (0, 500));
        for name in ["a", "b"] {
            let a = annotator(catalog, name).await;
            let faces = given(catalog, pool, a, 200, 10).await;
            let n_gold = faces.iter().filter(|face| **face > 250).count();
            assert!((20..=50).contains(&n_gold), "{n_gold} of 200 at one in six");
            let answers: Vec<AnswerEvent> =
                faces.iter().map(|face| event(&format!("{name}{face}"), pool, a, *face, happy())).collect();
            catalog.record_events(&answers).await.unwrap();
        }
        // Whoever asks for one face at a time gets gold at the same rate.
        let c = annotator(catalog, "c").await;
        let mut n_gold = 0;
        for step in 0..50 {
            for face in given(catalog, pool, c, 1, 10).await {
                n_gold += usize::from(face > 250);
                catalog.record_events(&[event(&format!("c{step}-{face}"), pool, c, face, happy())]).await.unwrap();
            }
        }
        assert!(n_gold <= 25, "{n_gold} gold faces in fifty requests at one in six");
        let (n_done, _) = done(catalog, pool).await;
        let rows = catalog.list_ratings(AnnotationId(0), 999).await.unwrap();
        assert_eq!(n_done, rows.iter().filter(|row| row.face_id.0 <= 250).count() as u64);
    }
}

#[tokio::test]
async fn an_invitation_makes_one_account_and_a_change_signs_it_out() {
    for engine in engines("people").await {
        let catalog = &engine.catalog;
        annotator(catalog, "a@x").await;
        let invitation = Invitation {
            token_sha256: hash(1),
            email: "b@x".into(),
            role: Role::Administrator,
            language: "fa".into(),
            expires_ms: 100,
        };
        catalog.insert_invitation(&invitation, None, 10).await.unwrap();
        assert_eq!(catalog.find_invitation(&hash(1), 100).await.unwrap(), None, "expired");
        let token = hash(1);
        let accept = || catalog.accept_invitation(&token, "B", "h", 20);
        let both = tokio::join!(accept(), accept());
        let made: Vec<_> = [both.0, both.1].into_iter().filter_map(|made| made.ok().flatten()).collect();
        assert_eq!(made.len(), 1);
        let b = &made[0];
        catalog.open_session(b, &hash(7), 1_000, 30).await.unwrap();
        assert_eq!(catalog.find_session(&hash(7), 40).await.unwrap().as_ref(), Some(b));
        assert_eq!(catalog.find_session(&hash(7), 1_000).await.unwrap(), None);
        let step_down = AccountChange::Role(Role::Annotator);
        assert!(!catalog.change_account(b.id, step_down, "t", 50).await.unwrap(), "the last administrator");
        assert!(catalog.change_account(b.id, AccountChange::Password("h2"), "t", 50).await.unwrap());
        assert_eq!(catalog.find_session(&hash(7), 60).await.unwrap(), None);
        assert_eq!(catalog.verify_audit().await.unwrap(), Ok(5));
    }
}

/// A project of the third version with data in it opens with this one, and nothing of it is lost.
#[tokio::test]
async fn a_catalogue_of_version_3_is_brought_forward_with_its_data() {
    const PORTABLE: [&str; 3] = [
        include_str!("../../migrations/0001_the_way.sql"),
        include_str!("../../migrations/0002_collect.sql"),
        include_str!("../../migrations/0003_faces_behind.sql"),
    ];
    let tails = [
        include_str!("../../migrations/0001_the_way.sqlite.sql"),
        include_str!("../../migrations/0001_the_way.postgres.sql"),
    ];
    let identities = ["integer primary key", "bigint generated always as identity primary key"];
    for (((url, _folder), tail), identity) in databases("from_3").await.into_iter().zip(tails).zip(identities) {
        run_sql(&url, &PORTABLE[0].replace("{identity}", identity)).await;
        run_sql(&url, tail).await;
        for script in &PORTABLE[1..] {
            run_sql(&url, &script.replace("{identity}", identity)).await;
        }
        let sha = hash(5);
        run_sql(
            &url,
            &format!(
                "create table schema_version (version bigint primary key);
                 insert into schema_version (version) values (1), (2), (3);
                 insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
                     values ('{sha}', 9, 4, 5, 'png', 6, 7);
                 insert into face (image_id, origin, x, y, width, height, created_ms) values (1, 'given', 0, 0, 4, 5, 7);
                 insert into annotator (name, kind) values ('a', 'person');
                 insert into annotation (face_id, annotator_id, origin, expression, created_ms) values (1, 1, 's:x', 2, 8);"
            ),
        )
        .await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let rows = catalog.list_ratings(AnnotationId(0), 9).await.unwrap();
        assert_eq!((rows.len(), rows[0].expression, rows[0].kind), (1, Some(Expression::Sad), AnnotatorKind::Person));
        let candidates = catalog.list_pool_candidates(FaceId(0), 9).await.unwrap();
        assert_eq!((candidates.len(), candidates[0].is_labelled), (1, true));
        let pool = pool_of(&catalog, [(1, 1)].into_iter()).await;
        let a = annotator(&catalog, "b").await;
        assert_eq!(given(&catalog, pool, a, 9, 10).await, [1]);
    }
}
