//! What may everybody know of a database and its releases?

use std::sync::Arc;

use affectory_core::BoundingBox;
use affectory_portal::{Published, gather};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::page;
use super::request::offered;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::layout::{count, date, figure};
use crate::pictures::{View, picture};

/// The database: what it is, and its releases.
pub(crate) async fn database(
    State(app): State<Arc<App>>,
    visitor: Option<Extension<Visitor>>,
) -> Result<Markup, WebError> {
    let portal = app.portal()?;
    let database = &portal.settings.database;
    let rows = app.project.catalog.list_releases().await?;
    let content = html! {
        p { (database.summary) }
        p { "By " (database.licensor) ". Questions: " a href={ "mailto:" (database.contact) } { (database.contact) } "." }
        @if portal.settings.releases.is_empty() { p.notice { "Nothing is released yet." } }
        div.cards {
            @for offer in portal.settings.releases.iter().rev() {
                @if let Some(row) = rows.iter().find(|row| row.release.name == offer.name) {
                    section.card {
                        h2 { a href={ "/data/" (offer.name) } { (offer.title()) } }
                        p { (count(row.n_items)) " faces, " (date(row.built_ms.div_euclid(86_400_000))) }
                        ul { @for change in &offer.changes { li { (change) } } }
                        a.button.primary href={ "/request/" (offer.name) } { "Ask for access" }
                    }
                }
            }
        }
        h2 #withdraw { "If you are in a picture" }
        p {
            "A picture is taken out of the database when somebody in it asks for it, and whoever has a copy is written to: "
            a href="/withdraw" { "ask for a withdrawal" } "."
        }
        @if visitor.is_none() { p { a href="/login?next=/access" { "Sign in" } " to see your requests and files." } }
    };
    Ok(page(&app, &database.name, visitor.as_deref(), &content))
}

async fn published(app: &App, release: &str) -> Result<Published, WebError> {
    let (offer, row) = offered(app, release).await?;
    let n_withdrawn = app.project.catalog.count_withdrawn(row.id).await?;
    Ok(gather(&app.project, &offer, &row, n_withdrawn))
}

/// One release.
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    visitor: Option<Extension<Visitor>>,
    Path(release): Path<String>,
) -> Result<Markup, WebError> {
    let portal = app.portal()?;
    let release = published(&app, &release).await?;
    let (offer, row) = (&release.offer, &release.row);
    let day = date(row.built_ms.div_euclid(86_400_000));
    let place = format!("/data/{}", offer.name);
    let content = html! {
        p { a href="/data" { (portal.settings.database.name) } }
        dl.figures {
            div { dt { "Faces" } dd { (count(row.n_items)) } }
            div { dt { "Delivered" } dd { (count(release.n_delivered())) } }
            div { dt { "Withdrawn since" } dd { (count(release.n_withdrawn)) } }
        }
        p { a.button.primary href={ "/request/" (offer.name) } { "Ask for access" } }
        @if !offer.changes.is_empty() { h2 { "What is new" } ul { @for change in &offer.changes { li { (change) } } } }
        @if !offer.samples.is_empty() {
            h2 { "Samples" }
            p.muted { "Of people who agreed to be shown." }
            div.samples { @for item in &offer.samples { img src={ (place) "/samples/" (item) } alt="A face of the database" width="128" height="128" loading="lazy"; } }
        }
        h2 { "Counts" }
        @if let Some((header, rows)) = release.counts.split_first() {
            div.scroll tabindex="0" role="region" aria-label="Counts" {
                table {
                    thead { tr { @for (n, cell) in header.iter().enumerate() { th scope="col" class=[(n > 0).then_some("n")] { (cell) } } } }
                    tbody { @for line in rows {
                        tr { @for (n, cell) in line.iter().enumerate() {
                            @if n == 0 { th scope="row" { (cell) } } @else { td.n { (cell.parse().map_or_else(|_| cell.clone(), count)) } }
                        } }
                    } }
                }
            }
        }
        @if release.n_proxy > 0 { p { (count(release.n_proxy)) " of them have valence and arousal from a formula and not from people (" strong { "proxy" } ")." } }
        @if !offer.withhold.is_empty() { p { "Withheld for a challenge: " @for split in &offer.withhold { (split.name()) " " } "." } }
        @if !release.baselines.is_empty() {
            h2 { "Baselines" }
            div.scroll tabindex="0" role="region" aria-label="Baselines" {
                table {
                    thead { tr { th scope="col" { "Run" } th scope="col" { "Recipe" } th scope="col" { "Scored on" } th.n scope="col" { "Faces" } th.n scope="col" { "Accuracy" } th.n scope="col" { "Macro F1" } th.n scope="col" { "CCC valence" } th.n scope="col" { "CCC arousal" } } }
                    tbody { @for row in &release.baselines {
                        tr {
                            th scope="row" { (row.run) } td { (row.recipe) } td { (row.split) } td.n { (count(row.n)) }
                            td.n { (figure(row.accuracy)) } td.n { (figure(row.f1_macro)) }
                            td.n { (figure(row.valence_ccc)) @if row.is_proxy && row.valence_ccc.is_some() { " proxy" } }
                            td.n { (figure(row.arousal_ccc)) @if row.is_proxy && row.arousal_ccc.is_some() { " proxy" } }
                        }
                    } }
                }
            }
        }
        h2 #terms { "Terms" }
        ol.terms { @for clause in &portal.settings.clauses { li { strong { (clause.heading) } " " (clause.text) } } }
        h2 { "How to cite" }
        pre { (release.bibtex(&portal.settings, &portal.base, &day)) }
        p {
            a href={ (place) "/citation.bib" } { "BibTeX" } " · " a href={ (place) "/CITATION.cff" } { "CFF" } " · "
            a href={ (place) "/datasheet.md" } { "Datasheet" } " · " a href={ (place) "/croissant.json" } { "Croissant" }
        }
        p { "Manifest, SHA-256: " code { (row.manifest_sha256) } }
        h2 { "If you are in a picture" }
        p { a href="/withdraw" { "Ask for a withdrawal" } "." }
    };
    Ok(page(&app, offer.title(), visitor.as_deref(), &content))
}

/// What others' programs read of a release.
pub(crate) async fn file(
    State(app): State<Arc<App>>,
    Path((release, file)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let portal = app.portal()?;
    let release = published(&app, &release).await?;
    let (settings, base) = (&portal.settings, portal.base.as_str());
    let day = date(release.row.built_ms.div_euclid(86_400_000));
    let (kind, text) = match file.as_str() {
        "croissant.json" => ("application/ld+json", format!("{:#}\n", release.croissant(settings, base, &day))),
        "CITATION.cff" => ("text/yaml; charset=utf-8", release.cff(settings, base, &day)),
        "citation.bib" => ("text/plain; charset=utf-8", release.bibtex(settings, base, &day)),
        "datasheet.md" => ("text/markdown; charset=utf-8", release.datasheet(settings, &day)),
        _ => return Err(WebError::NotFound("that file")),
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// A face that its release's settings clear for everybody's eyes, unless it was withdrawn.
pub(crate) async fn sample(
    State(app): State<Arc<App>>,
    Path((release, item)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let missing = || WebError::NotFound("that picture");
    let (offer, row) = offered(&app, &release).await?;
    if !offer.samples.contains(&item) {
        return Err(missing());
    }
    let found = app.sample(&row.release.name, &item).await?.ok_or_else(missing)?;
    if app.project.catalog.list_withdrawn().await?.contains(&found.0) {
        return Err(WebError::Withdrawn);
    }
    let (sha256, at): (_, BoundingBox) = found;
    picture(&app, &sha256, at, View::Sample).await
}
