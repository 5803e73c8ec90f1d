//! What lies in a run's folder, and how does a killed run go on to the same result?
//!
//! `run.json` and `recipe.toml` say what the run is; `checkpoints/epoch-NNNN/` holds weights, optimizer and
//! history, written beside and renamed into place; `model.safetensors` is the best epoch. Everything an epoch
//! writes follows from the checkpoint before it, so an epoch that is done twice writes the same bytes.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use affectory_core::{LabelSet, Split};
use affectory_nets::Network;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;

use crate::LearnError;
use crate::curves::curves_svg;
use crate::data::Sample;
use crate::predict::ModelCard;
use crate::recipe::{Heads, Recipe};
use crate::scores::{Guess, Scores};
use crate::training::TrainJob;

/// What a run is made from. Two runs with the same identity and recipe give the same weights on one machine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunIdentity {
    /// Name of the release.
    pub release: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// Name of the recipe.
    pub recipe: String,
    /// The classes, comma-separated.
    pub labels: String,
    /// The run's seed.
    pub seed: u64,
    /// Whether valence and arousal of the release are a proxy.
    pub is_proxy: bool,
    /// Whether faces come in the order of packs, which is another order with another result.
    #[serde(default)]
    pub is_packed: bool,
    /// Version of the program that began the run.
    pub version: String,
}

/// One epoch's outcome.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    /// Mean loss over the training batches.
    pub train_loss: f64,
    /// Scores on the valid split.
    pub scores: Scores,
}

impl Epoch {
    /// What the best epoch is chosen by: accuracy where there are expressions, plus a tenth of the mean CCC
    /// where there are valence and arousal (alone, the whole of it).
    pub fn selection(&self) -> f64 {
        let ccc: Vec<f64> = [self.scores.valence_ccc, self.scores.arousal_ccc].into_iter().flatten().collect();
        let mean_ccc = if ccc.is_empty() { None } else { Some(ccc.iter().sum::<f64>() / ccc.len() as f64) };
        match (self.scores.accuracy, mean_ccc) {
            (Some(accuracy), ccc) => accuracy + 0.1 * ccc.unwrap_or(0.0),
            (None, ccc) => ccc.unwrap_or(f64::NEG_INFINITY),
        }
    }

    /// Whether this epoch is to be kept instead of an earlier one. A score that comes back from a checkpoint may have lost its
    /// last bit; an equal one must not win for that, or a resumed run would keep another epoch than an undisturbed one.
    pub fn is_better_than(&self, earlier: &Epoch) -> bool {
        self.selection() > earlier.selection() + 1e-9
    }
}

/// Where a run stands after its last whole epoch.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// The best one.
    pub best: Option<Epoch>,
}

/// A checkpoint as it was read.
pub struct Checkpoint {
    /// Where the run stood.
    pub state: State,
    /// The weights.
    pub network: ModuleRecord,
    /// Momentum and the like.
    pub optimizer: Bytes,
    /// The running average of the weights, where the recipe has one.
    pub average: Option<ModuleRecord>,
}

/// A run's folder, held by this process alone until it is dropped.
pub struct RunFolder {
    path: PathBuf,
    _lock: fs::File,
}

impl RunFolder {
    /// Makes the folder, or checks that it holds this very run or nothing yet. Waits for no other process.
    ///
    /// # Errors
    /// [`LearnError::OtherRun`], or what the file system refuses.
    pub fn open(path: &Path, identity: &RunIdentity, recipe: &Recipe) -> Result<Self, LearnError> {
        fs::create_dir_all(path).map_err(|e| file("create folder", path, e))?;
        let lock_path = path.join("run.lock");
        let lock = fs::File::create(&lock_path).map_err(|e| file("create", &lock_path, e))?;
        if lock.try_lock().is_err() {
            let reason = "another process is training this run now".into();
            return Err(LearnError::BadModel { path: path.to_owned(), reason });
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        let run_json = path.join("run.json");
        let recipe_toml = recipe.to_toml()?;
        match fs::read(&run_json) {
            Ok(bytes) => {
                let saved: RunIdentity = parse_json(&run_json, &bytes)?;
                let saved_recipe = fs::read_to_string(path.join("recipe.toml")).unwrap_or_default();
                // Read, not compared as text: an earlier version's has not every knob of today.
                let is_same_recipe = Recipe::parse("recipe", &saved_recipe).is_ok_and(|saved| saved == *recipe);
                let same = RunIdentity { version: identity.version.clone(), ..saved } == *identity;
                if same && is_same_recipe {
                    return Ok(folder);
                }
                // What never got to an epoch, a mistake in its knobs say, is in nobody's way.
                if folder.has_learnt()? {
                    return Err(LearnError::OtherRun { path: path.to_owned() });
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(file("read", &run_json, e)),
        }
        folder.write("recipe.toml", recipe_toml.as_bytes())?;
        folder.write("run.json", &to_json(identity))?;
        Ok(folder)
    }

    /// Whether there is anything that took time: a checkpoint, a model, or answers.
    fn has_learnt(&self) -> Result<bool, LearnError> {
        let is_there = |name: &str| self.path.join(name).exists();
        let has_answers = Split::ALL.iter().any(|split| is_there(&format!("{split}-predictions.csv")));
        Ok(has_answers || is_there("model.safetensors") || !self.checkpoints()?.is_empty())
    }

    /// State, weights and optimizer after the last whole epoch.
    ///
    /// # Errors
    /// [`LearnError::BadModel`] for a damaged checkpoint.
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, LearnError> {
        let Some(path) = self.checkpoints()?.pop() else { return Ok(None) };
        let state_path = path.join("state.json");
        let bytes = fs::read(&state_path).map_err(|e| file("read", &state_path, e))?;
        let state = parse_json(&state_path, &bytes)?;
        let bad = |e: burn::store::RecordError| LearnError::BadModel { path: path.clone(), reason: e.to_string() };
        let network = ModuleRecord::load(path.join("network.bpk")).map_err(bad)?;
        let average_path = path.join("average.bpk");
        let average = average_path.exists().then(|| ModuleRecord::load(&average_path)).transpose().map_err(bad)?;
        let optimizer_path = path.join("optimizer.bpk");
        let optimizer = fs::read(&optimizer_path).map_err(|e| file("read", &optimizer_path, e))?;
        Ok(Some(Checkpoint { state, network, optimizer: Bytes::from_bytes_vec(optimizer), average }))
    }

    /// Writes a checkpoint whole or not at all, then the history and curves; keeps the last two checkpoints.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save_checkpoint(
        &self,
        state: &State,
        network: &Network,
        optimizer: &ModuleOptimizer,
        average: Option<&Network>,
    ) -> Result<(), LearnError> {
        let name = format!("epoch-{:04}", state.history.len());
        let folder = self.path.join("checkpoints");
        let unfinished = folder.join(format!("{name}.unfinished"));
        let bad =
            |e: burn::store::RecordError| LearnError::BadModel { path: unfinished.clone(), reason: e.to_string() };
        // What an earlier, killed attempt left.
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(|e| file("remove", &unfinished, e))?;
        }
        fs::create_dir_all(&unfinished).map_err(|e| file("create folder", &unfinished, e))?;
        let record = network.clone().into_record().into_bytes().map_err(bad)?;
        write_synced(&unfinished.join("network.bpk"), &record)?;
        if let Some(average) = average {
            let record = average.clone().into_record().into_bytes().map_err(bad)?;
            write_synced(&unfinished.join("average.bpk"), &record)?;
        }
        write_synced(&unfinished.join("optimizer.bpk"), &optimizer.into_bytes().map_err(bad)?)?;
        write_synced(&unfinished.join("state.json"), &to_json(state))?;
        let finished = folder.join(&name);
        fs::rename(&unfinished, &finished).map_err(|e| file("rename", &unfinished, e))?;
        sync_folder(&folder)?;

        self.write("history.csv", history_csv(&state.history).as_bytes())?;
        self.write("curves.svg", curves_svg(&state.history).as_bytes())?;
        let mut old = self.checkpoints()?;
        old.truncate(old.len().saturating_sub(2));
        for path in old {
            fs::remove_dir_all(&path).map_err(|e| file("remove", &path, e))?;
        }
        Ok(())
    }

    /// Writes `model.safetensors`: weights and everything `predict` needs to use them.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save_best(&self, network: &Network, job: &TrainJob, epoch: &Epoch) -> Result<(), LearnError> {
        let card = ModelCard::new(job, epoch);
        let metadata =
            HashMap::from([(ModelCard::KEY.to_owned(), String::from_utf8_lossy(&to_json(&card)).into_owned())]);
        self.save_model(&network.to_safetensors(metadata)?)
    }

    /// Writes `model.safetensors` as it is given.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save_model(&self, bytes: &[u8]) -> Result<(), LearnError> {
        self.write("model.safetensors", bytes)
    }

    /// Writes the best epoch's answers on the valid split as the contract's CSV, and beside it the truth and the votes that
    /// the truth was formed from.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save_predictions(
        &self,
        samples: &[Sample],
        guesses: &[Guess],
        labels: &LabelSet,
        heads: Heads,
    ) -> Result<(), LearnError> {
        let predictions = crate::scores::predictions_csv(samples, guesses, labels, heads);
        self.write("valid-predictions.csv", predictions.as_bytes())?;
        self.write("valid-votes.csv", crate::scores::votes_csv(samples).as_bytes())?;
        self.write("valid-truth.csv", crate::scores::truth_csv(samples).as_bytes())
    }

    /// Finished checkpoints, oldest first.
    fn checkpoints(&self) -> Result<Vec<PathBuf>, LearnError> {
        let folder = self.path.join("checkpoints");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(file("read", &folder, e)),
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|p| p.extension().is_none() && p.join("state.json").exists())
            .collect();
        found.sort();
        Ok(found)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LearnError> {
        let unfinished = self.path.join(format!("{name}.unfinished"));
        write_synced(&unfinished, bytes)?;
        fs::rename(&unfinished, self.path.join(name)).map_err(|e| file("rename", &unfinished, e))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), LearnError> {
    let write = || -> std::io::Result<()> {
        let mut out = fs::File::create(path)?;
        out.write_all(bytes)?;
        out.sync_all()
    };
    write().map_err(|e| file("write", path, e))
}

/// A rename is only safe from a power loss once its folder is on disk.
fn sync_folder(path: &Path) -> Result<(), LearnError> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| file("sync", path, e))
}

pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> LearnError {
    LearnError::File { action, path: path.to_owned(), source }
}

pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LearnError> {
    serde_json::from_slice(bytes).map_err(|e| LearnError::BadModel { path: path.to_owned(), reason: e.to_string() })
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Our own structs of numbers and text always serialise; an empty file would be refused when read.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn history_csv(history: &[Epoch]) -> String {
    let mut csv = String::from("epoch,train_loss,valid_accuracy,valid_f1_macro,valid_valence_ccc,valid_arousal_ccc\n");
    for e in history {
        let cell = |value: Option<f64>| value.map(|v| format!("{v:.6}")).unwrap_or_default();
        let s = &e.scores;
        csv += &format!(
            "{},{:.6},{},{},{},{}\n",
            e.epoch,
            e.train_loss,
            cell(s.accuracy),
            cell(s.f1_macro),
            cell(s.valence_ccc),
            cell(s.arousal_ccc)
        );
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_learnt_nothing_gives_its_folder_up_and_one_that_did_never() {
        let folder = tempfile::tempdir().unwrap();
        let identity = |seed| RunIdentity {
            release: "r".into(),
            manifest_sha256: "00".into(),
            recipe: "affectory-s".into(),
            labels: "happy,sad".into(),
            seed,
            is_proxy: false,
            is_packed: false,
            version: "0".into(),
        };
        let open = |seed| RunFolder::open(folder.path(), &identity(seed), &Recipe::default());
        drop(open(1).unwrap());
        drop(open(2).unwrap());
        fs::write(folder.path().join("valid-predictions.csv"), "image").unwrap();
        assert!(matches!(open(1), Err(LearnError::OtherRun { .. })));
        assert!(open(2).is_ok());
    }

    #[test]
    fn an_equal_epoch_is_no_better_after_its_score_went_through_a_checkpoint() {
        let epoch = |accuracy| Epoch {
            epoch: 1,
            train_loss: 1.0,
            scores: Scores { accuracy: Some(accuracy), ..Scores::default() },
        };
        // One unit in the last place below 2 / 13, as a parser without exact rounding may give it back.
        let (exact, read_back) = (epoch(2.0 / 13.0), epoch((2.0f64 / 13.0).next_down()));
        assert!(!exact.is_better_than(&read_back) && epoch(3.0 / 13.0).is_better_than(&exact));
    }
}
