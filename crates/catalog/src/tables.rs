//! Which tables and columns do the migrations make, and which must be filled before which?
//!
//! Asked of a database in memory that the migrations have just made, so that no table can be forgotten.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use crate::{CatalogError, schema};

/// A table with rows of the project. `schema_version` is none, nor what one engine alone has.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Indexes of the primary key's columns, in its order.
    pub(crate) key: Vec<usize>,
    /// Whether the engine hands out its ids.
    pub(crate) has_identity: bool,
    parents: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Real,
    Text,
}

/// All tables, each after those that its rows point to.
pub(crate) async fn tables() -> Result<Vec<Table>, CatalogError> {
    let failed = || CatalogError::database("read the schema");
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.map_err(failed())?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(schema::sqlite_script())).execute(&mut connection).await.map_err(failed())?;
    let names =
        sqlx::query("select name from sqlite_master where type = 'table' and name not like 'sqlite%' order by name")
            .fetch_all(&mut connection)
            .await
            .map_err(failed())?;
    let mut waiting = Vec::new();
    for row in names {
        waiting.push(table(&mut connection, row.try_get(0).map_err(failed())?).await?);
    }
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_filled = |name: &String| ordered.iter().any(|table| table.name == *name);
        let ready =
            waiting.iter().position(|table| table.parents.iter().all(|name| *name == table.name || is_filled(name)));
        let ready = ready.ok_or_else(|| CatalogError::Corrupt("tables that point to each other in a circle".into()))?;
        ordered.push(waiting.remove(ready));
    }
    Ok(ordered)
}

async fn table(connection: &mut SqliteConnection, name: String) -> Result<Table, CatalogError> {
    let failed = || CatalogError::database("read the schema");
    let found = sqlx::query("select name, type, pk from pragma_table_info($1) order by cid")
        .bind(&name)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed())?;
    let (mut columns, mut key, mut has_identity) = (Vec::new(), Vec::new(), false);
    for (idx, row) in found.iter().enumerate() {
        let text = |place: usize| row.try_get::<String, _>(place).map_err(failed());
        let kind = match text(1)?.to_lowercase().as_str() {
            "integer" => {
                has_identity = true;
                Kind::Int
            }
            "bigint" => Kind::Int,
            "double precision" => Kind::Real,
            "text" => Kind::Text,
            other => return Err(CatalogError::Corrupt(format!("a column of type {other}"))),
        };
        columns.push(Column { name: text(0)?, kind });
        let place: i64 = row.try_get(2).map_err(failed())?;
        if place > 0 {
            key.push((place, idx));
        }
    }
    key.sort_unstable();
    if key.is_empty() {
        return Err(CatalogError::Corrupt(format!("table {name} without a primary key")));
    }
    let parents = sqlx::query("select distinct \"table\" from pragma_foreign_key_list($1)")
        .bind(&name)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed())?;
    let parent = |row: &SqliteRow| row.try_get(0).map_err(failed());
    Ok(Table {
        name,
        columns,
        key: key.into_iter().map(|(_, idx)| idx).collect(),
        has_identity,
        parents: parents.iter().map(parent).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_table_of_the_migrations_comes_after_those_it_points_to() {
        let tables = tables().await.unwrap();
        let script = schema::sqlite_script().to_lowercase();
        let made: Vec<&str> = script
            .split("create table ")
            .skip(1)
            .map(|rest| rest.split([' ', '(']).next().unwrap_or_default())
            .collect();
        for name in &made {
            assert!(tables.iter().any(|table| table.name == *name), "{name} is missing");
        }
        for (place, table) in tables.iter().enumerate() {
            let before = &tables[..place];
            let is_before = |parent: &String| before.iter().any(|other| other.name == *parent);
            assert!(table.parents.iter().all(|parent| *parent == table.name || is_before(parent)), "{table:?}");
        }
    }
}
