//! What does hostile input come to: scripts in names, stolen cookies, strange paths, endless bodies, slow clients?

use std::time::{Duration, Instant};

use affectory_catalog::{ImportItem, NewAnnotation, NewFace, NewImage, NewSighting, Role};
use affectory_core::{AnnotationId, BoundingBox, Expression, PerceptualHash, Stop};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Lab, NOW_MS, PASSWORD, pool_of, text};
use crate::access::BODY_LIMIT;
use crate::app::token_hash;

const SCRIPT: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'";

/// Whether a page holds the hostile text as markup.
fn holds_markup(page: &str) -> bool {
    page.contains("<script>alert") || page.contains("<img src=x")
}

#[tokio::test]
async fn scripts_in_names_notes_and_imported_data_are_shown_as_text() {
    let lab = Lab::new().await;
    lab.account("mallory", SCRIPT, Role::Lead).await;
    let pool = pool_of(&lab.app.project, SCRIPT, false).await;
    // The annotator's name comes from an import's files.
    let item = ImportItem {
        image: NewImage {
            sha256: token_hash("x"),
            phash: PerceptualHash(1),
            width: 9,
            height: 9,
            format: "png".into(),
            size_bytes: 1,
        },
        sighting: NewSighting {
            source: SCRIPT.into(),
            path: SCRIPT.into(),
            page_url: None,
            license: None,
            given_split: None,
        },
        faces: vec![NewFace {
            bounding_box: BoundingBox::new(0.0, 0.0, 9.0, 9.0).unwrap(),
            landmarks: None,
            annotations: vec![NewAnnotation {
                annotator: SCRIPT.into(),
                kind: affectory_catalog::AnnotatorKind::Imported,
                expression: Some(Expression::Happy),
                valence: None,
                arousal: None,
            }],
        }],
    };
    lab.app.project.catalog.record_import(&[item], NOW_MS).await.unwrap();
    let annotator = lab.browser(Role::Annotator).await;
    let (_, given) = lab.api(&format!("/api/pools/{pool}/next"), json!({ "n": 1 }), &annotator).await;
    let face = given["faces"][0]["face"].as_i64().unwrap();
    let flag = json!({ "events": [{ "id": "11111111", "kind": "flag", "pool": pool, "face": face, "note": SCRIPT }] });
    let (_, outcome) = lab.api("/api/events", flag, &annotator).await;
    assert_eq!(outcome["results"][0]["status"], "recorded");

    let administrator = lab.browser(Role::Administrator).await;
    // The figures are computed beside the pages.
    while lab.app.figures().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pages = ["/people", "/flags", "/pools", "/quality", "/", "/audit", "/adjudicate/3", "/quality/annotators/7"];
    for path in pages.map(str::to_owned).into_iter().chain([format!("/annotate/{pool}")]) {
        let (status, page) = lab.get(&path, &administrator).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(page.contains("alert(1)"), "{path} shows the text");
        assert!(!holds_markup(&page), "{path}: {page}");
    }
    let (_, page) = lab.get("/login?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", &administrator).await;
    assert!(!holds_markup(&page));
}

#[tokio::test]
async fn signing_in_takes_a_fresh_token_and_too_many_tries_wait() {
    let lab = Lab::new().await;
    let planted = "ab".repeat(32);
    let sign_in = |password: &'static str| {
        let form = serde_urlencoded::to_string([("email", "lead@lab.org"), ("password", password), ("next", "//evil")]);
        Request::post("/login")
            .header("cookie", format!("affectory={planted}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.unwrap()))
            .unwrap()
    };
    let response = lab.send(sign_in(PASSWORD)).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/", "never to another site");
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains(&planted));
    assert_eq!(lab.app.project.catalog.find_session(&token_hash(&planted), NOW_MS).await.unwrap(), None);
    for _ in 0..5 {
        assert_eq!(lab.send(sign_in("wrong")).await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(lab.send(sign_in(PASSWORD)).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn strange_paths_and_faces_of_others_are_not_there() {
    let lab = Lab::new().await;
    let annotator = lab.browser(Role::Annotator).await;
    for path in [
        "/faces/..%2f..%2fcatalog.sqlite/crop",
        "/faces/%2e%2e/crop",
        "/faces/1%00/crop",
        "/faces/99999999999999999999/crop",
        "/faces/-1/crop",
        "/faces/1/crop",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2fetc%2fpasswd",
        "/lessons/77/picture",
    ] {
        let (status, _) = lab.get(path, &annotator).await;
        assert!(matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST), "{path}: {status}");
    }
    let (_, given) = lab.api(&format!("/api/pools/{}/next", lab.pool), json!({ "n": 1 }), &annotator).await;
    let face = given["faces"][0]["face"].as_i64().unwrap();
    assert_eq!(lab.get(&format!("/faces/{face}/crop"), &annotator).await.0, StatusCode::OK);
    assert_eq!(lab.get(&format!("/faces/{}/crop", 3 - face), &annotator).await.0, StatusCode::NOT_FOUND);
    let picture = lab.app.project.catalog.find_face_picture(affectory_core::FaceId(face)).await.unwrap().unwrap();
    lab.app.project.catalog.withdraw_image(&picture.image_sha256, "asked", NOW_MS).await.unwrap();
    assert_eq!(lab.get(&format!("/faces/{face}/crop"), &annotator).await.0, StatusCode::GONE);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_refused_one_by_one_and_the_rest_is_recorded() {
    let lab = Lab::new().await;
    let annotator = lab.browser(Role::Annotator).await;
    let (_, given) = lab.api(&format!("/api/pools/{}/next", lab.pool), json!({ "n": 2 }), &annotator).await;
    assert_eq!(given["faces"].as_array().unwrap().len(), 2);
    let event = |id: &str, more: serde_json::Value| {
        let mut event = json!({ "id": id, "kind": "answer", "pool": lab.pool, "face": 1, "expression": 1,
            "valence": 0.5, "arousal": 0.25, "elapsed_ms": 1e300, "age_ms": -5 });
        more.as_object().unwrap().iter().for_each(|(name, value)| event[name] = value.clone());
        event
    };
    let events = json!({ "events": [
        event("aaaaaaaa", json!({ "valence": 1.5 })),
        event("bbbbbbbb", json!({ "arousal": null })),
        event("cccccccc", json!({ "expression": 8 })),
        event("dddddddd", json!({ "expression": 11 })),
        event("eeeeeeee", json!({ "kind": "delete" })),
        event("<b>", json!({})),
        event("ffffffff", json!({ "face": 77 })),
        event("gggggggg", json!({})),
        event("gggggggg", json!({})),
    ] });
    let (status, answer) = lab.api("/api/events", events, &annotator).await;
    assert_eq!(status, StatusCode::OK);
    let statuses: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(&statuses[..7], ["refused"; 7]);
    assert_eq!(&statuses[7..], ["recorded", "repeated"]);
    let log = lab.app.project.catalog.list_ratings(AnnotationId(0), 9).await.unwrap();
    assert_eq!((log.len(), log[0].elapsed_ms), (1, Some(600_000)));
    // The one before it, of a face that is not theirs, had its place in the order.
    assert_eq!(log[0].created_ms, NOW_MS + 1);
    let (status, _) = lab.api("/api/events", json!([1]), &annotator).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let lab = Lab::new().await;
    let browser = lab.browser(Role::Administrator).await;
    let large = "x".repeat(BODY_LIMIT + 1);
    assert_eq!(lab.post("/flags/1", &[("resolution", &large)], &browser).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(lab.api("/api/events", json!({ "events": large }), &browser).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let request = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
    let form = format!("email={large}&password=x");
    assert_eq!(text(lab.send(request.body(Body::from(form)).unwrap()).await).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

/// The server gives up on them; others are served meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_hung_up_on() {
    let lab = Lab::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Stop::default();
    let server = tokio::spawn(crate::serve(lab.app.clone(), listener, stop.clone()));
    let half_headers = "GET /healthz HTTP/1.1\r\nhost: lab\r\nx-slow";
    let half_body = "POST /login HTTP/1.1\r\nhost: lab\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                     content-length: 1000\r\n\r\nemail=";
    for sent in [half_headers, half_body] {
        let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
        slow.write_all(sent.as_bytes()).await.unwrap();
        let mut quick = tokio::net::TcpStream::connect(address).await.unwrap();
        quick.write_all(b"GET /healthz HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        quick.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let began = Instant::now();
        let mut rest = Vec::new();
        // However it hangs up: with an answer, or without one.
        let _ = tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await.expect("hung up");
        assert!(began.elapsed() < Duration::from_secs(20));
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    }
    stop.request();
    server.await.unwrap().unwrap();
}
