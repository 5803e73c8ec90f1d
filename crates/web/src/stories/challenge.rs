//! Does a challenge run from the first team to the final table, and does nothing on the way say a label?

use std::collections::HashSet;

use affectory_catalog::{ChallengeMetric, ChallengeTask, Half, Role, SubmissionState};
use affectory_core::{Expression, LabelSet, SubmissionId};
use affectory_evaluate::read_table;
use affectory_portal::challenge::{ChallengeError, ChallengeKey, ChallengeRequest, Scorer, make_challenge};
use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::said::Said;
use super::{Browser, Lab, NOW_MS, request, text};
use crate::access::Access;
use crate::routes::routes;

const DAY_MS: i64 = 86_400_000;
/// Images of the test set.
const N: usize = 400;

fn key() -> ChallengeKey {
    ChallengeKey::new([9; 32])
}

/// The category of an image.
fn label(n: usize) -> Expression {
    Expression::ALL[(n * 7 + n / 9) % 8]
}

/// The valence of an image, its digits like nothing else here.
fn valence(n: usize) -> f64 {
    ((n * 37) % 199) as f64 / 100.0 - 0.99 + 0.004_271_9
}

fn arousal(n: usize) -> f64 {
    ((n * 53) % 197) as f64 / 100.0 - 0.98 + 0.003_862_7
}

fn truth() -> String {
    let rows: String = (0..N).map(|n| format!("{n:03}.png,{},{},{}\n", label(n), valence(n), arousal(n))).collect();
    format!("image,expression,valence,arousal\n{rows}")
}

/// Answers of which the first `n_right` labels are right, and whose values are off by a fixed amount.
fn answers(n_right: usize) -> String {
    let row = |n: usize| {
        let guess = if n < n_right { label(n) } else { Expression::ALL[(label(n).index() + 1) % 8] };
        format!("{n:03}.png,{guess},{:.1},{:.1}\n", valence(n) * 0.5, arousal(n) * 0.5)
    };
    format!("image,expression,valence,arousal\n{}", (0..N).map(row).collect::<String>())
}

async fn made(lab: &Lab) {
    let challenge = ChallengeRequest {
        name: "faces".into(),
        title: "Faces <2027>".into(),
        rules: "Be kind.\n\nCite us.".into(),
        release: None,
        labels: LabelSet::eight(),
        metrics: vec![ChallengeMetric::Accuracy, ChallengeMetric::MeanCcc],
        per_day: 3,
        opens_ms: NOW_MS - DAY_MS,
        final_opens_ms: NOW_MS + DAY_MS,
        closes_ms: NOW_MS + 2 * DAY_MS,
        truth: read_table(truth().as_bytes(), "truth").unwrap(),
    };
    make_challenge(&lab.app.project, &key(), &challenge, [3; 24], NOW_MS).await.unwrap();
}

async fn score(lab: &Lab) {
    Scorer::open(&lab.app.project, &key(), "faces").await.unwrap().score_queued(NOW_MS).await.unwrap();
}

/// Hands a file in, as a browser's form does.
async fn submit(lab: &Lab, file: &str, browser: &Browser) -> (StatusCode, String) {
    let form = format!(
        "--x\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{}\r\n--x\r\ncontent-disposition: form-data; \
         name=\"file\"; filename=\"a<b>.csv\"\r\ncontent-type: text/csv\r\n\r\n{file}\r\n--x--\r\n",
        browser.csrf
    );
    let request = request(&Method::POST, "/challenges/faces/submissions", None)
        .header("cookie", format!("affectory={}", browser.token))
        .header("content-type", "multipart/form-data; boundary=x");
    text(lab.send(request.body(Body::from(form)).unwrap()).await).await
}

#[tokio::test]
async fn a_team_submits_is_refused_climbs_and_runs_out_of_quota() {
    let lab = Lab::new().await;
    made(&lab).await;
    let team = lab.browser(Role::Researcher).await;
    let (status, _) = lab.post("/challenges/faces/team", &[("name", "The <i>Net</i>works")], &team).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let page = async |browser: &Browser| lab.get("/challenges/faces/team", browser).await.1;

    let wrong = answers(200).replacen("015.png,", "015.png,hapy", 1);
    assert_eq!(submit(&lab, &wrong, &team).await.0, StatusCode::SEE_OTHER);
    let shown = page(&team).await;
    assert!(shown.contains("line 17: expression") && shown.contains("0 of 3 submissions made today"), "{shown}");
    assert!(shown.contains("a&lt;b&gt;.csv") && shown.contains("The &lt;i&gt;Net&lt;/i&gt;works"), "{shown}");

    for (n_right, told) in [(200, "expression: 0."), (150, "as before"), (320, "expression: 0.")] {
        assert_eq!(submit(&lab, &answers(n_right), &team).await.0, StatusCode::SEE_OTHER);
        assert!(page(&team).await.contains("queued"));
        score(&lab).await;
        assert!(page(&team).await.contains(told));
    }
    assert!(page(&team).await.contains("3 of 3 submissions made today"));
    let (status, told) = submit(&lab, &answers(400), &team).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(told.contains("all its submissions of today"), "{told}");

    // Another team by a link; both are on the board.
    let other = lab.browser(Role::Lead).await;
    let third = lab.browser(Role::Reviewer).await;
    lab.post("/challenges/faces/team", &[("name", "B")], &other).await;
    let (_, invited) = lab.post("/challenges/faces/team/invite", &[], &other).await;
    let link = invited.split("/team-invitation/").nth(1).unwrap()[..64].to_owned();
    assert_eq!(lab.post(&format!("/team-invitation/{link}"), &[], &third).await.0, StatusCode::SEE_OTHER);
    assert_eq!(lab.post(&format!("/team-invitation/{link}"), &[], &team).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(submit(&lab, &answers(318), &third).await.0, StatusCode::SEE_OTHER);
    score(&lab).await;
    let everybody =
        text(lab.send(request(&Method::GET, "/challenges/faces", None).body(Body::empty()).unwrap()).await).await.1;
    assert!(everybody.contains("(tied)") && everybody.contains("Be kind."), "{everybody}");
    let challenge = lab.app.project.catalog.find_challenge("faces").await.unwrap().unwrap();
    let board =
        lab.app.project.catalog.read_board(challenge.id, ChallengeTask::Expression, Half::Public).await.unwrap();
    assert_eq!(board.iter().map(|row| row.rank).collect::<Vec<_>>(), [1, 1], "two images apart");

    // A withdrawn one leaves the board, and the one before it comes back.
    let last = lab.app.project.catalog.list_submissions(challenge.id, None, 9).await.unwrap();
    let best = last.iter().filter(|row| row.team_id == board[0].team_id && row.state == SubmissionState::Scored);
    let id: SubmissionId = best.map(|row| row.id).max().unwrap();
    let owner = if last.iter().any(|row| row.id == id && row.team.starts_with("The")) { &team } else { &third };
    let stranger = lab.browser(Role::Annotator).await;
    let place = format!("/challenges/faces/submissions/{id}/withdraw");
    assert_eq!(lab.post(&place, &[], &stranger).await.0, StatusCode::NOT_FOUND);
    assert_eq!(lab.post(&place, &[], owner).await.0, StatusCode::SEE_OTHER);
    score(&lab).await;
    let board =
        lab.app.project.catalog.read_board(challenge.id, ChallengeTask::Expression, Half::Public).await.unwrap();
    assert!(board.iter().all(|row| row.submission_id != id) && board[0].rank == 1);
}

#[tokio::test]
async fn a_file_comes_in_only_with_the_page_s_token_and_within_the_limit() {
    let lab = Lab::new().await;
    made(&lab).await;
    let team = lab.browser(Role::Researcher).await;
    lab.post("/challenges/faces/team", &[("name", "A")], &team).await;
    let forged = Browser { token: team.token.clone(), csrf: "0".repeat(64) };
    assert_eq!(submit(&lab, &answers(9), &forged).await.0, StatusCode::FORBIDDEN);
    // A form with a file is nothing where no file is expected.
    let form = format!("--x\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{}\r\n--x--\r\n", team.csrf);
    let elsewhere = request(&Method::POST, "/challenges/faces/team/leave", None)
        .header("cookie", format!("affectory={}", team.token))
        .header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(lab.send(elsewhere.body(Body::from(form)).unwrap()).await.status(), StatusCode::FORBIDDEN);
    let send = |kind: &'static str, body: Vec<u8>| {
        let request = request(&Method::POST, "/challenges/faces/submissions", Some(&team)).header("content-type", kind);
        lab.send(request.body(Body::from(body)).unwrap())
    };
    assert_eq!(send("text/csv", answers(9).into_bytes()).await.status(), StatusCode::SEE_OTHER, "a program's way");
    let too_large = vec![b'x'; crate::pages::challenge::UPLOAD_LIMIT + 1];
    assert_eq!(send("text/csv", too_large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for body in [&b"--x"[..], b"--x\r\n\r\n", b"", b"--x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nzz"] {
        let status = send("multipart/form-data; boundary=x", body.to_vec()).await.status();
        assert!(matches!(status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::SEE_OTHER), "{status}");
    }
    // Valid but for the one; the broken ones are recorded as refused, or not at all.
    let challenge = lab.app.project.catalog.find_challenge("faces").await.unwrap().unwrap();
    assert_eq!(lab.app.project.catalog.list_queued(challenge.id, 9).await.unwrap().len(), 1);
}

/// Everything that a person, a program or a thief of the database can read is searched for the truth's values, whose
/// digits are like nothing else's, and for an image's name beside a category's that no submission gave it.
#[tokio::test]
async fn no_page_error_log_or_dump_says_a_label() {
    let said = Said::listen();
    let lab = Lab::new().await;
    made(&lab).await;
    let mut heard: Vec<(String, String)> = Vec::new();
    let team = lab.browser(Role::Researcher).await;
    lab.post("/challenges/faces/team", &[("name", "A")], &team).await;
    // Right, half right, broken in many ways: what is wrong is told without the truth.
    let files = [
        answers(100),
        "image,expression,valence,arousal\n".into(),
        "image,expression\n000.png,happy\n001.png,contempt\n001.png,sad\nnone.png,fear\n".into(),
        answers(300).replacen("happy", "hapy", 3),
        answers(300).replace(",sad,", ",,"),
        answers(350),
    ];
    for file in &files {
        heard.push(("an answer to a file".into(), submit(&lab, file, &team).await.1));
        score(&lab).await;
    }
    // Another key, and labels that were touched.
    let scorer = async |key: &ChallengeKey| Scorer::open(&lab.app.project, key, "faces").await;
    let other: Result<Scorer, ChallengeError> = scorer(&ChallengeKey::new([1; 32])).await;
    heard.push(("another key".into(), other.err().unwrap().to_string()));
    let sealed = lab.app.project.root.join("challenges/faces/labels.sealed");
    let whole = std::fs::read(&sealed).unwrap();
    let mut touched = whole.clone();
    touched[5000] ^= 1;
    std::fs::write(&sealed, &touched).unwrap();
    heard.push(("touched labels".into(), scorer(&key()).await.err().unwrap().to_string()));
    std::fs::write(&sealed, &whole).unwrap();

    for is_closed in [false, true] {
        if is_closed {
            let scorer = scorer(&key()).await.unwrap();
            heard.push(("closed too early".into(), scorer.close(false, NOW_MS).await.unwrap_err().to_string()));
            scorer.close(true, NOW_MS).await.unwrap();
        }
        for route in routes().iter().filter(|route| route.path != "/logout") {
            for role in [None].into_iter().chain(Role::ALL.map(Some)) {
                if !is_closed && route.path.ends_with("/leave") {
                    continue;
                }
                let places =
                    [("{challenge}", "faces"), ("{file}", "results.csv"), ("{name}", "app.css"), ("{token}", "0")];
                let path = places.iter().fold(route.path.to_owned(), |path, (place, with)| path.replace(place, with));
                let path: Vec<&str> =
                    path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
                let path = path.join("/");
                let browser = match role {
                    Some(role) => Some(lab.browser(role).await),
                    None => None,
                };
                if route.method == Method::POST && route.access != Access::Everybody && !path.contains("challenge") {
                    continue;
                }
                let asked = request(&route.method, &path, browser.as_ref()).body(Body::empty()).unwrap();
                heard.push((format!("{} {path} as {role:?}", route.method), text(lab.send(asked).await).await.1));
            }
        }
        let tables = lab.get("/challenges/faces/final/results.csv", &team).await;
        assert_eq!(tables.0 == StatusCode::OK, is_closed, "final tables are there after the close, and not before");
    }
    lab.app.project.catalog.checkpoint().await.unwrap();
    for name in
        ["catalog.sqlite", "catalog.sqlite-wal", "challenges/faces/inputs.csv", "challenges/faces/labels.sealed"]
    {
        let bytes = std::fs::read(lab.app.project.root.join(name)).unwrap_or_default();
        heard.push((name.into(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let log = said.text();
    heard.push(("the log".into(), log));

    let values: HashSet<String> =
        (0..N).flat_map(|n| [valence(n), arousal(n)]).map(|value| value.to_string()).collect();
    assert!(values.iter().all(|value| value.len() >= 6), "recognisable");
    let begin: HashSet<String> =
        values.iter().map(|value| value.trim_end_matches('0').chars().take(8).collect()).collect();
    for (what, text) in &heard {
        assert!(!begin.iter().any(|value| text.contains(value.as_str())), "{what} says a value of the truth");
        for n in (0..N).filter(|n| text.contains(&format!("{n:03}.png"))) {
            for place in text.match_indices(&format!("{n:03}.png")).map(|(place, _)| place) {
                let near: String = text[place..].chars().take(40).collect();
                let is_input = ["001.png,sad", "none.png"].iter().any(|own| near.starts_with(own));
                assert!(is_input || !near.contains(label(n).name()), "{what} says a category: {near}");
            }
        }
    }
    // The test can fail: the same search finds the truth in a submission that is right.
    assert!(begin.iter().any(|value| truth().contains(value.as_str())));
    assert!(heard.iter().any(|(what, text)| what.contains("/challenges/faces as") && text.contains("95 % interval")));
}
