//! `affectory portal`, `fetch`: what is offered to whom, and how it is got.

use std::collections::HashMap;
use std::io::Write as _;

use affectory_collect::{GrantedClient, parse};
use affectory_core::Progress as _;
use affectory_core::Sha256Hex;
use affectory_portal::delivery::{Layout, bring_up_to_date, delivered_items, package_folder, read_leak, trace};
use affectory_portal::{DeliverFrom, PortalSettings, SETTINGS_FILE, TEMPLATE};
use affectory_release::load_release;
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, shown};
use crate::cli::{Fetch, PortalCommand, PortalHolders, PortalTrace};
use crate::environment::{now_ms, variable};
use crate::failure::printable;

pub async fn run(context: &Context, command: PortalCommand) -> anyhow::Result<()> {
    match command {
        PortalCommand::Init => init(context).await,
        PortalCommand::Check => check(context).await,
        PortalCommand::Package => package(context).await,
        PortalCommand::Trace(args) => trace_leak(context, &args).await,
        PortalCommand::Holders(args) => holders(context, &args).await,
    }
}

async fn init(context: &Context) -> anyhow::Result<()> {
    let path = context.open().await?.root.join(SETTINGS_FILE);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("cannot make {}: is there one already?", shown(&path)))?;
    file.write_all(TEMPLATE.as_bytes()).with_context(|| format!("cannot write {}", shown(&path)))?;
    let text = format!("wrote {}: fill it in, then `affectory portal check`", shown(&path));
    context.print(&text, &json!({ "settings": path }))
}

fn settings(root: &std::path::Path) -> anyhow::Result<PortalSettings> {
    PortalSettings::read(root)?
        .with_context(|| format!("there is no {SETTINGS_FILE} in {}: make one by `affectory portal init`", shown(root)))
}

async fn check(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let settings = settings(&project.root)?;
    let releases = project.catalog.list_releases().await?;
    if settings.delivery.deliver_from == DeliverFrom::Store && !project.store.can_share() {
        bail!(
            "{SETTINGS_FILE} says deliver_from = \"store\", and the objects are not on S3: move them, or say \"server\""
        );
    }
    let mut text = format!("{} by {}\n", printable(&settings.database.name), printable(&settings.database.licensor));
    for offer in &settings.releases {
        if !releases.iter().any(|row| row.release.name == offer.name) {
            bail!(
                "{SETTINGS_FILE} offers `{}`, and there is no such release: see `affectory release list`",
                printable(&offer.name)
            );
        }
        let release = load_release(&project, &offer.name).await?;
        if let Some(sample) = offer.samples.iter().find(|name| !release.items.iter().any(|item| &item.item == *name)) {
            bail!("the sample `{}` is no item of release {}, or was withdrawn", printable(sample), offer.name);
        }
        let n = delivered_items(&release, offer).len();
        text += &format!("  {}: {n} faces delivered, {} withheld\n", offer.name, release.items.len() - n);
    }
    if settings.mail.server.is_empty() {
        text += "letters are kept: there is no mail server\n";
    } else {
        text += &format!("letters go out by {}\n", printable(&settings.mail.server));
    }
    let offers: Vec<&str> = settings.releases.iter().map(|offer| offer.name.as_str()).collect();
    context.print(&text, &json!({ "database": settings.database.name, "releases": offers }))
}

async fn package(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let settings = settings(&project.root)?;
    let prepared = bring_up_to_date(&project, &settings, now_ms).await?;
    let text = format!("{} packages built, {} copies prepared", prepared.n_packages, prepared.n_copies);
    context.print(&text, &json!({ "packages": prepared.n_packages, "copies": prepared.n_copies }))
}

async fn trace_leak(context: &Context, args: &PortalTrace) -> anyhow::Result<()> {
    let project = context.open().await?;
    let settings = settings(&project.root)?;
    let offer =
        settings.offer(&args.release).with_context(|| format!("{} is not offered", printable(&args.release)))?;
    let leak = read_leak(&args.leak)?;
    let release = load_release(&project, &args.release).await?;
    let package = project.catalog.find_package(release.row.id).await?.context("nothing of it was ever delivered")?;
    let folder = package_folder(&project, &args.release, package.revision);
    let items = delivered_items(&release, offer);
    let grants: Vec<_> =
        project.catalog.list_grants().await?.into_iter().filter(|grant| grant.release_id == release.row.id).collect();
    let mut found = Vec::new();
    for grant in &grants {
        let layout = Layout::open(&folder, &grant.seed)?;
        let places: HashMap<&str, (usize, usize)> =
            items.iter().filter_map(|item| Some((item.item.as_str(), layout.place(&item.image_sha256)?))).collect();
        found.push((grant, trace(&leak, &grant.seed, &places, grants.len())));
    }
    found.sort_by(|a, b| a.1.log_chance.total_cmp(&b.1.log_chance));
    let mut text = format!("{} lines of {} in {}\n", leak.items.len(), args.release, shown(&args.leak));
    match found.first().filter(|(_, suspicion)| suspicion.is_certain()) {
        Some((grant, _)) => {
            text += &format!(
                "it comes from the copy of {} ({}), grant {}\n",
                printable(&grant.owner.name),
                printable(&grant.owner.email),
                grant.id
            );
        }
        None => text += "nobody can be named from it: too few lines, or neither order nor spelling were kept\n",
    }
    for (grant, suspicion) in found.iter().take(5) {
        text += &format!(
            "  grant {:4}  spelling {}/{}  order {}/{}  chance 10^{:.1}  {}\n",
            grant.id,
            suspicion.n_alike,
            suspicion.n_spelled,
            suspicion.n_ordered,
            suspicion.n_pairs,
            suspicion.log_chance / std::f64::consts::LN_10,
            printable(&grant.owner.email)
        );
    }
    let rows: Vec<_> = found
        .iter()
        .map(|(grant, suspicion)| {
            json!({
                "grant": grant.id, "email": grant.owner.email, "is_certain": suspicion.is_certain(),
                "spelled": suspicion.n_spelled, "alike": suspicion.n_alike, "pairs": suspicion.n_pairs,
                "ordered": suspicion.n_ordered, "log_chance": suspicion.log_chance,
            })
        })
        .collect();
    context.print(&text, &json!({ "release": args.release, "lines": leak.items.len(), "grants": rows }))
}

async fn holders(context: &Context, args: &PortalHolders) -> anyhow::Result<()> {
    let sha256: Sha256Hex = args.image.parse().context("the image is named by its SHA-256")?;
    let holders = context.open().await?.catalog.list_holders(&sha256).await?;
    let mut text = format!("{} people have it\n", holders.len());
    for holder in &holders {
        let (name, email) = (printable(&holder.person.name), printable(&holder.person.email));
        text += &format!("  {name} ({email}), by release {}, grant {}\n", holder.release, holder.grant_id);
    }
    let rows: Vec<_> = holders
        .iter()
        .map(|holder| json!({ "grant": holder.grant_id, "release": holder.release, "email": holder.person.email }))
        .collect();
    context.print(&text, &rows.into())
}

pub async fn fetch(context: &Context, args: &Fetch) -> anyhow::Result<()> {
    let token = variable("AFFECTORY_TOKEN")
        .context("put a personal token into AFFECTORY_TOKEN: the page Your access makes one")?;
    let url = parse(&args.url, None).map_err(|refusal| anyhow::anyhow!("{}: {refusal}", printable(&args.url)))?;
    std::fs::create_dir_all(&args.to).with_context(|| format!("cannot make {}", shown(&args.to)))?;
    let client = GrantedClient::new(&token, concat!("affectory/", env!("CARGO_PKG_VERSION")))?;
    let list = client.list(&url).await?;
    let mut text = String::new();
    let mut files = Vec::new();
    for file in &list.files {
        context.bars.begin(&file.name, Some(file.bytes));
        let path = client.bring(&url, file, &args.to, |n| context.bars.advance(n)).await;
        context.bars.end();
        let path = path?;
        text += &format!("{}  {} bytes, SHA-256 as announced\n", shown(&path), file.bytes);
        files.push(json!({ "path": path, "bytes": file.bytes, "sha256": file.sha256 }));
    }
    context.print(&text, &json!({ "release": list.release, "revision": list.revision, "files": files }))
}
