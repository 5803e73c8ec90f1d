//! How does a project's catalogue move to the other engine, or to another server, without a row lost or changed?
//!
//! The old catalogue is locked against writing, every table is copied in one transaction of the new one and read back there,
//! and only what has the same hash on both sides is kept. Then, in this order: the new one is committed, the old one is
//! closed for good (its tables refuse changes, also those of a server that still runs on it), `affectory.toml` names the new
//! one. A kill before the second step leaves the project where it was, after it the same command goes on.

use std::path::Path;

use affectory_core::Sha256Hex;
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;

use crate::backup::{flush, refused, remove};
use crate::catalog::record_move;
use crate::database::{Database, Turn, Work};
use crate::project::{self, CATALOG_FILE, CONFIG_FILE, ProjectConfig};
use crate::tables::{Kind, Table, tables};
use crate::{CatalogError, schema};

/// Where a new SQLite catalogue is made until it is complete.
const PARTIAL_FILE: &str = "catalog.sqlite.moving";

/// Rows and bytes of text that are in memory at a time.
const PAGE_ROWS: usize = 5_000;
const PAGE_BYTES: usize = 4 << 20;

/// Values of one statement on SQLite, which takes 32,766.
const SQLITE_VALUES: usize = 8_000;

/// The row of `setting` in which a closed catalogue says where the project is.
const MOVED_TO: &str = "moved-to";

/// A table that was moved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovedTable {
    /// Its name.
    pub table: String,
    /// Rows on both sides.
    pub rows: u64,
    /// SHA-256 over the text of all rows in the order of their keys, the same on both sides.
    pub sha256: Sha256Hex,
}

/// What became of the old catalogue, and what is in the new one.
#[derive(Debug, Clone)]
pub struct Moved {
    /// All tables; none if an earlier move only had to be finished.
    pub tables: Vec<MovedTable>,
    /// Where the project's catalogue was.
    pub from: String,
}

/// Passwords of the PostgreSQL accounts, where their URLs need one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passwords<'a> {
    /// Of the catalogue as it is.
    pub from: Option<&'a str>,
    /// Of the one to be.
    pub to: Option<&'a str>,
}

/// Moves the catalogue of the project in `dir` to `sqlite` or a `postgres://` URL with an empty database. `told` hears of
/// each table before it is copied.
///
/// # Errors
/// [`CatalogError::NotMoved`] with what to do about it; what either database or the disk refuses.
pub async fn move_catalog(
    dir: &Path,
    to: &str,
    passwords: Passwords<'_>,
    now_ms: i64,
    mut told: impl FnMut(&str),
) -> Result<Moved, CatalogError> {
    let config = project::read_config(dir)?;
    let target = ProjectConfig { catalog: to.to_owned(), ..config.clone() };
    project::check(&target, &dir.join(CONFIG_FILE))?;
    if config.catalog == to {
        return Err(not_moved(format!("the project's catalogue is {to} already")));
    }
    let source = open(dir, &config.catalog, passwords.from).await?;
    let failed = || CatalogError::database("lock the old catalogue");
    let tables = tables().await?;
    let mut old = source.hold().await.map_err(failed())?;
    hold_still(&mut old, &tables).await?;
    let outcome = match closed(&mut old).await? {
        Some(elsewhere) if elsewhere == to => Vec::new(),
        Some(elsewhere) => {
            return Err(not_moved(format!("this catalogue was moved to {elsewhere}: write that into {CONFIG_FILE}")));
        }
        None => {
            let what = format!("{} to {to}", config.catalog);
            let moved = if to == "sqlite" {
                to_sqlite(&mut old, dir, &tables, &what, now_ms, &mut told).await?
            } else {
                to_postgres(&mut old, to, passwords.to, &tables, &what, now_ms, &mut told).await?
            };
            close(&mut old, &tables, to).await?;
            moved
        }
    };
    old.commit().await.map_err(CatalogError::database("close the old catalogue"))?;
    source.close().await;
    project::write_moved(dir, &target)?;
    Ok(Moved { tables: outcome, from: config.catalog })
}

async fn open(dir: &Path, catalog: &str, password: Option<&str>) -> Result<Database, CatalogError> {
    let failed = || CatalogError::database("open the database");
    let database = if catalog == "sqlite" {
        let path = dir.join(CATALOG_FILE);
        if !path.exists() {
            return Err(CatalogError::NoCatalog(path));
        }
        Database::connect_sqlite(&path).await.map_err(failed())?
    } else {
        Database::connect_postgres(catalog, password).await.map_err(failed())?
    };
    schema::migrate(&database).await?;
    Ok(database)
}

/// Whoever writes waits, and is told so after a minute; readers go on.
async fn hold_still(old: &mut Work, tables: &[Table]) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("lock the old catalogue");
    old.take_time().await.map_err(failed())?;
    if let Work::Postgres(..) = old {
        let names: Vec<String> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
        // In this mode at once: a stronger lock, wanted later for the triggers, would be a deadlock with another move.
        let lock = format!(
            "set local lock_timeout = '1min';
             lock table {} in share row exclusive mode",
            names.join(", ")
        );
        old.run_script(lock).await.map_err(failed())?;
    }
    Ok(())
}

/// Where a closed catalogue says that the project is.
pub(crate) async fn closed(work: &mut Work) -> Result<Option<String>, CatalogError> {
    let rows = work
        .fetch("select value from setting where name = $1", vec![MOVED_TO.into()])
        .await
        .map_err(CatalogError::database("read the settings"))?;
    rows.first().map(|row| row.text(0)).transpose()
}

/// Makes every table refuse changes from now on, whoever is connected.
async fn close(old: &mut Work, tables: &[Table], to: &str) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("close the old catalogue");
    let note = "insert into setting (name, value) values ($1, $2)";
    old.execute(note, vec![MOVED_TO.into(), to.into()]).await.map_err(failed())?;
    let why = "the catalogue of this project was moved: start affectory again";
    let mut script = match old {
        Work::Sqlite(..) => String::new(),
        Work::Postgres(..) => format!(
            "create function refuse_moved() returns trigger language plpgsql as $$
             begin raise exception '{why}'; end $$;"
        ),
    };
    for Table { name, .. } in tables {
        script += &match old {
            Work::Sqlite(..) => ["insert", "update", "delete"]
                .map(|act| {
                    format!(
                        "create trigger moved_{act}_{name} before {act} on \"{name}\"
                         begin select raise(abort, '{why}'); end;"
                    )
                })
                .concat(),
            Work::Postgres(..) => format!(
                "create trigger moved before insert or update or delete or truncate on \"{name}\"
                 for each statement execute function refuse_moved();"
            ),
        };
    }
    old.run_script(script).await.map_err(failed())
}

async fn to_postgres(
    old: &mut Work,
    url: &str,
    password: Option<&str>,
    tables: &[Table],
    what: &str,
    now_ms: i64,
    told: &mut impl FnMut(&str),
) -> Result<Vec<MovedTable>, CatalogError> {
    let failed = || CatalogError::database("write to the new catalogue");
    let target =
        Database::connect_postgres(url, password).await.map_err(CatalogError::database("open the new database"))?;
    refuse_foreign(&target).await?;
    schema::migrate(&target).await?;
    let mut new = target.write().await.map_err(failed())?;
    new.take_time().await.map_err(failed())?;
    new.take_turn(Turn::Migrate).await.map_err(failed())?;
    refuse_filled(&mut new, tables).await?;
    let moved = copy_all(old, &mut new, tables, told).await?;
    set_sequences(old, &mut new, tables).await?;
    record_move(&mut new, what, now_ms).await?;
    new.commit().await.map_err(failed())?;
    // Without figures of what is in the tables the first questions would be planned as for empty ones.
    target.analyze().await.map_err(failed())?;
    target.close().await;
    Ok(moved)
}

/// A database with tables of somebody else's.
async fn refuse_foreign(target: &Database) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("look at the new database");
    let mut work = target.read().await.map_err(failed())?;
    let found = work
        .fetch(
            "select count(*), count(case when tablename = 'schema_version' then 1 end)
             from pg_tables where schemaname = current_schema()",
            vec![],
        )
        .await
        .map_err(failed())?;
    match found.first() {
        Some(row) if row.int(0)? > 0 && row.int(1)? == 0 => {
            Err(not_moved("the new database holds tables of another program: make an empty one (createdb)".into()))
        }
        _ => Ok(()),
    }
}

async fn refuse_filled(new: &mut Work, tables: &[Table]) -> Result<(), CatalogError> {
    for table in tables {
        let question = format!("select 1 from \"{}\" limit 1", table.name);
        if !new.fetch_built(question).await.map_err(CatalogError::database("look at the new database"))?.is_empty() {
            return Err(not_moved(format!(
                "the new database holds a catalogue already (its table {} has rows): make an empty one (createdb)",
                table.name
            )));
        }
    }
    Ok(())
}

async fn to_sqlite(
    old: &mut Work,
    dir: &Path,
    tables: &[Table],
    what: &str,
    now_ms: i64,
    told: &mut impl FnMut(&str),
) -> Result<Vec<MovedTable>, CatalogError> {
    let failed = || CatalogError::database("write to the new catalogue");
    let (partial, path) = (dir.join(PARTIAL_FILE), dir.join(CATALOG_FILE));
    put_away(&path, now_ms).await?;
    // What a killed move left: nobody else writes here while the old catalogue is ours.
    remove(&partial)?;
    let target = Database::create_sqlite(&partial).await.map_err(failed())?;
    schema::migrate(&target).await?;
    let filled = async {
        let mut new = target.write().await.map_err(failed())?;
        let moved = copy_all(old, &mut new, tables, told).await?;
        record_move(&mut new, what, now_ms).await?;
        new.commit().await.map_err(failed())?;
        Ok(moved)
    };
    let filled: Result<Vec<MovedTable>, CatalogError> = filled.await;
    target.close().await;
    match filled {
        Ok(moved) => {
            flush(&partial)?;
            rename(&partial, &path)?;
            Ok(moved)
        }
        Err(error) => {
            remove(&partial)?;
            Err(error)
        }
    }
}

/// A catalogue that was moved to PostgreSQL before stays beside the one that comes back.
async fn put_away(path: &Path, now_ms: i64) -> Result<(), CatalogError> {
    if !path.exists() {
        return Ok(());
    }
    let failed = || CatalogError::database("look at the old file");
    let database = Database::connect_sqlite(path).await.map_err(failed())?;
    let is_closed = {
        let mut work = database.read().await.map_err(failed())?;
        closed(&mut work).await?.is_some()
    };
    database.close().await;
    if !is_closed {
        return Err(not_moved(format!("{} is there, and was not moved away: put it elsewhere", path.display())));
    }
    // Closed without another reader, the file is whole in itself; with one, its log goes with it.
    for suffix in ["-wal", "-shm", ""] {
        let from = path.with_file_name(format!("{CATALOG_FILE}{suffix}"));
        if from.exists() {
            rename(&from, &path.with_file_name(format!("{CATALOG_FILE}.moved-{now_ms}{suffix}")))?;
        }
    }
    Ok(())
}

/// Copies all tables, then reads them back and compares.
async fn copy_all(
    old: &mut Work,
    new: &mut Work,
    tables: &[Table],
    told: &mut impl FnMut(&str),
) -> Result<Vec<MovedTable>, CatalogError> {
    let mut moved = Vec::with_capacity(tables.len());
    for table in tables {
        told(&table.name);
        let refuses_nul = matches!(new, Work::Postgres(..));
        let mut page = Page::new(table);
        let mut digest = Digest::default();
        // A block of its own: the stream holds the old catalogue's connection.
        {
            let mut rows = old.stream(select(table, old));
            while let Some(row) = rows.try_next().await.map_err(unreadable(table))? {
                let cells = cells(table, &row)?;
                digest.add(&cells);
                if refuses_nul {
                    refuse_nul(table, &cells)?;
                }
                if page.push(cells) {
                    page.write(new).await?;
                }
            }
        }
        page.write(new).await?;
        moved.push(digest.of(table));
    }
    for (table, expected) in tables.iter().zip(&moved) {
        told(&format!("{} again", table.name));
        let mut digest = Digest::default();
        let mut rows = new.stream(select(table, new));
        while let Some(row) = rows.try_next().await.map_err(unreadable(table))? {
            digest.add(&cells(table, &row)?);
        }
        drop(rows);
        if digest.of(table) != *expected {
            return Err(not_moved(format!("table {} reads otherwise in the new database", table.name)));
        }
    }
    Ok(moved)
}

/// All rows in the order of their keys, which is one for both engines: text by its bytes.
fn select(table: &Table, work: &Work) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let order: Vec<String> = table
        .key
        .iter()
        .map(|idx| match (work, table.columns[*idx].kind) {
            (Work::Postgres(..), Kind::Text) => format!("{} collate \"C\"", columns[*idx]),
            _ => columns[*idx].clone(),
        })
        .collect();
    format!("select {} from \"{}\" order by {}", columns.join(", "), table.name, order.join(", "))
}

/// A value on its way.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

fn cells(table: &Table, row: &crate::database::Row) -> Result<Vec<Cell>, CatalogError> {
    let cell = |(idx, column): (usize, &crate::tables::Column)| {
        Ok(match column.kind {
            Kind::Int => row.optional_int(idx)?.map_or(Cell::Null, Cell::Int),
            Kind::Real => row.optional_double(idx)?.map_or(Cell::Null, Cell::Real),
            Kind::Text => row.optional_text(idx)?.map_or(Cell::Null, Cell::Text),
        })
    };
    table.columns.iter().enumerate().map(cell).collect::<Result<_, CatalogError>>().map_err(|error| match error {
        CatalogError::Database { source, .. } => unreadable(table)(source),
        other => other,
    })
}

/// PostgreSQL has no place for U+0000. This program no longer writes it; an older one did.
fn refuse_nul(table: &Table, cells: &[Cell]) -> Result<(), CatalogError> {
    for (column, cell) in table.columns.iter().zip(cells) {
        if let Cell::Text(text) = cell
            && text.contains('\0')
        {
            let key: Vec<String> = table.key.iter().map(|idx| format!("{:?}", cells[*idx])).collect();
            return Err(not_moved(format!(
                "{}.{} of the row {} holds the character U+0000, for which PostgreSQL has no place",
                table.name,
                column.name,
                key.join(", ")
            )));
        }
    }
    Ok(())
}

/// A table's hash as its rows go by.
#[derive(Default)]
struct Digest {
    hasher: Sha256,
    n_rows: u64,
}

impl Digest {
    /// Each value as a letter for its kind and its text, which for a number is the shortest that reads back as the same 64
    /// bits; text after its length, so that no two rows read alike.
    fn add(&mut self, cells: &[Cell]) {
        self.n_rows += 1;
        for cell in cells {
            match cell {
                Cell::Null => self.hasher.update("n;"),
                Cell::Int(value) => self.hasher.update(format!("i{value};")),
                // SQLite keeps -0 as 0.
                Cell::Real(value) => self.hasher.update(format!("r{:?};", value + 0.0)),
                Cell::Text(text) => {
                    self.hasher.update(format!("t{};", text.len()));
                    self.hasher.update(text);
                }
            }
        }
    }

    fn of(self, table: &Table) -> MovedTable {
        let sha256 = Sha256Hex::from_digest(&self.hasher.finalize().into());
        MovedTable { table: table.name.clone(), rows: self.n_rows, sha256 }
    }
}

/// Rows that are written together.
struct Page<'a> {
    table: &'a Table,
    rows: Vec<Vec<Cell>>,
    n_bytes: usize,
}

impl<'a> Page<'a> {
    fn new(table: &'a Table) -> Self {
        Page { table, rows: Vec::new(), n_bytes: 0 }
    }

    /// Adds a row; true once the page is full.
    fn push(&mut self, cells: Vec<Cell>) -> bool {
        self.n_bytes +=
            cells.iter().map(|cell| if let Cell::Text(text) = cell { text.len() } else { 8 }).sum::<usize>();
        self.rows.push(cells);
        self.rows.len() >= PAGE_ROWS || self.n_bytes >= PAGE_BYTES
    }

    async fn write(&mut self, new: &mut Work) -> Result<(), CatalogError> {
        let rows = std::mem::take(&mut self.rows);
        self.n_bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let written = match new {
            Work::Sqlite(work, _) => insert_rows(work, self.table, rows).await,
            Work::Postgres(work, _) => {
                let columns: Vec<String> =
                    self.table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
                // COPY writes ids as they are, also where the engine would hand them out.
                let copy = format!("copy \"{}\" ({}) from stdin", self.table.name, columns.join(", "));
                async {
                    let mut copying = work.copy_in_raw(&copy).await?;
                    copying.send(copy_text(&rows).into_bytes()).await?;
                    copying.finish().await.map(drop)
                }
                .await
            }
        };
        written.map_err(|source| match source {
            sqlx::Error::Database(ref refusal) if refusal.code().is_some_and(|code| code == "22021") => {
                not_moved(format!("table {} holds text that PostgreSQL refuses: {refusal}", self.table.name))
            }
            source => CatalogError::Database { action: "write to the new catalogue", source },
        })
    }
}

async fn insert_rows(work: &mut SqliteConnection, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), sqlx::Error> {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let row_places = format!("({})", vec!["?"; columns.len()].join(", "));
    for rows in rows.chunks((SQLITE_VALUES / columns.len()).max(1)) {
        let places = vec![row_places.as_str(); rows.len()].join(", ");
        let insert = format!("insert into \"{}\" ({}) values {places}", table.name, columns.join(", "));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(insert));
        for cell in rows.iter().flatten() {
            query = match cell {
                Cell::Null => query.bind(None::<i64>),
                Cell::Int(value) => query.bind(*value),
                Cell::Real(value) => query.bind(*value),
                Cell::Text(text) => query.bind(text.clone()),
            };
        }
        query.execute(&mut *work).await?;
    }
    Ok(())
}

/// Rows as COPY reads them: values between tabs, `\N` for null, backslashes before what would end a value.
fn copy_text(rows: &[Vec<Cell>]) -> String {
    let mut out = String::new();
    for row in rows {
        for (idx, cell) in row.iter().enumerate() {
            if idx > 0 {
                out.push('\t');
            }
            match cell {
                Cell::Null => out.push_str("\\N"),
                Cell::Int(value) => out.push_str(&value.to_string()),
                // The shortest text that reads back as the same 64 bits.
                Cell::Real(value) => out.push_str(&format!("{value:?}")),
                Cell::Text(text) => {
                    for letter in text.chars() {
                        match letter {
                            '\\' => out.push_str("\\\\"),
                            '\n' => out.push_str("\\n"),
                            '\r' => out.push_str("\\r"),
                            '\t' => out.push_str("\\t"),
                            other => out.push(other),
                        }
                    }
                }
            }
        }
        out.push('\n');
    }
    out
}

/// The next id is one that was never handed out, also where the rows with the last ones are gone.
async fn set_sequences(old: &mut Work, new: &mut Work, tables: &[Table]) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("set the next ids");
    for Table { name, .. } in tables.iter().filter(|table| table.has_identity) {
        let last = match old {
            Work::Sqlite(..) => format!("select coalesce(max(id), 0) from \"{name}\""),
            Work::Postgres(..) => format!(
                "select greatest(coalesce(max(id), 0),
                     coalesce(pg_sequence_last_value(pg_get_serial_sequence('\"{name}\"', 'id')::regclass), 0))
                 from \"{name}\""
            ),
        };
        let rows = old.fetch_built(last).await.map_err(failed())?;
        let last = rows.first().map_or(Ok(0), |row| row.int(0))?;
        if last > 0 {
            let set = format!("select setval(pg_get_serial_sequence('\"{name}\"', 'id'), {last})");
            new.fetch_built(set).await.map_err(failed())?;
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), CatalogError> {
    std::fs::rename(from, to).map_err(refused("write", to))?;
    flush(to.parent().unwrap_or(to))
}

fn unreadable(table: &Table) -> impl FnOnce(sqlx::Error) -> CatalogError {
    let name = table.name.clone();
    move |error| not_moved(format!("table {name} cannot be read: {error}"))
}

fn not_moved(reason: String) -> CatalogError {
    CatalogError::NotMoved(reason)
}
