//! What lies in a project's folder, and how is it opened?

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::backup::{flush, refused};
use crate::store::S3Place;
use crate::{Catalog, CatalogError, ImageStore, Patience, S3Access};

pub(crate) const CONFIG_FILE: &str = "affectory.toml";
pub(crate) const CATALOG_FILE: &str = "catalog.sqlite";

/// `affectory.toml`: where this project keeps its things.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// `sqlite` (the default: `catalog.sqlite` in the folder) or a `postgres://` URL without password.
    pub catalog: String,
    /// `local` (the default: `objects/` in the folder), a path, or `s3://BUCKET/PREFIX` without keys.
    pub objects: String,
    /// The queue over which many machines share the work; without it each works for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
}

/// `[queue]` in `affectory.toml`: a NATS cluster with JetStream. Credentials come from the environment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// `nats://` or `tls://` addresses of its servers.
    pub servers: Vec<String>,
    /// Under which name this project's streams stand there: two projects at one cluster have two.
    #[serde(default = "QueueConfig::default_name")]
    pub name: String,
    /// On how many of the servers each shard of work lies: 1, or 3 of a cluster of three.
    #[serde(default = "QueueConfig::default_replicas")]
    pub replicas: usize,
}

impl QueueConfig {
    fn default_name() -> String {
        "affectory".into()
    }

    fn default_replicas() -> usize {
        1
    }
}

impl Default for ProjectConfig {
    fn default() -> Self {
        ProjectConfig { catalog: "sqlite".into(), objects: "local".into(), queue: None }
    }
}

/// What opens the places that `affectory.toml` names; it comes from the environment and never stands in a file.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Password of the PostgreSQL account.
    pub postgres_password: Option<String>,
    /// Keys of the bucket, and where it is.
    pub s3: S3Access,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("s3", &self.s3).finish_non_exhaustive()
    }
}

/// An opened project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder with `affectory.toml`.
    pub root: PathBuf,
    /// Its configuration.
    pub config: ProjectConfig,
    /// The catalogue.
    pub catalog: Catalog,
    /// The image store.
    pub store: ImageStore,
}

impl Project {
    /// Makes a new project in `dir` (created if absent) and opens it.
    ///
    /// # Errors
    /// [`CatalogError::ProjectExists`]; anything the file system or the database refuses.
    pub async fn init(dir: &Path, config: ProjectConfig) -> Result<Project, CatalogError> {
        Self::init_with(dir, config, &Secrets::default()).await
    }

    /// As [`Project::init`], for what is not on this machine. A bucket is tried: a project whose first import cannot store
    /// anything is none.
    ///
    /// # Errors
    /// As [`Project::init`].
    pub async fn init_with(dir: &Path, config: ProjectConfig, secrets: &Secrets) -> Result<Project, CatalogError> {
        let config_path = dir.join(CONFIG_FILE);
        if config_path.exists() {
            return Err(CatalogError::ProjectExists(dir.to_owned()));
        }
        check(&config, &config_path)?;
        if S3Place::is_meant(&config.objects) {
            let hurried = secrets.s3.clone().with_patience(Patience::SHORT);
            open_store(dir, &config.objects, &hurried)?.check(&dir.display().to_string()).await?;
        } else {
            let objects = objects_dir(dir, &config.objects);
            std::fs::create_dir_all(&objects).map_err(refused("create folder", &objects))?;
        }
        for folder in [dir.to_owned(), dir.join("releases"), dir.join("runs"), dir.join("imports")] {
            std::fs::create_dir_all(&folder).map_err(refused("create folder", &folder))?;
        }
        let project = Self::assemble(dir, config, secrets).await?;
        // Last, and in one step: a folder is a project once this file is in it, and a killed `init` can be repeated.
        write_config(&config_path, &project.config)?;
        Ok(project)
    }

    /// Opens the project in `dir`.
    ///
    /// # Errors
    /// [`CatalogError::NoProject`], [`CatalogError::NewerSchema`], or what the database refuses.
    pub async fn open(dir: &Path) -> Result<Project, CatalogError> {
        Self::open_with(dir, &Secrets::default()).await
    }

    /// As [`Project::open`], for what is not on this machine.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub async fn open_with(dir: &Path, secrets: &Secrets) -> Result<Project, CatalogError> {
        let config = read_config(dir)?;
        let catalog_path = dir.join(CATALOG_FILE);
        // SQLite would make a new, empty catalogue, and a user would think that everything is lost.
        if config.catalog == "sqlite" && !catalog_path.exists() {
            return Err(CatalogError::NoCatalog(catalog_path));
        }
        Self::assemble(dir, config, secrets).await
    }

    /// The nearest folder from `start` upwards that holds a project.
    pub fn find_upwards(start: &Path) -> Option<PathBuf> {
        start.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file()).map(Path::to_owned)
    }

    /// Tries the image store as [`ImageStore::check`] does, with that access.
    ///
    /// # Errors
    /// As [`ImageStore::check`].
    pub async fn check_store(&self, access: &S3Access, word: &str) -> Result<(), CatalogError> {
        open_store(&self.root, &self.config.objects, access)?.check(word).await
    }

    /// `releases/` in the project's folder.
    pub fn releases_dir(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// `runs/` in the project's folder.
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// `imports/` in the project's folder: reports and rejects of imports.
    pub fn imports_dir(&self) -> PathBuf {
        self.root.join("imports")
    }

    async fn assemble(dir: &Path, config: ProjectConfig, secrets: &Secrets) -> Result<Project, CatalogError> {
        let store = open_store(dir, &config.objects, &secrets.s3)?;
        let catalog = if config.catalog == "sqlite" {
            Catalog::connect_file(&dir.join(CATALOG_FILE)).await?
        } else {
            Catalog::connect_with(&config.catalog, secrets.postgres_password.as_deref()).await?
        };
        Ok(Project { root: dir.to_owned(), config, catalog, store })
    }
}

/// What `affectory.toml` of the project in `dir` says.
pub(crate) fn read_config(dir: &Path) -> Result<ProjectConfig, CatalogError> {
    let config_path = dir.join(CONFIG_FILE);
    let text = match std::fs::read_to_string(&config_path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CatalogError::NoProject(dir.to_owned()));
        }
        Err(source) => return Err(refused("read", &config_path)(source)),
    };
    let config: ProjectConfig = toml::from_str(&text)
        .map_err(|error| CatalogError::BadConfig { path: config_path.clone(), reason: error.message().to_owned() })?;
    check(&config, &config_path)?;
    Ok(config)
}

/// Refuses what this program does not know, and a secret in a file that people copy and commit.
pub(crate) fn check(config: &ProjectConfig, path: &Path) -> Result<(), CatalogError> {
    let bad = |reason: String| Err(CatalogError::BadConfig { path: path.to_owned(), reason });
    if S3Place::is_meant(&config.objects)
        && let Err(reason) = S3Place::parse(&config.objects)
    {
        return bad(reason);
    }
    let catalog = config.catalog.as_str();
    if catalog == "sqlite" {
        return Ok(());
    }
    let Some(rest) = catalog.strip_prefix("postgres://").or_else(|| catalog.strip_prefix("postgresql://")) else {
        return bad(format!("catalog = \"{catalog}\" is neither `sqlite` nor a `postgres://` URL"));
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let has_password = authority.rsplit_once('@').is_some_and(|(account, _)| account.contains(':'));
    if has_password || rest.contains("password=") {
        return bad("the catalog's URL holds a password: take it out, it comes from the environment".into());
    }
    Ok(())
}

/// The store that `objects` names in the project's folder.
pub(crate) fn open_store(dir: &Path, objects: &str, access: &S3Access) -> Result<ImageStore, CatalogError> {
    if S3Place::is_meant(objects) {
        ImageStore::s3(objects, access)
    } else {
        ImageStore::local(&objects_dir(dir, objects))
    }
}

pub(crate) fn objects_dir(dir: &Path, objects: &str) -> PathBuf {
    // A relative path counts from the project's folder; an absolute one replaces it.
    if objects == "local" { dir.join("objects") } else { dir.join(objects) }
}

/// Writes another catalogue or another place of the objects into `affectory.toml`, in one step; its other lines stay as they
/// are.
pub(crate) fn write_moved(dir: &Path, config: &ProjectConfig) -> Result<(), CatalogError> {
    let path = dir.join(CONFIG_FILE);
    let bad = |reason: String| CatalogError::BadConfig { path: path.clone(), reason };
    let whole = toml::to_string(config).map_err(|error| bad(error.to_string()))?;
    let old = std::fs::read_to_string(&path).map_err(refused("read", &path))?;
    let line = |text: &str| match text.split('=').next().map(str::trim) {
        Some("catalog") => format!("catalog = {}\n", toml::Value::String(config.catalog.clone())),
        Some("objects") => format!("objects = {}\n", toml::Value::String(config.objects.clone())),
        _ => format!("{text}\n"),
    };
    let changed: String = old.lines().map(line).collect();
    // A file written in some other way of TOML's is written anew.
    let is_right = toml::from_str::<ProjectConfig>(&changed).is_ok_and(|read| read == *config);
    let file = beside(&path, if is_right { &changed } else { &whole })?;
    file.persist(&path).map_err(|error| refused("write", &path)(error.error))?;
    flush(dir)
}

/// A flushed file beside `path`, to be renamed.
fn beside(path: &Path, text: &str) -> Result<tempfile::NamedTempFile, CatalogError> {
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(refused("write", path))?;
    file.write_all(text.as_bytes()).map_err(refused("write", path))?;
    file.as_file().sync_all().map_err(refused("write", path))?;
    Ok(file)
}

fn write_config(path: &Path, config: &ProjectConfig) -> Result<(), CatalogError> {
    let text = toml::to_string(config)
        .map_err(|error| CatalogError::BadConfig { path: path.to_owned(), reason: error.to_string() })?;
    let folder = path.parent().unwrap_or(path);
    let file = beside(path, &text)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(CatalogError::ProjectExists(folder.to_owned()))
        }
        Err(error) => Err(refused("write", path)(error.error)),
    }
}
