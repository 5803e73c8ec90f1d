//! How does a lead change what annotators learn from and are asked in the quiz?

use std::sync::Arc;

use affectory_annotate::pass_percent;
use affectory_catalog::{LessonKind, LessonPicture, LessonRow, NewLesson};
use affectory_core::{Arousal, Expression, FaceId, LessonId, Valence};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{self, csrf, expression_options};
use super::tutorial::worked_face;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Longest explanation, characters.
const LONGEST: usize = 2_000;

/// Everything in use, and the form for more.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let language = app.messages.of("en");
    let catalog = &app.project.catalog;
    let pass = pass_percent(&app.project).await?;
    let kinds = [
        ("Tutorial", catalog.list_lessons(LessonKind::Tutorial).await?),
        ("Quiz", catalog.list_lessons(LessonKind::Quiz).await?),
    ];
    let content = html! {
        form.card.inline method="post" action="/training/pass" {
            (csrf(&visitor))
            label for="percent" { "Right answers that pass the quiz, percent" }
            input #percent name="percent" type="number" min="0" max="100" value=(pass) required;
            button type="submit" { "Save" }
        }
        h2 { "Add a face" }
        form.card method="post" action="/training" {
            (csrf(&visitor))
            label for="kind" { "For" }
            select #kind name="kind" { option value="tutorial" { "the tutorial" } option value="quiz" { "the quiz" } }
            label for="face" { "Face (its number, as under Adjudicate and Flags)" }
            input #face name="face" type="number" min="1" required;
            label for="expression" { "Category" }
            select #expression name="expression" { (expression_options(language, None)) }
            label for="valence" { "Valence, -1 to 1 (none for the last three categories)" }
            input #valence name="valence" type="number" min="-1" max="1" step="0.01";
            label for="arousal" { "Arousal, -1 to 1" }
            input #arousal name="arousal" type="number" min="-1" max="1" step="0.01";
            label for="explanation" { "Why (empty: the category's own words, in the annotator's language)" }
            textarea #explanation name="explanation" maxlength=(LONGEST) {}
            button.primary type="submit" { "Add" }
        }
        @for (title, lessons) in &kinds {
            h2 { (title) }
            div.lessons { @for lesson in lessons { (editable(&app, &visitor, lesson)) } }
        }
    };
    Ok(layout::page("Training", language, Some(&visitor), &content))
}

fn editable(app: &App, visitor: &Visitor, lesson: &LessonRow) -> Markup {
    html! {
        div {
            (worked_face(app.messages.of("en"), lesson))
            form method="post" action={ "/training/" (lesson.id) "/retire" } {
                (csrf(visitor))
                button type="submit" { "Take out" }
            }
        }
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct LessonForm {
    kind: String,
    face: i64,
    expression: usize,
    valence: String,
    arousal: String,
    explanation: String,
}

/// Adds a face of the project.
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<LessonForm>,
) -> Result<Redirect, WebError> {
    let invalid = |text: &str| WebError::Invalid(text.to_owned());
    let kind = match form.kind.as_str() {
        "tutorial" => LessonKind::Tutorial,
        "quiz" => LessonKind::Quiz,
        _ => return Err(invalid("a lesson is for the tutorial or for the quiz")),
    };
    let expression = Expression::from_index(form.expression).ok_or_else(|| invalid("unknown category"))?;
    let (valence, arousal) = if expression.is_affective() && !(form.valence.is_empty() && form.arousal.is_empty()) {
        let (valence, arousal) = point(&form.valence, &form.arousal)?;
        (Some(valence), Some(arousal))
    } else {
        (None, None)
    };
    if form.explanation.chars().count() > LONGEST {
        return Err(invalid("the explanation is too long"));
    }
    let face = FaceId(form.face);
    if app.project.catalog.find_face_picture(face).await?.is_none_or(|picture| picture.is_withdrawn) {
        return Err(WebError::NotFound("that face"));
    }
    let lesson = NewLesson {
        kind,
        picture: LessonPicture::Face(face),
        expression,
        valence,
        arousal,
        explanation: form.explanation.trim().to_owned(),
    };
    app.project.catalog.insert_lessons(&[lesson], &visitor.account.actor(), app.now_ms()).await?;
    Ok(Redirect::to("/training"))
}

/// A point of a form.
pub(super) fn point(valence: &str, arousal: &str) -> Result<(Valence, Arousal), WebError> {
    let number = |name: &str, text: &str| {
        text.trim().parse::<f32>().map_err(|_| WebError::Invalid(format!("{name} is a number from -1 to 1")))
    };
    let invalid = |error: affectory_core::CoreError| WebError::Invalid(error.to_string());
    let valence = Valence::new(number("valence", valence)?).map_err(invalid)?;
    Ok((valence, Arousal::new(number("arousal", arousal)?).map_err(invalid)?))
}

#[derive(serde::Deserialize)]
pub(crate) struct PassForm {
    percent: u32,
}

/// Another pass mark.
pub(crate) async fn change_pass(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<PassForm>,
) -> Result<Redirect, WebError> {
    if form.percent > 100 {
        return Err(WebError::Invalid("a share is 0 to 100 percent".into()));
    }
    let (value, actor) = (form.percent.to_string(), visitor.account.actor());
    app.project.catalog.change_setting("quiz-pass-percent", &value, &actor, app.now_ms()).await?;
    Ok(Redirect::to("/training"))
}

/// Takes one out of use.
pub(crate) async fn retire(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(lesson): Path<i64>,
) -> Result<Redirect, WebError> {
    let actor = visitor.account.actor();
    let is_known = app.project.catalog.retire_lesson(LessonId(lesson), &actor, app.now_ms()).await?;
    if is_known { Ok(Redirect::to("/training")) } else { Err(WebError::NotFound("that lesson")) }
}
