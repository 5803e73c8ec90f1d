//! `affectory pools`: which faces are annotated, and by which rules?

use std::path::Path;
use std::sync::Arc;

use affectory_annotate::{FaceFilter, PoolRequest, SuggestSummary, Suggester, Thought, make_pool};
use affectory_catalog::{COMMAND_LINE, Gold, PoolRow, PoolRules, Project, Strategy};
use affectory_core::{Arousal, BoundingBox, Expression, FaceId, Progress as _, Valence};
use affectory_imaging::RgbImage;
use affectory_learn::{Prediction, Predictor};
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, shown};
use crate::cli::{PoolAdd, PoolGold, PoolOrder, PoolSuggest, PoolsCommand};
use crate::environment::now_ms;
use crate::failure::printable;

pub async fn run(context: &Context, command: PoolsCommand) -> anyhow::Result<()> {
    match command {
        PoolsCommand::Add(args) => add(context, args).await,
        PoolsCommand::List => list(context).await,
        PoolsCommand::Suggest(args) => suggest(context, &args).await,
        PoolsCommand::Gold(args) => set_gold(context, &args).await,
    }
}

async fn add(context: &Context, args: PoolAdd) -> anyhow::Result<()> {
    let project = context.open().await?;
    let request = PoolRequest {
        rules: PoolRules {
            n_annotators: args.annotators,
            overlap_percent: args.overlap,
            gold_percent: args.gold,
            strategy: match args.order {
                PoolOrder::Random => Strategy::Random,
                PoolOrder::Query => Strategy::Query,
                PoolOrder::Uncertainty => Strategy::Uncertainty,
            },
            is_balanced: args.balanced,
            is_assisted: args.assisted,
            needs_quiz: args.after_quiz,
            seed: args.seed,
        },
        filter: FaceFilter { min_px: args.min_px as f32, only_unlabelled: !args.labelled, limit: args.limit },
        name: args.name,
    };
    let made = make_pool(&project.catalog, &request, None, (&context.stop, &context.bars), now_ms()).await?;
    let text = format!(
        "pool `{}`: {} faces, {} of them for {} annotators; {} look like another one, and nobody gets both",
        printable(&request.name),
        made.n_faces,
        made.n_overlap,
        request.rules.n_annotators,
        made.n_alike
    );
    context.print(&text, &serde_json::to_value(made)?)
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let pools = context.open().await?.catalog.list_pools().await?;
    let mut text = format!(
        "{:>4}  {:8}  {:>10}  {:>10}  {:>10}  {:12}  name\n",
        "id", "state", "faces", "answers", "wanted", "order"
    );
    for pool in &pools {
        text += &format!(
            "{:>4}  {:8}  {:>10}  {:>10}  {:>10}  {:12}  {}\n",
            pool.id,
            pool.state.name(),
            pool.n_faces,
            pool.n_done,
            pool.n_wanted,
            pool.rules.strategy.name(),
            printable(&pool.name)
        );
    }
    context.print(&text, &serde_json::to_value(&pools)?)
}

/// The pool of that name.
pub async fn named(project: &Project, name: &str) -> anyhow::Result<PoolRow> {
    let pools = project.catalog.list_pools().await?;
    let known: Vec<String> = pools.iter().map(|pool| printable(&pool.name)).collect();
    let found = pools.into_iter().find(|pool| pool.name == name);
    found.with_context(|| format!("no pool named `{}` (there are: {})", printable(name), known.join(", ")))
}

/// Active annotation: predict, put what is least certain first. What a model said stays with each answer.
async fn suggest(context: &Context, args: &PoolSuggest) -> anyhow::Result<()> {
    let project = context.open().await?;
    let pool = named(&project, &args.name).await?;
    let model = Arc::new(Model::open(args.model.as_deref())?);
    let everyone = (FaceId(0), FaceId(i64::MAX));
    context.bars.begin("suggesting", None);
    let place = (&project.catalog, &project.store);
    let summary = affectory_annotate::suggest(place, &model, pool.id, everyone, (&context.stop, &context.bars)).await?;
    context.bars.end();
    let SuggestSummary { faces, unreadable, stopped } = summary;
    if stopped {
        bail!("stopped after {faces} faces: the same command goes on");
    }
    if pool.rules.strategy == Strategy::Uncertainty {
        project.catalog.order_by_uncertainty(pool.id, COMMAND_LINE, now_ms()).await?;
    }
    let order = match pool.rules.strategy {
        Strategy::Uncertainty => "; what it is least certain of comes first",
        Strategy::Random | Strategy::Query => "; the pool's order stays",
    };
    let name = model.name();
    let text = format!("{name} looked at {faces} faces, {unreadable} could not be read{order}");
    context.print(&text, &json!({ "model": name, "faces": faces, "unreadable": unreadable }))
}

/// A model that looks at faces of pools.
pub struct Model {
    predictor: Predictor,
    name: String,
}

impl Model {
    /// The model that `--model` names, else the one inside the program.
    pub fn open(name: Option<&str>) -> anyhow::Result<Model> {
        let predictor = super::model(name)?;
        Ok(Model { name: predictor.name(), predictor })
    }
}

impl Suggester for Model {
    fn name(&self) -> &str {
        &self.name
    }

    fn look(&self, picture: &RgbImage, face: BoundingBox) -> Result<Option<Thought>, String> {
        let predictions = self.predictor.predict(picture, &[self.predictor.framed(face.into())]);
        let thought = |prediction: Prediction| Thought {
            expression: prediction.expression,
            valence: prediction.valence,
            arousal: prediction.arousal,
            probabilities: prediction.probabilities.iter().map(|(_, p)| *p).collect(),
        };
        Ok(predictions.map_err(|error| error.to_string())?.into_iter().next().map(thought))
    }
}

async fn set_gold(context: &Context, args: &PoolGold) -> anyhow::Result<()> {
    let project = context.open().await?;
    let pool = named(&project, &args.name).await?;
    let gold = read_gold(&args.file)?;
    for face in &gold {
        if project.catalog.find_face_picture(face.face_id).await?.is_none() {
            bail!("there is no face {} in this project; nothing was changed", face.face_id);
        }
    }
    project.catalog.set_gold(pool.id, &gold, COMMAND_LINE, now_ms()).await?;
    let text = format!("{} gold faces in pool `{}`", gold.len(), printable(&pool.name));
    context.print(&text, &json!({ "pool": pool.id, "gold": gold.len() }))
}

fn read_gold(file: &Path) -> anyhow::Result<Vec<Gold>> {
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("failed to read {}", shown(file)))?;
    let header = reader.headers().with_context(|| format!("failed to read {}", shown(file)))?.clone();
    let column = |name: &str| header.iter().position(|known| known.trim() == name);
    let (Some(face), Some(expression)) = (column("face"), column("expression")) else {
        bail!("{} needs the columns face and expression (and may have valence, arousal)", shown(file));
    };
    let mut gold = Vec::new();
    for (line, row) in (2..).zip(reader.records()) {
        let row = row.with_context(|| format!("{} line {line}", shown(file)))?;
        let text = |place: Option<usize>| place.and_then(|place| row.get(place)).unwrap_or("").trim();
        let number = |place| -> anyhow::Result<Option<f32>> {
            let text = text(place);
            if text.is_empty() { Ok(None) } else { Ok(Some(text.parse()?)) }
        };
        let parsed = || -> anyhow::Result<Gold> {
            Ok(Gold {
                face_id: FaceId(text(Some(face)).parse().context("face is no number")?),
                expression: text(Some(expression)).parse::<Expression>()?,
                valence: number(column("valence"))?.map(Valence::new).transpose()?,
                arousal: number(column("arousal"))?.map(Arousal::new).transpose()?,
            })
        };
        gold.push(parsed().with_context(|| format!("{} line {line}", shown(file)))?);
    }
    Ok(gold)
}
