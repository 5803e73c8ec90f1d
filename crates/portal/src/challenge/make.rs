//! How does a truth become a challenge: a list of inputs that everybody may see, and labels that nobody does?

use std::io::Write as _;
use std::path::{Path, PathBuf};

use affectory_catalog::{ChallengeMetric, ChallengeRow, ChallengeTask, NewChallenge, Project};
use affectory_core::{LabelSet, Sha256Hex};
use affectory_evaluate::Table;
use sha2::{Digest as _, Sha256};

use super::error::ChallengeError;
use super::halves::Halves;
use super::key::ChallengeKey;
use super::sealed::seal;

/// The list of inputs in a challenge's folder.
const INPUTS: &str = "inputs.csv";
/// The labels in a challenge's folder.
pub(super) const SEALED: &str = "labels.sealed";

/// What a challenge is to be.
#[derive(Debug, Clone)]
pub struct ChallengeRequest {
    /// Small letters, digits and hyphens.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What else participants must know.
    pub rules: String,
    /// The release whose split is withheld, if it is one.
    pub release: Option<String>,
    /// The categories.
    pub labels: LabelSet,
    /// The metric of each task.
    pub metrics: Vec<ChallengeMetric>,
    /// Valid submissions that a team may make on one day.
    pub per_day: u32,
    /// From when submissions are taken, ms UTC.
    pub opens_ms: i64,
    /// From when they are for the private half, ms UTC.
    pub final_opens_ms: i64,
    /// From when none is taken, ms UTC.
    pub closes_ms: i64,
    /// The hidden labels.
    pub truth: Table,
}

/// `challenges/NAME` in a project's folder.
pub fn challenge_folder(project: &Project, name: &str) -> PathBuf {
    project.root.join("challenges").join(name)
}

/// Seals the labels, writes the inputs in the order of their names, which says nothing, and records the challenge. A kill
/// before the record leaves a folder that the next try replaces.
///
/// # Errors
/// [`ChallengeError::BadRequest`], which names lines and never a label; what the disk or the catalogue refuses.
pub async fn make_challenge(
    project: &Project,
    key: &ChallengeKey,
    request: &ChallengeRequest,
    nonce: [u8; 24],
    now_ms: i64,
) -> Result<ChallengeRow, ChallengeError> {
    check(request)?;
    if project.catalog.find_challenge(&request.name).await?.is_some() {
        return Err(affectory_catalog::CatalogError::ChallengeExists(request.name.clone()).into());
    }
    let halves = Halves::of(&request.truth, &request.name, key);
    for (metric, half) in
        request.metrics.iter().flat_map(|metric| [(metric, &halves.public), (metric, &halves.private)])
    {
        let is_labelled = |row: &affectory_evaluate::Row| match metric.task() {
            ChallengeTask::Expression => row.expression.is_some(),
            ChallengeTask::ValenceArousal => row.valence.is_some() && row.arousal.is_some(),
        };
        if !half.rows.iter().any(is_labelled) {
            return Err(bad(format!("a half of the test set has no label for the task {}", metric.task().name())));
        }
    }
    let inputs = inputs_csv(&request.truth);
    let sealed = seal(labels_csv(request).as_bytes(), &request.name, key, nonce)?;
    let folder = challenge_folder(project, &request.name);
    std::fs::create_dir_all(&folder).map_err(ChallengeError::file("create folder", &folder))?;
    for (name, bytes) in [(INPUTS, inputs.as_bytes()), (SEALED, &sealed)] {
        write(&folder.join(name), bytes)?;
    }
    let new = NewChallenge {
        name: request.name.clone(),
        title: request.title.clone(),
        rules: request.rules.clone(),
        release: request.release.clone(),
        labels: request.labels.to_string(),
        metrics: request.metrics.clone(),
        n_inputs: request.truth.rows.len() as u64,
        inputs_sha256: sha256(inputs.as_bytes()),
        sealed_sha256: sha256(&sealed),
        per_day: request.per_day,
        opens_ms: request.opens_ms,
        final_opens_ms: request.final_opens_ms,
        closes_ms: request.closes_ms,
    };
    Ok(project.catalog.insert_challenge(&new, now_ms).await?)
}

/// Names of the images to be answered, in the order of the file.
///
/// # Errors
/// [`ChallengeError::File`], or [`ChallengeError::OtherInputs`] where the file is not the one that was recorded.
pub fn read_inputs(project: &Project, challenge: &ChallengeRow) -> Result<Vec<String>, ChallengeError> {
    let path = challenge_folder(project, &challenge.challenge.name).join(INPUTS);
    let bytes = std::fs::read(&path).map_err(ChallengeError::file("read", &path))?;
    let other = || ChallengeError::OtherInputs(challenge.challenge.name.clone());
    if sha256(&bytes) != challenge.challenge.inputs_sha256 {
        return Err(other());
    }
    let mut names = Vec::new();
    for record in csv::Reader::from_reader(bytes.as_slice()).into_records() {
        names.push(record.map_err(|_| other())?.get(0).ok_or_else(other)?.to_owned());
    }
    Ok(names)
}

pub(super) fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

fn bad(reason: impl Into<String>) -> ChallengeError {
    ChallengeError::BadRequest(reason.into())
}

fn check(request: &ChallengeRequest) -> Result<(), ChallengeError> {
    let ChallengeRequest { name, title, rules, labels, metrics, per_day, truth, .. } = request;
    let is_name = (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-');
    if !is_name {
        return Err(bad("a name has 1 to 40 small letters, digits and hyphens"));
    }
    if title.is_empty() || title.chars().count() > 120 || title.chars().any(char::is_control) {
        return Err(bad("a title has 1 to 120 characters on one line"));
    }
    if rules.chars().count() > 20_000 {
        return Err(bad("the rules have more than 20,000 characters"));
    }
    if !(1..=1000).contains(per_day) {
        return Err(bad("a team may make 1 to 1,000 submissions a day"));
    }
    if request.opens_ms >= request.final_opens_ms || request.final_opens_ms >= request.closes_ms {
        return Err(bad("it opens, then the final phase opens, then it closes"));
    }
    let tasks: Vec<ChallengeTask> = metrics.iter().map(|metric| metric.task()).collect();
    if tasks.is_empty() || tasks.iter().enumerate().any(|(place, task)| tasks[..place].contains(task)) {
        return Err(bad("it has one metric for each task, and at least one task"));
    }
    if truth.rows.len() < 2 {
        return Err(bad("the truth has fewer than two images"));
    }
    for row in &truth.rows {
        let at = |problem: &str| Err(bad(format!("line {} of the truth: {problem}", row.line)));
        if row.image.len() > 200 || row.image.chars().any(char::is_control) {
            return at("the image's name is longer than 200 bytes, or has control characters");
        }
        let is_about_labels = tasks.contains(&ChallengeTask::Expression);
        if is_about_labels && row.expression.is_some_and(|label| labels.class_of(label).is_none()) {
            return at("the category is not among the challenge's");
        }
        if row.valence.is_some() != row.arousal.is_some() {
            return at("it has valence or arousal alone: give both, or neither");
        }
        if [row.valence, row.arousal].into_iter().flatten().any(|value| !(-1.0..=1.0).contains(&value)) {
            return at("valence or arousal is outside -1 to 1");
        }
    }
    Ok(())
}

fn inputs_csv(truth: &Table) -> String {
    let mut names: Vec<&str> = truth.rows.iter().map(|row| row.image.as_str()).collect();
    names.sort_unstable();
    table(["image"], names.into_iter().map(|name| [name.to_owned()]))
}

/// What the tasks need, and no more of it.
fn labels_csv(request: &ChallengeRequest) -> String {
    let asks = |task: ChallengeTask| request.metrics.iter().any(|metric| metric.task() == task);
    let (labels, values) = (asks(ChallengeTask::Expression), asks(ChallengeTask::ValenceArousal));
    let number = |value: Option<f64>| value.filter(|_| values).map(|value| value.to_string()).unwrap_or_default();
    let rows = request.truth.rows.iter().map(|row| {
        let label = row.expression.filter(|_| labels).map(|label| label.to_string()).unwrap_or_default();
        [row.image.clone(), label, number(row.valence), number(row.arousal)]
    });
    table(["image", "expression", "valence", "arousal"], rows)
}

fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = out.write_record(header);
    for row in rows {
        let _ = out.write_record(row);
    }
    String::from_utf8(out.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// Writes a file whole, onto the disk, before a row says that it is there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ChallengeError> {
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(ChallengeError::file("write", path))?;
    file.write_all(bytes).map_err(ChallengeError::file("write", path))?;
    file.as_file().sync_all().map_err(ChallengeError::file("write", path))?;
    file.persist(path).map_err(|error| ChallengeError::file("write", path)(error.error))?;
    Ok(())
}
