//! Which routes are there, in the order of an annotator's, a reviewer's, a lead's way, and whom does each let in?

use std::convert::Infallible;
use std::sync::Arc;

use affectory_catalog::Role;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::access::{Access, BODY_LIMIT, Rule, guard};
use crate::app::App;
use crate::pages::{adjudicate, annotate, audit, collection, flags, home, invitation, people, pools, quality};
use crate::pages::{challenge, portal, quiz, sign_in, training, tutorial};
use crate::server::within_time;
use crate::{api, assets, files, pictures};

/// A route; there is no other way into the router, so none is without a rule.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    body_limit: usize,
    handler: MethodRouter<Arc<App>>,
}

fn read<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    Route { method: Method::GET, path, access, body_limit: BODY_LIMIT, handler: get(handler) }
}

fn change<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    Route { method: Method::POST, path, access, body_limit: BODY_LIMIT, handler: post(handler) }
}

/// A form that brings a file along.
fn upload<H: Handler<T, Arc<App>>, T: 'static>(
    path: &'static str,
    access: Access,
    body_limit: usize,
    handler: H,
) -> Route {
    Route { method: Method::POST, path, access, body_limit, handler: post(handler) }
}

/// All of them.
pub(crate) fn routes() -> Vec<Route> {
    const EVERYBODY: Access = Access::Everybody;
    const RESEARCHER: Access = Access::AtLeast(Role::Researcher);
    const ANNOTATOR: Access = Access::AtLeast(Role::Annotator);
    const REVIEWER: Access = Access::AtLeast(Role::Reviewer);
    const LEAD: Access = Access::AtLeast(Role::Lead);
    const ADMINISTRATOR: Access = Access::AtLeast(Role::Administrator);
    vec![
        read("/assets/{name}", EVERYBODY, assets::asset),
        read("/healthz", EVERYBODY, api::healthz),
        read("/invitation/{token}", EVERYBODY, invitation::show),
        change("/invitation/{token}", EVERYBODY, invitation::accept),
        read("/data", EVERYBODY, portal::public::database),
        read("/data/{release}", EVERYBODY, portal::public::release),
        read("/data/{release}/{file}", EVERYBODY, portal::public::file),
        read("/data/{release}/samples/{item}", EVERYBODY, portal::public::sample),
        read("/withdraw", EVERYBODY, portal::withdrawals::ask),
        change("/withdraw", EVERYBODY, portal::withdrawals::asked),
        read("/request/{release}", EVERYBODY, portal::request::show),
        change("/request/{release}", EVERYBODY, portal::request::ask),
        read("/request/confirm/{token}", EVERYBODY, portal::confirm::show),
        change("/request/confirm/{token}", EVERYBODY, portal::confirm::confirm),
        read("/join/{token}", EVERYBODY, portal::join::show),
        change("/join/{token}", EVERYBODY, portal::join::accept),
        read("/login", EVERYBODY, sign_in::show),
        change("/login", EVERYBODY, sign_in::sign_in),
        change("/logout", RESEARCHER, sign_in::sign_out),
        read("/", RESEARCHER, home::show),
        read("/account", RESEARCHER, home::account),
        change("/account/language", RESEARCHER, home::change_language),
        change("/account/password", RESEARCHER, home::change_password),
        read("/access", RESEARCHER, portal::own::list),
        read("/access/requests/{request}/agreement.pdf", RESEARCHER, portal::own::agreement),
        upload("/access/requests/{request}/signed", RESEARCHER, portal::own::UPLOAD_LIMIT, portal::own::upload),
        change("/access/requests/{request}/answer", RESEARCHER, portal::own::answer),
        change("/access/requests/{request}/withdraw", RESEARCHER, portal::own::withdraw),
        change("/access/grants/{grant}/members", RESEARCHER, portal::own::name_member),
        change("/access/grants/{grant}/members/{member}/remove", RESEARCHER, portal::own::remove_member),
        change("/access/grants/{grant}/renew", RESEARCHER, portal::own::ask_renewal),
        change("/access/tokens", RESEARCHER, portal::own::make_token),
        change("/access/tokens/{token}/end", RESEARCHER, portal::own::end_token),
        read("/files/{grant}", Access::AccountOrToken, files::list),
        read("/files/{grant}/{file}", Access::AccountOrToken, files::file),
        read("/tutorial", ANNOTATOR, tutorial::show),
        read("/lessons/{lesson}/picture", ANNOTATOR, pictures::lesson),
        read("/quiz", ANNOTATOR, quiz::show),
        change("/quiz", ANNOTATOR, quiz::answer),
        read("/annotate/{pool}", ANNOTATOR, annotate::show),
        change("/api/pools/{pool}/next", ANNOTATOR, api::next),
        read("/api/pools/{pool}/today", ANNOTATOR, api::today),
        change("/api/events", ANNOTATOR, api::events),
        read("/faces/{face}/crop", ANNOTATOR, pictures::crop),
        read("/faces/{face}/context", ANNOTATOR, pictures::context),
        read("/quality", REVIEWER, quality::show),
        read("/quality/annotators/{annotator}", REVIEWER, quality::annotator),
        read("/api/agreement", REVIEWER, api::agreement),
        read("/adjudicate", REVIEWER, adjudicate::list),
        read("/adjudicate/{face}", REVIEWER, adjudicate::show),
        change("/adjudicate/{face}", REVIEWER, adjudicate::decide),
        read("/collection", REVIEWER, collection::show),
        read("/flags", LEAD, flags::list),
        change("/flags/{flag}", LEAD, flags::resolve),
        read("/pools", LEAD, pools::list),
        change("/pools", LEAD, pools::make),
        change("/pools/{pool}/state", LEAD, pools::change_state),
        read("/training", LEAD, training::list),
        change("/training", LEAD, training::add),
        change("/training/pass", LEAD, training::change_pass),
        change("/training/{lesson}/retire", LEAD, training::retire),
        read("/requests", LEAD, portal::review::list),
        read("/requests/{request}", LEAD, portal::review::show),
        read("/requests/{request}/{file}", LEAD, portal::review::file),
        change("/requests/{request}", LEAD, portal::review::decide),
        read("/grants", LEAD, portal::grants::list),
        change("/grants/{grant}", LEAD, portal::grants::change),
        read("/withdrawals", LEAD, portal::withdrawals::list),
        change("/withdrawals/{withdrawal}", LEAD, portal::withdrawals::decide),
        read("/letters", LEAD, portal::letters::list),
        read("/people", ADMINISTRATOR, people::list),
        change("/people/invite", ADMINISTRATOR, people::invite),
        change("/people/{account}", ADMINISTRATOR, people::change),
        read("/audit", ADMINISTRATOR, audit::list),
        read("/challenges", EVERYBODY, challenge::list),
        read("/challenges/{challenge}", EVERYBODY, challenge::show),
        read("/challenges/{challenge}/final/{file}", EVERYBODY, challenge::tables),
        read("/challenges/{challenge}/inputs.csv", RESEARCHER, challenge::inputs),
        read("/challenges/{challenge}/team", RESEARCHER, challenge::team),
        change("/challenges/{challenge}/team", RESEARCHER, challenge::make_team),
        change("/challenges/{challenge}/team/invite", RESEARCHER, challenge::invite),
        change("/challenges/{challenge}/team/leave", RESEARCHER, challenge::leave),
        read("/team-invitation/{token}", RESEARCHER, challenge::show_invitation),
        change("/team-invitation/{token}", RESEARCHER, challenge::accept_invitation),
        upload("/challenges/{challenge}/submissions", RESEARCHER, challenge::UPLOAD_LIMIT, challenge::submit),
        change("/challenges/{challenge}/submissions/{submission}/withdraw", RESEARCHER, challenge::withdraw),
        read("/challenges/{challenge}/audit", LEAD, challenge::audit),
    ]
}

/// The router, each route behind its guard.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    routes().into_iter().fold(Router::new(), |router, route| {
        let patience = match route.body_limit > BODY_LIMIT {
            true => app.options.patience.upload,
            false => app.options.patience.request,
        };
        let rule =
            Rule { app: Arc::clone(app), method: route.method, access: route.access, body_limit: route.body_limit };
        let guarded = route
            .handler
            .layer::<_, Infallible>(from_fn_with_state(rule, guard))
            .layer::<_, Infallible>(DefaultBodyLimit::max(route.body_limit))
            .layer::<_, Infallible>(from_fn_with_state(patience, within_time));
        router.route(route.path, guarded)
    })
}
