//! What does the log of all annotations say, row by row, and what was made of it?

use std::collections::BTreeMap;

use affectory_core::{AnnotationId, AnnotatorId, FaceId, Sha256Hex};

use crate::annotating::RatingRow;
use crate::database::Row;
use crate::{AnnotatorKind, Catalog, CatalogError, NewConsensusRun};

impl Catalog {
    /// Rows of the log after `after`, in its order. On PostgreSQL a row of a transaction that is still under way can come
    /// to stand before rows that were read: a reader who goes on later begins some rows before the last one it has.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_ratings(&self, after: AnnotationId, limit: u32) -> Result<Vec<RatingRow>, CatalogError> {
        let failed = || CatalogError::database("read annotations");
        let mut work = self.database.read().await.map_err(failed())?;
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

    /// Records how a consensus was reached; its faces are recorded by [`Catalog::record_consensus`] under the number
    /// that this gives.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_consensus_run(&self, run: &NewConsensusRun, now_ms: i64) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("record a consensus");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                "insert into consensus_run (method, parameters, program_version, last_annotation_id, n_annotations,
                     n_faces, inputs_sha256, result_sha256, details, computed_ms)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id",
                vec![
                    run.method.as_str().into(),
                    run.parameters.as_str().into(),
                    run.program_version.as_str().into(),
                    run.last_annotation_id.0.into(),
                    (run.n_annotations as i64).into(),
                    (run.n_faces as i64).into(),
                    run.inputs_sha256.as_str().into(),
                    run.result_sha256.as_str().into(),
                    run.details.as_str().into(),
                    now_ms.into(),
                ],
            )
            .await
            .map_err(failed())?;
        let id = rows.first().ok_or_else(|| CatalogError::Corrupt("a consensus without a row".into()))?.int(0)?;
        work.commit().await.map_err(failed())?;
        Ok(id)
    }

    /// All recorded consensuses, newest first: number, when (ms UTC), and what they are.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_consensus_runs(&self) -> Result<Vec<(i64, i64, NewConsensusRun)>, CatalogError> {
        let failed = || CatalogError::database("list consensuses");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, computed_ms, method, parameters, program_version, last_annotation_id, n_annotations, n_faces,
                        inputs_sha256, result_sha256, details
                 from consensus_run order by id desc",
                vec![],
            )
            .await
            .map_err(failed())?;
        let run = |row: &Row| {
            let sha256 = |idx| -> Result<Sha256Hex, CatalogError> { row.sha256(idx) };
            let run = NewConsensusRun {
                method: row.text(2)?,
                parameters: row.text(3)?,
                program_version: row.text(4)?,
                last_annotation_id: AnnotationId(row.int(5)?),
                n_annotations: row.count(6)?,
                n_faces: row.count(7)?,
                inputs_sha256: sha256(8)?,
                result_sha256: sha256(9)?,
                details: row.text(10)?,
            };
            Ok((row.int(0)?, row.int(1)?, run))
        };
        rows.iter().map(run).collect()
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
