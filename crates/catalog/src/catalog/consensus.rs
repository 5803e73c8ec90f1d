//! What was agreed on, face by face, and how was it reached?
//!
//! `consensus` has one row for each method and face, and a run replaces its predecessor's in batches, so that answers of
//! annotators need not wait for a million rows. The run is there before its rows and complete after them: rows of a
//! method are one result exactly if its newest run is complete and they name it.

use std::collections::HashMap;

use affectory_again::again;
use affectory_core::{AnnotationId, Expression, FaceId};

use crate::database::{Row, Turn, batch};
use crate::{Catalog, CatalogError, ConsensusRow, ConsensusRunRow, NewConsensusRun};

#[again]
impl Catalog {
    /// Records how a consensus was reached; its faces are recorded by [`Catalog::record_consensus`] under the number
    /// that this gives, and then [`Catalog::finish_consensus_run`] declares it complete.
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

    /// Replaces the consensus of these faces, in one transaction.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_consensus(&self, rows: &[ConsensusRow], now_ms: i64) -> Result<(), CatalogError> {
        if rows.is_empty() {
            return Ok(());
        }
        let failed = || CatalogError::database("record a consensus");
        // One statement must not meet a row twice; of two for one face the last one counts.
        let mut last: HashMap<(&str, FaceId), usize> = HashMap::new();
        for (idx, row) in rows.iter().enumerate() {
            last.insert((&row.method, row.face_id), idx);
        }
        let kept = rows.iter().enumerate().filter(|(idx, row)| last.get(&(&row.method, row.face_id)) == Some(idx));
        let new = batch(kept.map(|(_, row)| {
            let (expression, is_proxy) = (row.expression.map(Expression::index), i64::from(row.is_proxy));
            (
                &row.method,
                row.face_id,
                expression,
                row.valence,
                row.arousal,
                is_proxy,
                row.n_annotations,
                row.agreement,
                row.run_id,
                row.shares.as_ref().map(shares_json),
                row.valence_spread,
                row.arousal_spread,
            )
        }));
        let mut work = self.database.write().await.map_err(failed())?;
        // An import that raises splits and this must not pass each other.
        work.take_turn(Turn::Import).await.map_err(failed())?;
        work.execute(
            "insert into consensus (method, face_id, expression, valence, arousal, is_proxy, n_annotations, agreement,
                 run_id, shares, valence_spread, arousal_spread, given_split, computed_ms)
             select value ->> 0, face.id, cast(value ->> 2 as bigint), cast(value ->> 3 as double precision),
                    cast(value ->> 4 as double precision), cast(value ->> 5 as bigint), cast(value ->> 6 as bigint),
                    cast(value ->> 7 as double precision), cast(value ->> 8 as bigint), value ->> 9,
                    cast(value ->> 10 as double precision), cast(value ->> 11 as double precision),
                    face.given_split, $2
             from json_each($1) as new cross join face
             where face.id = cast(new.value ->> 1 as bigint)
             on conflict (method, face_id) do update set expression = excluded.expression, valence = excluded.valence,
                 arousal = excluded.arousal, is_proxy = excluded.is_proxy, n_annotations = excluded.n_annotations,
                 agreement = excluded.agreement, run_id = excluded.run_id, shares = excluded.shares,
                 valence_spread = excluded.valence_spread, arousal_spread = excluded.arousal_spread,
                 given_split = excluded.given_split, computed_ms = excluded.computed_ms",
            vec![new, now_ms.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Declares a run complete and removes what is left of the method's earlier runs, in one transaction.
    ///
    /// # Errors
    /// [`CatalogError::ConsensusOvertaken`] where not all of its rows are there; [`CatalogError::Database`].
    pub async fn finish_consensus_run(&self, id: i64, run: &NewConsensusRun) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a consensus");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Import).await.map_err(failed())?;
        work.execute(
            "delete from consensus where method = $1 and (run_id is null or run_id <> $2)",
            vec![run.method.as_str().into(), id.into()],
        )
        .await
        .map_err(failed())?;
        let rows = work
            .fetch("select count(*) from consensus where method = $1", vec![run.method.as_str().into()])
            .await
            .map_err(failed())?;
        if rows.first().map_or(Ok(0), |row| row.count(0))? != run.n_faces {
            return Err(CatalogError::ConsensusOvertaken(run.method.clone()));
        }
        work.execute("update consensus_run set is_complete = 1 where id = $1", vec![id.into()])
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// All recorded consensuses, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_consensus_runs(&self) -> Result<Vec<ConsensusRunRow>, CatalogError> {
        let failed = || CatalogError::database("list consensuses");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, computed_ms, method, parameters, program_version, last_annotation_id, n_annotations, n_faces,
                        inputs_sha256, result_sha256, details, is_complete
                 from consensus_run order by id desc",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(run_row).collect()
    }

    /// What a run says of these faces; faces of which it says nothing, or whose row a later run has replaced, are left
    /// out.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_consensus(&self, run: i64, faces: &[FaceId]) -> Result<Vec<ConsensusRow>, CatalogError> {
        let failed = || CatalogError::database("read a consensus");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select face_id, consensus.method, expression, valence, arousal, is_proxy, consensus.n_annotations,
                        agreement, run_id, shares, valence_spread, arousal_spread
                 from json_each($1) as wanted cross join consensus_run cross join consensus
                 where consensus_run.id = $2 and consensus.method = consensus_run.method
                     and face_id = cast(wanted.value ->> 0 as bigint) and run_id = $2
                 order by wanted.key",
                vec![batch(faces.iter().map(|face| [face])), run.into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(consensus_row).collect()
    }
}

/// Shares by the categories' names, as JSON; what is 0 is left out.
fn shares_json(shares: &[f64; 11]) -> String {
    let named = Expression::ALL.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let object = named.map(|(expression, share)| (expression.name().to_owned(), serde_json::json!(share)));
    serde_json::Value::Object(object.collect()).to_string()
}

fn shares_from(text: &str) -> Result<[f64; 11], CatalogError> {
    let corrupt = || CatalogError::Corrupt(format!("shares `{text}`"));
    let named: HashMap<String, f64> = serde_json::from_str(text).map_err(|_| corrupt())?;
    let mut shares = [0.0; 11];
    for (name, share) in named {
        let expression = Expression::ALL.into_iter().find(|known| known.name() == name).ok_or_else(corrupt)?;
        shares[expression.index()] = share;
    }
    Ok(shares)
}

fn consensus_row(row: &Row) -> Result<ConsensusRow, CatalogError> {
    Ok(ConsensusRow {
        face_id: FaceId(row.int(0)?),
        method: row.text(1)?,
        expression: row.expression(2)?,
        valence: row.valence(3)?,
        arousal: row.arousal(4)?,
        is_proxy: row.int(5)? == 1,
        n_annotations: row.unsigned(6)?,
        agreement: row.optional_real(7)?,
        run_id: row.optional_int(8)?,
        shares: row.optional_text(9)?.map(|text| shares_from(&text)).transpose()?,
        valence_spread: row.optional_real(10)?,
        arousal_spread: row.optional_real(11)?,
    })
}

fn run_row(row: &Row) -> Result<ConsensusRunRow, CatalogError> {
    let run = NewConsensusRun {
        method: row.text(2)?,
        parameters: row.text(3)?,
        program_version: row.text(4)?,
        last_annotation_id: AnnotationId(row.int(5)?),
        n_annotations: row.count(6)?,
        n_faces: row.count(7)?,
        inputs_sha256: row.sha256(8)?,
        result_sha256: row.sha256(9)?,
        details: row.text(10)?,
    };
    Ok(ConsensusRunRow { id: row.int(0)?, run, is_complete: row.int(11)? == 1, computed_ms: row.int(1)? })
}
