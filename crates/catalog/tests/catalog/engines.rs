//! Where do stories about the catalogue take place? On SQLite and on PostgreSQL, each in a database of its own.
//!
//! PostgreSQL is the server in `AFFECTORY_TEST_POSTGRES`, which `scripts/test` installs and starts.

use affectory_catalog::Catalog;
use affectory_core::Sha256Hex;
use sqlx::Connection as _;

/// One engine with an empty catalogue, and how to open it a second time.
pub struct Engine {
    pub url: String,
    pub catalog: Catalog,
    _folder: tempfile::TempDir,
}

pub async fn engines(story: &str) -> [Engine; 2] {
    let mut both = Vec::new();
    for (url, folder) in databases(story).await {
        both.push(Engine { catalog: Catalog::connect(&url).await.unwrap(), url, _folder: folder });
    }
    both.try_into().unwrap_or_else(|_| unreachable!("two databases"))
}

/// Two databases with nothing in them.
pub async fn databases(story: &str) -> [(String, tempfile::TempDir); 2] {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("catalog.sqlite").display());
    #[expect(clippy::disallowed_methods, reason = "a test asks where its server is")]
    let server = std::env::var("AFFECTORY_TEST_POSTGRES")
        .expect("AFFECTORY_TEST_POSTGRES names no PostgreSQL server: run the tests by scripts/test, which starts one");
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    // One database a story and process, so that stories do not meet.
    let name = format!("{story}_{}", std::process::id());
    for statement in [format!("drop database if exists {name}"), format!("create database {name}")] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let postgres = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    [(sqlite, folder), (postgres, tempfile::tempdir().unwrap())]
}

/// Runs a script past the catalogue.
pub async fn run_sql(url: &str, script: &str) {
    let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned()));
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            script.execute(&mut connection).await.unwrap();
        }
        None => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            script.execute(&mut connection).await.unwrap();
        }
    }
}

/// A hash that differs with `n`.
pub fn hash(n: u64) -> Sha256Hex {
    Sha256Hex::from_digest(&std::array::from_fn(|i| n.to_be_bytes()[i % 8]))
}
