//! Do teams, quotas, scores and boards keep their promises on both engines?

use affectory_catalog::{
    Account, BoardRow, Catalog, ChallengeMetric, ChallengeRow, ChallengeTask, Half, NewAccount, NewChallenge, NewScore,
    NewSubmission, Phase, Role, SubmissionOutcome, SubmissionState, TeamOutcome,
};
use affectory_core::{SubmissionId, TeamId};

use crate::engines::{databases, engines, hash, run_sql};

const DAY_MS: i64 = 86_400_000;

fn challenge() -> NewChallenge {
    NewChallenge {
        name: "c".into(),
        title: "C".into(),
        rules: String::new(),
        release: None,
        labels: "happy,sad".into(),
        metrics: vec![ChallengeMetric::MeanCcc, ChallengeMetric::Accuracy],
        n_inputs: 9,
        inputs_sha256: hash(1),
        sealed_sha256: hash(2),
        per_day: 3,
        opens_ms: 10 * DAY_MS,
        final_opens_ms: 20 * DAY_MS,
        closes_ms: 30 * DAY_MS,
    }
}

async fn person(catalog: &Catalog, name: &str) -> Account {
    let new = NewAccount { email: name, name, role: Role::Researcher, language: "en", password_hash: "x" };
    catalog.insert_account(&new, "t", 1).await.unwrap()
}

async fn team_of(catalog: &Catalog, challenge: &ChallengeRow, name: &str, account: &Account) -> TeamId {
    match catalog.insert_team(challenge.id, name, account, 2).await.unwrap() {
        TeamOutcome::Joined(team) => team.id,
        other => panic!("{other:?}"),
    }
}

async fn submit(
    catalog: &Catalog,
    challenge: &ChallengeRow,
    by: &Account,
    valid: bool,
    now_ms: i64,
) -> SubmissionOutcome {
    let (sha256, problems) = (hash(7), ["line 3: no".to_owned()]);
    let new = NewSubmission {
        challenge_id: challenge.id,
        account_id: by.id,
        sha256: valid.then_some(&sha256),
        file_name: "f.csv",
        size_bytes: 5,
        problems: if valid { &[] } else { &problems },
    };
    catalog.submit(&new, by, now_ms).await.unwrap()
}

fn recorded(outcome: SubmissionOutcome) -> SubmissionId {
    match outcome {
        SubmissionOutcome::Recorded(id) => id,
        other => panic!("{other:?}"),
    }
}

fn score(shown: f64) -> NewScore {
    NewScore {
        task: ChallengeTask::Expression,
        public_shown: Some(shown),
        is_accepted: true,
        public_true: 0.123_456_789_012_345,
        private_true: 0.5,
        detail: "{}".into(),
    }
}

#[tokio::test]
async fn two_at_once_do_not_get_around_the_quota() {
    for engine in engines("day_quota").await {
        let other = Catalog::connect(&engine.url).await.unwrap();
        let catalog = &engine.catalog;
        let made = catalog.insert_challenge(&challenge(), 1).await.unwrap();
        assert!(catalog.insert_challenge(&challenge(), 1).await.is_err(), "a name is used once");
        let found = catalog.find_challenge("c").await.unwrap().unwrap();
        assert_eq!(found, made, "as it was made, its tasks in their order");
        let a = person(catalog, "a").await;
        assert_eq!(submit(catalog, &made, &a, true, 11 * DAY_MS).await, SubmissionOutcome::NoTeam);
        let team = team_of(catalog, &made, "A", &a).await;
        for (now_ms, phase) in [(9 * DAY_MS, Phase::Announced), (30 * DAY_MS, Phase::Ended)] {
            assert_eq!(made.phase(now_ms), phase);
            assert_eq!(submit(catalog, &made, &a, true, now_ms).await, SubmissionOutcome::NotOpen);
        }
        let now_ms = 11 * DAY_MS + 5;
        let all = (0..12).map(|n| {
            let (catalog, made, a) =
                (if n % 2 == 0 { catalog.clone() } else { other.clone() }, made.clone(), a.clone());
            tokio::spawn(async move { submit(&catalog, &made, &a, true, now_ms).await })
        });
        let mut n_recorded = 0;
        for one in all.collect::<Vec<_>>() {
            n_recorded += usize::from(matches!(one.await.unwrap(), SubmissionOutcome::Recorded(_)));
        }
        assert_eq!(n_recorded, 3);
        assert_eq!(catalog.count_submissions_of_day(team, now_ms).await.unwrap(), 3);
        let midnight = 12 * DAY_MS;
        assert_eq!(submit(catalog, &made, &a, true, midnight - 1).await, SubmissionOutcome::QuotaUsed);
        recorded(submit(catalog, &made, &a, false, midnight).await);
        assert_eq!(catalog.count_submissions_of_day(team, midnight).await.unwrap(), 0, "a refused file does not count");
        for _ in 0..99 {
            recorded(submit(catalog, &made, &a, false, midnight).await);
        }
        assert_eq!(submit(catalog, &made, &a, false, midnight).await, SubmissionOutcome::TooManyRefused);
        let rows = catalog.list_submissions(made.id, Some(team), 1).await.unwrap();
        assert_eq!(
            (rows[0].state, rows[0].problems.as_slice()),
            (SubmissionState::Refused, ["line 3: no".into()].as_slice())
        );
        assert!(catalog.verify_audit().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn scores_are_recorded_once_and_never_of_what_was_withdrawn() {
    for engine in engines("scored").await {
        let catalog = &engine.catalog;
        let made = catalog.insert_challenge(&challenge(), 1).await.unwrap();
        let (a, b) = (person(catalog, "a").await, person(catalog, "b").await);
        let team = team_of(catalog, &made, "A <b>", &a).await;
        team_of(catalog, &made, "B", &b).await;
        let now_ms = 11 * DAY_MS;
        let first = recorded(submit(catalog, &made, &a, true, now_ms).await);
        let second = recorded(submit(catalog, &made, &a, true, now_ms).await);
        assert!(!catalog.withdraw_submission(second, &b, now_ms).await.unwrap(), "not theirs");
        assert!(catalog.withdraw_submission(second, &a, now_ms).await.unwrap());
        assert_eq!(
            catalog.list_queued(made.id, 9).await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(),
            [first]
        );
        assert!(!catalog.record_scores(second, &[score(0.5)], now_ms).await.unwrap(), "withdrawn meanwhile");
        assert!(catalog.record_scores(first, &[score(0.61)], now_ms).await.unwrap());
        assert!(!catalog.record_scores(first, &[score(0.99)], now_ms).await.unwrap(), "a second scorer comes too late");
        let scores = catalog.list_scores(made.id).await.unwrap();
        assert_eq!((scores.len(), scores[0].team_id, &scores[0].score), (1, team, &score(0.61)));
        assert_eq!(catalog.find_submission_object(first).await.unwrap(), Some(hash(7)));

        let row = |submission_id| BoardRow {
            team_id: team,
            team: String::new(),
            submission_id,
            rank: 1,
            is_tied: false,
            score: 0.61,
            low: 0.5,
            high: 0.7,
        };
        catalog.write_board(made.id, ChallengeTask::Expression, &[row(first)], now_ms).await.unwrap();
        let board = |half| async move { catalog.read_board(made.id, ChallengeTask::Expression, half).await.unwrap() };
        assert_eq!(board(Half::Public).await, [BoardRow { team: "A <b>".into(), ..row(first) }]);
        let made = catalog.find_challenge("c").await.unwrap().unwrap();
        let third = recorded(submit(catalog, &made, &a, true, now_ms).await);
        let boards = vec![(ChallengeTask::Expression, vec![row(first)])];
        assert!(!catalog.close_challenge(&made, &boards, now_ms).await.unwrap(), "one still waits");
        assert!(catalog.refuse_submission(third, "no", now_ms).await.unwrap());
        assert!(catalog.close_challenge(&made, &boards, now_ms).await.unwrap());
        assert!(!catalog.close_challenge(&made, &boards, now_ms).await.unwrap());
        assert_eq!(board(Half::Private).await.len(), 1);
        assert!(!catalog.withdraw_submission(first, &a, now_ms).await.unwrap(), "what is closed is closed");
        assert!(catalog.verify_audit().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn nobody_is_in_two_teams_and_whoever_submitted_stays_bound() {
    for engine in engines("teams").await {
        let catalog = &engine.catalog;
        let made = catalog.insert_challenge(&challenge(), 1).await.unwrap();
        let (a, b) = (person(catalog, "a").await, person(catalog, "b").await);
        let team = team_of(catalog, &made, "A", &a).await;
        assert_eq!(catalog.insert_team(made.id, "A", &b, 2).await.unwrap(), TeamOutcome::NameTaken);
        assert_eq!(catalog.insert_team(made.id, "A2", &a, 2).await.unwrap(), TeamOutcome::AlreadyBound);
        assert!(!catalog.insert_team_invitation(made.id, &hash(1), &b, 100, 2).await.unwrap());
        assert!(catalog.insert_team_invitation(made.id, &hash(1), &a, 100, 2).await.unwrap());
        assert_eq!(catalog.find_team_invitation(&hash(1), 100).await.unwrap(), None, "expired");
        let joined = catalog.accept_team_invitation(&hash(1), &b, 50).await.unwrap();
        assert!(matches!(joined, TeamOutcome::Joined(joined) if joined.id == team));
        assert_eq!(catalog.accept_team_invitation(&hash(1), &b, 50).await.unwrap(), TeamOutcome::NoInvitation);
        // Before the team has submitted, whoever leaves is free.
        assert!(catalog.leave_team(made.id, &b, 60).await.unwrap());
        assert_eq!(catalog.find_team_of(made.id, b.id).await.unwrap(), None);
        assert!(catalog.insert_team_invitation(made.id, &hash(2), &a, 100, 2).await.unwrap());
        assert!(matches!(catalog.accept_team_invitation(&hash(2), &b, 70).await.unwrap(), TeamOutcome::Joined(_)));
        recorded(submit(catalog, &made, &a, true, 11 * DAY_MS).await);
        assert!(catalog.leave_team(made.id, &b, 80).await.unwrap());
        assert!(!catalog.leave_team(made.id, &b, 80).await.unwrap());
        assert_eq!(catalog.insert_team(made.id, "B", &b, 90).await.unwrap(), TeamOutcome::AlreadyBound);
        assert_eq!(submit(catalog, &made, &b, true, 11 * DAY_MS).await, SubmissionOutcome::NoTeam);
        let members = catalog.list_members(team).await.unwrap();
        assert_eq!(members.iter().map(|member| member.left_ms).collect::<Vec<_>>(), [None, Some(80)]);
    }
}

/// A project of the version before opens with this one, and what it had stays.
#[tokio::test]
async fn a_catalogue_of_version_5_is_brought_forward_with_its_data() {
    const PORTABLE: [&str; 5] = [
        include_str!("../../migrations/0001_the_way.sql"),
        include_str!("../../migrations/0002_collect.sql"),
        include_str!("../../migrations/0003_faces_behind.sql"),
        include_str!("../../migrations/0004_annotate.sql"),
        include_str!("../../migrations/0005_portal.sql"),
    ];
    let tails = [
        include_str!("../../migrations/0001_the_way.sqlite.sql"),
        include_str!("../../migrations/0001_the_way.postgres.sql"),
    ];
    let identities = ["integer primary key", "bigint generated always as identity primary key"];
    for (((url, _folder), tail), identity) in databases("from_5").await.into_iter().zip(tails).zip(identities) {
        for (place, script) in PORTABLE.iter().enumerate() {
            run_sql(&url, &script.replace("{identity}", identity)).await;
            if place == 0 {
                run_sql(&url, tail).await;
            }
        }
        run_sql(
            &url,
            &format!(
                "create table schema_version (version bigint primary key);
                 insert into schema_version (version) values (1), (2), (3), (4), (5);
                 insert into annotator (name, kind) values ('person/0001', 'person');
                 insert into account (email, name, role, language, password_hash, annotator_id, created_ms)
                     values ('old@x', 'Old', 'researcher', 'en', 'h', 1, 3);
                 insert into release (name, manifest_sha256, seed, labels, parameters, n_items, built_ms)
                     values ('r1', '{}', 1, 'happy,sad', '{{}}', 0, 4);",
                hash(3)
            ),
        )
        .await;
        let catalog = Catalog::connect(&url).await.unwrap();
        let (old, _) = catalog.find_login("old@x").await.unwrap().unwrap();
        let made =
            catalog.insert_challenge(&NewChallenge { release: Some("r1".into()), ..challenge() }, 5).await.unwrap();
        team_of(&catalog, &made, "Old team", &old).await;
        recorded(submit(&catalog, &made, &old, true, 11 * DAY_MS).await);
        assert_eq!(catalog.find_release("r1").await.unwrap().built_ms, 4);
    }
}
