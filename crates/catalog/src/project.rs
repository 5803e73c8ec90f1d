//! What lies in a project's folder, and how is it opened?

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::backup::{flush, refused};
use crate::{Catalog, CatalogError, ImageStore};

pub(crate) const CONFIG_FILE: &str = "affectory.toml";
pub(crate) const CATALOG_FILE: &str = "catalog.sqlite";

/// `affectory.toml`: where this project keeps its things.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// `sqlite` (the default: `catalog.sqlite` in the folder) or a `postgres://` URL without password.
    pub catalog: String,
    /// `local` (the default: `objects/` in the folder) or a path.
    pub objects: String,
}

impl Default for ProjectConfig {
    fn default() -> Self {
        ProjectConfig { catalog: "sqlite".into(), objects: "local".into() }
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
        Self::init_with(dir, config, None).await
    }

    /// As [`Project::init`], with the password of the PostgreSQL account in `config.catalog`.
    ///
    /// # Errors
    /// As [`Project::init`].
    pub async fn init_with(dir: &Path, config: ProjectConfig, password: Option<&str>) -> Result<Project, CatalogError> {
        let config_path = dir.join(CONFIG_FILE);
        if config_path.exists() {
            return Err(CatalogError::ProjectExists(dir.to_owned()));
        }
        check(&config, &config_path)?;
        let objects = objects_dir(dir, &config);
        for folder in [dir.to_owned(), dir.join("releases"), dir.join("runs"), dir.join("imports"), objects] {
            std::fs::create_dir_all(&folder).map_err(refused("create folder", &folder))?;
        }
        let project = Self::assemble(dir, config, password).await?;
        // Last, and in one step: a folder is a project once this file is in it, and a killed `init` can be repeated.
        write_config(&config_path, &project.config)?;
        Ok(project)
    }

    /// Opens the project in `dir`.
    ///
    /// # Errors
    /// [`CatalogError::NoProject`], [`CatalogError::NewerSchema`], or what the database refuses.
    pub async fn open(dir: &Path) -> Result<Project, CatalogError> {
        Self::open_with(dir, None).await
    }

    /// As [`Project::open`], with the password of the PostgreSQL account in `affectory.toml`.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub async fn open_with(dir: &Path, password: Option<&str>) -> Result<Project, CatalogError> {
        let config = read_config(dir)?;
        let catalog_path = dir.join(CATALOG_FILE);
        // SQLite would make a new, empty catalogue, and a user would think that everything is lost.
        if config.catalog == "sqlite" && !catalog_path.exists() {
            return Err(CatalogError::NoCatalog(catalog_path));
        }
        Self::assemble(dir, config, password).await
    }

    /// The nearest folder from `start` upwards that holds a project.
    pub fn find_upwards(start: &Path) -> Option<PathBuf> {
        start.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file()).map(Path::to_owned)
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

    async fn assemble(dir: &Path, config: ProjectConfig, password: Option<&str>) -> Result<Project, CatalogError> {
        let store = ImageStore::local(&objects_dir(dir, &config))?;
        let catalog = if config.catalog == "sqlite" {
            Catalog::connect_file(&dir.join(CATALOG_FILE)).await?
        } else {
            Catalog::connect_with(&config.catalog, password).await?
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

fn objects_dir(dir: &Path, config: &ProjectConfig) -> PathBuf {
    // A relative path counts from the project's folder; an absolute one replaces it.
    if config.objects == "local" { dir.join("objects") } else { dir.join(&config.objects) }
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

/// Writes another catalogue into `affectory.toml`, in one step; its other lines stay as they are.
pub(crate) fn write_catalog(dir: &Path, config: &ProjectConfig) -> Result<(), CatalogError> {
    let path = dir.join(CONFIG_FILE);
    let bad = |reason: String| CatalogError::BadConfig { path: path.clone(), reason };
    let whole = toml::to_string(config).map_err(|error| bad(error.to_string()))?;
    let line = format!("catalog = {}", toml::Value::String(config.catalog.clone()));
    let old = std::fs::read_to_string(&path).map_err(refused("read", &path))?;
    let is_catalog = |line: &str| line.split('=').next().is_some_and(|key| key.trim() == "catalog");
    let changed: Vec<&str> = old.lines().map(|text| if is_catalog(text) { line.as_str() } else { text }).collect();
    let changed = changed.join("\n") + "\n";
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
