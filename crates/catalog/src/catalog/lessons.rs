//! What do annotators learn from, did they pass, what do they ask a lead, and how is it settled?

use affectory_again::again;
use affectory_core::{AccountId, AnnotatorId, Arousal, Expression, FaceId, LessonId, Valence};

use super::audit::{Entry, append};
use crate::annotating::{FlagRow, LessonKind, LessonPicture, LessonRow, NewLesson};
use crate::database::{Row, Turn, Work, batch};
use crate::{Account, Catalog, CatalogError};

#[again]
impl Catalog {
    /// Lessons of a kind that are in use, in their order.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_lessons(&self, kind: LessonKind) -> Result<Vec<LessonRow>, CatalogError> {
        let failed = || CatalogError::database("list lessons");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, face_id, picture_sha256, expression, valence, arousal, explanation from lesson
                 where kind = $1 and retired_ms is null order by place, id",
                vec![kind.name().into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| lesson_row(row, kind)).collect()
    }

    /// Adds lessons at the end.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_lessons(&self, lessons: &[NewLesson], actor: &str, now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("add lessons");
        let mut work = self.database.write().await.map_err(failed())?;
        insert(&mut work, lessons, actor, now_ms).await?;
        work.commit().await.map_err(failed())
    }

    /// Adds the lessons that a catalogue begins with; false where there are some already, perhaps of another server that
    /// started in the same moment.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_first_lessons(
        &self,
        lessons: &[NewLesson],
        actor: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("add lessons");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Audit).await.map_err(failed())?;
        let some = work.fetch("select 1 from lesson where retired_ms is null limit 1", vec![]).await;
        if !some.map_err(failed())?.is_empty() {
            return Ok(false);
        }
        insert(&mut work, lessons, actor, now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Takes a lesson out of use; false where there is none.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn retire_lesson(&self, id: LessonId, actor: &str, now_ms: i64) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("retire a lesson");
        let mut work = self.database.write().await.map_err(failed())?;
        let n = work
            .execute(
                "update lesson set retired_ms = $2 where id = $1 and retired_ms is null",
                vec![id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let subject = format!("lesson/{id}");
        append(&mut work, &Entry { actor, action: "retire-lesson", subject: &subject, detail: "", time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())?;
        Ok(n > 0)
    }

    /// The picture and answer of one lesson in use.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_lesson_picture(&self, id: LessonId) -> Result<Option<LessonPicture>, CatalogError> {
        let failed = || CatalogError::database("look for a lesson");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch("select face_id, picture_sha256 from lesson where id = $1", vec![id.0.into()])
            .await
            .map_err(failed())?;
        rows.first().map(|row| picture(row, 0)).transpose()
    }

    /// Records an attempt at the quiz; passing it opens the pools that ask for it.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_quiz_attempt(
        &self,
        account: &Account,
        (n_right, n_items): (u32, u32),
        is_passed: bool,
        answers: &str,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a quiz");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into quiz_attempt (account_id, n_items, n_right, is_passed, answers, created_ms)
             values ($1, $2, $3, $4, $5, $6)",
            vec![
                account.id.0.into(),
                i64::from(n_items).into(),
                i64::from(n_right).into(),
                i64::from(is_passed).into(),
                answers.into(),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        if is_passed {
            work.execute(
                "update account set qualified_ms = coalesce(qualified_ms, $2) where id = $1",
                vec![account.id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        }
        let (actor, detail) = (account.actor(), format!("{n_right} of {n_items}"));
        append(&mut work, &Entry { actor: &actor, action: "quiz", subject: &actor, detail: &detail, time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())
    }

    /// Attempts of an account at the quiz since a time.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_quiz_attempts(&self, account: AccountId, since_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("count attempts");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select count(*) from quiz_attempt where account_id = $1 and created_ms >= $2",
                vec![account.0.into(), since_ms.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// A setting's value.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_setting(&self, name: &str) -> Result<Option<String>, CatalogError> {
        let failed = || CatalogError::database("read a setting");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch("select value from setting where name = $1", vec![name.into()]).await.map_err(failed())?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn change_setting(&self, name: &str, value: &str, actor: &str, now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("change a setting");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into setting (name, value) values ($1, $2)
             on conflict (name) do update set value = excluded.value",
            vec![name.into(), value.into()],
        )
        .await
        .map_err(failed())?;
        append(&mut work, &Entry { actor, action: "change-setting", subject: name, detail: value, time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())
    }

    /// Questions that no lead has answered, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_open_flags(&self, limit: u32) -> Result<Vec<FlagRow>, CatalogError> {
        let failed = || CatalogError::database("list flags");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select flag.id, face_id, name, note, created_ms from flag join annotator on annotator.id = annotator_id
                 where resolved_ms is null order by flag.id limit $1",
                vec![i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let flag = |row: &Row| {
            Ok(FlagRow {
                id: row.int(0)?,
                face_id: FaceId(row.int(1)?),
                annotator: row.text(2)?,
                note: row.text(3)?,
                created_ms: row.int(4)?,
            })
        };
        rows.iter().map(flag).collect()
    }

    /// Answers a flag; false where it is answered already, or unknown.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn resolve_flag(
        &self,
        id: i64,
        resolution: &str,
        by: &Account,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("answer a flag");
        let mut work = self.database.write().await.map_err(failed())?;
        let n = work
            .execute(
                "update flag set resolved_ms = $2, resolved_by = $3, resolution = $4
                 where id = $1 and resolved_ms is null",
                vec![id.into(), now_ms.into(), by.id.0.into(), resolution.into()],
            )
            .await
            .map_err(failed())?;
        if n == 0 {
            return Ok(false);
        }
        let (actor, subject) = (by.actor(), format!("flag/{id}"));
        let entry =
            Entry { actor: &actor, action: "resolve-flag", subject: &subject, detail: resolution, time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Records what a reviewer decides of a face that stays open; a later decision supersedes an earlier one of theirs.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn adjudicate(
        &self,
        face: FaceId,
        expression: Expression,
        point: Option<(Valence, Arousal)>,
        by: &Account,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a decision");
        let annotator: AnnotatorId = by.annotator_id;
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into annotation (face_id, annotator_id, origin, revision, supersedes, expression, valence, arousal,
                 created_ms)
             select $1, $2, 'adjudication', coalesce(max(revision) + 1, 0),
                    (select id from annotation where face_id = $1 and annotator_id = $2 and origin = 'adjudication'
                     order by revision desc limit 1), $3, $4, $5, $6
             from annotation where face_id = $1 and annotator_id = $2 and origin = 'adjudication'",
            vec![
                face.0.into(),
                annotator.0.into(),
                (expression.index() as i64).into(),
                point.map(|(valence, _)| valence.value()).into(),
                point.map(|(_, arousal)| arousal.value()).into(),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        let (actor, subject) = (by.actor(), format!("face/{face}"));
        let entry = Entry {
            actor: &actor,
            action: "adjudicate",
            subject: &subject,
            detail: expression.name(),
            time_ms: now_ms,
        };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())
    }
}

/// Adds lessons at the end, with an entry in the audit log.
async fn insert(work: &mut Work, lessons: &[NewLesson], actor: &str, now_ms: i64) -> Result<(), CatalogError> {
    let rows = batch(lessons.iter().map(|lesson| {
        let (face, object) = match &lesson.picture {
            LessonPicture::Face(face) => (Some(face), None),
            LessonPicture::Object(sha256) => (None, Some(sha256.as_str())),
        };
        let expression = lesson.expression.index();
        (lesson.kind.name(), face, object, expression, lesson.valence, lesson.arousal, &lesson.explanation)
    }));
    work.execute(
        "insert into lesson (kind, place, face_id, picture_sha256, expression, valence, arousal, explanation,
             created_ms)
         select value ->> 0, (select coalesce(max(place), 0) from lesson) + key + 1, cast(value ->> 1 as bigint),
                value ->> 2, cast(value ->> 3 as bigint), cast(value ->> 4 as double precision),
                cast(value ->> 5 as double precision), value ->> 6, $2
         from json_each($1) as new where true order by key",
        vec![rows, now_ms.into()],
    )
    .await
    .map_err(CatalogError::database("add lessons"))?;
    let detail = format!("{} lessons", lessons.len());
    append(work, &Entry { actor, action: "add-lessons", subject: "training", detail: &detail, time_ms: now_ms }).await
}

fn picture(row: &Row, first: usize) -> Result<LessonPicture, CatalogError> {
    match (row.optional_int(first)?, row.optional_sha256(first + 1)?) {
        (Some(face), _) => Ok(LessonPicture::Face(FaceId(face))),
        (None, Some(sha256)) => Ok(LessonPicture::Object(sha256)),
        (None, None) => Err(CatalogError::Corrupt("a lesson without a picture".into())),
    }
}

fn lesson_row(row: &Row, kind: LessonKind) -> Result<LessonRow, CatalogError> {
    let picture: LessonPicture = picture(row, 1)?;
    let expression = row.expression(3)?.ok_or_else(|| CatalogError::Corrupt("a lesson without category".into()))?;
    let lesson = NewLesson {
        kind,
        picture,
        expression,
        valence: row.valence(4)?,
        arousal: row.arousal(5)?,
        explanation: row.text(6)?,
    };
    Ok(LessonRow { id: LessonId(row.int(0)?), lesson })
}
