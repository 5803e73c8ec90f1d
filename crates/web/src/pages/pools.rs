//! How does a lead make a pool of faces to annotate, and pause it?

use std::sync::Arc;

use affectory_annotate::{FaceFilter, PoolRequest, make_pool};
use affectory_catalog::{PoolRow, PoolRules, PoolState, Strategy};
use affectory_core::{PoolId, Silent, Stop};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{self, count, csrf};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// All pools, and the form for another.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let pools = app.project.catalog.list_pools().await?;
    let content = html! {
        @if pools.is_empty() { p.notice { "No pools yet. A pool is a set of faces with rules for who sees them." } }
        @else { (table(&visitor, &pools)) }
        h2 { "Make a pool" }
        (form(&visitor))
    };
    Ok(layout::page("Pools", app.messages.of("en"), Some(&visitor), &content))
}

fn table(visitor: &Visitor, pools: &[PoolRow]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        th scope="col" { "Pool" }
                        th scope="col" { "Order" }
                        th scope="col" { "Rules" }
                        th.n scope="col" { "Faces" }
                        th scope="col" { "Answers" }
                        th scope="col" { "State" }
                    }
                }
                tbody {
                    @for pool in pools {
                        tr {
                            th scope="row" { bdi { (pool.name) } }
                            td { (pool.rules.strategy.name()) @if pool.rules.is_balanced { ", balanced" } }
                            td {
                                (pool.rules.overlap_percent) " % by " (pool.rules.n_annotators) " annotators"
                                @if pool.rules.gold_percent > 0 { ", " (pool.rules.gold_percent) " % gold" }
                                @if pool.rules.is_assisted { ", suggestions shown" }
                                @if pool.rules.needs_quiz { ", after the quiz" }
                            }
                            td.n { (count(pool.n_faces)) }
                            td.n {
                                (count(pool.n_done)) " of " (count(pool.n_wanted))
                                progress value=(pool.n_done) max=(pool.n_wanted.max(1)) aria-label={ "progress of " (pool.name) } {}
                            }
                            td {
                                form.inline method="post" action={ "/pools/" (pool.id) "/state" } {
                                    (csrf(visitor))
                                    (pool.state.name()) " "
                                    @match pool.state {
                                        PoolState::Open => button name="state" value="paused" { "Pause" },
                                        PoolState::Paused => button name="state" value="open" { "Open" },
                                        PoolState::Filling => {},
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn form(visitor: &Visitor) -> Markup {
    let number = |name: &str, label: &str, value: u32, most: u32| {
        html! {
            label for=(name) { (label) }
            input id=(name) name=(name) type="number" min="0" max=(most) value=(value) required;
        }
    };
    let tick = |name: &str, label: &str, checked: bool| {
        html! { label.check { input type="checkbox" name=(name) value="1" checked[checked]; " " (label) } }
    };
    html! {
        form.card method="post" action="/pools" {
            (csrf(visitor))
            label for="name" { "Name" }
            input #name name="name" maxlength="60" required;
            label for="strategy" { "Order" }
            select #strategy name="strategy" {
                option value="random" { "random, by seed" }
                option value="query" { "query by query" }
                option value="uncertainty" { "what a model is least certain of first (after `annotations suggest`)" }
            }
            (number("n_annotators", "Annotators for a face in the overlap", 2, 100))
            (number("overlap_percent", "Overlap, percent of faces", 10, 100))
            (number("gold_percent", "Gold faces, percent of what is shown", 0, 50))
            (number("min_px", "Smallest face, pixels", 40, 4096))
            (number("limit", "Faces at most (0: all)", 0, 100_000_000))
            (number("seed", "Seed", 1, u32::MAX))
            (tick("is_balanced", "Categories that queries asked for take turns", false))
            (tick("only_unlabelled", "Only faces that nobody has labelled", true))
            (tick("needs_quiz", "Only for annotators who have passed the quiz", true))
            (tick("is_assisted", "Show a model's suggestion before the annotator decides", false))
            button.primary type="submit" { "Make the pool" }
        }
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct PoolForm {
    name: String,
    strategy: String,
    n_annotators: u32,
    overlap_percent: u32,
    gold_percent: u32,
    min_px: u32,
    limit: usize,
    seed: u64,
    is_balanced: Option<String>,
    only_unlabelled: Option<String>,
    needs_quiz: Option<String>,
    is_assisted: Option<String>,
}

/// Makes a pool. Of a million faces that takes longer than a browser waits: it goes on all the same.
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<PoolForm>,
) -> Result<Redirect, WebError> {
    let strategy = Strategy::from_name(&form.strategy).ok_or_else(|| WebError::Invalid("unknown order".into()))?;
    let request = PoolRequest {
        name: form.name.trim().to_owned(),
        rules: PoolRules {
            n_annotators: form.n_annotators,
            overlap_percent: form.overlap_percent,
            gold_percent: form.gold_percent,
            strategy,
            is_balanced: form.is_balanced.is_some(),
            is_assisted: form.is_assisted.is_some(),
            needs_quiz: form.needs_quiz.is_some(),
            seed: form.seed,
        },
        filter: FaceFilter {
            min_px: form.min_px as f32,
            only_unlabelled: form.only_unlabelled.is_some(),
            limit: (form.limit > 0).then_some(form.limit),
        },
    };
    let now_ms = app.now_ms();
    let made = tokio::spawn(async move {
        let watcher = (&Stop::default(), &Silent as &dyn affectory_core::Progress);
        make_pool(&app.project.catalog, &request, Some(&visitor.account), watcher, now_ms).await
    });
    made.await.map_err(|error| WebError::Failed(Arc::new(error)))??;
    Ok(Redirect::to("/pools"))
}

#[derive(serde::Deserialize)]
pub(crate) struct StateForm {
    state: String,
}

/// Opens or pauses a pool.
pub(crate) async fn change_state(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(pool): Path<i64>,
    Form(form): Form<StateForm>,
) -> Result<Redirect, WebError> {
    let state = match form.state.as_str() {
        "open" => PoolState::Open,
        "paused" => PoolState::Paused,
        _ => return Err(WebError::Invalid("a pool is open or paused".into())),
    };
    let actor = visitor.account.actor();
    let is_known = app.project.catalog.set_pool_state(PoolId(pool), state, &actor, app.now_ms()).await?;
    if is_known { Ok(Redirect::to("/pools")) } else { Err(WebError::NotFound("that pool")) }
}
