//! What can everybody know of a release, people and programs alike?
//!
//! In: the settings, the release's row and its folder, the folders of runs. Out: counts, baselines, and the four files that
//! others' programs read: Croissant, CFF, BibTeX, a datasheet. No item of the release is in any of them.

use std::path::Path;

use affectory_catalog::{Project, ReleaseRow};
use serde_json::{Value, json};

use crate::settings::{Offer, PortalSettings};

/// A release as everybody may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What the lab says of it.
    pub offer: Offer,
    /// Its row.
    pub row: ReleaseRow,
    /// Its count table: a header and rows, as it was built.
    pub counts: Vec<Vec<String>>,
    /// Items by split, in the order train, valid, test.
    pub n_by_split: Vec<(String, u64)>,
    /// Items whose valence and arousal come from a formula.
    pub n_proxy: u64,
    /// Images that were withdrawn since it was built.
    pub n_withdrawn: u64,
    /// Scores of committed runs.
    pub baselines: Vec<Baseline>,
}

/// One run's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The run.
    pub run: String,
    /// Its recipe.
    pub recipe: String,
    /// The split it was scored on.
    pub split: String,
    /// Whether valence and arousal are a formula's.
    pub is_proxy: bool,
    /// Faces that were scored.
    pub n: u64,
    /// 0 to 1.
    pub accuracy: Option<f64>,
    /// 0 to 1.
    pub f1_macro: Option<f64>,
    /// -1 to 1.
    pub valence_ccc: Option<f64>,
    /// -1 to 1.
    pub arousal_ccc: Option<f64>,
}

/// Gathers what is known of a release. Runs that are not of it, or have no scores, are left out.
pub fn gather(project: &Project, offer: &Offer, row: &ReleaseRow, n_withdrawn: u64) -> Published {
    let folder = project.releases_dir().join(&row.release.name);
    let facts = read_json(&folder.join("release.json"));
    let counts = std::fs::read(folder.join("counts.csv")).unwrap_or_default();
    let mut table = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(counts.as_slice());
    let counts = table.records().flatten().map(|line| line.iter().map(str::to_owned).collect()).collect();
    let by_split = |name: &str| (name.to_owned(), facts["items_by_split"][name].as_u64().unwrap_or(0));
    Published {
        offer: offer.clone(),
        row: row.clone(),
        counts,
        n_by_split: ["train", "valid", "test"].map(by_split).to_vec(),
        n_proxy: facts["n_proxy_items"].as_u64().unwrap_or(0),
        n_withdrawn,
        baselines: offer.runs.iter().filter_map(|run| baseline(&project.runs_dir(), run, row)).collect(),
    }
}

fn read_json(path: &Path) -> Value {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null)
}

fn baseline(runs: &Path, run: &str, row: &ReleaseRow) -> Option<Baseline> {
    // A name of the settings, but a path all the same.
    if run.contains(['/', '\\']) || run.starts_with('.') {
        return None;
    }
    let folder = runs.join(run);
    let (facts, scores) = (read_json(&folder.join("run.json")), read_json(&folder.join("scores.json")));
    if facts["manifest_sha256"].as_str() != Some(row.manifest_sha256.as_str()) {
        tracing::warn!(run, release = row.release.name, "a run of portal.toml is not of this release: left out");
        return None;
    }
    Some(Baseline {
        run: run.to_owned(),
        recipe: facts["recipe"].as_str().unwrap_or("").to_owned(),
        split: facts["split"].as_str().unwrap_or("valid").to_owned(),
        is_proxy: facts["is_proxy"].as_bool().unwrap_or(false),
        n: scores["n"].as_u64()?,
        accuracy: scores["accuracy"].as_f64(),
        f1_macro: scores["f1_macro"].as_f64(),
        valence_ccc: scores["valence"]["ccc"].as_f64(),
        arousal_ccc: scores["arousal"]["ccc"].as_f64(),
    })
}

impl Published {
    /// Items that are delivered: those of splits that are not withheld.
    pub fn n_delivered(&self) -> u64 {
        let is_withheld = |name: &str| self.offer.withhold.iter().any(|split| split.name() == name);
        self.n_by_split.iter().filter(|(name, _)| !is_withheld(name)).map(|(_, n)| n).sum()
    }

    /// Croissant 1.0 (MLCommons): what the release is, which files it has, what stands in its manifest's columns.
    /// Recipients' copies differ by their mark, so no checksum is the same for all: `isLiveDataset` says so.
    pub fn croissant(&self, settings: &PortalSettings, base: &str, published: &str) -> Value {
        let name = &self.row.release.name;
        let page = format!("{base}/data/{name}");
        let column = |name: &str, kind: &str, what: &str| {
            json!({
                "@type": "cr:Field", "@id": format!("items/{name}"), "name": name, "description": what,
                "dataType": kind,
                "source": { "fileObject": { "@id": "manifest.csv" }, "extract": { "column": name } },
            })
        };
        json!({
            "@context": {
                "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
                "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
                "rai": "http://mlcommons.org/croissant/RAI/",
                "data": { "@id": "cr:data", "@type": "@json" }, "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
                "dct": "http://purl.org/dc/terms/",
                "examples": { "@id": "cr:examples", "@type": "@json" }, "extract": "cr:extract", "field": "cr:field",
                "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
                "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
                "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField",
                "path": "cr:path", "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
                "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
                "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
                "transform": "cr:transform"
            },
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "name": format!("{} {}", settings.database.name, self.offer.title()),
            "description": settings.database.summary,
            "version": name,
            "url": page,
            "license": format!("{page}#terms"),
            "citeAs": self.bibtex(settings, base, published),
            "datePublished": published,
            "isLiveDataset": true,
            "isAccessibleForFree": true,
            "creator": settings.database.authors.iter().map(|author| json!({ "@type": "sc:Person", "name": author })).collect::<Vec<_>>(),
            "publisher": { "@type": "sc:Organization", "name": settings.database.licensor },
            "keywords": ["facial expression", "affect", "valence", "arousal", "in the wild"],
            "distribution": [
                {
                    "@type": "cr:FileObject", "@id": "images.tar", "name": "images.tar",
                    "description": "Images, for those who signed the agreement.",
                    "contentUrl": page, "encodingFormat": "application/x-tar",
                },
                {
                    "@type": "cr:FileSet", "@id": "images", "name": "images", "containedIn": { "@id": "images.tar" },
                    "encodingFormat": "image/*", "includes": "images/*/*",
                },
                {
                    "@type": "cr:FileObject", "@id": "manifest.csv", "name": "manifest.csv",
                    "description": "One line an item, for those who signed the agreement.",
                    "contentUrl": page, "encodingFormat": "text/csv",
                },
            ],
            "recordSet": [{
                "@type": "cr:RecordSet", "@id": "items", "name": "items", "description": "Faces with what was agreed on.",
                "field": [
                    column("item", "sc:Text", "Its name, unique in the release."),
                    column("image_sha256", "sc:Text", "SHA-256 of the image, which is its file's name."),
                    column("face_x", "sc:Float", "Left edge of the face, pixels."),
                    column("face_y", "sc:Float", "Upper edge of the face, pixels."),
                    column("face_width", "sc:Float", "Width of the face, pixels."),
                    column("face_height", "sc:Float", "Height of the face, pixels."),
                    column("expression", "sc:Text", "The expression agreed on."),
                    column("valence", "sc:Float", "Mean valence, -1 to 1; empty where nobody gave one."),
                    column("arousal", "sc:Float", "Mean arousal, -1 to 1; empty where nobody gave one."),
                    column("is_proxy", "sc:Boolean", "Whether valence and arousal come from a formula and not from people."),
                    column("split", "sc:Text", "train, valid or test."),
                ],
            }],
        })
    }

    /// BibTeX: the papers of the settings, and an entry for the data.
    pub fn bibtex(&self, settings: &PortalSettings, base: &str, published: &str) -> String {
        let database = &settings.database;
        let braced = |text: &str| text.replace(['{', '}', '\\', '\n'], " ");
        let mut text = String::new();
        if !database.cite.trim().is_empty() {
            text += database.cite.trim();
            text += "\n\n";
        }
        let key: String = database.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let release: String = self.row.release.name.chars().filter(char::is_ascii_alphanumeric).collect();
        text += &format!(
            "@misc{{{key}-{release},\n  title = {{{} {}}},\n  author = {{{}}},\n  year = {{{}}},\n  publisher = {{{}}},\n  \
             url = {{{base}/data/{}}},\n  note = {{Release {}, manifest SHA-256 {}}}\n}}\n",
            braced(&database.name),
            braced(self.offer.title()),
            braced(&database.authors.join(" and ")),
            published.get(..4).unwrap_or(""),
            braced(&database.licensor),
            self.row.release.name,
            braced(&self.row.release.name),
            self.row.manifest_sha256,
        );
        text
    }

    /// A citation file, CFF 1.2.
    pub fn cff(&self, settings: &PortalSettings, base: &str, published: &str) -> String {
        // Every JSON string is a YAML string.
        let quoted = |text: &str| Value::from(text).to_string();
        let database = &settings.database;
        let authors: String = match database.authors.is_empty() {
            true => format!("  - name: {}\n", quoted(&database.licensor)),
            false => database.authors.iter().map(|author| format!("  - name: {}\n", quoted(author))).collect(),
        };
        format!(
            "cff-version: 1.2.0\nmessage: \"If you use these data, please cite them.\"\ntype: dataset\ntitle: {}\n\
             version: {}\ndate-released: {published}\nurl: {}\nauthors:\n{authors}",
            quoted(&format!("{} {}", database.name, self.offer.title())),
            quoted(&self.row.release.name),
            quoted(&format!("{base}/data/{}", self.row.release.name)),
        )
    }

    /// A datasheet after Gebru et al., "Datasheets for Datasets" (2021), as far as the catalogue knows the answers.
    pub fn datasheet(&self, settings: &PortalSettings, published: &str) -> String {
        let database = &settings.database;
        let splits: Vec<String> = self.n_by_split.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let withheld: Vec<&str> = self.offer.withhold.iter().map(|split| split.name()).collect();
        let share = if self.row.n_items == 0 { 0.0 } else { 100.0 * self.n_proxy as f64 / self.row.n_items as f64 };
        let mut text = format!(
            "# {} {}: datasheet\n\n{}\n\n## Motivation\n\nMade by {}. Contact: {}.\n\n## Composition\n\n{} faces ({}), \
             labels: {}. Built on {published}, seed {}, manifest SHA-256 {}.\n\n{share:.0} % of the faces have valence and \
             arousal from a formula and not from people (proxy). {} images were withdrawn since and are in no later \
             delivery. ",
            database.name,
            self.offer.title(),
            database.summary,
            database.licensor,
            database.contact,
            self.row.n_items,
            splits.join(", "),
            self.row.release.labels,
            self.row.release.seed,
            self.row.manifest_sha256,
            self.n_withdrawn,
        );
        if !withheld.is_empty() {
            text += &format!("Withheld for a challenge: {}.", withheld.join(", "));
        }
        text += "\n\n| ";
        for (n, line) in self.counts.iter().enumerate() {
            text += &line.join(" | ");
            text += " |\n";
            if n == 0 {
                text += &format!("|{}\n", "---|".repeat(line.len()));
            }
            if n + 1 < self.counts.len() {
                text += "| ";
            }
        }
        text += &format!(
            "\n## Collection and labelling\n\nParameters of the build: `{}`. Near-duplicates and images of one page lie in \
             one split.\n\n## Uses\n\nFaces are people. Expressions that annotators see in a picture are not what its person \
             felt; models trained on them must not decide about people.\n\n## Distribution\n\nUnder a signed agreement \
             ({} clauses), for {} days, to heads of laboratories and professors at institutions.\n\n## Maintenance\n\n{}\n\nA \
             picture is withdrawn when somebody in it asks for it; whoever has a copy is written to.\n",
            self.row.release.parameters,
            settings.clauses.len(),
            settings.access.granted_days,
            self.offer.changes.iter().map(|change| format!("- {change}")).collect::<Vec<_>>().join("\n"),
        );
        text
    }
}
