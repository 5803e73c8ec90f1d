//! What does a lab hand out about its collection? Figures gathered from the catalogue, and one HTML file of them that
//! needs nothing else: no script, no style sheet, no picture from outside.

mod cross;
mod gather;
mod html;
mod intent;
mod mosaic;
mod near;
mod write;

use affectory_catalog::{
    CollectionTotals, CopyCount, FetchedImageTotals, HostCount, LeftOutCount, LicenseCount, OutcomeCount, PaceRow,
    QueryCounts, UnusableCount,
};

pub use cross::{Axis, Crossing};
pub use gather::gather as gather_report;
pub use html::render as report_html;
pub use intent::IntentRow;
pub use mosaic::{Mosaic, MosaicFace};
pub use near::NearDuplicates;
pub use write::write as write_report;

use crate::Direction;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The catalogue refused.
    #[error(transparent)]
    Catalog(#[from] affectory_catalog::CatalogError),
    /// The file could not be written.
    #[error("cannot write {path}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Whether the report shows faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// Samples, chosen by this seed.
    Seed(u64),
    /// None: the file can be handed on.
    None,
}

/// What a report is to be about.
#[derive(Debug, Clone)]
pub struct ReportRequest<'a> {
    /// The project's name, as its first line says it.
    pub project: &'a str,
    /// When it is written, ms UTC.
    pub now_ms: i64,
    /// Shorter side from which on a face is of use, pixels.
    pub usable_px: u32,
    /// Whether faces are shown.
    pub pictures: Pictures,
}

/// The figures of a collection. [`report_html`] makes a page of them.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    /// The project's name.
    pub project: String,
    /// When these figures were true, ms UTC.
    pub written_ms: i64,
    /// Shorter side from which on a face counts as usable, pixels.
    pub usable_px: u32,
    /// How large the collection is.
    pub totals: CollectionTotals,
    /// What became of the images.
    pub images: FetchedImageTotals,
    /// From hits to faces in the store: no step is larger than the one before.
    pub steps: Vec<Step>,
    /// Results that became no address, by provider and reason.
    pub left_out: Vec<LeftOutCount>,
    /// How the last attempt at each address ended.
    pub outcomes: Vec<OutcomeCount>,
    /// Images without a usable face, by reason.
    pub unusable: Vec<UnusableCount>,
    /// What was found by two of engine, language and expression each.
    pub crossings: Vec<Crossing>,
    /// What annotators say of what queries for an expression found.
    pub intents: Vec<IntentRow>,
    /// Images by the number of addresses that brought them.
    pub copies: Vec<CopyCount>,
    /// Images that look the same.
    pub near_duplicates: NearDuplicates,
    /// The most frequent licences.
    pub licenses: Vec<LicenseCount>,
    /// All other licences together.
    pub other_licenses: Rest,
    /// The hosts with most addresses.
    pub hosts: Vec<HostCount>,
    /// All hosts.
    pub n_hosts: u64,
    /// What queries found.
    pub queries: QueryCounts,
    /// What was fetched by the minute.
    pub pace: Vec<PaceRow>,
    /// The languages of the queries.
    pub languages: Vec<LanguageName>,
    /// Sample faces by the expression asked for; `None` where none were wanted.
    pub mosaics: Option<Vec<Mosaic>>,
}

/// One step of the drop-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// What is counted.
    pub name: &'static str,
    /// How many are left.
    pub count: u64,
}

/// What a list leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Rest {
    /// Lines left out.
    pub lines: u64,
    /// Addresses in them.
    pub addresses: u64,
    /// Of these, with an image.
    pub fetched: u64,
}

/// How a language is called and written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LanguageName {
    /// BCP 47 tag.
    pub code: String,
    /// Its name in English.
    pub name: String,
    /// Its name in itself.
    pub native_name: String,
    /// The way it is written.
    pub direction: Direction,
}
