//! Does an annotator see what they should, when they should?

use affectory_catalog::{Role, Suggestion, SureSuggestion};
use affectory_core::{Expression, FaceId, WAY};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::said::Said;
use super::{Lab, pool_of};

fn answer(pool: i64, face: i64) -> Value {
    json!({ "events": [{ "id": format!("answer-{pool}-{face}"), "kind": "answer", "pool": pool, "face": face,
        "expression": 9, "elapsed_ms": 700 }] })
}

#[tokio::test]
async fn a_model_is_heard_before_the_decision_only_where_the_lab_turned_assistance_on() {
    for is_assisted in [false, true] {
        let lab = Lab::new().await;
        let pool = pool_of(&lab.app.project, "another", is_assisted).await;
        let thought = Suggestion { expression: Some(Expression::Sad), valence: None, arousal: None, by: "m".into() };
        let sure = |face| SureSuggestion {
            face_id: FaceId(face),
            suggestion: thought.clone(),
            confidence: 0.9,
            uncertainty: 0.1,
        };
        lab.app.project.catalog.record_suggestions(pool, &[sure(1), sure(2)]).await.unwrap();
        let annotator = lab.browser(Role::Annotator).await;
        let (_, given) = lab.api(&format!("/api/pools/{pool}/next"), json!({ "n": 1 }), &annotator).await;
        let before = &given["faces"][0]["suggestion"];
        let face = given["faces"][0]["face"].as_i64().unwrap();
        let (_, answered) = lab.api("/api/events", answer(pool.0, face), &annotator).await;
        let after = &answered["results"][0]["suggestion"];
        let (shown, hidden) = if is_assisted { (before, after) } else { (after, before) };
        assert_eq!((shown["expression"].as_i64(), hidden), (Some(2), &Value::Null), "assistance: {is_assisted}");
        assert_eq!(answered["progress"]["done"], 1);
    }
}

#[tokio::test]
async fn the_figures_follow_the_answers() {
    let lab = Lab::new().await;
    let annotator = lab.browser(Role::Annotator).await;
    let (_, given) = lab.api(&format!("/api/pools/{}/next", lab.pool), json!({ "n": 2 }), &annotator).await;
    for face in given["faces"].as_array().unwrap() {
        let (status, _) = lab.api("/api/events", answer(lab.pool.0, face["face"].as_i64().unwrap()), &annotator).await;
        assert_eq!(status, StatusCode::OK);
    }
    let reviewer = lab.browser(Role::Reviewer).await;
    for round in 0.. {
        assert!(round < 200, "the figures did not follow within ten seconds");
        let (status, page) = lab.get("/api/agreement", &reviewer).await;
        let figures: Value = serde_json::from_str(&page).unwrap();
        if status == StatusCode::OK && figures["n_annotations"] == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (_, page) = lab.get("/", &annotator).await;
    assert!(page.contains("2 / 2"), "the pool is done: {page}");
    let (_, given) = lab.api(&format!("/api/pools/{}/next", lab.pool), json!({ "n": 2 }), &annotator).await;
    assert_eq!(given["state"], "finished");
}

#[tokio::test]
async fn whoever_follows_an_image_learns_that_it_was_annotated_and_not_by_whose_name_or_how() {
    let said = Said::listen();
    let lab = Lab::new().await;
    let annotator = lab.browser(Role::Annotator).await;
    let (_, given) = lab.api(&format!("/api/pools/{}/next", lab.pool), json!({ "n": 1 }), &annotator).await;
    let face = given["faces"][0]["face"].as_i64().unwrap();
    let image = lab.app.project.catalog.find_face_picture(FaceId(face)).await.unwrap().unwrap().image_sha256;
    // Sent twice, it is one answer.
    for _ in 0..2 {
        lab.api("/api/events", answer(lab.pool.0, face), &annotator).await;
    }
    let mut told = Vec::new();
    for _ in 0..1_000 {
        told = said.text().lines().filter(|line| line.contains(WAY)).map(str::to_owned).collect();
        if !told.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let [line] = &told[..] else { panic!("told {} times: {told:?}", told.len()) };
    assert!(line.contains(&format!("step=\"annotate\" hash=\"{image}\"")), "{line}");
    assert!(line.contains("part.look=700000") && line.contains(&format!("face={face} annotator=")), "{line}");
    assert!(!line.contains("lab.org") && !line.contains("expression"), "{line}");
}
