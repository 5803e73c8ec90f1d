//! Which figures does the report have, and where do they come from?

use std::collections::BTreeSet;

use affectory_catalog::{FindingCount, LicenseCount, Project};
use affectory_core::{Expression, PerceptualHash};

use super::cross::{Axis, cross, fold_engines};
use super::intent::intent_rows;
use super::mosaic::mosaics;
use super::near::near_duplicate_groups;
use super::{LanguageName, Pictures, Report, ReportError, ReportRequest, Rest, Step};
use crate::Keywords;

/// Lines of the lists that outside names could make endless.
const ENGINES: usize = 15;
const LICENSES: usize = 40;
const HOSTS: u32 = 25;
const QUERIES: u32 = 15;

/// Gathers the figures. Each is one state of the catalogue; a collection that goes on meanwhile may make two of them
/// differ a little.
///
/// # Errors
/// [`ReportError::Catalog`].
pub async fn gather(
    project: &Project,
    keywords: &Keywords,
    request: &ReportRequest<'_>,
) -> Result<Report, ReportError> {
    let (catalog, usable_px) = (&project.catalog, request.usable_px);
    // Side by side: each is a pass over a large table, and the catalogue reads on several connections.
    let (totals, images, mut findings, queries, licenses, (hosts, n_hosts), votes) = tokio::try_join!(
        catalog.collection_totals(),
        catalog.count_fetched_images(usable_px),
        catalog.count_findings(usable_px),
        catalog.count_queries(QUERIES, usable_px),
        catalog.count_licenses(),
        catalog.list_top_hosts(HOSTS),
        catalog.count_intent_votes(),
    )?;
    fold_engines(&mut findings, ENGINES);
    let languages = languages(&findings, keywords);
    let codes: Vec<String> = languages.iter().map(|language| language.code.clone()).collect();
    let crossings =
        [(Axis::Engine, Axis::Language), (Axis::Language, Axis::Expression), (Axis::Engine, Axis::Expression)]
            .map(|(by, across)| cross(&findings, by, across, &codes))
            .to_vec();
    let (licenses, other_licenses) = cut(licenses);
    let mosaics = match request.pictures {
        Pictures::Seed(seed) => Some(mosaics(project, &intents(&findings), usable_px, seed).await?),
        Pictures::None => None,
    };
    let hashes: Vec<PerceptualHash> = catalog.list_all_looks().await?.iter().map(|look| look.phash).collect();
    let steps = [
        ("hits: answers of search engines", totals.hits),
        ("different addresses", totals.addresses),
        ("addresses tried", totals.tried),
        ("addresses that brought an image", totals.fetched),
        ("different images (SHA-256)", images.images),
        ("images decoded", images.decoded),
        ("images with a face", images.with_face),
        ("images with a face of usable size", images.usable),
        ("of these, kept in the store", images.kept),
    ]
    .map(|(name, count)| Step { name, count })
    .to_vec();
    Ok(Report {
        project: request.project.to_owned(),
        written_ms: request.now_ms,
        usable_px,
        totals,
        images,
        steps,
        left_out: catalog.count_left_out().await?,
        outcomes: catalog.count_outcomes().await?,
        unusable: catalog.count_unusable().await?,
        crossings,
        intents: intent_rows(&votes),
        copies: catalog.count_copies().await?,
        near_duplicates: near_duplicate_groups(&hashes),
        licenses,
        other_licenses,
        hosts,
        n_hosts,
        queries,
        pace: catalog.list_pace(0).await?,
        languages,
        mosaics,
    })
}

/// The languages that were asked in, in the order of the keyword files; one that no file has any longer keeps its code.
fn languages(findings: &[FindingCount], keywords: &Keywords) -> Vec<LanguageName> {
    let mut codes: BTreeSet<&str> =
        findings.iter().flat_map(|finding| &finding.places).map(|place| place.language.as_str()).collect();
    let known =
        keywords.languages().filter(|language| codes.remove(language.code.as_str())).map(|language| LanguageName {
            code: language.code.clone(),
            name: language.name.clone(),
            native_name: language.native_name.clone(),
            direction: language.direction,
        });
    known.collect()
}

fn intents(findings: &[FindingCount]) -> Vec<Expression> {
    let found = findings.iter().filter(|finding| finding.counts.usable > 0);
    let intents: BTreeSet<Expression> =
        found.flat_map(|finding| &finding.places).filter_map(|place| place.expression).collect();
    intents.into_iter().collect()
}

fn cut(mut licenses: Vec<LicenseCount>) -> (Vec<LicenseCount>, Rest) {
    let mut rest = Rest::default();
    for license in licenses.drain(LICENSES.min(licenses.len())..) {
        rest.lines += 1;
        rest.addresses += license.addresses;
        rest.fetched += license.fetched;
    }
    (licenses, rest)
}
