//! Which objects of the store does the catalogue name?

use affectory_again::again;
use affectory_core::Sha256Hex;

use crate::{Catalog, CatalogError};

/// A table whose rows name objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// Images whose bytes were not dropped.
    Image,
    /// Crops of faces.
    Face,
    /// Pictures of the tutorial.
    Lesson,
    /// What teams handed in.
    Submission,
}

impl NamedBy {
    pub(crate) const ALL: [NamedBy; 4] = [NamedBy::Image, NamedBy::Face, NamedBy::Lesson, NamedBy::Submission];

    const fn statement(self) -> &'static str {
        match self {
            NamedBy::Image => "select id, sha256 from image where id > $1 and dropped_ms is null order by id limit $2",
            NamedBy::Face => {
                "select id, crop_sha256 from face where id > $1 and crop_sha256 is not null order by id limit $2"
            }
            NamedBy::Lesson => {
                "select id, picture_sha256 from lesson where id > $1 and picture_sha256 is not null order by id limit $2"
            }
            NamedBy::Submission => {
                "select id, sha256 from submission where id > $1 and sha256 is not null order by id limit $2"
            }
        }
    }
}

#[again]
impl Catalog {
    /// The next objects that rows of a table name, with the rows' ids, in the order of these. Agreements are
    /// [`Catalog::list_agreement_objects`].
    pub(crate) async fn list_named_objects(
        &self,
        by: NamedBy,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Sha256Hex)>, CatalogError> {
        let failed = || CatalogError::database("list the objects that are named");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch(by.statement(), vec![after.into(), i64::from(limit).into()]).await.map_err(failed())?;
        rows.iter().map(|row| Ok((row.int(0)?, row.sha256(1)?))).collect()
    }
}
