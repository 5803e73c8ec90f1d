//! How does a release become files that are delivered, each recipient's a little different?
//!
//! One pack a release holds its images as a tar in chunks of about a megabyte; a recipient's archive is the same chunks in
//! an order of their own, so that hundreds of recipients need no copy each and any range of an archive can be read at
//! once ([`Layout`]). Only a manifest is written for each ([`marked_manifest`]). Both tell later whose copy a leaked part
//! comes from ([`trace`]).

mod mark;
mod pack;
mod shared;
mod trace;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectory_catalog::{Catalog, DeliveryRow, GrantRow, PackageRow, Project};
use affectory_core::{GrantId, ReleaseId, Sha256Hex};
use affectory_release::{Release, ReleaseItem, load_release};
use sha2::{Digest as _, Sha256};

pub use mark::marked_manifest;
pub use pack::{Layout, Piece, build};
pub use shared::shared_name;
pub use trace::{Leak, Suspicion, read_leak, trace};

use crate::PortalError;
use crate::settings::{DeliverFrom, Offer, PortalSettings};

/// Where a release's package lies.
pub fn package_folder(project: &Project, release: &str, revision: u64) -> PathBuf {
    project.root.join("packages").join(release).join(format!("r{revision}"))
}

/// Where a recipient's manifest lies.
pub fn manifest_path(folder: &Path, grant: &GrantRow) -> PathBuf {
    folder.join(format!("manifest-{}.csv", grant.id))
}

/// What [`bring_up_to_date`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Packages that were built.
    pub n_packages: u32,
    /// Recipients' copies that were prepared.
    pub n_copies: u32,
    /// Archives that were stored in the project's bucket.
    pub n_shared: u32,
}

/// Builds the packages that are missing or hold what was withdrawn since, and prepares each recipient's copy; with
/// `deliver_from = "store"` archives go into the project's bucket, and from there when they may no longer be had. For the
/// server every few seconds, and for the command line; of two at once the second waits for the next round.
///
/// # Errors
/// What the catalogue, the store or the disk refuse; what was done before stays.
pub async fn bring_up_to_date(
    project: &Project,
    settings: &PortalSettings,
    now_ms: impl Fn() -> i64 + Send + Sync,
) -> Result<Prepared, PortalError> {
    let mut prepared = Prepared::default();
    // Before a package is replaced: what it shared is known from its folder only.
    take_back_ended(project, settings, &now_ms).await?;
    let shares = shares(project, settings);
    let (catalog, releases) = (&project.catalog, project.catalog.list_releases().await?);
    let grants = catalog.list_grants().await?;
    for offer in &settings.releases {
        let Some(row) = releases.iter().find(|row| row.release.name == offer.name) else { continue };
        let open: Vec<&GrantRow> =
            grants.iter().filter(|grant| grant.release_id == row.id && grant.is_open(now_ms())).collect();
        if open.is_empty() {
            continue;
        }
        let is_shared = |grant: &GrantRow, revision| !shares || shared_name(project, grant, revision).is_some();
        let is_done = |standing: &Standing| {
            standing.fresh.as_ref().is_some_and(|package| {
                open.iter().all(|grant| standing.delivered.contains(&grant.id) && is_shared(grant, package.revision))
            })
        };
        if is_done(&Standing::of(catalog, row.id).await?) {
            continue;
        }
        let Some(_lock) = lock(project, &offer.name)? else { continue };
        // Looked at again: another server may have done it between the look and the lock.
        let standing = Standing::of(catalog, row.id).await?;
        if is_done(&standing) {
            continue;
        }
        let Standing { n_withdrawn, last, fresh, delivered } = standing;
        let all_delivered = open.iter().all(|grant| delivered.contains(&grant.id));
        let package = match fresh {
            Some(package) if all_delivered => package,
            fresh => {
                let release = load_release(project, &offer.name).await?;
                // One list for the pack and for all copies: a release may have a million items.
                let items = Arc::new(delivered_items(&release, offer));
                let package = match fresh {
                    Some(package) => package,
                    None => {
                        prepared.n_packages += 1;
                        next_package(project, offer, (&release, &items), n_withdrawn, last, now_ms()).await?
                    }
                };
                let folder = package_folder(project, &offer.name, package.revision);
                for grant in open.iter().filter(|grant| !delivered.contains(&grant.id)) {
                    let (items, folder, grant) = (Arc::clone(&items), folder.clone(), GrantRow::clone(grant));
                    let id = grant.id;
                    let written = tokio::task::spawn_blocking(move || prepare(&folder, &items, &grant));
                    let delivery = written.await.map_err(|error| PortalError::Thread(error.to_string()))??;
                    catalog.record_delivery(id, package.id, &delivery, now_ms()).await?;
                    prepared.n_copies += 1;
                }
                package
            }
        };
        // Last, for it takes long; the server sends what is not there yet.
        for grant in open.into_iter().filter(|grant| !is_shared(grant, package.revision)) {
            shared::share(project, grant, package.revision).await?;
            prepared.n_shared += 1;
        }
    }
    Ok(prepared)
}

/// How far a release's package is.
struct Standing {
    n_withdrawn: u64,
    /// The newest package.
    last: Option<PackageRow>,
    /// That one, where nothing was withdrawn since.
    fresh: Option<PackageRow>,
    /// Grants whose copy of it is prepared.
    delivered: Vec<GrantId>,
}

impl Standing {
    async fn of(catalog: &Catalog, release: ReleaseId) -> Result<Standing, PortalError> {
        let n_withdrawn = catalog.count_withdrawn(release).await?;
        let last = catalog.find_package(release).await?;
        let fresh = last.clone().filter(|package| package.n_withdrawn == n_withdrawn);
        let delivered = match &fresh {
            Some(package) => catalog.list_deliveries(package.id).await?,
            None => vec![],
        };
        Ok(Standing { n_withdrawn, last, fresh, delivered })
    }
}

/// Removes archives from the project's bucket whose grants have ended, or that hold what was withdrawn. For the server every
/// few seconds, also while copies are prepared.
///
/// # Errors
/// What the catalogue, the bucket or the disk refuse; the next round tries again.
pub async fn take_back_ended(
    project: &Project,
    settings: &PortalSettings,
    now_ms: impl Fn() -> i64 + Send + Sync,
) -> Result<(), PortalError> {
    let catalog = &project.catalog;
    let notes = shared::notes(project);
    if notes.is_empty() {
        return Ok(());
    }
    let grants = catalog.list_grants().await?;
    let mut kept = HashMap::new();
    for row in catalog.list_releases().await? {
        let n_withdrawn = catalog.count_withdrawn(row.id).await?;
        let package = catalog.find_package(row.id).await?.filter(|package| package.n_withdrawn == n_withdrawn);
        if let Some(package) = package {
            kept.insert(package_folder(project, &row.release.name, package.revision), row.id);
        }
    }
    let shares = shares(project, settings);
    for note in notes {
        let release = kept.get(&note.folder);
        let is_open =
            |grant: &GrantRow| grant.id == note.grant && Some(&grant.release_id) == release && grant.is_open(now_ms());
        if !shares || !grants.iter().any(is_open) {
            shared::take_back(project, &note).await?;
        }
    }
    Ok(())
}

fn shares(project: &Project, settings: &PortalSettings) -> bool {
    settings.delivery.deliver_from == DeliverFrom::Store && project.store.can_share()
}

/// The table of a package's pictures without labels, where there is one.
pub fn inputs_path(folder: &Path) -> PathBuf {
    folder.join("inputs.csv")
}

/// Columns of that table: what a picture is and where its face, and nothing that anybody said about it.
const INPUT_COLUMNS: [&str; 9] =
    ["item", "image_sha256", "format", "width", "height", "face_x", "face_y", "face_width", "face_height"];

/// Writes the table of withheld items. In the order of their hashes: the release's may follow the labels.
fn write_inputs(release: &Release, offer: &Offer, folder: &Path) -> Result<(), PortalError> {
    let path = inputs_path(folder);
    let mut items: Vec<&ReleaseItem> =
        release.items.iter().filter(|item| offer.withhold.contains(&item.split)).collect();
    items.sort_by(|a, b| a.item.cmp(&b.item));
    let columns = ReleaseItem::columns();
    let places = INPUT_COLUMNS.map(|name| columns.iter().position(|column| *column == name).unwrap_or(0));
    let mut table = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| PortalError::file("write", &path)(error.into());
    table.write_record(INPUT_COLUMNS).map_err(failed)?;
    for item in items {
        let fields = item.to_fields();
        table.write_record(places.map(|place| fields[place].as_str())).map_err(failed)?;
    }
    let bytes = table.into_inner().map_err(|error| failed(csv::Error::from(error.into_error())))?;
    fs::write(&path, bytes).map_err(PortalError::file("write", &path))
}

/// Items of splits that are not withheld: the lines of a manifest.
pub fn delivered_items(release: &Release, offer: &Offer) -> Vec<ReleaseItem> {
    release.items.iter().filter(|item| !offer.withhold.contains(&item.split)).cloned().collect()
}

/// Held while a release's package is built; the system gives it back when the process ends, however it ends.
fn lock(project: &Project, release: &str) -> Result<Option<File>, PortalError> {
    let folder = project.root.join("packages").join(release);
    fs::create_dir_all(&folder).map_err(PortalError::file("create", &folder))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(PortalError::file("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(PortalError::file("lock", &path)(error)),
    }
}

async fn next_package(
    project: &Project,
    offer: &Offer,
    (release, delivered): (&Release, &[ReleaseItem]),
    n_withdrawn: u64,
    last: Option<PackageRow>,
    now_ms: i64,
) -> Result<PackageRow, PortalError> {
    let revision = last.map_or(1, |package| package.revision + 1);
    let folder = package_folder(project, &offer.name, revision);
    let pictured = if offer.inputs { &release.items } else { delivered };
    let size_bytes = build(project, pictured, &folder).await?;
    if offer.inputs {
        write_inputs(release, offer, &folder)?;
    }
    let package = project.catalog.record_package(release.row.id, revision, n_withdrawn, size_bytes, now_ms).await?;
    // What holds withdrawn pictures goes, also what a kill left behind.
    let all = project.root.join("packages").join(&offer.name);
    for entry in fs::read_dir(&all).map_err(PortalError::file("read", &all))?.flatten() {
        if entry.path() != folder && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).map_err(PortalError::file("remove", &entry.path()))?;
        }
    }
    Ok(package)
}

/// Writes a recipient's manifest and learns the checksums of their copy.
fn prepare(folder: &Path, items: &[ReleaseItem], grant: &GrantRow) -> Result<DeliveryRow, PortalError> {
    let layout = Layout::open(folder, &grant.seed)?;
    let manifest = marked_manifest(items, &layout, &grant.seed);
    let path = manifest_path(folder, grant);
    let partial = path.with_extension("partial");
    fs::write(&partial, &manifest).map_err(PortalError::file("write", &partial))?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(PortalError::file("flush", &partial))?;
    fs::rename(&partial, &path).map_err(PortalError::file("write", &path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let pack = layout.open_pack()?;
    let mut at = 0;
    while at < layout.size() {
        let wanted = buffer.len().min(usize::try_from(layout.size() - at).unwrap_or(usize::MAX));
        layout.read_at(&pack, at, &mut buffer[..wanted])?;
        hasher.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    Ok(DeliveryRow {
        archive_sha256: Sha256Hex::from_digest(&hasher.finalize().into()),
        archive_bytes: layout.size(),
        manifest_sha256: Sha256Hex::from_digest(&Sha256::digest(&manifest).into()),
        manifest_bytes: manifest.len() as u64,
    })
}
