//! `affectory demo`: the whole way once, through the same rooms as the single commands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use affectory_catalog::{Project, ProjectConfig};
use affectory_core::{LabelSet, Progress as _, Split};
use affectory_evaluate::{Evaluation, Format, class_table, comparison_table};
use affectory_imaging::{Limits, encode_png};
use affectory_learn::{Hardware, Predictor, ReadImage};
use affectory_release::build::{BuildOptions, DEFAULT_DISTANCE, Fractions, Splits};
use affectory_release::import::{ImportFormat, ImportRequest};
use affectory_release::load_release;
use anyhow::{Context as _, bail};

use super::{Context, evaluate, import, predict, release, shown, train};
use crate::cli::{Demo, Train};

/// Side of the drawn faces, pixels.
const SIDE: u32 = 96;
/// Passes that fit into the demo's few minutes.
const EPOCHS: u32 = 20;
/// Pictures that are drawn over, for people to look at.
const N_OVERLAYS: usize = 12;
const NAME: &str = "demo";
/// Eileen Collins, photographed by NASA; origin and licence are in `assets/README.md`.
const PORTRAIT: &[u8] = include_bytes!("../../assets/astronaut.png");

pub async fn run(context: &Context, args: Demo) -> anyhow::Result<()> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("affectory-demo"));
    let project = if out.join("affectory.toml").is_file() {
        Project::open(&out).await?
    } else {
        Project::init(&out, ProjectConfig::default()).await?
    };
    say(context, "1. import");
    let requests = match &args.data {
        Some(data) => ferplus(data)?,
        None => vec![drawn(context, &out, &args)?],
    };
    for request in &requests {
        let summary = import::import_one(context, &project, request).await?;
        if summary.stopped {
            bail!("stopped: the same command goes on from here");
        }
        say(context, &import::describe(request, &summary));
    }

    say(context, "\n2. release");
    if project.catalog.list_releases().await?.iter().all(|row| row.release.name != NAME) {
        let splits =
            if args.data.is_some() { Splits::Given } else { Splits::Fractions(Fractions::new(0.7, 0.15, 0.15)?) };
        let options = BuildOptions {
            name: NAME.into(),
            seed: args.seed,
            labels: LabelSet::eight(),
            splits,
            duplicate_distance: Some(DEFAULT_DISTANCE),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let built = release::freeze(&project, &options).await?;
        say(context, &release::describe(&built));
    } else {
        say(context, "built already by an earlier run");
    }

    say(context, "\n3. train");
    let job = Train {
        release: NAME.into(),
        recipe: "affectory-s".into(),
        seed: args.seed,
        knobs: Vec::new(),
        epochs: args.epochs.or(args.data.is_none().then_some(EPOCHS)),
        run: Some(NAME.into()),
        crop_memory: 2048,
        on: Hardware::Cpu,
        packed: false,
        processes: 1,
        process: 0,
        meet: None,
    };
    let (run_folder, report) = train::train_one(context, &project, &job).await?;
    if !report.is_complete {
        bail!("stopped: the same command goes on from the last whole epoch");
    }

    say(context, "\n4. evaluate and predict");
    // FER+ has no test part here: its valid part also chose the epoch, and the summary says so.
    let split = if args.data.is_some() { Split::Valid } else { Split::Test };
    let (scored, overlays) = score_split(context, &project, &run_folder, split).await?;
    let portrait = read_portrait(&out)?;
    let what = if args.data.is_some() { "FER+" } else { "synthetic faces" };
    let mut text = comparison_table(&[("affectory-s", &scored)], Format::Text);
    text += "\n";
    text += &class_table(&scored, Format::Text);
    let _ = write!(
        text,
        "\nscored on the {split} split of {what}{}\n\ncount table   {}\ncurves        {}\nconfusion     {}\nscores        \
         {}\npictures      {} (open one in a browser)\nphotograph    {} (found by the detector, read by the model \
         inside the program)\n\nnext: affectory --project {} doctor",
        if split == Split::Valid { ", which also chose the epoch" } else { "" },
        shown(&project.releases_dir().join(NAME).join("counts.md")),
        shown(&run_folder.join("curves.svg")),
        shown(&run_folder.join("test-confusion.svg")),
        shown(&run_folder.join("test-scores.md")),
        shown(&overlays),
        shown(&portrait),
        shown(&out)
    );
    let json = serde_json::json!({
        "project": out, "run": run_folder, "split": split.name(), "synthetic": args.data.is_none(),
        "scores": scored.to_json(), "overlays": overlays, "portrait": portrait,
    });
    context.print(&text, &json)
}

/// Steps on the way are told as they happen; with `--json`, stdout has the result alone.
fn say(context: &Context, text: &str) {
    if !context.is_json {
        println!("{}", text.trim_end_matches('\n'));
    }
}

fn ferplus(data: &Path) -> anyhow::Result<Vec<ImportRequest>> {
    ["ferplus-train", "ferplus-valid"]
        .into_iter()
        .map(|name| {
            let path = data.join(format!("{name}.tar"));
            if !path.exists() {
                bail!(
                    "{} has no {name}.tar: --data names a folder with ferplus-train.tar and ferplus-valid.tar",
                    shown(data)
                );
            }
            let format = ImportFormat::FerPlus { proxy_va: true };
            Ok(ImportRequest { format, path, source: name.into(), limits: Limits::default() })
        })
        .collect()
}

/// Draws the sample database and writes it as any lab's data would come: pictures and a table.
fn drawn(context: &Context, out: &Path, args: &Demo) -> anyhow::Result<ImportRequest> {
    let folder = out.join("synthetic");
    let images = folder.join("images");
    std::fs::create_dir_all(&images).with_context(|| format!("failed to create {}", shown(&images)))?;
    let mut table = String::from("image,expression,valence,arousal\n");
    context.bars.begin("draw synthetic faces", Some(args.faces.into()));
    for number in 0..args.faces {
        if context.stop.is_requested() {
            bail!("stopped: the same command goes on from here");
        }
        let face = affectory_synthetic::sample(number, args.seed, SIDE);
        evaluate::write_file(&images.join(format!("{}.png", face.name)), &encode_png(&face.drawn.image)?)?;
        let place = face.drawn.place.map(|p| format!("{},{}", p.valence.value(), p.arousal.value()));
        let _ = writeln!(table, "images/{}.png,{},{}", face.name, face.drawn.expression, place.unwrap_or(",".into()));
        context.bars.advance(1);
    }
    context.bars.end();
    let path = folder.join("labels.csv");
    evaluate::write_file(&path, table.as_bytes())?;
    Ok(ImportRequest { format: ImportFormat::Csv, path, source: "synthetic".into(), limits: Limits::default() })
}

/// Predicts a split with the run's model, scores it, and draws over some of its pictures.
async fn score_split(
    context: &Context,
    project: &Project,
    run_folder: &Path,
    split: Split,
) -> anyhow::Result<(Evaluation, PathBuf)> {
    let release = load_release(project, NAME).await?;
    let predictor = Predictor::load(run_folder)?;
    let samples: Vec<_> = train::samples(&release).into_iter().filter(|s| s.split == split).collect();
    let (read, overlays) = (train::reader(project), run_folder.join("pictures"));
    let (bars, labels) = (context.bars.clone(), release.labels.clone());
    let (folder, pictures) = (run_folder.to_owned(), overlays.clone());
    let work = move || -> anyhow::Result<Evaluation> {
        std::fs::create_dir_all(&pictures).with_context(|| format!("failed to create {}", shown(&pictures)))?;
        bars.begin("predict", Some(samples.len() as u64));
        let mut table = predict::Table::new(&labels)?;
        for (number, sample) in samples.iter().enumerate() {
            let image = read_picture(&read, &sample.image)?;
            let faces = predictor.predict(&image, &[sample.bounding_box.into()])?;
            for face in &faces {
                table.add(&sample.name, face)?;
            }
            if number < N_OVERLAYS {
                let path = pictures.join(format!("{}.svg", sample.name));
                let bounding_box = sample.bounding_box;
                let faces: Vec<_> = faces
                    .into_iter()
                    .map(|prediction| predict::ReadFace { bounding_box, seen: None, prediction })
                    .collect();
                evaluate::write_file(&path, predict::overlay(&image, &faces)?.as_bytes())?;
            }
            bars.advance(1);
        }
        bars.end();
        let (truth, predictions) = (folder.join("test-truth.csv"), folder.join("test-predictions.csv"));
        evaluate::write_file(&truth, affectory_learn::truth_csv(&samples).as_bytes())?;
        evaluate::write_file(&predictions, table.finish()?.as_bytes())?;
        let scored = evaluate::score_files(&truth, &predictions, &labels, false)?;
        evaluate::write_tables(&folder.join("test-scores.md"), &scored, Format::Markdown)?;
        let confusion = affectory_evaluate::confusion_svg(&scored);
        evaluate::write_file(&folder.join("test-confusion.svg"), confusion.as_bytes())?;
        Ok(scored)
    };
    let scored = tokio::task::spawn_blocking(work).await.context("the prediction ended early")??;
    Ok((scored, overlays))
}

/// A photograph: its faces found, read by the model inside the program, drawn over.
fn read_portrait(out: &Path) -> anyhow::Result<PathBuf> {
    let image = affectory_imaging::decode(PORTRAIT, &Limits::default())?.image;
    let faces = predict::Reader::bundled()?.read(&image)?;
    let path = out.join("portrait.svg");
    evaluate::write_file(&path, predict::overlay(&image, &faces)?.as_bytes())?;
    Ok(path)
}

fn read_picture(read: &ReadImage, image: &str) -> anyhow::Result<affectory_imaging::RgbImage> {
    let bytes = read(image).map_err(anyhow::Error::msg)?;
    Ok(affectory_imaging::decode(&bytes, &Limits::default())?.image)
}
