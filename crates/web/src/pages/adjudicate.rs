//! Which faces need a second look, and what does a reviewer decide?

use std::sync::Arc;

use affectory_core::{Expression, FaceId};
use affectory_evaluate::Doubt;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{self, csrf, expression_options, time};
use super::training::point;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Faces on a page: decided ones go, and the next come up.
const SHOWN: usize = 60;

/// The most doubtful faces.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let doubts = app.doubts();
    let content = html! {
        @match &doubts {
            None => { p.notice role="status" { "Doubtful faces are being looked for; this page follows by itself." } }
            Some(doubts) if doubts.is_empty() => { p.notice { "No face needs a second look." } }
            Some(doubts) => {
                p { "Faces on which annotators or a sure model disagree, or that lie outside their category's suggested region. Those with more reasons come first." }
                div.cards {
                    @for face in doubts.iter().take(SHOWN) {
                        article.card {
                            a href={ "/adjudicate/" (face.face) } {
                                img src={ "/faces/" (face.face) "/crop" } alt={ "face " (face.face) } width="160" loading="lazy";
                            }
                            ul { @for doubt in &face.doubts { li { (reason(doubt)) } } }
                        }
                    }
                }
            }
        }
    };
    let every_s = if doubts.is_some() { 60 } else { 1 };
    Ok(layout::live_page("Adjudicate", app.messages.of("en"), &visitor, &content, every_s))
}

fn reason(doubt: &Doubt) -> String {
    match doubt {
        Doubt::CategoryDisagreement { agreement } => format!("agreement {:.0} %", 100.0 * agreement),
        Doubt::DimensionDisagreement { spread } => format!("placed {spread:.2} apart (standard deviation)"),
        Doubt::ModelDisagreement { predicted, confidence } => {
            format!("a model says {} ({:.0} %)", predicted.name(), 100.0 * confidence)
        }
        Doubt::OutsideRegion { expression, point } => format!(
            "{} at ({:+.2}, {:+.2}), outside its region",
            expression.name(),
            point.valence.value(),
            point.arousal.value()
        ),
    }
}

/// One face with all that was said of it.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(face): Path<i64>,
) -> Result<Markup, WebError> {
    let answers = app.project.catalog.list_face_answers(FaceId(face)).await?;
    if app.project.catalog.find_face_picture(FaceId(face)).await?.is_none() {
        return Err(WebError::NotFound("that face"));
    }
    let language = app.messages.of("en");
    let content = html! {
        div.beside {
            img src={ "/faces/" (face) "/crop" } alt={ "face " (face) } width="320";
            a href={ "/faces/" (face) "/context" } { "The whole photograph" }
        }
        div.scroll {
            table {
                thead { tr { th scope="col" { "Who" } th scope="col" { "Category" } th.n scope="col" { "Valence" } th.n scope="col" { "Arousal" } th scope="col" { "When" } } }
                tbody {
                    @for (who, row) in &answers {
                        tr {
                            th scope="row" { bdi { (who) } @if row.is_adjudication { " (decision)" } }
                            td { (row.expression.map_or("–", Expression::name)) }
                            td.n { (row.valence.map_or_else(|| "–".to_owned(), |v| format!("{:+.2}", v.value()))) }
                            td.n { (row.arousal.map_or_else(|| "–".to_owned(), |a| format!("{:+.2}", a.value()))) }
                            td { (time(row.created_ms)) }
                        }
                    }
                }
            }
        }
        h2 { "Decide" }
        form.card method="post" action={ "/adjudicate/" (face) } {
            (csrf(&visitor))
            label for="expression" { "Category" }
            select #expression name="expression" { (expression_options(language, answers.first().and_then(|(_, row)| row.expression))) }
            label for="valence" { "Valence, -1 to 1 (none for the last three categories)" }
            input #valence name="valence" type="number" min="-1" max="1" step="0.01";
            label for="arousal" { "Arousal, -1 to 1" }
            input #arousal name="arousal" type="number" min="-1" max="1" step="0.01";
            button.primary type="submit" { "Decide" }
        }
        p { a href="/adjudicate" { "Back to the list" } }
    };
    Ok(layout::page(&format!("Face {face}"), language, Some(&visitor), &content))
}

#[derive(serde::Deserialize)]
pub(crate) struct Decision {
    expression: usize,
    valence: String,
    arousal: String,
}

/// Records a decision; the annotators' answers stay as they are.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(face): Path<i64>,
    Form(form): Form<Decision>,
) -> Result<Redirect, WebError> {
    let expression =
        Expression::from_index(form.expression).ok_or_else(|| WebError::Invalid("unknown category".into()))?;
    let at = if expression.is_affective() { Some(point(&form.valence, &form.arousal)?) } else { None };
    if app.project.catalog.find_face_picture(FaceId(face)).await?.is_none() {
        return Err(WebError::NotFound("that face"));
    }
    app.project.catalog.adjudicate(FaceId(face), expression, at, &visitor.account, app.now_ms()).await?;
    app.settled(FaceId(face));
    Ok(Redirect::to("/adjudicate"))
}
