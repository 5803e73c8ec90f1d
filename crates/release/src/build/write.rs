//! How do a release's files come to lie on disk whole, once, and for good?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use affectory_core::{Sha256Hex, Split};
use serde_json::json;

use super::gather::Draft;
use super::plan::Plan;
use super::spill::Sorted;
use super::{BuildOptions, CountTable, Splits};
use crate::ReleaseError;
use crate::hashing::Hashing;
use crate::item::manifest;

/// One line an item.
pub(crate) const MANIFEST: &str = "manifest.csv";
/// How it was made.
const RELEASE_JSON: &str = "release.json";

pub(super) struct Written {
    pub folder: PathBuf,
    pub manifest_sha256: Sha256Hex,
    pub counts: CountTable,
    pub was_repaired: bool,
}

/// Writes everything beside its place, flushes it, and moves it there in one step.
pub(super) fn write(
    releases: &Path,
    options: &BuildOptions,
    (faces, plan): (&Sorted, &Plan),
    left_out: &BTreeMap<String, u64>,
) -> Result<Written, ReleaseError> {
    let folder = releases.join(&options.name);
    let as_file = |action, source| ReleaseError::File { action, path: folder.clone(), source };
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(releases).map_err(|e| as_file("write", e))?;
    let Manifest { sha256: manifest_sha256, counts, n_proxies } =
        write_manifest(&partial.path().join(MANIFEST), options, faces, plan)?;
    let mut was_repaired = false;
    if folder.exists() {
        // A build was killed between moving its files here and recording them.
        let mut found = Hashing::new(std::io::sink());
        let read = File::open(folder.join(MANIFEST)).and_then(|mut file| std::io::copy(&mut file, &mut found));
        if read.is_err() || found.sha256() != manifest_sha256 {
            return Err(ReleaseError::ForeignFolder(folder));
        }
        was_repaired = true;
    } else {
        let description = json!({
            "name": options.name,
            "program": options.program_version,
            "manifest_sha256": manifest_sha256.as_str(),
            "parameters": parameters(options),
            "n_items": plan.groups.iter().flatten().count(),
            "items_by_split": Split::ALL.map(|split| (split.name(), counts.total(split))).into_iter().collect::<BTreeMap<_, _>>(),
            "n_proxy_items": n_proxies,
            "left_out": left_out,
            "groups": plan.facts,
        });
        let description = format!("{description:#}\n");
        for (name, text) in [
            (RELEASE_JSON, description),
            ("counts.md", counts.to_markdown()),
            ("counts.csv", counts.to_csv()),
            ("counts.tex", counts.to_latex()),
        ] {
            let path = partial.path().join(name);
            let mut file = File::create(&path).map_err(ReleaseError::file("write", &path))?;
            file.write_all(text.as_bytes()).and_then(|()| keep(&file)).map_err(ReleaseError::file("write", &path))?;
        }
        open_to_all(partial.path())?;
        sync_folder(partial.path())?;
        fs::rename(partial.path(), &folder).map_err(|e| as_file("move the release to", e))?;
        sync_folder(releases)?;
    }
    Ok(Written { folder, manifest_sha256, counts, was_repaired })
}

struct Manifest {
    sha256: Sha256Hex,
    counts: CountTable,
    n_proxies: u64,
}

fn write_manifest(path: &Path, options: &BuildOptions, faces: &Sorted, plan: &Plan) -> Result<Manifest, ReleaseError> {
    let fail = |error| ReleaseError::file("write", path)(std::io::Error::other::<csv::Error>(error));
    let file = File::create(path).map_err(ReleaseError::file("create", path))?;
    let mut table = manifest(Hashing::new(file)).map_err(fail)?;
    let mut counts = CountTable::new(&options.labels);
    let (mut at, mut n_proxies, mut last) = (0, 0, (None, 0));
    faces.each(|Draft { mut item, .. }, _| {
        let place = at;
        at += 1;
        let Some(group) = plan.groups[place] else { return Ok(()) };
        item.group = u64::from(group);
        item.split = plan.splits[place];
        last.1 = if last.0.as_ref() == Some(&item.image_sha256) { last.1 + 1 } else { 0 };
        item.item = format!("{}-{}", &item.image_sha256.as_str()[..16], last.1);
        last.0 = Some(item.image_sha256.clone());
        n_proxies += u64::from(item.is_proxy);
        counts.add(&item);
        table.write_record(item.to_fields()).map_err(fail)
    })?;
    let written = table.into_inner().map_err(|error| fail(error.into_error().into()))?;
    keep(&written.to).map_err(ReleaseError::file("write", path))?;
    Ok(Manifest { sha256: written.sha256(), counts, n_proxies })
}

/// How it is built, for `release.json` and the catalogue.
pub(super) fn parameters(options: &BuildOptions) -> serde_json::Value {
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

/// Nobody changes the file any more, and a power cut loses none of it.
fn keep(file: &File) -> std::io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)?;
    file.sync_all()
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
