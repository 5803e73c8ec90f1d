//! Which tables does the catalogue have, and how does an older one reach this program's schema?

use crate::CatalogError;
use crate::database::{Database, Turn, Value, Work};

/// One step forward. The portable part runs on both engines, then the engine's own tail.
struct Migration {
    portable: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Migration `n` (from 1) leads to schema version `n`. There is no way back, and a published one never changes.
const MIGRATIONS: &[Migration] = &[
    Migration {
        portable: include_str!("../migrations/0001_the_way.sql"),
        sqlite: include_str!("../migrations/0001_the_way.sqlite.sql"),
        postgres: include_str!("../migrations/0001_the_way.postgres.sql"),
    },
    Migration { portable: include_str!("../migrations/0002_collect.sql"), sqlite: "", postgres: "" },
    Migration { portable: include_str!("../migrations/0003_faces_behind.sql"), sqlite: "", postgres: "" },
    Migration { portable: include_str!("../migrations/0004_annotate.sql"), sqlite: "", postgres: "" },
    Migration { portable: include_str!("../migrations/0005_portal.sql"), sqlite: "", postgres: "" },
    Migration { portable: include_str!("../migrations/0006_challenge.sql"), sqlite: "", postgres: "" },
    Migration { portable: "", sqlite: "", postgres: include_str!("../migrations/0007_outages.postgres.sql") },
    Migration { portable: include_str!("../migrations/0008_attempts.sql"), sqlite: "", postgres: "" },
    Migration { portable: include_str!("../migrations/0009_packs.sql"), sqlite: "", postgres: "" },
    Migration { portable: "", sqlite: "", postgres: include_str!("../migrations/0010_checked_by_join.postgres.sql") },
    Migration { portable: include_str!("../migrations/0011_sure.sql"), sqlite: "", postgres: "" },
    Migration { portable: "", sqlite: "", postgres: include_str!("../migrations/0012_release_of_items.postgres.sql") },
    Migration {
        portable: "",
        sqlite: include_str!("../migrations/0013_consensus_by_face.sqlite.sql"),
        postgres: include_str!("../migrations/0013_consensus_by_face.postgres.sql"),
    },
    Migration { portable: include_str!("../migrations/0014_why_not.sql"), sqlite: "", postgres: "" },
];

/// A row number given in the order of insertion.
const SQLITE_IDENTITY: &str = "integer primary key";

/// Brings the database to the newest schema, in one transaction: a kill leaves the old one, and of two processes that
/// start at once the second finds the work done.
pub(crate) async fn migrate(database: &Database) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("bring the catalogue to this program's schema");
    let mut work = database.write().await.map_err(failed())?;
    work.take_time().await.map_err(failed())?;
    work.take_turn(Turn::Migrate).await.map_err(failed())?;
    work.execute("create table if not exists schema_version (version bigint primary key)", vec![])
        .await
        .map_err(failed())?;
    let versions = work.fetch("select coalesce(max(version), 0) from schema_version", vec![]).await.map_err(failed())?;
    let found = versions.first().map_or(Ok(0), |row| row.int(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(CatalogError::NewerSchema { found, known });
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let (identity, tail) = match work {
            Work::Sqlite(..) => (SQLITE_IDENTITY, migration.sqlite),
            Work::Postgres(..) => ("bigint generated always as identity primary key", migration.postgres),
        };
        work.run_script(migration.portable.replace("{identity}", identity)).await.map_err(failed())?;
        work.run_script(tail.to_owned()).await.map_err(failed())?;
        work.execute("insert into schema_version (version) values ($1)", vec![Value::from(version)])
            .await
            .map_err(failed())?;
    }
    work.commit().await.map_err(failed())
}

/// All migrations for SQLite, one after the other.
pub(crate) fn sqlite_script() -> String {
    MIGRATIONS
        .iter()
        .map(|migration| {
            format!("{}\n{}\n", migration.portable.replace("{identity}", SQLITE_IDENTITY), migration.sqlite)
        })
        .collect()
}
