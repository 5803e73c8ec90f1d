//! Does every route let in whom it should, and nobody else?

use affectory_catalog::Role;
use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::{Lab, request};
use crate::access::Access;
use crate::routes::{Route, routes};

/// The rules, written down a second time on purpose: a new route, or a rule that changes, is a decision to be made here.
const RULES: &str = "
everybody       GET  /assets/{name}
everybody       GET  /healthz
everybody       GET  /invitation/{token}
everybody       POST /invitation/{token}
everybody       GET  /data
everybody       GET  /data/{release}
everybody       GET  /data/{release}/{file}
everybody       GET  /data/{release}/samples/{item}
everybody       GET  /withdraw
everybody       POST /withdraw
everybody       GET  /request/{release}
everybody       POST /request/{release}
everybody       GET  /request/confirm/{token}
everybody       POST /request/confirm/{token}
everybody       GET  /join/{token}
everybody       POST /join/{token}
everybody       GET  /login
everybody       POST /login
researcher      POST /logout
researcher      GET  /
researcher      GET  /account
researcher      POST /account/language
researcher      POST /account/password
researcher      GET  /access
researcher      GET  /access/requests/{request}/agreement.pdf
researcher      POST /access/requests/{request}/signed
researcher      POST /access/requests/{request}/answer
researcher      POST /access/requests/{request}/withdraw
researcher      POST /access/grants/{grant}/members
researcher      POST /access/grants/{grant}/members/{member}/remove
researcher      POST /access/grants/{grant}/renew
researcher      POST /access/tokens
researcher      POST /access/tokens/{token}/end
account/token   GET  /files/{grant}
account/token   GET  /files/{grant}/{file}
annotator       GET  /tutorial
annotator       GET  /lessons/{lesson}/picture
annotator       GET  /quiz
annotator       POST /quiz
annotator       GET  /annotate/{pool}
annotator       POST /api/pools/{pool}/next
annotator       GET  /api/pools/{pool}/today
annotator       POST /api/events
annotator       GET  /faces/{face}/crop
annotator       GET  /faces/{face}/context
reviewer        GET  /quality
reviewer        GET  /quality/annotators/{annotator}
reviewer        GET  /api/agreement
reviewer        GET  /adjudicate
reviewer        GET  /adjudicate/{face}
reviewer        POST /adjudicate/{face}
reviewer        GET  /collection
lead            GET  /flags
lead            POST /flags/{flag}
lead            GET  /pools
lead            POST /pools
lead            POST /pools/{pool}/state
lead            GET  /training
lead            POST /training
lead            POST /training/pass
lead            POST /training/{lesson}/retire
lead            GET  /requests
lead            GET  /requests/{request}
lead            GET  /requests/{request}/{file}
lead            POST /requests/{request}
lead            GET  /grants
lead            POST /grants/{grant}
lead            GET  /withdrawals
lead            POST /withdrawals/{withdrawal}
lead            GET  /letters
administrator   GET  /people
administrator   POST /people/invite
administrator   POST /people/{account}
administrator   GET  /audit
everybody       GET  /challenges
everybody       GET  /challenges/{challenge}
everybody       GET  /challenges/{challenge}/final/{file}
researcher      GET  /challenges/{challenge}/inputs.csv
researcher      GET  /challenges/{challenge}/team
researcher      POST /challenges/{challenge}/team
researcher      POST /challenges/{challenge}/team/invite
researcher      POST /challenges/{challenge}/team/leave
researcher      GET  /team-invitation/{token}
researcher      POST /team-invitation/{token}
researcher      POST /challenges/{challenge}/submissions
researcher      POST /challenges/{challenge}/submissions/{submission}/withdraw
lead            GET  /challenges/{challenge}/audit
";

/// A path with something in each of its places.
fn example(route: &Route) -> String {
    let places = [("{name}", "app.css"), ("{token}", "0")];
    let named = places.iter().fold(route.path.to_owned(), |path, (place, value)| path.replace(place, value));
    named.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_has_the_rule_that_is_written_down() {
    let line = |route: &Route| {
        let who = match route.access {
            Access::Everybody => "everybody",
            Access::AtLeast(role) => role.name(),
            Access::AccountOrToken => "account/token",
        };
        format!("{who:15} {:4} {}", route.method.as_str(), route.path)
    };
    let lines: Vec<String> = routes().iter().map(line).collect();
    assert_eq!(lines.join("\n"), RULES.trim());
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let lab = Lab::new().await;
    for route in routes() {
        let path = example(&route);
        for role in [None].into_iter().chain(Role::ALL.map(Some)) {
            // A new session each time: signing out is among the routes.
            let browser = match role {
                Some(role) => Some(lab.browser(role).await),
                None => None,
            };
            let response = lab.send(request(&route.method, &path, browser.as_ref()).body(Body::empty()).unwrap()).await;
            let status = response.status();
            let what = format!("{} {path} as {role:?}: {status}", route.method);
            if route.access.admits(role) {
                assert!(!matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{what}");
                let location = response.headers().get("location").and_then(|place| place.to_str().ok());
                assert!(route.path == "/logout" || !location.unwrap_or("").starts_with("/login"), "{what}");
            } else if role.is_some() {
                assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
            } else if route.method == Method::GET && !path.starts_with("/api/") {
                assert_eq!(status, StatusCode::SEE_OTHER, "{what}");
                assert!(response.headers()["location"].to_str().unwrap().starts_with("/login?next=/"), "{what}");
            } else {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_changed_by_a_request_that_no_page_of_ours_made() {
    let lab = Lab::new().await;
    for route in routes().iter().filter(|route| route.method == Method::POST) {
        let path = example(route);
        let browser = lab.browser(Role::Administrator).await;
        let foreign =
            request(&route.method, &path, Some(&browser)).header("host", "lab").header("origin", "http://evil");
        let response = lab.send(foreign.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} from another site");
        if route.access == Access::Everybody {
            continue;
        }
        let cookie = format!("affectory={}", browser.token);
        for token in [None, Some("0".repeat(64))] {
            let mut builder = request(&route.method, &path, None).header("cookie", &cookie);
            if let Some(token) = token {
                builder = builder.header("x-csrf-token", token);
            }
            let form = builder.header("content-type", "application/x-www-form-urlencoded");
            let response = lab.send(form.body(Body::from("csrf=guess")).unwrap()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} without its token");
        }
    }
    let (status, _) = lab.get("/people", &lab.browser(Role::Administrator).await).await;
    assert_eq!(status, StatusCode::OK);
}
