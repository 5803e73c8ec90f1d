//! What lies in an export's folder, and who may write there?

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::options::ImageExportOptions;
use super::record::ShardRecord;
use crate::ReleaseError;
use crate::build::sync_folder;

/// The options; a folder is an export once this is in it.
const OPTIONS: &str = "export.json";
/// One line a shard.
const SHARDS: &str = "shards.csv";
/// One line an image that is not in the export.
const REJECTS: &str = "rejects.csv";
/// Totals.
const STATS: &str = "stats.json";
/// How names begin of files that are not whole.
const PARTIAL: &str = ".partial-";

/// The folder of one export, locked as long as this lives.
pub(super) struct ExportFolder {
    path: PathBuf,
    ending: &'static str,
    is_changing: bool,
    _lock: File,
}

impl ExportFolder {
    /// Makes the folder, or goes on in one where an export with these options was begun; removes what was not whole.
    pub(super) fn open(path: &Path, options: &ImageExportOptions) -> Result<Self, ReleaseError> {
        let is_other_file = path.symlink_metadata().is_ok() && !path.is_dir();
        if is_other_file {
            return Err(ReleaseError::TargetTaken(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(ReleaseError::file("create", path))?;
        let lock = File::open(path).map_err(ReleaseError::file("open", path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ReleaseError::ExportBusy(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(ReleaseError::file("lock", path)(error)),
        }
        let folder = Self { path: path.to_owned(), ending: options.format.ending(), is_changing: false, _lock: lock };
        let names = folder.names()?;
        let partial: Vec<&String> = names.iter().filter(|name| name.starts_with(PARTIAL)).collect();
        let wanted = options.to_json();
        let is_begun = names.iter().any(|name| name == OPTIONS);
        if is_begun {
            folder.check_options(&wanted)?;
        } else if partial.len() < names.len() {
            return Err(ReleaseError::TargetTaken(path.to_owned()));
        }
        for name in partial {
            folder.remove(name)?;
        }
        if !is_begun {
            folder.write(OPTIONS, format!("{wanted:#}\n").as_bytes())?;
        }
        Ok(folder)
    }

    fn check_options(&self, wanted: &serde_json::Value) -> Result<(), ReleaseError> {
        let path = self.path.join(OPTIONS);
        let found = fs::read(&path).map_err(ReleaseError::file("read", &path))?;
        let found: serde_json::Value =
            serde_json::from_slice(&found).map_err(|error| ReleaseError::file("read", &path)(error.into()))?;
        // Parsed anew: what was written differs from what is in memory in the types of numbers.
        let same = serde_json::from_str(&wanted.to_string()).is_ok_and(|wanted: serde_json::Value| wanted == found);
        if same {
            return Ok(());
        }
        let in_words = |options: &serde_json::Value| {
            let words = ["format", "mode", "size", "quality", "decoder", "encoder", "shard_size", "unique"]
                .into_iter()
                .filter_map(|name| {
                    options.get(name).map(|value| format!("{name} {}", crate::names::printable(&value.to_string())))
                });
            words.collect::<Vec<_>>().join(", ")
        };
        Err(ReleaseError::OtherExport { path: self.path.clone(), found: in_words(&found), wanted: in_words(wanted) })
    }

    /// Where a shard lies.
    pub(super) fn shard(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:05}.{}", self.ending))
    }

    /// Where a shard is written.
    pub(super) fn partial(&self, number: u64) -> PathBuf {
        self.path.join(format!("{PARTIAL}{number:05}.{}", self.ending))
    }

    /// The record of a shard that is whole and made from what it would be made from now.
    pub(super) fn find_whole(&self, number: u64, fingerprint: &str) -> Option<ShardRecord> {
        let record = fs::read(self.path.join(record_name(number))).ok()?;
        let record: ShardRecord = serde_json::from_slice(&record).ok()?;
        let size_bytes = fs::metadata(self.shard(number)).ok()?.len();
        let is_final = !record.rejects.iter().any(|reject| reject.kind.may_pass());
        let is_whole = record.shard == number && record.fingerprint == fingerprint && record.bytes == size_bytes;
        (is_whole && is_final).then_some(record)
    }

    /// Removes the tables: they speak of what lies here, and that is about to change.
    pub(super) fn begin_change(&mut self) -> Result<(), ReleaseError> {
        if !self.is_changing {
            for name in [SHARDS, REJECTS, STATS] {
                self.remove(name)?;
            }
            self.is_changing = true;
        }
        Ok(())
    }

    /// Writes down that a shard is in place.
    pub(super) fn keep_record(&self, record: &ShardRecord) -> Result<(), ReleaseError> {
        self.write_json(&record_name(record.shard), record)
    }

    /// Removes shards that the export no longer has, and writes the tables.
    pub(super) fn finish(&self, records: &[ShardRecord]) -> Result<(), ReleaseError> {
        for name in self.names()? {
            let digits = name.split(['.', '_']).next().unwrap_or_default();
            let Ok(number) = digits.parse::<u64>() else { continue };
            let is_ours = name == record_name(number) || self.shard(number).ends_with(&name);
            if is_ours && number >= records.len() as u64 {
                self.remove(&name)?;
            }
        }
        let mut shards = vec![["shard", "images", "bytes", "sha256"].map(str::to_owned)];
        let mut rejects = vec![["key", "sha256", "kind", "reason"].map(str::to_owned)];
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for record in records {
            let name = format!("{:05}.{}", record.shard, self.ending);
            shards.push([name, record.images.to_string(), record.bytes.to_string(), record.sha256.clone()]);
            for reject in &record.rejects {
                *reasons.entry(reject.kind.name()).or_default() += 1;
                let kind = reject.kind.name().to_owned();
                rejects.push([reject.key.clone(), reject.sha256.clone(), kind, reject.reason.clone()]);
            }
        }
        self.write_table(SHARDS, &shards)?;
        self.write_table(REJECTS, &rejects)?;
        let stats = serde_json::json!({
            "shards": records.len(),
            "images": records.iter().map(|record| record.images).sum::<u64>(),
            "bytes": records.iter().map(|record| record.bytes).sum::<u64>(),
            "rejects": rejects.len() - 1,
            "reasons": reasons,
        });
        self.write_json(STATS, &stats)
    }

    fn names(&self) -> Result<Vec<String>, ReleaseError> {
        let failed = || ReleaseError::file("read", &self.path);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            names.push(entry.map_err(failed())?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), ReleaseError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ReleaseError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<(), ReleaseError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| ReleaseError::file("write", &self.path.join(name))(error.into()))?;
        self.write(name, format!("{text}\n").as_bytes())
    }

    fn write_table(&self, name: &str, lines: &[[String; 4]]) -> Result<(), ReleaseError> {
        let failed =
            |error: csv::Error| ReleaseError::file("write", &self.path.join(name))(std::io::Error::other(error));
        let mut table = csv::Writer::from_writer(Vec::new());
        for line in lines {
            table.write_record(line).map_err(failed)?;
        }
        let bytes = table.into_inner().map_err(|error| failed(error.into_error().into()))?;
        self.write(name, &bytes)
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ReleaseError> {
        let (partial, path) = (self.path.join(format!("{PARTIAL}{name}")), self.path.join(name));
        let written = File::create(&partial)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, &path));
        written.map_err(ReleaseError::file("write", &path))?;
        sync_folder(&self.path)
    }
}

fn record_name(number: u64) -> String {
    format!("{number:05}_stats.json")
}
