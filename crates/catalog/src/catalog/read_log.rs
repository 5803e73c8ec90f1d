//! How is the whole log read as one state, page by page, while others write?

use affectory_again::again;
use affectory_core::{BoundingBox, PoolId};

use super::assignments::suggestion;
use super::pools::pool_row;
use crate::database::{Row, Work};
use crate::exchange::{LogHead, LoggedAnnotation, LoggedReference};
use crate::{AnnotatorKind, Catalog, CatalogError};

/// The log as it was when the reading began.
pub struct LogReader {
    work: Work,
    /// The last row that was read.
    after: i64,
}

#[again]
impl Catalog {
    /// Begins to read the log.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn read_log(&self) -> Result<LogReader, CatalogError> {
        let work = self.database.read().await.map_err(CatalogError::database("read annotations"))?;
        Ok(LogReader { work, after: 0 })
    }
}

impl LogReader {
    /// How much there is.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn head(&mut self) -> Result<LogHead, CatalogError> {
        let failed = || CatalogError::database("count annotations");
        let rows = self
            .work
            .fetch("select count(*), count(distinct annotator_id), count(distinct face_id) from annotation", vec![])
            .await
            .map_err(failed())?;
        let mut head = LogHead::default();
        if let Some(row) = rows.first() {
            (head.n_annotations, head.n_annotators, head.n_faces) = (row.count(0)?, row.count(1)?, row.count(2)?);
        }
        let pools = self
            .work
            .fetch(
                "select id, name, state, created_ms, n_faces, n_wanted, n_done, n_annotators, overlap_percent,
                        gold_percent, strategy, is_balanced, is_assisted, needs_quiz, seed
                 from pool where id in (select distinct pool_id from annotation where pool_id is not null)",
                vec![],
            )
            .await
            .map_err(failed())?;
        for row in &pools {
            let pool = pool_row(row)?;
            head.pools.push((pool.name, pool.rules));
        }
        // Sorted here: the two engines do not order text alike.
        head.pools.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(head)
    }

    /// The next rows, in the log's order; none at the end.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn next_page(&mut self, limit: u32) -> Result<Vec<LoggedAnnotation>, CatalogError> {
        let rows = self
            .work
            .fetch(
                "select page.id, sha256, face.x, face.y, face.width, face.height, face.origin, annotator.name, annotator.kind,
                        page.origin, page.revision, page.expression, page.valence, page.arousal, page.created_ms,
                        page.pool_id, pool.name, page.event_id, page.elapsed_ms, page.suggested_expression,
                        page.suggested_valence, page.suggested_arousal, page.suggested_by, page.is_suggestion_shown,
                        older_annotator.name, older.origin, older.revision
                 from (select * from annotation where id > $1 order by id limit $2) as page
                     cross join annotator cross join face cross join image
                     left join pool on pool.id = page.pool_id
                     left join annotation as older on older.id = page.supersedes
                     left join annotator as older_annotator on older_annotator.id = older.annotator_id
                 where annotator.id = page.annotator_id and face.id = page.face_id and image.id = face.image_id
                 order by page.id",
                vec![self.after.into(), i64::from(limit).into()],
            )
            .await
            .map_err(CatalogError::database("read annotations"))?;
        if let Some(row) = rows.last() {
            self.after = row.int(0)?;
        }
        rows.iter().map(logged_row).collect()
    }
}

fn logged_row(row: &Row) -> Result<LoggedAnnotation, CatalogError> {
    let at = BoundingBox::new(row.real(2)?, row.real(3)?, row.real(4)?, row.real(5)?);
    let pool = row.optional_int(15)?.map(PoolId).zip(row.optional_text(16)?);
    let suggestion = suggestion(row, 19)?;
    let is_shown = row.optional_int(23)? == Some(1);
    let supersedes = match (row.optional_text(24)?, row.optional_text(25)?, row.optional_int(26)?) {
        (Some(annotator), Some(origin), Some(revision)) => Some(LoggedReference {
            annotator,
            origin: outside(origin, pool.as_ref()),
            revision: revision_of(revision)?,
        }),
        _ => None,
    };
    Ok(LoggedAnnotation {
        image_sha256: row.sha256(1)?,
        bounding_box: at.map_err(|error| CatalogError::Corrupt(error.to_string()))?,
        face_origin: row.text(6)?,
        annotator: row.text(7)?,
        kind: AnnotatorKind::from_name(&row.text(8)?)?,
        origin: outside(row.text(9)?, pool.as_ref()),
        revision: revision_of(row.int(10)?)?,
        supersedes,
        expression: row.expression(11)?,
        valence: row.valence(12)?,
        arousal: row.arousal(13)?,
        created_ms: row.int(14)?,
        pool: pool.map(|(_, name)| name),
        event_id: row.optional_text(17)?,
        elapsed_ms: row.optional_int(18)?.map(|elapsed| u32::try_from(elapsed).unwrap_or(u32::MAX)),
        suggestion: suggestion.map(|suggestion| (suggestion, is_shown)),
    })
}

/// The origin of a pool's answers names the pool by its row, which means nothing in another catalogue.
fn outside(origin: String, pool: Option<&(PoolId, String)>) -> String {
    match pool {
        Some((id, name)) if origin == format!("pool:{id}") => format!("pool:{name}"),
        _ => origin,
    }
}

fn revision_of(revision: i64) -> Result<u32, CatalogError> {
    u32::try_from(revision).map_err(|_| CatalogError::Corrupt(format!("revision {revision}")))
}
