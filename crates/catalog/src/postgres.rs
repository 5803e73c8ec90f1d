//! How is PostgreSQL connected to, and what is done while it is away?
//!
//! A server that restarts, a connection that breaks, two transactions that stand in each other's way: all of it passes, and
//! the whole transaction is done again ([`Database::again`], which `#[again]` puts around every method of the catalogue).
//! That is right only for what did not happen. A commit whose answer was lost may have: so every transaction that wrote
//! leaves a mark in `commit_mark`, and by its mark the next connection is told whether it stands ([`settle`]).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres, Row as _, Transaction};

use crate::CatalogError;
use crate::database::{Database, PATIENCE};

/// Connections of one process. A server's requests queue for them; a worker uses one or two.
const CONNECTIONS: u32 = 8;

/// What each connection asks for, unless `options` in its URL says otherwise. A statement that takes longer than the first
/// is a mistake; one that waits longer than the second is told so; a process that stopped in a transaction holds its locks
/// no longer than the third; and the server finds out in two minutes that the machine of a process is gone.
const SETTINGS: [(&str, &str); 7] = [
    ("statement_timeout", "5min"),
    ("lock_timeout", "1min"),
    ("idle_in_transaction_session_timeout", "1min"),
    // "relation already exists, skipping" is no news.
    ("client_min_messages", "warning"),
    ("tcp_keepalives_idle", "60"),
    ("tcp_keepalives_interval", "20"),
    ("tcp_keepalives_count", "3"),
];

/// Lifts the limits of time of [`SETTINGS`] until the transaction ends.
pub(crate) const NO_LIMITS: &str = "set local statement_timeout = 0; set local lock_timeout = 0;
    set local idle_in_transaction_session_timeout = 0";

/// How long PostgreSQL may be away before an error is an error. A restart takes seconds, recovery after a crash a minute.
const ABSENCE: Duration = Duration::from_secs(120);

/// What the server's list of connections shows this process as.
static APPLICATION: OnceLock<String> = OnceLock::new();

/// Says once what this process is, for PostgreSQL's list of connections (`application_name`).
pub fn name_this_process(name: &str) {
    // The first name stays.
    let _ = APPLICATION.set(name.to_owned());
}

pub(crate) async fn connect(url: &str, password: Option<&str>) -> Result<PgPool, sqlx::Error> {
    let mut options: PgConnectOptions = url.parse()?;
    if let Some(password) = password {
        options = options.password(password);
    }
    let said = options.get_options().unwrap_or_default().to_owned();
    options = options.options(SETTINGS.into_iter().filter(|(name, _)| !said.contains(name)));
    if options.get_application_name().is_none() {
        options = options.application_name(APPLICATION.get().map_or("affectory", String::as_str));
    }
    let options = options.disable_statement_logging();
    // A pool waits for a server that is not there; who has just typed a command is told at once.
    options.connect().await?.close().await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    Ok(pool.connect_lazy_with(options))
}

/// An error that passes if one waits and begins the transaction again.
pub(crate) trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for sqlx::Error {
    fn is_passing(&self) -> bool {
        match self {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                // Could not serialise, deadlock; shut down, crashed, starting; too many connections; connection lost.
                ["40001", "40P01", "57P01", "57P02", "57P03", "53300"].contains(&&*code) || code.starts_with("08")
            }),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            _ => false,
        }
    }
}

impl Passing for CatalogError {
    fn is_passing(&self) -> bool {
        matches!(self, CatalogError::Database { source, .. } if source.is_passing())
    }
}

impl Database {
    /// Does something again that failed because PostgreSQL was away or two stood in each other's way, until it succeeds, it
    /// fails otherwise, or two minutes have gone. SQLite has nothing that passes.
    ///
    /// `what` is one transaction or several of which each is right to repeat after the ones before it.
    pub(crate) async fn again<T, E: Passing, F: Future<Output = Result<T, E>>>(
        &self,
        what: impl Fn() -> F,
    ) -> Result<T, E> {
        let mut backoff = Backoff::new();
        loop {
            match what().await {
                Err(error) if matches!(self, Database::Postgres(_)) && error.is_passing() => {
                    if !backoff.wait().await {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
    }
}

/// Waits of 0.1 s and twice as much each time, up to 8 s, each between half and the whole of that, so that workers whose
/// server has come back do not come back at once.
struct Backoff {
    n_waits: u32,
    since: Instant,
}

impl Backoff {
    fn new() -> Self {
        Backoff { n_waits: 0, since: Instant::now() }
    }

    /// False, without waiting, once all patience is spent.
    async fn wait(&mut self) -> bool {
        if self.since.elapsed() >= ABSENCE {
            return false;
        }
        let longest = Duration::from_millis(100 << self.n_waits.min(7)).min(Duration::from_secs(8));
        // Chance that no result depends on.
        let share = (RandomState::new().build_hasher().finish() % 1000) as f64 / 2000.0 + 0.5;
        let wait = longest.mul_f64(share);
        if self.n_waits == 0 {
            tracing::debug!("the database was away or busy: the transaction is done again");
        } else if self.n_waits == 4 {
            tracing::warn!("the database does not answer: waiting for it");
        }
        self.n_waits += 1;
        tokio::time::sleep(wait).await;
        true
    }
}

/// A transaction with this, when it commits, waits as the server's settings say for all of the log up to it.
const FLUSH: &str = "select pg_logical_emit_message(true, 'affectory', '')";

/// Commits; where the answer is lost, finds out what became of it.
pub(crate) async fn commit(mut work: Transaction<'static, Postgres>, pool: &PgPool) -> Result<(), sqlx::Error> {
    // A transaction without an id has written nothing, and may as well be done again.
    const MARK: &str = "insert into commit_mark (mark) select gen_random_uuid()
                        where txid_current_if_assigned() is not null returning mark::text";
    let mark = mark(&mut work, MARK).await?;
    let answer = work.commit().await;
    settle(pool, mark, answer).await
}

/// As [`commit`], but the turns that the transaction has end before the disk has it: a server waits for the disk longer than
/// such a transaction works. What others read and write upon it meanwhile lies behind it in the one log, and is never
/// on the disk without it.
pub(crate) async fn commit_and_let_go(
    mut work: Transaction<'static, Postgres>,
    pool: &PgPool,
) -> Result<(), sqlx::Error> {
    const MARK: &str = "insert into commit_mark (mark) select gen_random_uuid()
                        where txid_current_if_assigned() is not null
                          and set_config('synchronous_commit', 'off', true) is not null returning mark::text";
    let mark = mark(&mut work, MARK).await?;
    let answer = flush_after(work).await;
    settle(pool, mark, answer).await
}

/// Commits, and waits for the disk in a second transaction on the same connection.
async fn flush_after(mut work: Transaction<'static, Postgres>) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("commit; begin").execute(&mut *work).await?;
    sqlx::query(FLUSH).execute(&mut *work).await?;
    work.commit().await
}

async fn mark(work: &mut Transaction<'static, Postgres>, sql: &'static str) -> Result<Option<String>, sqlx::Error> {
    let mark = sqlx::query(sql).fetch_optional(&mut **work).await?;
    mark.map(|row| row.try_get(0)).transpose()
}

async fn settle(pool: &PgPool, mark: Option<String>, answer: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
    match (answer, mark) {
        (Err(error), Some(mark)) if error.is_passing() => find_out(pool, &mark, error).await,
        (Ok(()), Some(mark)) if mark.starts_with("00") => {
            // One commit of 256 sweeps: nobody asks for a mark after some minutes. A sweep that fails is done by the next.
            let sweep = "delete from commit_mark where mark in (
                             select mark from commit_mark where made_at < now() - interval '10 minutes'
                             for update skip locked)";
            let _ = sqlx::query(sweep).execute(pool).await;
            Ok(())
        }
        (answer, _) => answer,
    }
}

/// Whether the transaction with that mark was committed: then all is well; else its error stands, and it may be repeated.
///
/// The mark is inserted once more. While the old transaction may still end either way, that waits for its end; afterwards it
/// conflicts, or it does not, and then the old one never comes.
async fn find_out(pool: &PgPool, mark: &str, lost: sqlx::Error) -> Result<(), sqlx::Error> {
    let mut backoff = Backoff::new();
    loop {
        let insert = sqlx::query("insert into commit_mark (mark) values (cast($1 as uuid)) on conflict do nothing");
        match insert.bind(mark).execute(pool).await {
            // It may have been let go of, and not be on the disk yet.
            Ok(done) if done.rows_affected() == 0 => return sqlx::query(FLUSH).execute(pool).await.map(drop),
            Ok(_) => return Err(lost),
            // 55P03: the old transaction still holds its mark; the server ends it when it has been idle for a minute.
            Err(error) if error.is_passing() || is_lock_timeout(&error) => {
                if !backoff.wait().await {
                    let unknown = format!("whether the last change was recorded is not known: {error}");
                    return Err(sqlx::Error::Protocol(unknown));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}
