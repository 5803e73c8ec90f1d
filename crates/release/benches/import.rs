//! How fast are FER+'s 32,137 images imported, and how fast is it noticed that they are there already?
//!
//! `cargo bench -p affectory-release --bench import`, with the tars in the folder `AFFECTORY_DATA` names;
//! the aim is 35,000 images in less than 60 s, which is 583 images/s.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::Path;
use std::time::Instant;

use affectory_catalog::{Project, ProjectConfig};
use affectory_core::{Silent, Stop};
use affectory_imaging::Limits;
use affectory_release::import::{ImportFormat, ImportRequest, import};

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a benchmark asks where the data is")]
async fn main() {
    let Ok(data) = std::env::var("AFFECTORY_DATA") else {
        println!("SKIPPED: FER+ is in AFFECTORY_DATA, which is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
    for round in ["first", "again"] {
        let began = Instant::now();
        let mut n_images = 0;
        for name in ["ferplus-train", "ferplus-valid"] {
            let request = ImportRequest {
                format: ImportFormat::FerPlus { proxy_va: true },
                path: Path::new(&data).join(format!("{name}.tar")),
                source: name.into(),
                limits: Limits::default(),
            };
            let summary = import(&project, &request, 1, &Stop::default(), &Silent).await.unwrap();
            n_images += summary.new.sightings + summary.skipped;
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{round}: {n_images} images in {seconds:.1} s, {:.0}/s (aim 583/s)", n_images as f64 / seconds);
    }
}
