//! What do annotators learn from before a lead has put a project's own faces there?

use affectory_catalog::{LessonKind, LessonPicture, NewLesson, Project};
use affectory_core::Expression;
use bytes::Bytes;

use crate::AnnotateError;

/// Right answers that pass the quiz, percent, unless a lead says otherwise.
pub const PASS_PERCENT: u32 = 70;

/// Questions of each category in a new project's quiz.
const QUESTIONS_EACH: u64 = 2;

/// Side of a drawn lesson in pixels.
const SIDE: u32 = 320;

/// Gives a project that has no lessons drawn ones: a worked face of each category, and a quiz. A drawing cannot show
/// uncertainty, so the quiz does not ask for it.
///
/// # Errors
/// [`AnnotateError`].
pub async fn write_first_lessons(project: &Project, now_ms: i64) -> Result<(), AnnotateError> {
    let has_some = !project.catalog.list_lessons(LessonKind::Tutorial).await?.is_empty()
        || !project.catalog.list_lessons(LessonKind::Quiz).await?.is_empty();
    if has_some {
        return Ok(());
    }
    let mut wanted: Vec<(LessonKind, Expression, u64)> =
        Expression::ALL.into_iter().map(|expression| (LessonKind::Tutorial, expression, 1)).collect();
    for seed in 0..QUESTIONS_EACH {
        // Another order in each round than that of the keys.
        let asked = [7, 1, 4, 10, 2, 6, 0, 3, 5].into_iter().filter_map(Expression::from_index);
        wanted.extend(asked.map(|expression| (LessonKind::Quiz, expression, 100 + seed)));
    }
    let mut lessons = Vec::with_capacity(wanted.len());
    for (kind, expression, seed) in wanted {
        let drawn = affectory_synthetic::draw(expression, 1_000 * seed + expression.index() as u64, SIDE);
        let png = affectory_imaging::encode_png(&drawn.image).map_err(AnnotateError::Lesson)?;
        let sha256 = project.store.put(Bytes::from(png)).await?;
        lessons.push(NewLesson {
            kind,
            picture: LessonPicture::Object(sha256),
            expression,
            valence: drawn.place.map(|place| place.valence),
            arousal: drawn.place.map(|place| place.arousal),
            explanation: String::new(),
        });
    }
    project.store.flush().await?;
    project.catalog.insert_first_lessons(&lessons, "program", now_ms).await?;
    Ok(())
}

/// Right answers that pass the quiz, percent.
///
/// # Errors
/// [`AnnotateError::Catalog`].
pub async fn pass_percent(project: &Project) -> Result<u32, AnnotateError> {
    let stored = project.catalog.find_setting("quiz-pass-percent").await?;
    Ok(stored.and_then(|text| text.parse().ok()).filter(|percent| *percent <= 100).unwrap_or(PASS_PERCENT))
}
