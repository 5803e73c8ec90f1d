//! Does an export of images hold exactly what was collected, the same every time, whatever happened on the way?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::Path;

use affectory_catalog::{
    FetchEnd, FetchRecord, FetchedImage, HostPlace, NewHit, NewPage, NewQuery, Project, ProjectConfig, ScanOutcome,
    ScanStatus,
};
use affectory_core::{CandidateId, Expression, ImageId, PerceptualHash, Silent, Stop};
use affectory_imaging::{Fit, Limits, RgbImage, decode, encode_png, read_header, sha256};
use affectory_release::ReleaseError;
use affectory_release::images::{ImageExportOptions, ImageExportSummary, ImageShape, ShardFormat, export_images};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

/// What a page may be called by somebody who means no good.
const HOSTILE: &str = "\"quoted\", a\nline, \u{202e}turned ../../etc/passwd.json =1+1";

/// Eight pictures; the fourth is broken behind its header, the sixth is withdrawn.
const N_IMAGES: usize = 8;

fn picture(n: usize) -> Vec<u8> {
    let mut image = RgbImage::filled(60, 30 + n as u32, [n as u8 * 30, 90, 200]);
    image.pixels[0] = n as u8;
    let mut bytes = encode_png(&image).unwrap();
    if n == 3 {
        let middle = bytes.len() - 30;
        bytes[middle] ^= 0x55;
    }
    bytes
}

/// A project that collected [`N_IMAGES`] pictures.
async fn collected(folder: &Path) -> Project {
    let project = Project::init(folder, ProjectConfig::default()).await.unwrap();
    let catalog = &project.catalog;
    let query = NewQuery {
        provider: "p".into(),
        text: "angry \"face\"".into(),
        language: "en".into(),
        expression: Some(Expression::Anger),
        negatives: vec![],
    };
    catalog.plan_queries(&[query], 1).await.unwrap();
    let search = catalog.claim_search("p", "w", 1, 1000).await.unwrap().unwrap();
    let hit = |n: usize| NewHit {
        rank: n as u32 + 1,
        url: format!("https://h.example/{n}.png"),
        url_sha256: sha256(&[n as u8]),
        host: "h.example".into(),
        engine: "e".into(),
        page_url: (n == 0).then(|| "https://h.example/page".into()),
        title: (n == 0).then(|| HOSTILE.into()),
        license: Some("cc0".into()),
        license_url: None,
        creator: None,
        attribution: Some("by Ann, cc0".into()),
    };
    let hits: Vec<_> = (0..N_IMAGES).map(hit).collect();
    catalog.record_page((search.id, "w"), &NewPage::last(&hits), 1_700_000_000_123).await.unwrap();
    let place = HostPlace { host: "h.example".into(), due_ms: i64::MIN, id: CandidateId(0) };
    let due = catalog.list_due_candidates(&[place], 99, 1_700_000_000_200).await.unwrap();
    let mut records = Vec::new();
    for (n, candidate) in due.iter().enumerate() {
        let bytes = picture(n);
        let header = read_header(&bytes, &Limits::default()).unwrap();
        let size_bytes = bytes.len() as u64;
        let sha256 = project.store.put(bytes.into()).await.unwrap();
        let (width, height) = (header.width, header.height);
        let image = FetchedImage { sha256, width, height, format: "png".into(), size_bytes };
        records.push(FetchRecord {
            id: candidate.id,
            end: FetchEnd::Image(image),
            outcome: "fetched",
            detail: None,
            http_status: Some(200),
            final_url: None,
            etag: None,
            last_modified: None,
            elapsed_ms: 1,
        });
    }
    catalog.record_fetches(&records, 2).await.unwrap();
    catalog.withdraw_image(&sha256(&picture(5)), "asked for", 3).await.unwrap();
    project
}

fn options(format: ShardFormat) -> ImageExportOptions {
    let number = |n: u32| NonZeroU32::new(n).unwrap();
    let shape = ImageShape::Fitted { fit: Fit::Border, size: number(32), quality: 90 };
    ImageExportOptions { format, shape, shard_size: number(3), is_unique: false }
}

async fn export(
    project: &Project,
    options: &ImageExportOptions,
    target: &Path,
) -> Result<ImageExportSummary, ReleaseError> {
    export_images(project, options, target, (&Stop::default(), &Silent)).await
}

/// Every file of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// Names and contents in a tar, in its order.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(std::fs::File::open(path).unwrap());
    let members = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    members.collect()
}

#[tokio::test]
async fn shards_hold_the_collected_images_in_order_with_all_that_is_known_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    let summary = export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    assert_eq!((summary.shards, summary.images, summary.rejects, summary.kept), (3, 6, 1, 0));
    let all: Vec<_> = (0..3).flat_map(|n| members(&out.join(format!("0000{n}.tar")))).collect();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    // Place 3 cannot be decoded; the withdrawn image has no place.
    let expected = [0, 1, 2, 4, 5, 6].map(|n| [format!("{n:09}.jpg"), format!("{n:09}.json")]);
    assert_eq!(names, expected.concat());

    let image = decode(&all[0].1, &Limits::default()).unwrap().image;
    assert_eq!((image.width, image.height), (32, 32));
    assert!(image.pixels[..3].iter().all(|value| *value > 240), "the border is white");
    let said: serde_json::Value = serde_json::from_slice(&all[1].1).unwrap();
    let expected = serde_json::json!({
        "key": "000000000", "sha256": sha256(&picture(0)).as_str(),
        "format": "jpeg", "width": 32, "height": 32,
        "original_format": "png", "original_width": 60, "original_height": 30, "original_bytes": picture(0).len(),
        "phash": null, "url": "https://h.example/0.png",
        "sightings": [{
            "provider": "p", "engine": "e", "query": "angry \"face\"", "language": "en", "expression": "anger",
            "rank": 1, "url": "https://h.example/0.png", "page_url": "https://h.example/page", "title": HOSTILE,
            "license": "cc0", "license_url": null, "creator": null, "attribution": "by Ann, cc0",
            "found_ms": 1_700_000_000_123_i64,
        }],
    });
    assert_eq!(said, expected);

    let written = files(&out);
    let text = |name: &str| String::from_utf8(written[name].clone()).unwrap();
    let broken = sha256(&picture(3));
    let rejects = text("rejects.csv");
    assert!(rejects.starts_with(&format!("key,sha256,kind,reason\n000000003,{broken},not-decodable,")), "{rejects}");
    let second = &written["00001.tar"];
    assert!(text("shards.csv").contains(&format!("\n00001.tar,2,{},{}\n", second.len(), sha256(second))));
    let stats: serde_json::Value = serde_json::from_str(&text("stats.json")).unwrap();
    assert_eq!((&stats["images"], &stats["reasons"]["not-decodable"]), (&6.into(), &1.into()));
}

#[tokio::test]
async fn originals_leave_as_they_came_decodable_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    let options = ImageExportOptions { shape: ImageShape::Original, ..options(ShardFormat::WebDataset) };
    let summary = export(&project, &options, &out).await.unwrap();
    assert_eq!((summary.images, summary.rejects), (7, 0));
    assert_eq!(members(&out.join("00001.tar"))[0], ("000000003.png".into(), picture(3)));
}

#[tokio::test]
async fn an_interrupted_export_goes_on_to_the_same_bytes() {
    for format in [ShardFormat::WebDataset, ShardFormat::Parquet] {
        let folder = tempfile::tempdir().unwrap();
        let project = collected(&folder.path().join("p")).await;
        let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
        export(&project, &options(format), &whole).await.unwrap();
        export(&project, &options(format), &cut).await.unwrap();
        let expected = files(&whole);
        assert_eq!(files(&cut), expected, "{}", format.name());

        // Killed in the third shard, and the second one was cut short by a crash of the machine.
        let ending = format.name().replace("webdataset", "tar");
        std::fs::rename(cut.join(format!("00002.{ending}")), cut.join(format!(".partial-00002.{ending}"))).unwrap();
        let second = std::fs::File::options().write(true).open(cut.join(format!("00001.{ending}"))).unwrap();
        second.set_len(100).unwrap();
        for name in ["00002_stats.json", "shards.csv", "rejects.csv", "stats.json"] {
            std::fs::remove_file(cut.join(name)).unwrap();
        }
        let again = export(&project, &options(format), &cut).await.unwrap();
        assert_eq!((again.shards, again.kept, again.images), (3, 1, 6));
        assert_eq!(files(&cut), expected, "{}", format.name());
    }
}

#[tokio::test]
async fn what_was_withdrawn_since_is_gone_from_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    for n in [6, 7] {
        project.catalog.withdraw_image(&sha256(&picture(n)), "asked for", 9).await.unwrap();
    }
    let summary = export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    assert_eq!((summary.shards, summary.kept, summary.images), (2, 1, 4));
    assert!(!files(&out).keys().any(|name| name.starts_with("00002")));
}

/// Of pictures that look the same the first one that is exported stays, even if an earlier one was withdrawn.
#[tokio::test]
async fn a_unique_export_leaves_out_what_looks_like_an_image_before() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let images = project.catalog.list_collected_images(ImageId(0), 99).await.unwrap();
    let scan = project.catalog.claim_images("d", "w", 99, 10, 10).await.unwrap();
    assert_eq!(scan.len(), images.len());
    // Pairs of neighbours look the same but for two bits; the withdrawn one is like the last.
    let outcome = |n: usize, image_id: ImageId| ScanOutcome {
        image_id,
        status: ScanStatus::NoFace,
        error: None,
        unusable: None,
        phash: Some(PerceptualHash((0xffff << (8 * (n / 2))) ^ if n % 2 == 1 { 0b11 } else { 0 })),
        faces: Vec::new(),
        updates: Vec::new(),
    };
    let outcomes: Vec<_> = scan.iter().enumerate().map(|(n, image)| outcome(n, image.id)).collect();
    project.catalog.record_scans("d", &outcomes, 11).await.unwrap();
    let all = export(&project, &options(ShardFormat::WebDataset), &folder.path().join("all")).await.unwrap();
    let unique = ImageExportOptions { is_unique: true, ..options(ShardFormat::WebDataset) };
    let target = folder.path().join("unique");
    let some = export(&project, &unique, &target).await.unwrap();
    assert_eq!((all.twins, some.twins), (0, images.len() as u64 / 2));
    assert_eq!(some.images + some.rejects, images.len() as u64 - some.twins);
    project.catalog.withdraw_image(&images[0].image.image.sha256, "asked for", 12).await.unwrap();
    let later = export(&project, &unique, &target).await.unwrap();
    assert_eq!(later.images + later.rejects, some.images + some.rejects, "its twin takes its place");
}

#[tokio::test]
async fn a_missing_object_is_listed_and_exported_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    let name = sha256(&picture(1)).to_string();
    let object = find(&project.root.join("objects"), &name).unwrap();
    std::fs::remove_file(object).unwrap();
    let summary = export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    assert_eq!((summary.images, summary.rejects), (5, 2));
    assert!(
        String::from_utf8(files(&out)["rejects.csv"].clone()).unwrap().contains(&format!("{name},object-missing,"))
    );
    project.store.put(picture(1).into()).await.unwrap();
    let summary = export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    assert_eq!((summary.images, summary.rejects, summary.kept), (6, 1, 2));
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, name) } else { path.ends_with(name).then_some(path) }
    })
}

#[tokio::test]
async fn folders_with_something_else_in_them_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("thesis.tex"), "mine").unwrap();
    let refused = export(&project, &options(ShardFormat::WebDataset), &taken).await;
    assert!(matches!(refused, Err(ReleaseError::TargetTaken(_))), "{refused:?}");
    assert_eq!(files(&taken).len(), 1);

    let out = folder.path().join("out");
    export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap();
    let before = files(&out);
    let refused = export(&project, &options(ShardFormat::Parquet), &out).await.unwrap_err();
    assert!(refused.to_string().contains("format \"webdataset\", mode \"border\", size 32, quality 90"), "{refused}");
    assert_eq!(files(&out), before);

    // One that an earlier version began, whose encoder makes other bytes.
    let begun = std::fs::read_to_string(out.join("export.json")).unwrap();
    let mut earlier: serde_json::Value = serde_json::from_str(&begun).unwrap();
    earlier.as_object_mut().unwrap().remove("encoder").unwrap();
    std::fs::write(out.join("export.json"), earlier.to_string()).unwrap();
    let refused = export(&project, &options(ShardFormat::WebDataset), &out).await.unwrap_err();
    assert!(refused.to_string().contains("encoder \"libjpeg-turbo-rs\""), "{refused}");
    std::fs::write(out.join("export.json"), begun).unwrap();

    let lock = std::fs::File::open(&out).unwrap();
    lock.lock().unwrap();
    let refused = export(&project, &options(ShardFormat::WebDataset), &out).await;
    assert!(matches!(refused, Err(ReleaseError::ExportBusy(_))), "{refused:?}");
}

#[tokio::test]
async fn a_stop_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    let stop = Stop::default();
    stop.request();
    let options = options(ShardFormat::WebDataset);
    let summary = export_images(&project, &options, &out, (&stop, &Silent)).await.unwrap();
    assert!(summary.stopped);
    assert_eq!(files(&out).into_keys().collect::<Vec<_>>(), ["export.json"]);
}

#[tokio::test]
async fn parquet_rows_read_back_as_they_were_meant() {
    let folder = tempfile::tempdir().unwrap();
    let project = collected(&folder.path().join("p")).await;
    let out = folder.path().join("out");
    export(&project, &options(ShardFormat::Parquet), &out).await.unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(out.join("00000.parquet")).unwrap()).unwrap();
    let names: Vec<String> =
        reader.metadata().file_metadata().schema_descr().columns().iter().map(|c| c.name().to_owned()).collect();
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    let first = &rows[0];
    assert_eq!(first.get_string(at("key")).unwrap(), "000000000");
    assert_eq!(first.get_string(at("title")).unwrap(), HOSTILE);
    assert_eq!(first.get_string(at("expression")).unwrap(), "anger");
    assert_eq!((first.get_int(at("width")).unwrap(), first.get_int(at("original_height")).unwrap()), (32, 30));
    assert_eq!(first.get_timestamp_millis(at("found")).unwrap(), 1_700_000_000_123);
    assert!(first.get_string(at("phash")).is_err() && rows[1].get_string(at("title")).is_err(), "null");
    let sightings: serde_json::Value = serde_json::from_str(first.get_string(at("sightings")).unwrap()).unwrap();
    assert_eq!(sightings[0]["title"], HOSTILE);
    let image = decode(first.get_bytes(at("image")).unwrap().data(), &Limits::default()).unwrap().image;
    assert_eq!((image.width, image.height), (32, 32));
}
