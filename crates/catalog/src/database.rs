//! How does one text of SQL run on SQLite and on PostgreSQL?
//!
//! sqlx's `Any` driver cannot decode every type of both, so this is an enum of two pools and three verbs. A batch of
//! rows travels as one JSON array of arrays, read by `json_each($1)` on both sides (`migrations/` says how).

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use affectory_core::{Arousal, Expression, Landmarks, Sha256Hex, Split, Valence};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{CatalogError, postgres};

/// One of the two engines.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite(Arc<Sqlites>),
    Postgres(PgPool),
}

/// The connections to one file.
///
/// SQLite has one writer, and one that waits for another looks again after 1, 2, 5, ... 100 ms, in no order. So the
/// writers of one process queue before they ask for its lock; only processes still meet there. They share one connection:
/// what a connection has cached is worth nothing once another one has written, and only the writer's stays.
#[derive(Debug)]
pub(crate) struct Sqlites {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    turn: Arc<Mutex<()>>,
}

/// Statements that belong together; dropped without [`Work::commit`], they leave nothing.
pub(crate) enum Work {
    Sqlite(Transaction<'static, Sqlite>, Option<OwnedMutexGuard<()>>),
    Postgres(Transaction<'static, Postgres>, PgPool),
}

/// A parameter of a statement. Each kind has its type even when it is null, which PostgreSQL asks for.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Real(Option<f64>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

impl From<Option<f64>> for Value {
    fn from(value: Option<f64>) -> Self {
        Value::Real(value)
    }
}

impl From<Option<f32>> for Value {
    fn from(value: Option<f32>) -> Self {
        Value::Real(value.map(f64::from))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(Some(value.to_owned()))
    }
}

/// PostgreSQL has no place for U+0000 in a text, so on both engines U+FFFD stands for it: a page's title with one must not
/// hold up the batch that it comes in.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// What more than one process must not do at the same time. SQLite has one writer anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Turn {
    Migrate = 0x4146_4543_0001,
    Import = 0x4146_4543_0002,
    Scan = 0x4146_4543_0003,
    Audit = 0x4146_4543_0005,
    Collect = 0x4146_4543_0006,
    Search = 0x4146_4543_0007,
    Hosts = 0x4146_4543_0008,
    Assign = 0x4146_4543_0009,
    Challenge = 0x4146_4543_0020,
}

/// Takes a turn in which a few rows are found by their keys, while many wait for it. PostgreSQL takes every batch for a hundred
/// rows, and would rather go through a table that is not large yet. Without `jit`: where it must do after all what it was told
/// to avoid, it thinks that dear enough to compile it.
const BY_KEYS: &str = "select pg_advisory_xact_lock($1), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)";

/// Who reads holds no lock, and may be held up by whoever takes what is read.
const TO_READ: &str =
    "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0";
const TO_READ_A_PAGE: &str = "begin isolation level repeatable read read only;
    set local idle_in_transaction_session_timeout = 0; set local max_parallel_workers_per_gather = 0";

/// How long SQLite waits for another process's transaction, and either engine for a free connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that read SQLite's file at the same time.
const READERS: u32 = 8;

/// 64 MiB of pages for the writer, whose indexes want them; 8 MiB each for readers, who find the rest in the system's
/// cache, and whose own is emptied by every commit.
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-8192";

/// Pages in the write-ahead log (64 MiB) after which a commit copies them into the file itself, while everybody waits.
/// A server has them copied before ([`Database::checkpoint`]).
const WAL_PAGES: &str = "16384";

impl Database {
    /// WAL lets readers go on beside the one writer. `synchronous = full` costs one fsync a commit: batches are large,
    /// and an annotator's click or an audit entry must outlive a power cut.
    pub(crate) async fn connect_sqlite(path: &Path) -> Result<Database, sqlx::Error> {
        let options = |cache: &'static str| {
            SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(PATIENCE)
                .pragma("cache_size", cache)
                .pragma("temp_store", "memory")
                .pragma("wal_autocheckpoint", WAL_PAGES)
                .disable_statement_logging()
        };
        // A connection to a file cannot be found dead.
        let pool = || SqlitePoolOptions::new().acquire_timeout(PATIENCE).test_before_acquire(false);
        let writer = pool().max_connections(1).connect_with(options(WRITER_CACHE)).await?;
        let readers = pool().max_connections(READERS).connect_with(options(READER_CACHE)).await?;
        Ok(Database::Sqlite(Arc::new(Sqlites { writer, readers, turn: Arc::default() })))
    }

    pub(crate) async fn connect_postgres(url: &str, password: Option<&str>) -> Result<Database, sqlx::Error> {
        Ok(Database::Postgres(postgres::connect(url, password).await?))
    }

    /// A new file that is filled in one transaction, and thrown away if that fails: no log of changes.
    pub(crate) async fn create_sqlite(path: &Path) -> Result<Database, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .foreign_keys(true)
            .pragma("cache_size", WRITER_CACHE)
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        Ok(Database::Sqlite(Arc::new(Sqlites { readers: writer.clone(), writer, turn: Arc::default() })))
    }

    /// Begins a transaction that writes. SQLite takes its write lock at once: a lock taken later can fail half-way.
    pub(crate) async fn write(&self) -> Result<Work, sqlx::Error> {
        Ok(match self {
            Database::Sqlite(sqlites) => {
                let turn = Arc::clone(&sqlites.turn).lock_owned().await;
                Work::Sqlite(sqlites.writer.begin_with("begin immediate").await?, Some(turn))
            }
            Database::Postgres(pool) => Work::Postgres(pool.begin().await?, pool.clone()),
        })
    }

    /// Begins a transaction that reads one state of the database, and may write at its end.
    pub(crate) async fn hold(&self) -> Result<Work, sqlx::Error> {
        Ok(match self {
            Database::Sqlite(_) => self.write().await?,
            Database::Postgres(pool) => {
                Work::Postgres(pool.begin_with("begin isolation level repeatable read").await?, pool.clone())
            }
        })
    }

    /// Begins a transaction that reads one state of the database, whatever others write meanwhile.
    pub(crate) async fn read(&self) -> Result<Work, sqlx::Error> {
        self.begin_to_read(TO_READ).await
    }

    /// As [`Database::read`], for one of many pages. PostgreSQL would start two processes more for some thousand rows, page by
    /// page, and starting them takes longer than they save.
    pub(crate) async fn read_a_page(&self) -> Result<Work, sqlx::Error> {
        self.begin_to_read(TO_READ_A_PAGE).await
    }

    async fn begin_to_read(&self, postgres: &'static str) -> Result<Work, sqlx::Error> {
        Ok(match self {
            Database::Sqlite(sqlites) => Work::Sqlite(sqlites.readers.begin().await?, None),
            Database::Postgres(pool) => Work::Postgres(pool.begin_with(postgres).await?, pool.clone()),
        })
    }
}

impl Database {
    /// Copies what SQLite's write-ahead log holds into the file. Most of it beside the writer, who goes on; the last pages
    /// in the writer's turn, for only a log of which nothing is left begins anew. PostgreSQL does so itself.
    pub(crate) async fn checkpoint(&self) -> Result<(), sqlx::Error> {
        let Database::Sqlite(sqlites) = self else { return Ok(()) };
        let copy = "pragma wal_checkpoint(passive)";
        let copied = sqlx::query(copy).fetch_one(&sqlites.readers).await?;
        let n_pages: i64 = copied.try_get(1)?;
        if n_pages > 0 {
            let _turn = Arc::clone(&sqlites.turn).lock_owned().await;
            sqlx::query(copy).execute(&sqlites.writer).await?;
        }
        Ok(())
    }
}

impl Database {
    /// Has the engine look at what is in the tables. SQLite plans well without.
    pub(crate) async fn analyze(&self) -> Result<(), sqlx::Error> {
        let Database::Postgres(pool) = self else { return Ok(()) };
        let mut work = pool.begin_with("begin; set local statement_timeout = 0").await?;
        sqlx::query("analyze").execute(&mut *work).await?;
        work.commit().await
    }

    /// Closes all connections; the last one to a file copies its write-ahead log into it.
    pub(crate) async fn close(&self) {
        match self {
            Database::Sqlite(sqlites) => {
                sqlites.readers.close().await;
                sqlites.writer.close().await;
            }
            Database::Postgres(pool) => pool.close().await,
        }
    }

    /// SQLite's copy into a new file, flushed; the readers' connections see one moment of it.
    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), sqlx::Error> {
        let Database::Sqlite(sqlites) = self else { return Ok(()) };
        sqlx::query("vacuum into $1").bind(path.to_string_lossy().into_owned()).execute(&sqlites.readers).await?;
        Ok(())
    }
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(|text| match without_nul(&text) {
                    Cow::Borrowed(_) => text,
                    Cow::Owned(text) => text,
                })),
                Value::Real(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Work {
    /// Lifts PostgreSQL's limits of time until this transaction ends: for work that is long by its nature.
    pub(crate) async fn take_time(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Work::Sqlite(..) => Ok(()),
            Work::Postgres(..) => self.run_script(postgres::NO_LIMITS.to_owned()).await,
        }
    }

    /// Runs one statement; says how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        #[cfg(test)]
        crate::plans::heard(sql, &values);
        Ok(match self {
            Work::Sqlite(work, _) => bound!(sql, values).execute(&mut **work).await?.rows_affected(),
            Work::Postgres(work, _) => bound!(sql, values).execute(&mut **work).await?.rows_affected(),
        })
    }

    /// Runs one statement and brings all its rows.
    pub(crate) async fn fetch(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, sqlx::Error> {
        #[cfg(test)]
        crate::plans::heard(sql, &values);
        Ok(match self {
            Work::Sqlite(work, _) => {
                bound!(sql, values).fetch_all(&mut **work).await?.into_iter().map(Row::Sqlite).collect()
            }
            Work::Postgres(work, _) => {
                bound!(sql, values).fetch_all(&mut **work).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The lines of the plan for a statement, which is not run.
    #[cfg(test)]
    pub(crate) async fn explain(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<String>, sqlx::Error> {
        match self {
            Work::Sqlite(work, _) => {
                let explain = sqlx::AssertSqlSafe(format!("explain query plan {sql}"));
                let rows = bound!(explain, values).fetch_all(&mut **work).await?;
                rows.iter().map(|row| row.try_get(3)).collect()
            }
            Work::Postgres(work, _) => {
                let explain = sqlx::AssertSqlSafe(format!("explain {sql}"));
                let rows = bound!(explain, values).fetch_all(&mut **work).await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            }
        }
    }

    /// Runs one statement that was put together from the schema's own words.
    pub(crate) async fn fetch_built(&mut self, sql: String) -> Result<Vec<Row>, sqlx::Error> {
        self.stream(sql).try_collect().await
    }

    /// As [`Work::fetch_built`], a row at a time: memory does not grow with the answer.
    pub(crate) fn stream(&mut self, sql: String) -> BoxStream<'_, Result<Row, sqlx::Error>> {
        let query = sqlx::AssertSqlSafe(sql);
        match self {
            Work::Sqlite(work, _) => {
                sqlx::query(query).persistent(false).fetch(&mut **work).map_ok(Row::Sqlite).boxed()
            }
            Work::Postgres(work, _) => {
                sqlx::query(query).persistent(false).fetch(&mut **work).map_ok(Row::Postgres).boxed()
            }
        }
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn run_script(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        match self {
            Work::Sqlite(work, _) => script.execute(&mut **work).await.map(drop),
            Work::Postgres(work, _) => script.execute(&mut **work).await.map(drop),
        }
    }

    /// Waits until no other transaction has this turn; it ends with this transaction.
    pub(crate) async fn take_turn(&mut self, turn: Turn) -> Result<(), sqlx::Error> {
        match self {
            Work::Sqlite(..) => Ok(()),
            Work::Postgres(..) => {
                let sql = if turn == Turn::Assign { BY_KEYS } else { "select pg_advisory_xact_lock($1)" };
                self.execute(sql, vec![Value::from(turn as i64)]).await.map(drop)
            }
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Work::Sqlite(work, _turn) => work.commit().await,
            Work::Postgres(work, pool) => postgres::commit(work, &pool).await,
        }
    }

    /// As [`Work::commit`], for a transaction with a turn that many wait for: the next one begins while this one waits for the
    /// disk, which has it when this returns. What is done again after an error must come here again.
    pub(crate) async fn commit_and_let_go(self) -> Result<(), sqlx::Error> {
        match self {
            Work::Sqlite(..) => self.commit().await,
            Work::Postgres(work, pool) => postgres::commit_and_let_go(work, &pool).await,
        }
    }
}

/// A row of an answer. Columns are read by place, in the order of the statement.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($row:expr, $idx:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($idx),
            Row::Postgres(row) => row.try_get($idx),
        }
        .map_err(CatalogError::database("read a row"))
    };
}

impl Row {
    pub(crate) fn int(&self, idx: usize) -> Result<i64, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn optional_int(&self, idx: usize) -> Result<Option<i64>, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn text(&self, idx: usize) -> Result<String, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn optional_text(&self, idx: usize) -> Result<Option<String>, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn real(&self, idx: usize) -> Result<f32, CatalogError> {
        let value: f64 = column!(self, idx)?;
        Ok(value as f32)
    }

    pub(crate) fn optional_real(&self, idx: usize) -> Result<Option<f32>, CatalogError> {
        let value: Option<f64> = column!(self, idx)?;
        Ok(value.map(|value| value as f32))
    }

    /// All 64 bits of a number.
    pub(crate) fn double(&self, idx: usize) -> Result<f64, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn optional_double(&self, idx: usize) -> Result<Option<f64>, CatalogError> {
        column!(self, idx)
    }

    /// A comparison's answer, which SQLite gives as 0 or 1.
    pub(crate) fn boolean(&self, idx: usize) -> Result<bool, CatalogError> {
        column!(self, idx)
    }

    pub(crate) fn count(&self, idx: usize) -> Result<u64, CatalogError> {
        u64::try_from(self.int(idx)?).map_err(|_| CatalogError::Corrupt("a negative count".into()))
    }

    pub(crate) fn unsigned(&self, idx: usize) -> Result<u32, CatalogError> {
        u32::try_from(self.int(idx)?).map_err(|_| CatalogError::Corrupt("a size out of range".into()))
    }

    pub(crate) fn sha256(&self, idx: usize) -> Result<Sha256Hex, CatalogError> {
        self.text(idx)?.parse().map_err(corrupt)
    }

    pub(crate) fn optional_sha256(&self, idx: usize) -> Result<Option<Sha256Hex>, CatalogError> {
        self.optional_text(idx)?.map(|text| text.parse().map_err(corrupt)).transpose()
    }

    pub(crate) fn expression(&self, idx: usize) -> Result<Option<Expression>, CatalogError> {
        let Some(index) = self.optional_int(idx)? else { return Ok(None) };
        match usize::try_from(index).ok().and_then(Expression::from_index) {
            Some(expression) => Ok(Some(expression)),
            None => Err(CatalogError::Corrupt(format!("expression {index}"))),
        }
    }

    pub(crate) fn valence(&self, idx: usize) -> Result<Option<Valence>, CatalogError> {
        self.optional_real(idx)?.map(|value| Valence::new(value).map_err(corrupt)).transpose()
    }

    pub(crate) fn arousal(&self, idx: usize) -> Result<Option<Arousal>, CatalogError> {
        self.optional_real(idx)?.map(|value| Arousal::new(value).map_err(corrupt)).transpose()
    }

    pub(crate) fn landmarks(&self, idx: usize) -> Result<Option<Landmarks>, CatalogError> {
        self.optional_text(idx)?.map(|text| Landmarks::from_text(&text).map_err(corrupt)).transpose()
    }

    /// A split from its rank; -1 is none.
    pub(crate) fn split(&self, idx: usize) -> Result<Option<Split>, CatalogError> {
        match self.int(idx)? {
            -1 => Ok(None),
            0 => Ok(Some(Split::Train)),
            1 => Ok(Some(Split::Valid)),
            2 => Ok(Some(Split::Test)),
            other => Err(CatalogError::Corrupt(format!("split {other}"))),
        }
    }
}

/// The rank of a split in the catalogue: of two splits that disagree, the larger counts.
pub(crate) fn split_rank(split: Option<Split>) -> i64 {
    match split {
        None => -1,
        Some(Split::Train) => 0,
        Some(Split::Valid) => 1,
        Some(Split::Test) => 2,
    }
}

/// Rows of a batch as the JSON that `json_each` reads.
pub(crate) fn batch<R: serde::Serialize>(rows: impl IntoIterator<Item = R>) -> Value {
    let rows: Vec<R> = rows.into_iter().collect();
    // Numbers, text and null in arrays always have a JSON form; were it otherwise, the database would refuse the text.
    let json = serde_json::to_string(&rows).unwrap_or_default();
    Value::Text(Some(if json.contains(NUL) { json_without_nul(&json) } else { json }))
}

/// U+0000 in JSON.
const NUL: &str = "\\u0000";

/// As [`without_nul`], in a JSON text.
fn json_without_nul(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for part in json.split_inclusive(NUL) {
        match part.strip_suffix(NUL) {
            // After an odd number of backslashes the last of them is itself escaped, and `u0000` are five letters.
            Some(before) if before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0 => {
                out.push_str(before);
                out.push_str("\\ufffd");
            }
            _ => out.push_str(part),
        }
    }
    out
}

fn corrupt(error: affectory_core::CoreError) -> CatalogError {
    CatalogError::Corrupt(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_a_batch_becomes_the_replacement_character_and_its_look_alike_stays() {
        let Value::Text(Some(json)) = batch([["a\0b\0", "\\u0000", "\\\0"]]) else { unreachable!("a batch is text") };
        let rows: Vec<Vec<String>> = serde_json::from_str(&json).unwrap();
        assert_eq!(rows, [["a\u{fffd}b\u{fffd}", "\\u0000", "\\\u{fffd}"]]);
    }
}
