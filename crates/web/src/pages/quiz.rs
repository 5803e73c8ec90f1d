//! Does an annotator see in faces what the lab sees?

use std::collections::HashMap;
use std::sync::Arc;

use affectory_annotate::pass_percent;
use affectory_catalog::{LessonKind, LessonRow};
use affectory_core::Expression;
use axum::Form;
use axum::extract::State;
use maud::{Markup, html};

use super::layout::{self, csrf};
use super::tutorial::worked_face;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::messages::Language;

/// Attempts within a day: whoever needs more should talk to the lead.
const ATTEMPTS_A_DAY: u64 = 6;

const DAY_MS: i64 = 86_400_000;

/// All questions on one page: works without scripts.
pub(crate) async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let language = app.messages.of(&visitor.account.language);
    let questions = app.project.catalog.list_lessons(LessonKind::Quiz).await?;
    let total = questions.len().to_string();
    let content = html! {
        p { (language.text("quiz_intro")) }
        form method="post" action="/quiz" {
            (csrf(&visitor))
            @for (n, question) in questions.iter().enumerate() {
                @let title = language.text("quiz_question").replace("{n}", &(n + 1).to_string()).replace("{total}", &total);
                fieldset.card.question {
                    legend { (title) }
                    img src={ "/lessons/" (question.id) "/picture" } alt=(title) width="240" height="240" loading="lazy";
                    div.choices {
                        @for expression in Expression::ALL {
                            label {
                                input type="radio" name={ "q" (question.id) } value=(expression.index()) required;
                                " " (language.expression(expression))
                            }
                        }
                    }
                }
            }
            button.primary type="submit" { (language.text("quiz_submit")) }
        }
    };
    Ok(layout::page(language.text("quiz_title"), language, Some(&visitor), &content))
}

/// Counts the answers and shows each question with its answer.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(answers): Form<HashMap<String, String>>,
) -> Result<Markup, WebError> {
    let language = app.messages.of(&visitor.account.language);
    let (catalog, now_ms) = (&app.project.catalog, app.now_ms());
    if catalog.count_quiz_attempts(visitor.account.id, now_ms - DAY_MS).await? >= ATTEMPTS_A_DAY {
        return Err(WebError::Invalid("no more attempts today: please talk to your lead".into()));
    }
    let questions = catalog.list_lessons(LessonKind::Quiz).await?;
    if questions.is_empty() {
        return Err(WebError::NotFound("the quiz"));
    }
    let given = |question: &LessonRow| {
        let index = answers.get(&format!("q{}", question.id)).and_then(|text| text.parse::<usize>().ok());
        index.and_then(Expression::from_index)
    };
    let right = questions.iter().filter(|question| given(question) == Some(question.lesson.expression)).count();
    let needed = (questions.len() * pass_percent(&app.project).await? as usize).div_ceil(100);
    let is_passed = right >= needed;
    let log: Vec<_> = questions.iter().map(|q| (q.id, given(q).map(Expression::name))).collect();
    let log = serde_json::to_string(&log).unwrap_or_default();
    catalog
        .record_quiz_attempt(&visitor.account, (right as u32, questions.len() as u32), is_passed, &log, now_ms)
        .await?;
    let shown: Vec<_> = questions.iter().map(|question| (question, given(question))).collect();
    Ok(result_page(language, &visitor, &shown, (right, needed)))
}

fn result_page(
    language: &Language,
    visitor: &Visitor,
    questions: &[(&LessonRow, Option<Expression>)],
    (right, needed): (usize, usize),
) -> Markup {
    let is_passed = right >= needed;
    let key = if is_passed { "quiz_passed" } else { "quiz_failed" };
    let result = language
        .text(key)
        .replace("{right}", &right.to_string())
        .replace("{total}", &questions.len().to_string())
        .replace("{needed}", &needed.to_string());
    let content = html! {
        p.notice role="status" data-testid="quiz-result" { (result) }
        p {
            @if is_passed { a.button.primary href="/" { (language.text("home_start")) } }
            @else {
                a.button href="/tutorial" { (language.text("tutorial_title")) }
                " "
                a.button.primary href="/quiz" { (language.text("quiz_again")) }
            }
        }
        div.lessons {
            @for (question, given) in questions {
                div.answered data-right=(*given == Some(question.lesson.expression)) {
                    p {
                        @if *given == Some(question.lesson.expression) { "✓ " } @else { "✗ " }
                        (given.map_or("–", |expression| language.expression(expression)))
                    }
                    // Whoever has to try again learns from the tutorial, not from the answers.
                    @if is_passed { (worked_face(language, question)) }
                    @else { img src={ "/lessons/" (question.id) "/picture" } alt="" width="160" height="160" loading="lazy"; }
                }
            }
        }
    };
    layout::page(language.text("quiz_title"), language, Some(visitor), &content)
}
