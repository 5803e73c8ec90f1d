//! What may a personal token open, and what does a portal tell strangers?

use affectory_catalog::{LinkWord, Role};
use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::{Lab, NOW_MS, request, text};
use crate::access::{Access, TOKEN_PREFIX};
use crate::app::token_hash;
use crate::routes::routes;

/// A path with something in each of its places.
fn example(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_token_opens_the_files_it_is_for_and_no_page() {
    let lab = Lab::new().await;
    let accounts = lab.app.project.catalog.list_accounts().await.unwrap();
    // An administrator's, who may open every page with a session.
    let owner = accounts.iter().find(|account| account.role == Role::Administrator).unwrap();
    let token = format!("{TOKEN_PREFIX}{}", "7".repeat(64));
    let word = LinkWord { sha256: token_hash(&token), expires_ms: NOW_MS + 1 };
    lab.app.project.catalog.insert_token(owner, "t", &word, NOW_MS).await.unwrap();
    for route in routes() {
        let path = example(route.path);
        for (token, is_known) in [(token.clone(), true), (format!("{TOKEN_PREFIX}{}", "8".repeat(64)), false)] {
            let asked = request(&route.method, &path, None).header("authorization", format!("Bearer {token}"));
            let status = lab.send(asked.body(Body::empty()).unwrap()).await.status();
            let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER | StatusCode::FORBIDDEN);
            match route.access {
                Access::Everybody => {}
                Access::AccountOrToken => assert_eq!(is_refused, !is_known, "{path}: {status}"),
                Access::AtLeast(_) => assert!(is_refused, "{} {path}: {status}", route.method),
            }
        }
    }
    lab.app.project.catalog.revoke_token(affectory_core::TokenId(1), owner, NOW_MS).await.unwrap();
    let asked = request(&Method::GET, "/files/1", None).header("authorization", format!("Bearer {token}"));
    assert_eq!(lab.send(asked.body(Body::empty()).unwrap()).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn whether_an_address_has_an_account_is_told_to_nobody_who_asks() {
    let lab = Lab::new().await;
    let form = |email: &str| {
        let fields = [("email", email), ("which", "x"), ("reason", "")];
        let body = serde_urlencoded::to_string(fields).unwrap();
        request(&Method::POST, "/withdraw", None)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    };
    let known = text(lab.send(form("administrator@lab.org")).await).await;
    let unknown = text(lab.send(form("administratos@lab.org")).await).await;
    assert_eq!((known.0, known.1.replace("administrator@", "administratos@")), unknown);
    // The twenty-first of an hour from one address waits.
    for _ in 0..18 {
        assert_eq!(lab.send(form("a@b.org")).await.status(), StatusCode::OK);
    }
    assert_eq!(lab.send(form("a@b.org")).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
