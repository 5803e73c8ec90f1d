//! Do two servers before one catalogue count together, and is what happens once done by one of them?

use std::collections::HashSet;

use affectory_catalog::{
    AccountChange, AttemptLimit, Catalog, FaceRequest, LessonKind, LessonPicture, NewAccount, NewLesson, Role,
};
use affectory_core::{Expression, FaceId};

use crate::annotating::{import_faces, pool_of};
use crate::engines::{Engine, engines, hash};

/// The same catalogue, opened by another process.
async fn other(engine: &Engine) -> Catalog {
    Catalog::connect(&engine.url).await.unwrap()
}

async fn account(catalog: &Catalog, name: &str, role: Role) -> affectory_catalog::Account {
    let email = format!("{name}@lab.org");
    let new = NewAccount { email: &email, name, role, language: "en", password_hash: "x" };
    catalog.insert_account(&new, "test", 1).await.unwrap()
}

#[tokio::test]
async fn attempts_are_counted_together_and_swept_when_their_time_is_over() {
    for engine in engines("attempts").await {
        let servers = [&engine.catalog, &other(&engine).await];
        let limit = |who: u64, n: u32| AttemptLimit { of: hash(who), n, window_ms: 1_000 };
        for n in 0..5 {
            assert_eq!(servers[n % 2].count_attempt(&[limit(1, 8), limit(2, 5)], 10).await.unwrap(), None);
        }
        for server in servers {
            assert_eq!(server.count_attempt(&[limit(1, 8), limit(2, 5)], 500).await.unwrap(), Some(1_010));
        }
        // What was refused has not been counted under the other limit either.
        for n in 0..3 {
            assert_eq!(servers[n % 2].count_attempt(&[limit(1, 8), limit(3, 5)], 20).await.unwrap(), None);
        }
        assert_eq!(servers[0].count_attempt(&[limit(1, 8), limit(4, 5)], 30).await.unwrap(), Some(1_010));
        // Somebody got in: of their address one attempt less.
        servers[1].forgive_attempts(&hash(1), &hash(2)).await.unwrap();
        assert_eq!(servers[0].count_attempt(&[limit(1, 8), limit(2, 5)], 40).await.unwrap(), None);
        assert_eq!(servers[0].count_attempt(&[limit(1, 8)], 50).await.unwrap(), Some(1_010));
        // A window that is over begins anew, swept or not.
        assert_eq!(servers[1].count_attempt(&[limit(1, 1)], 1_010).await.unwrap(), None);
        assert_eq!(servers[1].sweep_attempts(1_040).await.unwrap(), 2, "that of the account, and of the third");
        assert_eq!(servers[0].count_attempt(&[limit(1, 1)], 1_100).await.unwrap(), Some(2_010));
        assert_eq!(servers[1].sweep_attempts(2_010).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn many_attempts_at_the_same_moment_are_not_more_than_one_after_the_other() {
    for engine in engines("at_once").await {
        let servers = [engine.catalog.clone(), other(&engine).await];
        let attempts = (0..40).map(|n| {
            let server = servers[n % 2].clone();
            tokio::spawn(async move {
                let limits = [hash(1), hash(2)].map(|of| AttemptLimit { of, n: 5, window_ms: 1_000 });
                server.count_attempt(&limits, 10).await.unwrap().is_none()
            })
        });
        let attempts: Vec<_> = attempts.collect();
        let mut n_let_through = 0;
        for attempt in attempts {
            n_let_through += u32::from(attempt.await.unwrap());
        }
        assert_eq!(n_let_through, 5);
    }
}

#[tokio::test]
async fn of_two_administrators_who_end_each_other_one_stays() {
    for engine in engines("administrators").await {
        let servers = [&engine.catalog, &other(&engine).await];
        let mut left = account(servers[0], "first", Role::Administrator).await;
        for round in 0..10 {
            let new = account(servers[0], &format!("next{round}"), Role::Administrator).await;
            let end = |server: usize, id| servers[server].change_account(id, AccountChange::Disabled(true), "test", 2);
            let (first, second) = tokio::join!(end(0, left.id), end(1, new.id));
            let (first, second) = (first.unwrap(), second.unwrap());
            assert_ne!(first, second, "round {round}");
            left = if first { new } else { left };
        }
    }
}

#[tokio::test]
async fn two_servers_that_start_at_once_write_the_first_lessons_once() {
    for engine in engines("lessons").await {
        let servers = [&engine.catalog, &other(&engine).await];
        import_faces(servers[0], 1).await;
        let lessons = [NewLesson {
            kind: LessonKind::Tutorial,
            picture: LessonPicture::Face(FaceId(1)),
            expression: Expression::Contempt,
            valence: None,
            arousal: None,
            explanation: String::new(),
        }];
        let start = |server: usize| servers[server].insert_first_lessons(&lessons, "program", 1);
        let (first, second) = tokio::join!(start(0), start(1));
        assert_eq!(u32::from(first.unwrap()) + u32::from(second.unwrap()), 1);
        assert_eq!(servers[0].list_lessons(LessonKind::Tutorial).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn two_servers_give_no_face_to_more_annotators_than_it_wants() {
    for engine in engines("given_by_two").await {
        let servers = [engine.catalog.clone(), other(&engine).await];
        import_faces(&servers[0], 60).await;
        // Each wants two.
        let pool_id = pool_of(&servers[0], (1..=60).map(|face| (face, face))).await;
        let mut annotators = Vec::new();
        for n in 0..6 {
            annotators.push(account(&servers[0], &format!("a{n}"), Role::Annotator).await.annotator_id);
        }
        let asking = annotators.into_iter().flat_map(|annotator_id| {
            // The same person in a tab at each server.
            servers.clone().map(|server| {
                tokio::spawn(async move {
                    let (mut after_place, mut given) = (0, HashSet::new());
                    for limit in [3, 12, 24] {
                        let request = FaceRequest {
                            pool_id,
                            annotator_id,
                            limit,
                            after_place,
                            gold_percent: 0,
                            seed: 1,
                            lease_end_ms: 1_000,
                        };
                        let answer = server.give_faces(&request, 10).await.unwrap();
                        after_place = answer.passed_place;
                        given.extend(answer.faces.iter().map(|(face, _)| (annotator_id, *face)));
                    }
                    given
                })
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut given = HashSet::new();
        for asked in asking {
            given.extend(asked.await.unwrap());
        }
        for face in (1..=60).map(FaceId) {
            let n_given = given.iter().filter(|(_, other)| *other == face).count();
            assert!(n_given <= 2, "{face} went to {n_given}");
        }
        assert!(given.len() > 60, "{} were given", given.len());
    }
}
