//! Which questions can stages ask of the catalogue, and what can they have recorded? One file a question below.

mod accounts;
mod answers;
mod assignments;
mod attempts;
mod audit;
mod candidates;
mod challenges;
mod collected;
mod consensus;
mod counts;
mod dispatch;
mod downloads;
mod drops;
mod findings;
mod grants;
mod import;
mod labels;
mod lessons;
mod letters;
mod objects;
mod pace;
mod packs;
mod persons;
mod pools;
mod quota;
mod ratings;
mod read_log;
mod release;
mod report;
mod requests;
mod scan;
mod searches;
mod submissions;
mod withdrawals;
mod write_log;

pub use read_log::LogReader;

pub use audit::COMMAND_LINE;
pub(crate) use audit::record_move;
pub(crate) use objects::NamedBy;
pub use persons::NotErased;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use crate::database::Database;
use crate::{CatalogError, moving, schema};

/// The database, SQLite or PostgreSQL. Cheap to clone; all clones share one pool.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) database: Database,
}

impl Catalog {
    /// Opens `sqlite:PATH` or `postgres://...`, migrates it to this program's schema.
    ///
    /// # Errors
    /// [`CatalogError::NewerSchema`] or what the database refuses.
    pub async fn connect(url: &str) -> Result<Catalog, CatalogError> {
        Self::connect_with(url, None).await
    }

    /// As [`Catalog::connect`], with the password of a PostgreSQL account that its URL leaves out.
    ///
    /// # Errors
    /// As [`Catalog::connect`].
    pub async fn connect_with(url: &str, password: Option<&str>) -> Result<Catalog, CatalogError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::connect_file(Path::new(path)).await;
        }
        let database = Database::connect_postgres(url, password).await;
        Self::migrated(database.map_err(CatalogError::database("open the database"))?).await
    }

    /// Opens a catalogue in a file of any name.
    pub(crate) async fn connect_file(path: &Path) -> Result<Catalog, CatalogError> {
        // SQLite says "unable to open database file" to a read-only disk and to a missing right; the system says which.
        match OpenOptions::new().append(true).open(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(CatalogError::File { action: "open the catalogue", path: path.to_owned(), source });
            }
            _ => {}
        }
        let database = Database::connect_sqlite(path).await;
        Self::migrated(database.map_err(CatalogError::database("open the database"))?).await
    }

    /// Waits for statements under way and closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Keeps the engine's log of changes short, so that no commit has to. For a server, every few seconds.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn checkpoint(&self) -> Result<(), CatalogError> {
        self.database.checkpoint().await.map_err(CatalogError::database("copy the log of changes"))
    }

    /// Writes a copy of the whole catalogue, of one moment, to a file that must not be there; false on PostgreSQL, whose own
    /// tools do that.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn copy_to(&self, path: &Path) -> Result<bool, CatalogError> {
        let Database::Sqlite(_) = &self.database else { return Ok(false) };
        self.database.copy_to(path).await.map_err(CatalogError::database("copy the catalogue"))?;
        Ok(true)
    }

    async fn migrated(database: Database) -> Result<Catalog, CatalogError> {
        schema::migrate(&database).await?;
        let mut work = database.read().await.map_err(CatalogError::database("read the settings"))?;
        let elsewhere = moving::closed(&mut work).await?;
        drop(work);
        match elsewhere {
            Some(elsewhere) => Err(CatalogError::MovedAway(elsewhere)),
            None => Ok(Catalog { database }),
        }
    }
}
