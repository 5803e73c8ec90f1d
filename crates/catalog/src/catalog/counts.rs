//! How many are there: of each table, and of each category in each split?

use std::collections::BTreeMap;

use affectory_again::again;
use affectory_core::{Expression, Split};

use crate::records::{CountRow, ProjectCounts};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// The count table of one consensus method, by split and category; cells without a face are left out, and so are
    /// faces of withdrawn images.
    ///
    /// Both big counts run over one index each, without a join: < 1 s at 1,000,000 faces.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_table(&self, method: &str) -> Result<Vec<CountRow>, CatalogError> {
        let failed = || CatalogError::database("count labels");
        let mut work = self.database.read().await.map_err(failed())?;
        // Faces without a row of consensus are what is left of all faces of the split.
        let all = work
            .fetch("select given_split, null, count(*) from face group by given_split", vec![])
            .await
            .map_err(failed())?;
        let labelled = work
            .fetch(
                "select given_split, expression, count(*) from consensus where method = $1
                 group by given_split, expression",
                vec![method.into()],
            )
            .await
            .map_err(failed())?;
        let withdrawn = work
            .fetch(
                "select face.given_split, expression, count(*)
                 from image cross join face left join consensus on method = $1 and face_id = face.id
                 where withdrawn_ms is not null and face.image_id = image.id
                 group by face.given_split, expression",
                vec![method.into()],
            )
            .await
            .map_err(failed())?;

        let mut cells: BTreeMap<(Option<Split>, Option<Expression>), i64> = BTreeMap::new();
        for row in &all {
            *cells.entry((row.split(0)?, None)).or_default() += row.int(2)?;
        }
        for row in &labelled {
            let (split, n_faces) = (row.split(0)?, row.int(2)?);
            *cells.entry((split, None)).or_default() -= n_faces;
            *cells.entry((split, row.expression(1)?)).or_default() += n_faces;
        }
        for row in &withdrawn {
            *cells.entry((row.split(0)?, row.expression(1)?)).or_default() -= row.int(2)?;
        }
        let filled = cells.into_iter().filter(|(_, n_faces)| *n_faces > 0);
        Ok(filled
            .map(|((given_split, expression), n_faces)| CountRow {
                given_split,
                expression,
                n_faces: n_faces.unsigned_abs(),
            })
            .collect())
    }

    /// Sizes of the tables.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn project_counts(&self) -> Result<ProjectCounts, CatalogError> {
        let failed = || CatalogError::database("count rows");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select count(*) from image), (select count(*) from sighting) + (select count(*) from candidate
                            join hit on hit.candidate_id = candidate.id where image_id is not null), (select count(*) from face),
                        (select count(*) from annotator), (select count(*) from annotation),
                        (select count(*) from release)",
                vec![],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(ProjectCounts::default()) };
        Ok(ProjectCounts {
            images: row.count(0)?,
            sightings: row.count(1)?,
            faces: row.count(2)?,
            annotators: row.count(3)?,
            annotations: row.count(4)?,
            releases: row.count(5)?,
        })
    }
}
