//! How good are the annotations, and how is each annotator doing?

use std::collections::BTreeMap;
use std::sync::Arc;

use affectory_annotate::{AnnotatorFigures, Figures};
use affectory_catalog::{AnnotatorKind, PoolRow};
use affectory_core::{AnnotatorId, Expression};
use affectory_evaluate::{AnnotatorQuality, DimensionAgreement, Proportion, RegressionScore};
use axum::extract::{Path, State};
use maud::{Markup, html};

use super::layout::{self, count, date, figure, percent, time};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Days of work shown.
const DAYS: usize = 30;

type Names = BTreeMap<AnnotatorId, (String, AnnotatorKind)>;

/// Progress and agreement. Follows by itself, so that it can stay open on a screen.
pub(crate) async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let watched = app.figures();
    let (names, pools) = (app.project.catalog.list_annotators().await?, app.project.catalog.list_pools().await?);
    let content = html! {
        (progress(&pools))
        @match &watched {
            None => { p.notice role="status" { "The annotations are being counted; this page follows by itself." } }
            Some(watched) => {
                p.muted data-testid="counted" {
                    (count(watched.figures.n_annotations as u64)) " annotations counted at " (time(watched.computed_ms))
                    ". The same figures as " code { "affectory annotations agreement" } "."
                }
                (agreement(&watched.figures))
                (annotators(&watched.figures, &names))
            }
        }
    };
    let every_s = if watched.is_some() { 10 } else { 1 };
    Ok(layout::live_page("Quality", app.messages.of("en"), &visitor, &content, every_s))
}

fn progress(pools: &[PoolRow]) -> Markup {
    html! {
        section {
            h2 { "Progress" }
            @if pools.is_empty() { p.notice { "No pools yet." } }
            @else {
                div.scroll {
                    table {
                        thead { tr { th scope="col" { "Pool" } th.n scope="col" { "Faces" } th.n scope="col" { "Answers" } th scope="col" { "Share" } } }
                        tbody {
                            @for pool in pools {
                                tr {
                                    th scope="row" { bdi { (pool.name) } }
                                    td.n { (count(pool.n_faces)) }
                                    td.n { (count(pool.n_done)) " of " (count(pool.n_wanted)) }
                                    td {
                                        span.bar {
                                            progress value=(pool.n_done) max=(pool.n_wanted.max(1)) aria-label={ "progress of " (pool.name) } {}
                                            span { (percent((pool.n_wanted > 0).then(|| pool.n_done as f64 / pool.n_wanted as f64))) }
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
}

fn agreement(figures: &Figures) -> Markup {
    let category = &figures.agreement.expression;
    html! {
        section {
            h2 { "Agreement on the category" }
            dl.figures {
                div { dt { "Faces with two answers or more" } dd { (count(category.n_shared as u64)) } }
                div { dt { "Agreement" } dd data-testid="percent" { (percent(category.percent)) } }
                div { dt { "Cohen's kappa, mean of pairs" } dd { (figure(category.mean_cohen_kappa)) } }
                @match &category.fleiss_kappa_on {
                    Some(on) => div {
                        dt { "Fleiss' kappa (" (count(on.n_faces as u64)) " faces with " (on.n_ratings) " answers)" }
                        dd { (figure(on.kappa)) }
                    },
                    None => div { dt { "Fleiss' kappa" } dd { "–" } },
                }
                div { dt { "Krippendorff's alpha, nominal" } dd { (figure(category.krippendorff_alpha)) } }
            }
            @if category.n_shared > 0 { (matrix(&category.matrix)) }
        }
        section {
            h2 { "Agreement on valence and arousal" }
            (dimensions(&figures.agreement.valence, &figures.agreement.arousal))
        }
    }
}

fn matrix(shares: &[Vec<Option<f64>>]) -> Markup {
    html! {
        h3 #matrix-title { "Where one annotator said the row, how often another said the column" }
        div.scroll tabindex="0" role="region" aria-labelledby="matrix-title" {
            table.matrix {
                thead { tr { td {} @for expression in Expression::ALL { th.n scope="col" { (expression.name()) } } } }
                tbody {
                    @for (expression, row) in Expression::ALL.into_iter().zip(shares) {
                        tr {
                            th scope="row" { (expression.name()) }
                            @for share in row { td.n data-shade=(shade(*share)) { (share.map_or_else(|| "–".to_owned(), |share| format!("{:.0}", 100.0 * share))) } }
                        }
                    }
                }
            }
        }
        p.muted { "Percent of the row." }
    }
}

/// Tenths, for the style sheet's shades; the number stands beside it.
fn shade(share: Option<f64>) -> u8 {
    share.map_or(0, |share| (10.0 * share).round() as u8)
}

fn dimensions(valence: &DimensionAgreement, arousal: &DimensionAgreement) -> Markup {
    let row = |name: &str, score: &RegressionScore| {
        html! {
            tr {
                th scope="row" { (name) }
                td.n { (figure(score.rmse)) }
                td.n { (figure(score.corr)) }
                td.n { (figure(score.sagr)) }
                td.n { (figure(score.ccc)) }
            }
        }
    };
    html! {
        div.scroll {
            table {
                thead {
                    tr { td {} th.n scope="col" { "RMSE" } th.n scope="col" { "CORR" } th.n scope="col" { "SAGR" } th.n scope="col" { "CCC" } }
                }
                tbody {
                    (row("valence, all pairs of answers", &valence.pooled))
                    (row("arousal, all pairs of answers", &arousal.pooled))
                    (row("valence, mean over pairs of annotators", &valence.mean))
                    (row("arousal, mean over pairs of annotators", &arousal.mean))
                }
            }
        }
        dl.figures {
            div { dt { "Faces placed twice or more" } dd { (count(valence.n_shared as u64)) } }
            div { dt { "Valence: alpha, interval / ordinal" } dd { (figure(valence.krippendorff_alpha)) " / " (figure(valence.krippendorff_alpha_ordinal)) } }
            div { dt { "Arousal: alpha, interval / ordinal" } dd { (figure(arousal.krippendorff_alpha)) " / " (figure(arousal.krippendorff_alpha_ordinal)) } }
        }
    }
}

fn name_of(names: &Names, annotator: AnnotatorId) -> String {
    names.get(&annotator).map_or_else(|| annotator.to_string(), |(name, _)| name.clone())
}

fn annotators(figures: &Figures, names: &Names) -> Markup {
    let accuracy = |quality: Option<&AnnotatorQuality>| interval(quality.and_then(|quality| quality.accuracy));
    html! {
        section {
            h2 { "Annotators" }
            div.scroll tabindex="0" role="region" aria-label="Annotators" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Annotator" }
                            th.n scope="col" { "Answers" }
                            th.n scope="col" { "Median time" }
                            th.n scope="col" { "As the others (95 %)" }
                            th.n scope="col" { "As gold (95 %)" }
                            th scope="col" { "Last answer" }
                        }
                    }
                    tbody {
                        @for one in &figures.annotators {
                            tr {
                                th scope="row" { a href={ "/quality/annotators/" (one.annotator) } { bdi { (name_of(names, one.annotator)) } } }
                                td.n { (count(one.n_answers as u64)) }
                                td.n { (seconds(one.median_ms)) }
                                td.n { (accuracy(one.beside_others.as_ref())) }
                                td.n { (accuracy(one.beside_gold.as_ref())) }
                                td { (time(one.last_ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn seconds(ms: Option<u32>) -> String {
    ms.map_or_else(|| "–".to_owned(), |ms| format!("{:.1} s", f64::from(ms) / 1000.0))
}

fn interval(accuracy: Option<Proportion>) -> String {
    accuracy.map_or_else(
        || "–".to_owned(),
        |found| {
            format!("{:.0} % ({:.0} to {:.0}; {})", 100.0 * found.share, 100.0 * found.low, 100.0 * found.high, found.n)
        },
    )
}

/// One annotator: confusions, bias, change over time.
pub(crate) async fn annotator(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(annotator): Path<i64>,
) -> Result<Markup, WebError> {
    let names = app.project.catalog.list_annotators().await?;
    let annotator = AnnotatorId(annotator);
    if !names.contains_key(&annotator) {
        return Err(WebError::NotFound("that annotator"));
    }
    let watched = app.figures();
    let found = watched.as_ref().and_then(|watched| {
        let place = watched.figures.annotators.binary_search_by_key(&annotator, |one| one.annotator).ok()?;
        watched.figures.annotators.get(place)
    });
    let content = match found {
        Some(figures) => one_annotator(figures),
        None => html! { p.notice { "No answers, or they are still being counted: load the page again in a moment." } },
    };
    Ok(layout::page(&name_of(&names, annotator), app.messages.of("en"), Some(&visitor), &content))
}

fn one_annotator(figures: &AnnotatorFigures) -> Markup {
    let recent = figures.days.iter().rev().take(DAYS);
    html! {
        dl.figures {
            div { dt { "Answers" } dd { (count(figures.n_answers as u64)) } }
            div { dt { "Median time on a face" } dd { (seconds(figures.median_ms)) } }
            div { dt { "Last answer" } dd { (time(figures.last_ms)) } }
        }
        (beside("Beside the others' plurality on the same faces", figures.beside_others.as_ref()))
        (beside("Beside known answers (gold)", figures.beside_gold.as_ref()))
        section {
            h2 { "Day by day" }
            div.scroll {
                table {
                    thead { tr { th scope="col" { "Day" } th.n scope="col" { "Answers" } th.n scope="col" { "As the others (95 %)" } th.n scope="col" { "Valence bias" } th.n scope="col" { "Arousal bias" } } }
                    tbody {
                        @for (day, n) in recent {
                            @let drift = figures.drift.iter().find(|drift| drift.first_ms.div_euclid(86_400_000) == *day).map(|drift| &drift.quality);
                            tr {
                                th scope="row" { (date(*day)) }
                                td.n { (count(*n as u64)) }
                                td.n { (interval(drift.and_then(|quality| quality.accuracy))) }
                                td.n { (figure(drift.and_then(|quality| quality.valence.bias))) }
                                td.n { (figure(drift.and_then(|quality| quality.arousal.bias))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn beside(title: &str, quality: Option<&AnnotatorQuality>) -> Markup {
    html! {
        section {
            h2 { (title) }
            @match quality {
                None => p.muted { "No face to compare yet." },
                Some(quality) => {
                    dl.figures {
                        div { dt { "Same category (95 %)" } dd { (interval(quality.accuracy)) } }
                        div { dt { "Valence: bias / RMSE" } dd { (figure(quality.valence.bias)) " / " (figure(quality.valence.rmse)) } }
                        div { dt { "Arousal: bias / RMSE" } dd { (figure(quality.arousal.bias)) " / " (figure(quality.arousal.rmse)) } }
                    }
                    div.scroll tabindex="0" role="region" aria-label=(title) {
                        table.matrix {
                            thead { tr { th scope="col" { "reference \\ answer" } @for expression in Expression::ALL { th.n scope="col" { (expression.name()) } } } }
                            tbody {
                                @for (expression, row) in Expression::ALL.into_iter().zip(quality.confusion.rows()) {
                                    @let total: f64 = row.iter().sum();
                                    tr {
                                        th scope="row" { (expression.name()) }
                                        @for n in row { td.n data-shade=(shade((total > 0.0).then(|| n / total))) { (n) } }
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
