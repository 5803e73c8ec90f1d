//! What does the log of all annotations say, row by row?

use std::collections::BTreeMap;

use affectory_again::again;
use affectory_core::{AnnotationId, AnnotatorId, FaceId};

use crate::annotating::RatingRow;
use crate::database::Row;
use crate::{AnnotatorKind, Catalog, CatalogError};

#[again]
impl Catalog {
    /// Rows of the log after `after`, in its order. On PostgreSQL a row of a transaction that is still under way can come
    /// to stand before rows that were read: a reader who goes on later begins some rows before the last one it has.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_ratings(&self, after: AnnotationId, limit: u32) -> Result<Vec<RatingRow>, CatalogError> {
        let failed = || CatalogError::database("read annotations");
        let mut work = self.database.read_a_page().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select annotation.id, face_id, annotator_id, kind,
                        origin = 'adjudication', supersedes, expression, valence, arousal,
                        created_ms, elapsed_ms
                 from annotation join annotator on annotator.id = annotator_id
                 where annotation.id > $1 order by annotation.id limit $2",
                vec![after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(rating_row).collect()
    }

    /// What stands of a face, with who says it, in the order of the log.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_face_answers(&self, face: FaceId) -> Result<Vec<(String, RatingRow)>, CatalogError> {
        let failed = || CatalogError::database("read a face's annotations");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select annotation.id, face_id, annotator_id, kind, origin = 'adjudication', supersedes, expression,
                        valence, arousal, created_ms, elapsed_ms, name
                 from annotation join annotator on annotator.id = annotator_id
                 where face_id = $1
                     and (expression is not null or valence is not null or arousal is not null)
                     and not exists (select 1 from annotation as newer where newer.supersedes = annotation.id)
                 order by annotation.id",
                vec![face.0.into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| Ok((row.text(11)?, rating_row(row)?))).collect()
    }

    /// Names of all annotators by id.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_annotators(&self) -> Result<BTreeMap<AnnotatorId, (String, AnnotatorKind)>, CatalogError> {
        let failed = || CatalogError::database("list annotators");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch("select id, name, kind from annotator", vec![]).await.map_err(failed())?;
        rows.iter()
            .map(|row| Ok((AnnotatorId(row.int(0)?), (row.text(1)?, AnnotatorKind::from_name(&row.text(2)?)?))))
            .collect()
    }
}

fn rating_row(row: &Row) -> Result<RatingRow, CatalogError> {
    let elapsed_ms = row.optional_int(10)?.map(|elapsed| u32::try_from(elapsed).unwrap_or(u32::MAX));
    Ok(RatingRow {
        id: AnnotationId(row.int(0)?),
        face_id: FaceId(row.int(1)?),
        annotator_id: AnnotatorId(row.int(2)?),
        kind: AnnotatorKind::from_name(&row.text(3)?)?,
        is_adjudication: row.boolean(4)?,
        supersedes: row.optional_int(5)?.map(AnnotationId),
        expression: row.expression(6)?,
        valence: row.valence(7)?,
        arousal: row.arousal(8)?,
        created_ms: row.int(9)?,
        elapsed_ms,
    })
}
