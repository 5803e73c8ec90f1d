//! How do a release's files come to lie on disk whole, once, and for good?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use affectory_catalog::Project;
use affectory_core::{Sha256Hex, Split};
use affectory_imaging::sha256;
use serde_json::json;

use super::{BuildOptions, CountTable, GroupFacts, Splits};
use crate::item::write_manifest;
use crate::{ReleaseError, ReleaseItem};

/// One line an item.
pub(crate) const MANIFEST: &str = "manifest.csv";
/// How it was made.
const RELEASE_JSON: &str = "release.json";

pub(super) struct Written {
    pub folder: PathBuf,
    pub manifest_sha256: Sha256Hex,
    pub parameters: String,
    pub was_repaired: bool,
}

/// Writes everything beside its place, flushes it, and moves it there in one step.
pub(super) fn write(
    project: &Project,
    options: &BuildOptions,
    items: &[ReleaseItem],
    counts: &CountTable,
    left_out: &BTreeMap<String, u64>,
    facts: &GroupFacts,
) -> Result<Written, ReleaseError> {
    let releases = project.releases_dir();
    let folder = releases.join(&options.name);
    let as_file = |action, source| ReleaseError::File { action, path: folder.clone(), source };
    let manifest = write_manifest(items).map_err(|e| as_file("write", std::io::Error::other(e)))?;
    let manifest_sha256 = sha256(&manifest);
    let parameters = parameters(options);
    let mut was_repaired = false;
    if folder.exists() {
        // A build was killed between moving its files here and recording them.
        let found = fs::read(folder.join(MANIFEST)).unwrap_or_default();
        if sha256(&found) != manifest_sha256 {
            return Err(ReleaseError::ForeignFolder(folder));
        }
        was_repaired = true;
    } else {
        let description = json!({
            "name": options.name,
            "program": options.program_version,
            "manifest_sha256": manifest_sha256.as_str(),
            "parameters": parameters,
            "n_items": items.len(),
            "items_by_split": Split::ALL.map(|split| (split.name(), counts.total(split))).into_iter().collect::<BTreeMap<_, _>>(),
            "n_proxy_items": items.iter().filter(|item| item.is_proxy).count(),
            "left_out": left_out,
            "groups": facts,
        });
        let description = format!("{description:#}\n");
        fs::create_dir_all(&releases).map_err(|e| as_file("create", e))?;
        let partial =
            tempfile::Builder::new().prefix(".partial-").tempdir_in(&releases).map_err(|e| as_file("write", e))?;
        for (name, bytes) in [
            (MANIFEST, manifest.as_slice()),
            (RELEASE_JSON, description.as_bytes()),
            ("counts.md", counts.to_markdown().as_bytes()),
            ("counts.csv", counts.to_csv().as_bytes()),
            ("counts.tex", counts.to_latex().as_bytes()),
        ] {
            write_for_good(&partial.path().join(name), bytes)?;
        }
        open_to_all(partial.path())?;
        sync_folder(partial.path())?;
        fs::rename(partial.path(), &folder).map_err(|e| as_file("move the release to", e))?;
        sync_folder(&releases)?;
    }
    Ok(Written { folder, manifest_sha256, parameters: parameters.to_string(), was_repaired })
}

fn parameters(options: &BuildOptions) -> serde_json::Value {
    json!({
        "seed": options.seed,
        "labels": options.labels.to_string(),
        "splits": match options.splits {
            Splits::Given => json!("given"),
            Splits::Fractions(fractions) => json!(fractions),
        },
        "duplicate_distance": options.duplicate_distance,
        "consensus": "majority",
        "kept_together": ["same image", "perceptual hash within the distance", "same page"],
    })
}

fn write_for_good(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    let fail = |source| ReleaseError::File { action: "write", path: path.to_owned(), source };
    let mut file = File::create(path).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    let mut permissions = file.metadata().map_err(fail)?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions).map_err(fail)?;
    file.sync_all().map_err(fail)
}

/// Temporary folders are private; what becomes of them is to be read by the whole lab.
pub(crate) fn open_to_all(folder: &Path) -> Result<(), ReleaseError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(ReleaseError::file("share", folder))
}

/// Makes names in a folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ReleaseError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ReleaseError::file("flush", folder))
}
