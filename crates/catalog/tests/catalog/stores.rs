//! Does the image store keep its promises in a folder and in a bucket, also when the server or the line do not?

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use affectory_catalog::{
    CatalogError, ImageStore, NewImage, NewSighting, Project, ProjectConfig, Secrets, back_up, move_objects,
};
use affectory_core::{Progress, Sha256Hex, Silent, Stop};
use bytes::Bytes;

use crate::buckets::{BUCKET, Fault, S3, hurried};
use crate::engines::hash;

/// A store with nothing in it, and where its files are.
struct Place {
    store: ImageStore,
    folder: PathBuf,
    _local: tempfile::TempDir,
    _s3: Option<S3>,
}

fn both() -> [Place; 2] {
    let (folder, s3) = (tempfile::tempdir().unwrap(), S3::start());
    [
        Place {
            store: ImageStore::local(folder.path()).unwrap(),
            folder: folder.path().to_owned(),
            _local: folder,
            _s3: None,
        },
        Place {
            store: ImageStore::s3(&s3.place("lab/one"), &s3.access(20)).unwrap(),
            folder: s3.file("lab/one"),
            _local: tempfile::tempdir().unwrap(),
            _s3: Some(s3),
        },
    ]
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// It may be on the disk and named by rows, and what took its place would not be on the disk yet.
#[cfg(unix)]
#[tokio::test]
async fn a_whole_object_in_a_folder_is_not_written_again_and_one_that_a_crash_cut_short_is() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::local(folder.path()).unwrap();
    let name = store.put(Bytes::from_static(b"face")).await.unwrap();
    let object = folder.path().join(&name.as_str()[..2]).join(name.as_str());
    let inode = || std::fs::metadata(&object).unwrap().ino();
    let first = inode();
    store.put(Bytes::from_static(b"face")).await.unwrap();
    assert_eq!(inode(), first);
    std::fs::write(&object, b"").unwrap();
    store.put(Bytes::from_static(b"face")).await.unwrap();
    assert_eq!(store.read(&name).await.unwrap(), Bytes::from_static(b"face"));
    assert_eq!(files(folder.path()), [object]);
}

#[tokio::test]
async fn the_store_keeps_bytes_once_and_notices_damage() {
    for Place { store, folder, .. } in both() {
        let name = store.put(Bytes::from_static(b"face")).await.unwrap();
        assert_eq!(store.put(Bytes::from_static(b"face")).await.unwrap(), name);
        store.flush().await.unwrap();
        assert_eq!(store.read(&name).await.unwrap(), Bytes::from_static(b"face"));
        assert!(store.contains(&name).await.unwrap() && !store.contains(&hash(1)).await.unwrap());
        assert!(matches!(store.read(&hash(1)).await, Err(CatalogError::NoObject(_))));
        let there = files(&folder);
        assert_eq!(there, [folder.join(&name.as_str()[..2]).join(name.as_str())]);
        std::fs::write(&there[0], b"fake").unwrap();
        assert!(matches!(store.read(&name).await, Err(CatalogError::DamagedObject(_))));
        store.delete(&name).await.unwrap();
        store.delete(&name).await.unwrap();
        assert!(matches!(store.read(&name).await, Err(CatalogError::NoObject(_))));
        store.check("a word").await.unwrap();
        assert_eq!(files(&folder), Vec::<PathBuf>::new());
    }
}

/// Withdrawn faces must not stay behind as the half file of a process that was killed while it wrote them.
#[tokio::test]
async fn what_a_killed_writer_left_is_no_object_and_goes_with_its_object() {
    let [Place { store, folder, .. }, _] = both();
    let name = store.put(Bytes::from_static(b"face")).await.unwrap();
    let other = store.put(Bytes::from_static(b"another face")).await.unwrap();
    let left = |n: u32| folder.join(&name.as_str()[..2]).join(format!("{name}#{n}"));
    for n in [1, 2, 5] {
        std::fs::write(left(n), b"fa").unwrap();
    }
    assert_eq!(store.read(&name).await.unwrap(), Bytes::from_static(b"face"));
    store.put(Bytes::from_static(b"face")).await.unwrap();
    store.delete(&name).await.unwrap();
    assert_eq!(files(&folder), [folder.join(&other.as_str()[..2]).join(other.as_str())]);
    std::fs::write(left(1), b"fa").unwrap();
    store.delete(&name).await.unwrap();
    assert!(!left(1).exists(), "of an object that never was one, too");
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_comes_back_whole() {
    let s3 = S3::start();
    let store = ImageStore::s3(&s3.place(""), &s3.access(20)).unwrap();
    let bytes: Bytes = (0..(20_u32 << 20) + 3).map(|n| ((n * 31) >> 7) as u8).collect();
    let name = store.put(bytes.clone()).await.unwrap();
    assert_eq!(store.read(&name).await.unwrap(), bytes);
    let n_parts = s3.asked().iter().filter(|asked| asked.contains("partNumber=")).count();
    assert_eq!(n_parts, 3, "{:?}", s3.asked());
}

#[tokio::test]
async fn a_server_with_too_much_to_do_is_waited_for() {
    let s3 = S3::start();
    let store = ImageStore::s3(&s3.place("x"), &s3.access(30)).unwrap();
    let name = store.put(Bytes::from_static(b"face")).await.unwrap();
    for fault in [Fault::Busy, Fault::Hangs] {
        let began = Instant::now();
        s3.set(fault(began + Duration::from_secs(2)));
        let other = Bytes::from_static(b"another face");
        let (put, read) = tokio::join!(store.put(other), store.read(&name));
        put.unwrap();
        read.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_body_that_was_cut_or_shortened_on_the_way_is_asked_for_again() {
    let s3 = S3::start();
    let store = ImageStore::s3(&s3.place("x"), &s3.access(20)).unwrap();
    let bytes: Bytes = (0..300_000_u32).map(|n| ((n * 31) >> 7) as u8).collect();
    let name = store.put(bytes.clone()).await.unwrap();
    for fault in [Fault::CutsBody, Fault::Halves] {
        s3.set(fault);
        assert_eq!(store.read(&name).await.unwrap(), bytes, "{fault:?}");
    }
}

/// What the user reads.
async fn problem(place: &str, access: &affectory_catalog::S3Access) -> String {
    let store = ImageStore::s3(place, access).unwrap();
    let by_put = store.put(Bytes::from_static(b"face")).await.unwrap_err();
    let by_read = store.read(&hash(1)).await.unwrap_err();
    assert!(matches!(by_read, CatalogError::S3 { .. }), "an absent object, says the store: {by_read}");
    assert_eq!(by_put.to_string(), by_read.to_string());
    assert!(!by_put.to_string().contains("hush"));
    by_put.to_string()
}

#[tokio::test]
async fn a_refusal_says_in_one_line_what_where_and_what_to_do() {
    let s3 = S3::start();
    let server = format!("http://{}", s3.address);
    let access = s3.access(1);
    assert_eq!(
        problem("s3://elsewhere/x", &access).await,
        format!(
            "the image store s3://elsewhere/x failed: {server} has no bucket of that name: create it, or correct \
             `objects` in affectory.toml"
        )
    );
    let wrong = hurried(s3.variables_with("AKIATEST", "hush"), 1);
    assert_eq!(
        problem(&s3.place("x"), &wrong).await,
        format!(
            "the image store s3://{BUCKET}/x failed: {server} refuses the key (SignatureDoesNotMatch): check \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    );
    s3.set(Fault::Busy(Instant::now() + Duration::from_secs(60)));
    assert_eq!(
        problem(&s3.place("x"), &access).await,
        format!(
            "the image store s3://{BUCKET}/x failed: {server} answered 503 SlowDown again and again: what was done is \
             kept, run the command again later"
        )
    );
    let mut nowhere = s3.variables();
    nowhere[0].1 = "http://127.0.0.1:1".into();
    let text = problem(&s3.place("x"), &hurried(nowhere, 1)).await;
    assert_eq!(
        text,
        format!(
            "the image store s3://{BUCKET}/x failed: http://127.0.0.1:1 cannot be reached (Connection refused (os error \
             111)): check the network and AWS_ENDPOINT_URL"
        )
    );
}

#[tokio::test]
async fn many_at_once_and_two_programs_store_the_same_objects_once() {
    let s3 = S3::start();
    let stores = [0, 1].map(|_| ImageStore::s3(&s3.place("x"), &s3.access(30)).unwrap());
    s3.set(Fault::Busy(Instant::now() + Duration::from_millis(500)));
    let puts = (0..200_u32).map(|n| stores[n as usize % 2].put((n / 2).to_string().into_bytes().into()));
    for put in futures::future::join_all(puts).await {
        put.unwrap();
    }
    let there = files(&s3.file("x"));
    assert_eq!(there.len(), 100);
}

fn secrets(s3: &S3) -> Secrets {
    Secrets { s3: s3.access(20), ..Secrets::default() }
}

async fn project_on(place: &str, folder: &Path, secrets: &Secrets) -> Result<Project, CatalogError> {
    let config = ProjectConfig { objects: place.to_owned(), ..ProjectConfig::default() };
    Project::init_with(folder, config, secrets).await
}

#[tokio::test]
async fn a_project_is_made_on_a_bucket_that_works_and_on_no_other() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let refused = project_on("s3://elsewhere/x", folder.path(), &secrets(&s3)).await;
    assert!(matches!(refused, Err(CatalogError::S3 { .. })), "{refused:?}");
    let refused = project_on(&s3.place("x"), folder.path(), &Secrets::default()).await.unwrap_err();
    assert!(refused.to_string().contains("AWS_ACCESS_KEY_ID"), "{refused}");
    let refused = project_on("s3://AKIA:hush@faces/x", folder.path(), &secrets(&s3)).await.unwrap_err();
    assert!(refused.to_string().contains("environment") && !refused.to_string().contains("hush"), "{refused}");

    let project = project_on(&s3.place("x"), folder.path(), &secrets(&s3)).await.unwrap();
    assert!(!folder.path().join("objects").exists());
    let name = project.store.put(Bytes::from_static(b"face")).await.unwrap();
    project.catalog.close().await;
    let again = Project::open_with(folder.path(), &secrets(&s3)).await.unwrap();
    again.store.read(&name).await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let refused = back_up(&again, &to.path().join("copy"), &Stop::default()).await.unwrap_err();
    assert!(refused.to_string().contains("docs/storage.md"), "{refused}");
    assert!(!to.path().join("copy").exists());
}

/// A local project with `n` images, a damaged one among them, and one whose object is gone.
async fn filled(folder: &Path, n: u32) -> (Project, Vec<Sha256Hex>) {
    let project = Project::init(folder, ProjectConfig::default()).await.unwrap();
    let mut names = Vec::new();
    for n in 0..n {
        let sha256 = project.store.put(format!("picture {n}").into_bytes().into()).await.unwrap();
        let image = NewImage {
            sha256: sha256.clone(),
            phash: affectory_core::PerceptualHash(0),
            width: 9,
            height: 9,
            format: "png".into(),
            size_bytes: 9,
        };
        let sighting = NewSighting {
            source: "test".into(),
            path: n.to_string(),
            page_url: None,
            license: None,
            given_split: None,
        };
        let item = affectory_catalog::ImportItem { image, sighting, faces: vec![] };
        project.catalog.record_import(&[item], 1).await.unwrap();
        names.push(sha256);
    }
    let file = |name: &Sha256Hex| folder.join("objects").join(&name.as_str()[..2]).join(name.as_str());
    std::fs::write(file(&names[0]), "damaged").unwrap();
    std::fs::remove_file(file(&names[1])).unwrap();
    (project, names)
}

/// Asks for a stop once something has been done.
struct StopsSoon(Stop, std::sync::atomic::AtomicU64);

impl Progress for StopsSoon {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, n: u64) {
        if self.1.fetch_add(n, std::sync::atomic::Ordering::Relaxed) >= 100 {
            self.0.request();
        }
    }
    fn note(&self, _text: &str) {}
    fn end(&self) {}
}

#[tokio::test]
async fn objects_move_to_a_bucket_and_back_and_a_move_that_was_stopped_goes_on() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let (project, names) = filled(folder.path(), 300).await;
    let config = folder.path().join("affectory.toml");
    std::fs::write(&config, "# ours\ncatalog = \"sqlite\"\nobjects = \"local\" # for now\n").unwrap();
    let (secrets, place) = (secrets(&s3), s3.place("affect"));

    let stop = Stop::default();
    let watch = StopsSoon(stop.clone(), 0.into());
    let begun = move_objects(&project, &place, &secrets, &stop, &watch).await.unwrap();
    assert!(begun.stopped && (1..298).contains(&begun.n_copied), "{begun:?}");
    assert!(std::fs::read_to_string(&config).unwrap().contains("\"local\""));

    s3.set(Fault::Busy(Instant::now() + Duration::from_secs(1)));
    let moved = move_objects(&project, &place, &secrets, &Stop::default(), &Silent).await.unwrap();
    assert_eq!((moved.n_known, moved.n_copied), (begun.n_copied, 298 - begun.n_copied));
    assert_eq!((moved.damaged.as_slice(), moved.n_missing), (&names[..1], 2));
    let text = std::fs::read_to_string(&config).unwrap();
    assert_eq!(text, format!("# ours\ncatalog = \"sqlite\"\nobjects = \"{place}\"\n"));
    assert_eq!(files(&folder.path().join("objects")).len(), 299, "the old store is as it was");
    let there = Project::open_with(folder.path(), &secrets).await.unwrap();
    let again = move_objects(&there, &place, &secrets, &Stop::default(), &Silent).await;
    assert!(again.unwrap_err().to_string().contains("already"));

    let project = Project::open_with(folder.path(), &secrets).await.unwrap();
    for name in &names[2..] {
        project.store.read(name).await.unwrap();
    }
    let back = move_objects(&project, "pictures", &secrets, &Stop::default(), &Silent).await.unwrap();
    assert_eq!((back.n_copied, back.damaged.len()), (298, 0));
    let project = Project::open(folder.path()).await.unwrap();
    assert_eq!(project.config.objects, "pictures");
    assert_eq!(files(&folder.path().join("pictures")).len(), 298);
    project.store.read(&names[299]).await.unwrap();
}

#[tokio::test]
async fn a_shared_file_is_had_by_whoever_has_a_fresh_link_until_it_is_removed() {
    let s3 = S3::start();
    let store = ImageStore::s3(&s3.place("lab"), &s3.access(20)).unwrap();
    let bytes: Bytes = (0..(40_u32 << 20) + 7).map(|n| ((n * 31) >> 7) as u8).collect();
    let pieces: Vec<Result<Bytes, CatalogError>> =
        (0..=40).map(|n| Ok(bytes.slice(n << 20..bytes.len().min((n + 1) << 20)))).collect();
    let pieces = futures::stream::iter(pieces);
    store.share("deliveries/x.tar", (bytes.len() as u64, "one.tar"), pieces).await.unwrap();
    let link = store.shared_link("deliveries/x.tar", Duration::from_secs(2)).await.unwrap();
    let get = async |range: &str| {
        let answer = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(no_tls()).build().unwrap();
        let answer = answer.get(link.clone()).header("range", range).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    assert_eq!(get("bytes=0-").await, (206, bytes.clone()));
    assert_eq!(get("bytes=41943045-").await, (206, bytes.slice(41_943_045..)));
    assert!(!link.as_str().contains("hush"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(get("bytes=0-").await.0, 403);
    store.unshare("deliveries/x.tar").await.unwrap();
    store.unshare("deliveries/x.tar").await.unwrap();
    assert!(!s3.file("lab/deliveries/x.tar").exists());

    let broken = futures::stream::iter([Ok(bytes.clone()), Err(CatalogError::NoObject("gone".into()))]);
    let outcome = store.share("deliveries/y.tar", (1, "y.tar"), broken).await;
    assert!(matches!(outcome, Err(CatalogError::NoObject(_))), "{outcome:?}");
    assert!(!s3.file("lab/deliveries/y.tar").exists());
}

fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

/// Given up at a random moment, as a kill does: whatever is half done stays so.
#[tokio::test]
async fn a_move_that_is_cut_off_ten_times_ends_as_an_undisturbed_one() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let (project, names) = filled(folder.path(), 400).await;
    let (secrets, place) = (secrets(&s3), s3.place("affect"));
    for after_ms in [3, 10, 20, 40, 60, 80, 100, 120, 140, 160] {
        let stop = Stop::default();
        let move_ = move_objects(&project, &place, &secrets, &stop, &Silent);
        if tokio::time::timeout(Duration::from_millis(after_ms), move_).await.is_ok() {
            panic!("the move was over in {after_ms} ms: nothing was cut off");
        }
    }
    let moved = move_objects(&project, &place, &secrets, &Stop::default(), &Silent).await.unwrap();
    assert_eq!((moved.n_known + moved.n_copied, moved.damaged.len(), moved.n_missing), (398, 1, 2));
    let project = Project::open_with(folder.path(), &secrets).await.unwrap();
    for name in &names[2..] {
        project.store.read(name).await.unwrap();
    }
}
