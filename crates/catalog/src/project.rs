//! What lies in a project's folder, and how is it opened?

use std::path::{Path, PathBuf};

use crate::{Catalog, CatalogError, ImageStore};

/// `affectory.toml`: where this project keeps its things.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectConfig {
    /// `sqlite` (the default: `catalog.sqlite` in the folder) or a `postgres://` URL without password.
    pub catalog: String,
    /// `local` (the default: `objects/` in the folder) or a path.
    pub objects: String,
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
    pub async fn init(_dir: &Path, _config: ProjectConfig) -> Result<Project, CatalogError> {
        todo!()
    }

    /// Opens the project in `dir`.
    ///
    /// # Errors
    /// [`CatalogError::NoProject`], [`CatalogError::NewerSchema`], or what the database refuses.
    pub async fn open(_dir: &Path) -> Result<Project, CatalogError> {
        todo!()
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
}
