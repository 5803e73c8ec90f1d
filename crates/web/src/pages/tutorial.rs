//! What does a new annotator learn, face by face?

use std::sync::Arc;

use affectory_catalog::{LessonKind, LessonPicture, LessonRow};
use axum::extract::State;
use maud::{Markup, html};

use super::layout;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::messages::Language;

/// The worked faces.
pub(crate) async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let language = app.messages.of(&visitor.account.language);
    let lessons = app.project.catalog.list_lessons(LessonKind::Tutorial).await?;
    let content = html! {
        p { (language.text("tutorial_intro")) }
        div.lessons { @for lesson in &lessons { (worked_face(language, lesson)) } }
        p { a.button.primary href="/quiz" { (language.text("tutorial_done")) } }
    };
    Ok(layout::page(language.text("tutorial_title"), language, Some(&visitor), &content))
}

/// One face with its category, point and reason.
pub(super) fn worked_face(language: &Language, row: &LessonRow) -> Markup {
    let lesson = &row.lesson;
    let help_key = format!("expression_help_{}", lesson.expression.index());
    let reason = if lesson.explanation.is_empty() { language.text(&help_key) } else { &lesson.explanation };
    let is_drawn = matches!(lesson.picture, LessonPicture::Object(_));
    html! {
        article.card.lesson {
            img src={ "/lessons/" (row.id) "/picture" } alt=(language.expression(lesson.expression)) width="240"
                height="240" loading="lazy";
            h2 { (language.expression(lesson.expression)) }
            p dir="auto" { (reason) }
            @if is_drawn { p.muted { (language.text("tutorial_drawn")) } }
            @if let (Some(valence), Some(arousal)) = (lesson.valence, lesson.arousal) {
                p.point {
                    (language.text("valence")) " " bdi { (format!("{:+.2}", valence.value())) } " · "
                    (language.text("arousal")) " " bdi { (format!("{:+.2}", arousal.value())) }
                }
            }
        }
    }
}
