//! `affectory release`: freezes, lists, checks and exports releases, and withdraws images from them.

use affectory_catalog::{COMMAND_LINE, Holder, Project};
use affectory_core::{LabelSet, Sha256Hex};
use affectory_portal::{Letters, PortalSettings};
use affectory_release::build::{BuildOptions, BuiltRelease, CountTable, DEFAULT_DISTANCE, Fractions, Splits, build};
use affectory_release::export::{ExportFormat, export};
use affectory_release::pack::pack;
use affectory_release::{load_release, verify};
use anyhow::{Context as _, bail};

use super::{Context, shown};
use crate::cli::{Format, ReleaseBuild, ReleaseCommand, ReleaseExport, ReleasePack, ReleaseWithdraw};
use crate::environment::now_ms;

pub async fn run(context: &Context, args: ReleaseCommand) -> anyhow::Result<()> {
    match args {
        ReleaseCommand::Build(args) => build_one(context, args).await,
        ReleaseCommand::List => list(context).await,
        ReleaseCommand::Counts(args) => counts(context, &args.name).await,
        ReleaseCommand::Verify(args) => check(context, &args.name).await,
        ReleaseCommand::Export(args) => write(context, &args).await,
        ReleaseCommand::Pack(args) => put_together(context, &args).await,
        ReleaseCommand::Withdraw(args) => withdraw(context, &args).await,
    }
}

async fn build_one(context: &Context, args: ReleaseBuild) -> anyhow::Result<()> {
    let options = BuildOptions {
        labels: LabelSet::parse(&args.labels).context("--labels")?,
        splits: parse_splits(&args.splits)?,
        duplicate_distance: Some(args.duplicate_distance.unwrap_or(DEFAULT_DISTANCE)),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        name: args.name,
        seed: args.seed,
    };
    let project = context.open().await?;
    let built = freeze(&project, &options).await?;
    let json = serde_json::json!({
        "name": built.row.release.name,
        "manifest_sha256": built.row.manifest_sha256.to_string(),
        "folder": built.folder,
        "items": built.row.n_items,
        "left_out": built.left_out,
        "groups": built.n_groups,
        "largest_group": built.largest_group,
        "counts": counts_json(&built.counts),
    });
    context.print(&describe(&built), &json)
}

/// Builds a release; the demo comes through here, too.
pub async fn freeze(project: &Project, options: &BuildOptions) -> anyhow::Result<BuiltRelease> {
    build(project, options, now_ms()).await.with_context(|| format!("failed to build release `{}`", options.name))
}

/// What a build made, for people.
pub fn describe(built: &BuiltRelease) -> String {
    let mut text = format!(
        "release {}: {} faces in {} groups of near-duplicates and pages (largest {})\n\n{}",
        built.row.release.name,
        built.row.n_items,
        built.n_groups,
        built.largest_group,
        built.counts.to_markdown()
    );
    if !built.left_out.is_empty() {
        text += "\nleft out:\n";
        for (reason, n) in &built.left_out {
            text += &format!("  {n:7}  {reason}\n");
        }
    }
    if built.n_shared_by_valid_and_test > 0 {
        text += &format!("\nWARNING: {} groups are in valid and in test, as given\n", built.n_shared_by_valid_and_test);
    }
    text + &format!("\nmanifest {}\nin {}", built.row.manifest_sha256, shown(&built.folder))
}

fn parse_splits(text: &str) -> anyhow::Result<Splits> {
    if text == "given" {
        return Ok(Splits::Given);
    }
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse::<f64>()).collect();
    let Ok([train, valid, test]) = numbers.as_deref().map(|n| <[f64; 3]>::try_from(n).unwrap_or([f64::NAN; 3])) else {
        bail!("--splits `{text}` is neither `given` nor three shares such as 80,10,10");
    };
    let total = train + valid + test;
    if !total.is_finite() || total <= 0.0 {
        bail!("--splits `{text}` is neither `given` nor three shares such as 80,10,10");
    }
    Ok(Splits::Fractions(Fractions::new(train / total, valid / total, test / total)?))
}

fn counts_json(counts: &CountTable) -> serde_json::Value {
    let rows = counts.rows().iter().map(|(name, n)| {
        let [train, valid, test] = n;
        (name.clone(), serde_json::json!({ "train": train, "valid": valid, "test": test }))
    });
    serde_json::Value::Object(rows.collect())
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let releases = context.open().await?.catalog.list_releases().await?;
    let mut text = String::new();
    for row in &releases {
        text += &format!("{:24} {:>9} faces  {}\n", row.release.name, row.n_items, row.release.labels);
    }
    if releases.is_empty() {
        text = "no release yet: make one with `affectory release build NAME`".into();
    }
    let json: Vec<_> = releases
        .iter()
        .map(|row| {
            serde_json::json!({
                "name": row.release.name,
                "items": row.n_items,
                "labels": row.release.labels,
                "seed": row.release.seed,
                "manifest_sha256": row.manifest_sha256.to_string(),
                "built_ms": row.built_ms,
            })
        })
        .collect();
    context.print(&text, &serde_json::Value::Array(json))
}

async fn counts(context: &Context, name: &str) -> anyhow::Result<()> {
    let release = load_release(&context.open().await?, name).await?;
    let counts = CountTable::of(&release.items, &release.labels);
    let mut text = counts.to_markdown();
    if release.n_withdrawn > 0 {
        text += &format!("\n{} faces were withdrawn since\n", release.n_withdrawn);
    }
    context.print(&text, &counts_json(&counts))
}

async fn check(context: &Context, name: &str) -> anyhow::Result<()> {
    let findings = verify(&context.open().await?, name).await?;
    let n_faults = findings.iter().filter(|finding| finding.is_fault()).count();
    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    if n_faults == 0 {
        text += &format!("release {name} is whole: manifest, objects and splits are as recorded");
    }
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    context.print(&text, &serde_json::json!({ "release": name, "faults": n_faults, "findings": list }))?;
    if n_faults > 0 {
        bail!("release `{name}` has {n_faults} faults: put the files back from a copy, or build a new release");
    }
    Ok(())
}

async fn write(context: &Context, args: &ReleaseExport) -> anyhow::Result<()> {
    let format = match args.format {
        Format::Folder => ExportFormat::Folder,
        Format::Csv => ExportFormat::Csv,
        Format::Affectnet => ExportFormat::AffectNet,
        Format::AffectnetNpy => ExportFormat::AffectNetNpy,
        Format::Ferplus => bail!("ferplus is a format to import; export as affectnet, affectnet-npy, folder or csv"),
    };
    let project = context.open().await?;
    let summary = export(&project, &args.name, format, &args.out, &context.stop, &context.bars).await?;
    let text = format!("{} faces of {} in {}", summary.n_items, args.name, shown(&summary.target));
    let json = serde_json::json!({
        "items": summary.n_items, "withdrawn": summary.n_withdrawn, "target": summary.target,
    });
    context.print(&text, &json)
}

async fn put_together(context: &Context, args: &ReleasePack) -> anyhow::Result<()> {
    let project = context.open().await?;
    let summary = pack(&project, &args.name, args.images_per_pack, (&context.stop, &context.bars)).await?;
    let text = format!(
        "{} of {} packs of {} written; {} images, {:.1} MB in all",
        summary.n_written,
        summary.n_packs,
        args.name,
        summary.n_images,
        summary.n_bytes as f64 / 1e6
    );
    context.print(&text, &serde_json::to_value(&summary)?)?;
    if summary.is_stopped {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

async fn withdraw(context: &Context, args: &ReleaseWithdraw) -> anyhow::Result<()> {
    let sha256: Sha256Hex = args.image.parse().context("the image is named by its SHA-256")?;
    let project = context.open().await?;
    let settings = PortalSettings::read(&project.root)?;
    let takedown = |holder: &Holder| {
        let settings = settings.as_ref()?;
        let letters = Letters { settings, base: settings.database.url.trim_end_matches('/') };
        let person = &holder.person;
        Some(letters.takedown(&person.email, &person.name, &holder.release, sha256.as_str()))
    };
    let withdrawn =
        project.catalog.withdraw_image_telling(&sha256, &args.reason, COMMAND_LINE, takedown, now_ms()).await?;
    let Some(releases) = withdrawn else {
        bail!("no image {sha256} in this project: see the manifest's column image_sha256");
    };
    let text = match releases.len() {
        0 => format!("image {sha256} is withdrawn; it was in no release"),
        _ => format!(
            "image {sha256} is withdrawn from {}; where that is packed, `affectory release pack` takes it out of the packs",
            releases.join(", ")
        ),
    };
    context.print(&text, &serde_json::json!({ "image": sha256.to_string(), "releases": releases }))
}
